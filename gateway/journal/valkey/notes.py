"""Small values that outlive a process, each under a tag of its own: `scripts/notes.lua`."""

from __future__ import annotations

import secrets
from typing import Any

from gateway.journal.valkey.store import Store


def _tag(scope: str, key: str) -> str:
    return f"note/{scope}/{key}"


async def recall(store: Store, scope: str, key: str) -> bytes | None:
    """Bytes are kept as text of the same length, since MessagePack in scripts knows only text."""
    value = (await store.read(_tag(scope, key), "recall")).maybe(str)
    return None if value is None else value.encode("latin-1")


async def remember(store: Store, scope: str, key: str, value: bytes | None, ttl: float | None) -> None:
    given: dict[str, Any] = {"scope": scope, "key": key}
    given |= {} if value is None else {"value": value.decode("latin-1")}
    if ttl is not None:
        given["ttl"] = ttl
    await store.write(_tag(scope, key), "remember", **given)


async def secret(store: Store, name: str) -> bytes:
    made = secrets.token_bytes(32).decode("latin-1")
    return (await store.write(f"secret/{name}", "secret", value=made)).one(str).encode("latin-1")
