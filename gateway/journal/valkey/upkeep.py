"""Forgetting: `scripts/upkeep.lua`."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.journal.letters import KEPT
from gateway.journal.upkeep import SPENDS
from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.rows import key_of
from gateway.journal.valkey.store import Store
from gateway.messages import ConversationKey
from gateway.ports import Retention

BATCH = 200
"""Things of a kind per call: a few milliseconds in which the server does nothing else."""


async def purge(store: Store, homes: Homes, retention: Retention) -> int:
    kept: dict[str, Any] = {name: getattr(retention, name) for name in msgspec.structs.asdict(retention)}
    dropped = 0
    for organization in await homes.all():
        reply = await store.write(
            organization, "purge", retention=kept, batch=BATCH, letters=KEPT, spends=SPENDS
        )
        dropped += reply.one(int)
    return dropped


async def forget(store: Store, homes: Homes, key: ConversationKey) -> None:
    for organization in await homes.of(key.bot):
        await store.write(organization, "forget", key=key_of(key))


async def probe(store: Store) -> None:
    await store.write("probe", "probe")
