"""How the journal's parts reach the server: one script call, one reply; repeated only because scripts may be.

Every call concerns one tag (an organisation, a note, a lease) and is atomic there. It is idempotent, so a call whose
reply was lost is made once more, on another connection. Where there are replicas, a writing call has returned only when
one of them has what it wrote.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from gateway.errors import Superseded, Transient
from gateway.journal.topics import Topics
from gateway.journal.valkey.client import CONNECTIONS, Away, make, translated
from gateway.journal.valkey.place import Place
from gateway.journal.valkey.scripts import SERVER_TIME, program
from gateway.ports import Clock, Lease

T = TypeVar("T")

REPLICATION = 1.0
"""Seconds that a replica has for a write."""
LOOK_FOR_REPLICAS = 2.0
AGAIN = 0.05
"""Seconds before a call is repeated."""


@cache
def _decoder(kind: Hashable) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


class Reply(msgspec.Struct):
    """What a script answered. Its result is read as what the caller knows it to be."""

    result: msgspec.Raw = msgspec.Raw(b"\xc0")
    time: float = 0.0
    refused: str | None = None
    newest: int = 0
    wakes: tuple[str, ...] = ()

    def one(self, kind: type[T]) -> T:
        found: T = _decoder(cast("Hashable", kind)).decode(self.result)
        return found

    def maybe(self, kind: type[T]) -> T | None:
        found: T | None = _decoder(cast("Hashable", kind | None)).decode(self.result)
        return found

    def many(self, kind: type[T]) -> list[T]:
        found: list[T] = _decoder(cast("Hashable", list[kind])).decode(self.result)  # type: ignore[valid-type]
        return found


class Refused(Exception):
    """A script that may not do what it was asked for; its code says why."""


_reply = msgspec.msgpack.Decoder(Reply)
_encode = msgspec.msgpack.Encoder().encode


def _superseded(lease: Lease, newest: int) -> Superseded:
    return Superseded("lease was taken over", lease=lease.name, token=lease.token, newest=newest)


def _allowed(reply: Reply) -> Reply:
    if reply.refused is not None:
        raise Refused(reply.refused)
    return reply


class Store:
    """The server, by its scripts."""

    def __init__(self, at: Place, topics: Topics, clock: Clock, time: str = SERVER_TIME) -> None:
        self.at, self.topics, self._clock = at, topics, clock
        self.origin = secrets.token_hex(6)
        """Who this process is among those that use the server."""
        self._program = program(time)
        self._sha = hashlib.sha1(self._program.encode(), usedforsecurity=False).hexdigest()
        self._client: Redis | None = None
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._replicas, self._looked = 0, float("-inf")
        self._ahead = clock.now() - clock.monotonic()
        """What the server's time is ahead of our monotonic clock."""

    def time(self) -> float:
        """The server's time: since the last answer, at our clock's pace."""
        return self._clock.monotonic() + self._ahead

    def open(self) -> None:
        self._client = make(self.at)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # calling

    async def read(self, tag: str, name: str, /, **arguments: Any) -> Reply:
        """Run a script that changes nothing. Raises Transient, Refused."""
        return _allowed(await self._call(tag, name, arguments, replicated=False))

    async def write(self, tag: str, name: str, /, *, lease: Lease | None = None, **arguments: Any) -> Reply:
        """Run a script that writes, under the lease if there is one. Raises Transient (perhaps it did happen),
        Superseded, Refused.
        """
        if lease is not None:
            arguments["lease"] = {"name": lease.name, "token": lease.token}
        reply = await self._write(tag, name, arguments)
        if lease is not None and reply.refused == "unknown_lease":
            await self.check(lease)
            await self._write(tag, "plant", arguments)
            reply = await self._write(tag, name, arguments)
        if lease is not None and reply.refused == "superseded":
            raise _superseded(lease, reply.newest)
        return _allowed(reply)

    async def check(self, lease: Lease) -> None:
        """Raise Superseded if the lease was taken over, where there is no row to write that would tell."""
        newest = (await self.read(f"lease/{lease.name}", "newest")).one(int)
        if lease.token < newest:
            raise _superseded(lease, newest)

    async def _write(self, tag: str, name: str, arguments: dict[str, Any]) -> Reply:
        reply = await self._call(tag, name, arguments, replicated=await self._has_replicas())
        self.topics.wake(reply.wakes)
        return reply

    async def _call(self, tag: str, name: str, arguments: dict[str, Any], *, replicated: bool) -> Reply:
        packed = _encode(arguments)
        try:
            return await self._once(tag, name, packed, replicated)
        except Away:
            await self._clock.sleep(AGAIN)
            return await self._once(tag, name, packed, replicated)

    async def _once(self, tag: str, name: str, packed: bytes, replicated: bool) -> Reply:
        reply = await self._answered(tag, name, packed, replicated)
        self._ahead = reply.time - self._clock.monotonic()
        return reply

    async def _answered(self, tag: str, name: str, packed: bytes, replicated: bool) -> Reply:
        call = [1, f"gw:{{{tag}}}:", name, packed, self.origin, "replicated" if replicated else ""]
        async with self.connected() as client:
            try:
                return await self._run(client, ["EVALSHA", self._sha, *call], replicated)
            except NoScriptError:
                return await self._run(client, ["EVAL", self._program, *call], replicated)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Redis]:
        """Have the client for one command or pipeline; who finds all connections in use waits here."""
        if self._client is None:
            raise Transient("journal is closed")
        with translated(self.at):
            async with self._room:
                yield self._client

    @staticmethod
    async def _run(client: Redis, command: list[Any], replicated: bool) -> Reply:
        if not replicated:
            return _reply.decode(await client.execute_command(*command))  # type: ignore[no-untyped-call]
        pipeline = client.pipeline(transaction=False)  # both on one connection: WAIT asks for its writes
        pipeline.execute_command(*command)
        pipeline.execute_command("WAIT", 1, int(REPLICATION * 1000))
        answer, copies = await pipeline.execute()
        if copies < 1:
            raise Away("no replica has what was written")
        return _reply.decode(answer)

    # replicas

    async def _has_replicas(self) -> bool:
        """Whether a write has to be on a replica, too."""
        if self._clock.monotonic() - self._looked >= LOOK_FOR_REPLICAS:
            await self.look_for_replicas()
        return self._replicas > 0

    async def look_for_replicas(self) -> None:
        """Count them. Behind Sentinels they are counted on once one was seen: a primary that is cut off from its
        replicas forgets them, and would then take in what the others never hear of.
        """
        self._looked = self._clock.monotonic()
        found = int((await self.info("replication")).get("connected_slaves", 0))
        self._replicas = max(self._replicas, found) if self.at.primary else found

    async def info(self, section: str) -> dict[str, Any]:
        async with self.connected() as client:
            found: dict[str, Any] = await client.info(section)
            return found
