"""One turn's way to the budget: every upstream request waits for its slot and is written down before it leaves."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.messages import Spend, SpendClass, Turn
from gateway.ports import Clock, Journal, Lease, Left


class Budget(Protocol):
    """The organisation's quota, as a turn sees it. Slots are spend ids."""

    async def slot(self, kind: SpendClass, completion: bool, bot: str) -> str:
        """Wait for room and take it."""
        ...

    def sent(self, slot: str) -> None:
        """The request leaves now."""
        ...

    def settled(self, slot: str) -> None:
        """Its answer, or its failure, is here."""
        ...


class Admission:
    """The `admit` of one turn. `slot` is the room that came with its pick: the first completion uses it; `written`
    tells that the claim has written that down already.

    `turn` is the turn as last written; `requests` what it has sent, `waited` the seconds that it waited for quota.
    """

    def __init__(
        self,
        turn: Turn,
        lease: Lease,
        journal: Journal,
        clock: Clock,
        budget: Budget,
        slot: str | None,
        *,
        written: bool = False,
    ) -> None:
        self.turn, self.slot, self.written = turn, slot, written
        self.requests = turn.attempt - written  # an earlier process may have asked already
        self.waited = 0.0
        self.last_spend: str | None = None
        self._lease, self._journal, self._clock, self._budget = lease, journal, clock, budget

    async def __call__(self, kind: SpendClass, completion: bool) -> Left:
        """Admit one request. Raises Transient when it cannot be written down: then it must not leave."""
        self.settle()
        if self._lease.lost:  # whoever holds it now may be asking this: the turn is about to end here
            await asyncio.get_running_loop().create_future()
        spend_id = await self._slot(kind, completion)
        if completion and self.written:
            self.written = False
        else:
            await self._write(spend_id, kind, completion)
        self.requests += 1
        self.last_spend = spend_id
        self._budget.sent(spend_id)
        return lambda: self._budget.sent(spend_id)

    async def _write(self, spend_id: str, kind: SpendClass, completion: bool) -> None:
        spend = Spend(
            id=spend_id,
            organization=self.turn.organization,
            kind=kind,
            completion=completion,
            at=self._clock.now(),
            bot=self.turn.key.bot,
        )
        if completion:
            self.turn = await self._journal.asked(self.turn.id, self._lease, spend)
        else:
            await self._journal.spend(spend)

    async def _slot(self, kind: SpendClass, completion: bool) -> str:
        if self.slot is not None and completion == (kind == "reply") and kind in {"reply", "record"}:
            slot, self.slot = self.slot, None
            return slot
        began = self._clock.monotonic()
        slot = await self._budget.slot(kind, completion, self.turn.key.bot)
        self.waited += self._clock.monotonic() - began
        return slot

    def uncount(self) -> None:
        """The request before this was refused for its rate: it was not executed."""
        if self.last_spend is not None:
            self.requests -= 1

    def settle(self) -> None:
        """The request before this has been answered."""
        if self.last_spend is not None:
            self._budget.settled(self.last_spend)
