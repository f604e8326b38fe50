"""One turn's way to the budget: every single upstream request waits for its slot and is written down before it
leaves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.messages import Spend, SpendClass, Turn
from gateway.ports import Clock, Journal, Lease

Slot = Callable[[SpendClass, bool], Awaitable[str]]
"""Wait until the organisation's quota has room and take it; returns the spend's id."""


class Admission:
    """The `admit` of one turn. `slot` is the room that came with its pick: the first completion uses it.

    `turn` is the turn as last written; `requests` what it has sent, `waited` the seconds that it waited for quota.
    """

    def __init__(
        self, turn: Turn, lease: Lease, journal: Journal, clock: Clock, wait_for_slot: Slot, slot: str | None
    ) -> None:
        self.turn, self.slot = turn, slot
        self.requests = turn.attempt  # an earlier process may have asked already
        self.waited = 0.0
        self.last_spend: str | None = None
        self._lease, self._journal, self._clock, self._wait_for_slot = lease, journal, clock, wait_for_slot

    async def __call__(self, kind: SpendClass, completion: bool) -> None:
        """Admit one request. Raises Transient when it cannot be written down: then it must not leave."""
        if self.slot is not None and kind == "reply" and completion:
            spend_id, self.slot = self.slot, None
        else:
            began = self._clock.monotonic()
            spend_id = await self._wait_for_slot(kind, completion)
            self.waited += self._clock.monotonic() - began
        spend = Spend(
            id=spend_id,
            organization=self.turn.organization,
            kind=kind,
            completion=completion,
            at=self._clock.now(),
        )
        if completion:
            self.turn = await self._journal.asked(self.turn.id, self._lease, spend)
        else:
            await self._journal.spend(spend)
        self.requests += 1
        self.last_spend = spend_id
