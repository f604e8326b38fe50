"""The organisation's budget as all of the process meets it: whoever wants to ask Sensay something passes here.

New turns are let in by the dispatcher, which takes their place together with its choice; all others wait as claimants,
and are served by class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.errors import RateLimited
from gateway.messages import SpendClass
from gateway.pipeline.accept import new_id
from gateway.pipeline.tools import Tools
from gateway.policy.quota import Quota, Steady
from gateway.ports import QuotaGranted
from gateway.settings.models import Organization
from gateway.telemetry import current

_RANK: dict[SpendClass, int] = {"reply": 0, "user": 1, "record": 2, "operator": 3}


@dataclass
class _Claimant:
    """Somebody inside the process who waits for one request's room in the budget."""

    kind: SpendClass
    completion: bool
    bot: str
    since: float
    slot: asyncio.Future[str]
    upload: bool = False
    turn: str | None = None


class Door:
    """Implements `operating.Counter`. `settings` are the organisation's, of this moment; `ring` is called when somebody
    new waits, so that `serve` is called soon.
    """

    def __init__(
        self, organization: str, settings: Callable[[], Organization], tools: Tools, ring: Callable[[], None]
    ) -> None:
        self._organization, self._settings, self._tools, self._ring = organization, settings, tools, ring
        self._now = Steady(tools.clock.now(), tools.clock.monotonic())
        self._claimants: list[_Claimant] = []
        self.quota = Quota(**_numbers(settings()))

    def now(self) -> float:
        """Time since the epoch that does not jump when the machine's clock is set."""
        return self._now(self._tools.clock.monotonic())

    def configure(self) -> None:
        """The organisation's settings are new."""
        self.quota.reconfigure(**_numbers(self._settings()))

    async def restore(self) -> None:
        """What an earlier process spent."""
        past = self._tools.clock.now() - self._settings().quota.windows.hour - 60.0
        self.quota.restore(await self._tools.journal.spent_since(self._organization, past), self.now())

    # --- looking ---

    def used(self) -> dict[str, tuple[int, int]]:
        """Window → (requests in it, its limit)."""
        return self.quota.used(self.now())

    def relief(self) -> float:
        """Seconds until the budget has room for the next answer."""
        now = self.now()
        return max(0.0, self.quota.ready_at(now, "reply") - now)

    def room_in(self, *, completion: bool, upload: bool) -> float:
        """Seconds until there may be room for an operator's request; 0: now."""
        now = self.now()
        return self.quota.ready_at(now, "operator", completion, upload=upload) - now

    # --- who waits ---

    async def slot(self, kind: SpendClass, completion: bool, bot: str, *, upload: bool = False) -> str:
        """Wait for room in the budget and take it; returns the spend's id."""
        slot: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._claimants.append(_Claimant(kind, completion, bot, self.now(), slot, upload, current.turn.get()))
        self._claimants.sort(key=lambda waiting: _RANK[waiting.kind])
        self._ring()
        try:
            return await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.unused(slot.result())
            raise

    def serve(self, now: float, *kinds: SpendClass) -> float | None:
        """Let in who waits, of these classes; returns when to come again.

        Whoever waits for an hour does not hold up those who need the minute only.
        """
        next_at: float | None = None
        for claimant in [waiting for waiting in self._claimants if waiting.kind in kinds]:
            what = claimant.kind, claimant.completion
            at = self.quota.ready_at(now, *what, bot=claimant.bot, upload=claimant.upload)
            if at > now and not claimant.slot.done():
                next_at = at if next_at is None else min(at, next_at)
                continue
            self._claimants.remove(claimant)
            if not claimant.slot.done():
                claimant.slot.set_result(self.take(now, *what, claimant.bot, upload=claimant.upload))
                self.granted(claimant.kind, now - claimant.since, claimant.turn)
        return next_at

    def somebody_goes_first(self, now: float) -> bool:
        """A turn in flight waits for its next request and will have it soon; one that the hour blocks stops nobody."""
        soon = now + self._settings().quota.windows.minute
        return any(
            self.quota.ready_at(now, claimant.kind, claimant.completion, bot=claimant.bot) <= soon
            for claimant in self._claimants
            if claimant.kind in {"reply", "user"}
        )

    # --- slots ---

    def take(self, now: float, kind: SpendClass, completion: bool, bot: str, *, upload: bool = False) -> str:
        """Take room that is known to be there."""
        spend_id = new_id(self._organization)
        self.quota.take(now, spend_id, kind, completion, bot=bot, upload=upload)
        return spend_id

    def granted(self, kind: SpendClass, waited: float, turn: str | None = None) -> None:
        """Tell of it."""
        fact = QuotaGranted(
            organization=self._organization,
            kind=kind,
            waited=max(0.0, waited),
            at=self._tools.clock.now(),
            turn=turn,
        )
        self._tools.observer(fact)

    def sent(self, slot: str) -> None:
        """The request of this slot leaves now."""
        self.quota.sent(self.now(), slot)

    def settled(self, slot: str) -> None:
        """The request of this slot was answered, or failed."""
        self.quota.settle(self.now(), slot)

    def unused(self, slot: str) -> None:
        """The request of this slot will not leave."""
        self.quota.refund(slot)

    async def refused(self, slot: str | None, error: RateLimited) -> None:
        """The request of this slot was answered with a 429: it did not count, and we learn from it."""
        self.quota.limited(self.now(), error.retry_after, slot)
        if slot is not None:
            await self._tools.surely(lambda: self._tools.journal.refund(self._organization, slot))


def _numbers(organization: Organization) -> dict[str, Any]:
    quota = organization.quota
    return {
        "requests_per_minute": quota.requests_per_minute,
        "completions_per_hour": quota.completions_per_hour,
        "uploads_per_hour": quota.uploads_per_hour,
        "minute": quota.windows.minute,
        "hour": quota.windows.hour,
    }
