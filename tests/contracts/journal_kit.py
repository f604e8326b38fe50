"""What the tests of a journal are made of: short ways to make arrivals, and the steps of a message's life."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.messages import (
    Address,
    Channel,
    ConversationKey,
    Delivery,
    Ending,
    Part,
    Receipt,
    Said,
    Sender,
    Spend,
    Turn,
)
from gateway.ports import Bounds, Intake, Journal, Lease, Retention

CHANNEL = Channel(bot="shop", platform="telegram")
OPEN = Bounds(user_limit=None)
ANSWER = Ending(outcome="answered", parts=(Part(text="Hello!"),))


def key(chat: str = "c1", **changes: Any) -> ConversationKey:
    return ConversationKey(**{"bot": "shop", "platform": "telegram", "chat": chat, **changes})


def said(text: str = "hi", chat: str = "c1", *, id_: str = "1", **changes: Any) -> Said:
    facts = {
        "key": key(chat),
        "address": Address(to=chat, data={"reply_to": id_}),
        "sender": Sender(id="ann"),
        "message_id": id_,
        "text": text,
        "sent_at": 1.0,
    }
    return Said(**{**facts, **changes})


def intake(id_: str, arrival: Any = None, **changes: Any) -> Intake:
    arrival = said(id_=id_) if arrival is None else arrival
    return Intake(**{"id": id_, "organization": "acme", "arrival": arrival, "bounds": OPEN, **changes})


def notices(*names: str) -> dict[str, tuple[Part, ...]]:
    return {name: (Part(text=name, purpose="notice"),) for name in names}


async def take(journal: Journal, *intakes: Intake) -> list[str]:
    return [accepted.outcome for accepted in await journal.accept(intakes)]


async def waiting(journal: Journal) -> list[str]:
    return [head.id for head in await journal.waiting("acme")]


async def texts(journal: Journal, chat: str = "c1") -> list[str]:
    return [entry.part.text for entry in (await journal.log(key(chat))).entries]


async def purge_all(journal: Journal, retention: Retention) -> None:
    async with asyncio.timeout(10):
        while await journal.purge(retention):
            pass


def spend(id_: str, **changes: Any) -> Spend:
    return Spend(**{"id": id_, "organization": "acme", "kind": "reply", "completion": True, **changes})


class Desk:
    """One dispatcher and one courier at work: the steps that most tests need."""

    def __init__(self, journal: Journal, turns: Lease, parts: Lease) -> None:
        self.journal, self.turns, self.parts = journal, turns, parts

    async def claim(self, turn: str, *messages: str) -> Turn | None:
        return await self.journal.claim(turn, messages, self.turns)

    async def answer(self, message: str, *parts: str) -> None:
        """Accept nothing, but take this waiting message to its end."""
        turn = await self.claim(f"t-{message}", message)
        assert turn is not None
        await self.journal.asked(turn.id, self.turns, spend(turn.id))
        ending = Ending(outcome="answered", parts=tuple(Part(text=text) for text in parts))
        await self.journal.finish(turn.id, self.turns, ending)

    async def outgoing(self, limit: int = 10) -> list[Delivery]:
        return await self.journal.claim_deliveries(CHANNEL, self.parts, limit)

    async def sent(self, delivery: Delivery) -> None:
        await self.journal.delivered(delivery, self.parts, Receipt(platform_ids=("p1",)))
