"""Quota spends: `scripts/ledger.lua`."""

from __future__ import annotations

from gateway.journal.valkey.rows import spend_of
from gateway.journal.valkey.store import Store
from gateway.messages import Spend


async def spend(store: Store, spend: Spend) -> None:
    await store.write(spend.organization, "spend", spend=spend_of(spend))


async def refund(store: Store, organization: str, spend_id: str) -> None:
    await store.write(organization, "refund", id=spend_id)


async def spent_since(store: Store, organization: str, since: float) -> list[Spend]:
    return (await store.read(organization, "spent_since", since=since)).many(Spend)
