"""One message's life, and figures by bot: `scripts/looking.lua`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.rows import BodyRow, ConversationRow, MessageRow, PartRow, Row, TurnRow
from gateway.journal.valkey.store import Store
from gateway.messages import BotCounts, Life, LifeStatus, Part, PartLife, decode


class LifePart(Row, kw_only=True):
    part: PartRow
    text: str | None = None

    def restored(self) -> PartLife:
        row = self.part
        return PartLife(
            id=row.id,
            state=row.state,
            purpose=row.purpose,
            created_at=row.created_at,
            sending_at=row.sending_at,
            ended_at=row.ended_at,
            attempt=row.attempt,
            text="" if self.text is None else decode(self.text, Part).text,
            platform_ids=() if row.platform_ids is None else tuple(msgspec.json.decode(row.platform_ids)),
            cause=row.cause,
        )


class LifeRows(Row, kw_only=True):
    message: MessageRow
    conversation: ConversationRow
    body: BodyRow | None = None
    turn: TurnRow | None = None
    parts: tuple[LifePart, ...] = ()

    def restored(self, organization: str) -> Life:
        row, turn = self.message, self.turn
        said = None if self.body is None else self.body.restored()
        return Life(
            id=row.id,
            organization=organization,
            key=self.conversation.key,
            status=self._status(),
            accepted_at=row.accepted_at,
            turn=row.turn,
            sender=row.sender,
            text=None if said is None else said.text,
            addressed=None if said is None else said.addressed or "no",
            ended_at=row.ended_at,
            cause=(turn and turn.cause) or row.cause,
            parts=tuple(part.restored() for part in self.parts),
            **({} if turn is None else turn.life()),
        )

    def _status(self) -> LifeStatus:
        if self.message.state == "ended":
            return cast("LifeStatus", self.message.outcome)
        return "asking" if self.turn and self.turn.state == "asked" else "queued"


async def message(store: Store, homes: Homes, id_: str) -> Life | None:
    organization = await homes.holding(id_)
    if organization is None:
        return None
    rows = (await store.read(organization, "message", id=id_)).maybe(LifeRows)
    return None if rows is None else rows.restored(organization)


async def counts(store: Store, homes: Homes) -> Mapping[str, BotCounts]:
    organizations = await homes.all()
    replies = await asyncio.gather(*(store.read(name, "counts") for name in organizations))
    figures: dict[str, dict[str, Any]] = {}
    for reply in replies:
        for found in reply.many(dict):
            _add(figures.setdefault(str(found.pop("bot")), {}), found)
    counted = {bot: msgspec.convert(values, BotCounts) for bot, values in figures.items()}
    return {bot: counts for bot, counts in counted.items() if counts != BotCounts()}


def _add(figures: dict[str, Any], more: Mapping[str, Any]) -> None:
    """A bot that was moved has figures in two organisations."""
    for name, value in more.items():
        if name == "oldest":
            figures[name] = min(figures.get(name, value), value)
        else:
            figures[name] = figures.get(name, 0) + value
