"""Arrivals become waiting messages: `scripts/inbox.lua`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.rows import MessageRow, Stored, key_of, parts_of, text
from gateway.journal.valkey.store import Store
from gateway.messages import (
    Accepted,
    Address,
    Arrival,
    Channel,
    ConversationKey,
    Deleted,
    Edited,
    Head,
    Message,
    Moved,
    Part,
    Said,
    Unreadable,
)
from gateway.ports import Intake

_APART = Address(to="")


async def accept(store: Store, homes: Homes, intakes: Sequence[Intake]) -> list[Accepted]:
    """Take a batch, one script for each organisation in it: of one bot there is one."""
    results: list[Accepted | None] = [None] * len(intakes)
    for organization in dict.fromkeys(intake.organization for intake in intakes):
        places = [at for at, intake in enumerate(intakes) if intake.organization == organization]
        bots = {key_of_arrival(intakes[at].arrival).bot for at in places}
        await homes.settle(organization, bots)
        reply = await store.write(
            organization,
            "accept",
            batch=secrets.token_hex(8),
            intakes=[_packed(intakes[at]) for at in places],
        )
        for at, outcome in zip(places, reply.many(Accepted), strict=True):
            results[at] = outcome
    return [result for result in results if result is not None]


def key_of_arrival(arrival: Arrival) -> ConversationKey:
    match arrival:
        case Moved():
            return arrival.old
        case Unreadable():
            return ConversationKey(bot=arrival.bot, platform=arrival.platform, chat="")
        case _:
            return arrival.key


def _packed(intake: Intake) -> dict[str, Any]:
    """What the script needs of an arrival; values that are not there are left out."""
    arrival = intake.arrival
    key = key_of_arrival(arrival)
    packed = {
        "id": intake.id,
        "organization": intake.organization,
        "key": key_of(key),
        "channel": f"{key.bot}/{key.platform}",
        "dedupe": arrival.dedupe,
        "body_hash": getattr(arrival, "body_hash", None),
    }
    match arrival:
        case Said():
            packed |= {"kind": "said", **_said(intake, arrival)}
        case Edited():
            packed |= {"kind": "edited", "message_id": arrival.message_id, "text": arrival.text}
            packed |= {"size": len(arrival.text)}
        case Deleted():
            packed |= {"kind": "deleted", "message_id": arrival.message_id}
        case Moved():
            packed |= {"kind": "moved", "new": key_of(arrival.new), "old_to": arrival.old_to}
            packed |= {"to": arrival.address.to, "address": text(arrival.address)}
        case Unreadable():
            row = {"bot": key.bot, "platform": key.platform, "direct": False, "size": len(arrival.raw)}
            packed |= {"kind": "unreadable", "raw": arrival.raw, "cause": arrival.error, "row": row}
    return _without_none(packed)


def _said(intake: Intake, said: Said) -> dict[str, Any]:
    bounds, kind = intake.bounds, "record" if intake.verdict == "record" else "ask"
    limit = bounds.user_limit and {"count": bounds.user_limit[0], "seconds": bounds.user_limit[1]}
    row = {
        "bot": said.key.bot,
        "platform": said.key.platform,
        "message_id": said.message_id,
        "sender": said.sender.id,
        "direct": said.place.direct,
        "size": len(said.text),
        "sent_at": said.sent_at,
        "not_before": said.not_before,
        "join_key": said.join_key,
        "deadline": said.deadline,
    }
    body = {
        "said": text(replace(said, raw=None, kind=kind, address=_APART)),
        "to": said.address.to,
        "address": text(said.address),
    }
    return {
        "verdict": intake.verdict,
        "per_conversation": bounds.per_conversation,
        "per_bot": bounds.per_bot,
        "limit": limit,
        "denied_every": intake.denied_every,
        "endings": {name: parts_of(intake.id, parts) for name, parts in intake.endings.items()},
        "row": _without_none(row),
        "body": body,
        "raw": said.raw,
    }


def _without_none(packed: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in packed.items() if value is not None}


async def find(store: Store, homes: Homes, channel: Channel, key: str) -> str | None:
    for organization in await homes.of(channel.bot):
        reply = await store.read(organization, "find", channel=str(channel), key=key)
        if (found := reply.maybe(str)) is not None:
            return found
    return None


async def waiting(store: Store, organization: str, after: int, limit: int) -> list[Head]:
    reply = await store.read(organization, "waiting", after=after, limit=limit)
    return [row.head() for row in reply.many(MessageRow)]


async def peek(store: Store, homes: Homes, message_id: str) -> Message | None:
    organization = await homes.holding(message_id)
    if organization is None:
        return None
    stored = (await store.read(organization, "peek", id=message_id)).maybe(Stored)
    return None if stored is None else stored.restored(since=False)


async def notify(store: Store, homes: Homes, message_id: str, parts: Sequence[Part]) -> bool:
    organization = await homes.holding(message_id)
    if organization is None:
        return False
    return (await store.write(organization, "notify", id=message_id, parts=parts_of(message_id, parts))).one(
        bool
    )


async def queue(store: Store, organization: str) -> int:
    return (await store.read(organization, "queue")).one(int)
