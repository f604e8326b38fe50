"""What a server has to be before anything is entrusted to it."""

from __future__ import annotations

from gateway.errors import Misconfigured
from gateway.journal.valkey.client import Away
from gateway.journal.valkey.rows import VERSION
from gateway.journal.valkey.store import Store

OLDEST = (7, 0)
_VERSION = "gw:{version}"


async def examine(store: Store) -> None:
    """Raise Misconfigured for a server that would lose what it is given, Transient for one that is away."""
    server = await store.info("server")
    version = str(server.get("redis_version", "0"))  # Valkey says here which Redis it can stand for
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise Misconfigured(
            f"{store.at} is version {version}", remedy="use Valkey, or Redis from version 7.0"
        )
    policy = (await store.info("memory")).get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise Misconfigured(
            f"{store.at} evicts ({policy}): when it is full it would drop messages",
            remedy="set maxmemory-policy to noeviction on the server",
        )
    if (await store.info("replication")).get("role") != "master":
        raise Away(f"journal at {store.at} is a replica", remedy="name the primary, or its Sentinels")
    await _same_version(store)
    await store.look_for_replicas()


async def _same_version(store: Store) -> None:
    async with store.connected() as client:
        await client.set(_VERSION, VERSION, nx=True)
        found = int(await client.get(_VERSION) or VERSION)
    if found > VERSION:
        raise Misconfigured(
            f"the journal at {store.at} is of a newer version ({found}, not {VERSION})",
            remedy="run the version that wrote it, or a newer one",
        )
