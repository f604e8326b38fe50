"""Waiting messages of one conversation become one question: `scripts/turns.lua`."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import Permanent
from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.rows import LoadedTurn, parts_of, spend_of
from gateway.journal.valkey.store import Refused, Store
from gateway.messages import Ending, Spend, Turn
from gateway.ports import Lease

DISPATCHER = "dispatcher/"


async def _organization(store: Store, homes: Homes, lease: Lease, id_: str) -> str | None:
    """Whose turns the lease is for; a lease of another kind may be for those of any organisation."""
    if lease.name.startswith(DISPATCHER):
        return lease.name.removeprefix(DISPATCHER)
    organization = await homes.holding(id_)
    if organization is None:
        await store.check(lease)
    return organization


async def claim(
    store: Store,
    homes: Homes,
    turn_id: str,
    message_ids: Sequence[str],
    lease: Lease,
    spend: Spend | None,
) -> Turn | None:
    organization = await _organization(store, homes, lease, message_ids[0] if message_ids else turn_id)
    if organization is None:
        return None
    given = {} if spend is None else {"spend": spend_of(spend)}
    ids = list(dict.fromkeys(message_ids))
    try:
        reply = await store.write(organization, "claim", lease=lease, id=turn_id, messages=ids, **given)
    except Refused:
        raise ValueError(f"messages of several conversations in turn {turn_id}") from None
    turn = reply.maybe(LoadedTurn)
    return None if turn is None else turn.restored(organization)


async def asked(store: Store, homes: Homes, turn_id: str, lease: Lease, spend: Spend) -> Turn:
    organization = await _organization(store, homes, lease, turn_id)
    if organization is None:
        raise Permanent("turn is gone", turn=turn_id)
    try:
        reply = await store.write(organization, "asked", lease=lease, id=turn_id, spend=spend_of(spend))
    except Refused:
        raise Permanent("turn is gone", turn=turn_id) from None
    return reply.one(LoadedTurn).restored(organization)


async def finish(store: Store, homes: Homes, turn_id: str, lease: Lease, ending: Ending) -> None:
    organization = await _organization(store, homes, lease, turn_id)
    if organization is None:
        return
    facts = {
        "outcome": ending.outcome,
        "cause": ending.cause,
        "request_id": ending.request_id,
        "quota_wait": ending.quota_wait,
        "upstream": ending.upstream,
    }
    await store.write(
        organization,
        "finish",
        lease=lease,
        id=turn_id,
        organization=organization,
        ending={name: fact for name, fact in facts.items() if fact is not None},
        parts=parts_of(turn_id, ending.parts),
    )


async def inherit(store: Store, lease: Lease) -> list[Turn]:
    if not lease.name.startswith(DISPATCHER):
        await store.check(lease)
        return []
    organization = lease.name.removeprefix(DISPATCHER)
    reply = await store.write(organization, "inherit_turns", lease=lease, organization=organization)
    return [turn.restored(organization) for turn in reply.many(LoadedTurn)]
