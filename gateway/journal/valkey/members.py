"""Which processes there are: `scripts/leases.lua`. They are in one set, by when they have to have said so again."""

from __future__ import annotations

from gateway.journal.valkey.store import Store

TAG = "members"


async def gather(store: Store, pod: str, mark: str, ttl: float) -> dict[str, str]:
    found = (await store.write(TAG, "gather", pod=pod, mark=mark, ttl=ttl)).many(str)
    return dict(zip(found[::2], found[1::2], strict=True))


async def leave(store: Store, pod: str) -> None:
    await store.write(TAG, "leave", pod=pod)
