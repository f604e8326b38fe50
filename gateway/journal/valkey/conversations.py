"""Conversations and their logs: `scripts/conversations.lua`."""

from __future__ import annotations

import msgspec

from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.rows import Logged, key_of
from gateway.journal.valkey.store import Store
from gateway.messages import ConversationKey, Log


class Stretch(msgspec.Struct):
    entries: tuple[Logged, ...]
    trimmed: bool
    more: bool


async def log(
    store: Store, homes: Homes, key: ConversationKey, after: int, before: int | None, limit: int
) -> Log:
    asked = {"key": key_of(key), "after": after, "limit": limit}
    if before is not None:
        asked["before"] = before
    for organization in await homes.of(key.bot):
        stretch = (await store.read(organization, "log", **asked)).maybe(Stretch)
        if stretch is not None:
            entries = [logged.entry() for logged in stretch.entries]
            return Log(
                entries=tuple(entries if before is None else reversed(entries)),
                trimmed=stretch.trimmed,
                more=stretch.more,
            )
    return Log(trimmed=after > 0)
