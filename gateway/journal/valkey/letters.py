"""Dead letters: `scripts/letters.lua`, and the way back in `scripts/turns.lua`."""

from __future__ import annotations

import asyncio
from typing import Literal

from gateway.errors import Permanent
from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.rows import ConversationRow, Row
from gateway.journal.valkey.store import Refused, Store
from gateway.messages import DeadLetter

_WHY_NOT = {
    "unreadable": "an update that could not be read has to be read anew",
    "past_retention": "its text is past its retention",
}


class LetterRow(Row, kw_only=True):
    id: str
    seq: int
    kind: Literal["turn", "part", "update"]
    message: str
    outcome: Literal["failed", "dead", "unknown", "quarantined"]
    at: float
    cause: str | None = None


class Shown(Row, kw_only=True):
    letter: LetterRow
    conversation: ConversationRow
    raw: str | None = None

    def restored(self, organization: str) -> DeadLetter:
        row = self.letter
        return DeadLetter(
            id=row.id,
            seq=row.seq,
            kind=row.kind,
            organization=organization,
            key=self.conversation.key,
            message=row.message,
            outcome=row.outcome,
            cause=row.cause,
            at=row.at,
            raw=self.raw,
        )


async def listed(
    store: Store, homes: Homes, bot: str | None, before: int | None, limit: int
) -> list[DeadLetter]:
    asked: dict[str, str | int] = {"limit": limit}
    asked |= {} if bot is None else {"bot": bot}
    asked |= {} if before is None else {"before": before}
    organizations = await homes.all()
    replies = await asyncio.gather(*(store.read(name, "dead_letters", **asked) for name in organizations))
    found = [
        shown.restored(name)
        for name, reply in zip(organizations, replies, strict=True)
        for shown in reply.many(Shown)
    ]
    return sorted(found, key=lambda letter: -letter.seq)[:limit]


async def one(store: Store, homes: Homes, id_: str) -> DeadLetter | None:
    organization = await homes.holding(id_)
    if organization is None:
        return None
    shown = (await store.read(organization, "dead_letter", id=id_)).maybe(Shown)
    return None if shown is None else shown.restored(organization)


async def retry(store: Store, homes: Homes, id_: str) -> bool:
    organization = await homes.holding(id_)
    if organization is None:
        return False
    try:
        return (await store.write(organization, "retry", id=id_, organization=organization)).one(bool)
    except Refused as refused:
        raise Permanent(_WHY_NOT[str(refused)], letter=id_) from None


async def drop(store: Store, homes: Homes, id_: str) -> bool:
    organization = await homes.holding(id_)
    return organization is not None and (await store.write(organization, "drop", id=id_)).one(bool)
