"""What no user waits for: requests of operators, and of the gateway itself, as the organisation's lowest class."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from gateway.errors import NoRoom, RateLimited
from gateway.messages import Profile, Spend, SpendClass
from gateway.pipeline.accept import new_id
from gateway.pipeline.admission import Budget
from gateway.pipeline.bell import done_within
from gateway.policy.quota import Quota, Steady
from gateway.ports import Clock, Completions, Journal, Left

T = TypeVar("T")


class Counter(Budget, Protocol):
    """The organisation's quota, as operators see it."""

    async def slot(self, kind: SpendClass, completion: bool, bot: str, *, upload: bool = False) -> str: ...

    def room_in(self, *, completion: bool, upload: bool) -> float:
        """Seconds until there may be room; 0: now."""
        ...

    def unused(self, slot: str) -> None:
        """The request does not leave."""
        ...

    async def refused(self, slot: str, error: RateLimited) -> None:
        """It was answered with a 429."""
        ...


class Operating:
    def __init__(self, organization: str, counter: Counter, journal: Journal, clock: Clock) -> None:
        self._organization, self._counter = organization, counter
        self._journal, self._clock = journal, clock

    async def run(
        self,
        send: Callable[[Left], Awaitable[T]],
        *,
        completion: bool = False,
        upload: bool = False,
        patience: float | None = None,
    ) -> T:
        """Wait for room, write the spend down, send.

        Raises NoRoom if there is none within `patience` seconds (None: it takes what it takes), Transient when the
        spend cannot be written down, and what `send` raises.
        """
        spend = await self._admitted(completion=completion, upload=upload, patience=patience)
        try:
            return await send(lambda: self._counter.sent(spend))
        except RateLimited as error:
            await self._counter.refused(spend, error)
            raise
        finally:
            self._counter.settled(spend)

    async def profile(self, completions: Completions, replica: str) -> Profile:
        """One request at most. Raises GatewayError."""
        spent: list[str] = []

        async def admit(kind: SpendClass, completion: bool) -> Left:
            spend = await self._admitted(completion=completion, kind=kind)
            spent.append(spend)
            return lambda: self._counter.sent(spend)

        try:
            return await completions.profile(self._organization, replica, admit)
        finally:
            for spend in spent:
                self._counter.settled(spend)

    async def _admitted(
        self,
        *,
        completion: bool,
        upload: bool = False,
        patience: float | None = None,
        kind: SpendClass = "operator",
    ) -> str:
        id_ = await self._slot(kind, completion=completion, upload=upload, patience=patience)
        spend = Spend(
            id=id_,
            organization=self._organization,
            kind=kind,
            completion=completion,
            at=self._clock.now(),
            upload=upload,
        )
        try:
            await self._journal.spend(spend)
        except BaseException:
            self._counter.unused(id_)
            raise
        self._counter.sent(id_)
        return id_

    async def _slot(self, kind: SpendClass, *, completion: bool, upload: bool, patience: float | None) -> str:
        slot = self._counter.slot(kind, completion, "", upload=upload)
        if patience is None:
            return await slot
        waiting = asyncio.ensure_future(slot)
        try:
            soon = self._counter.room_in(completion=completion, upload=upload) <= patience
            if soon and await done_within(self._clock, patience, waiting):
                return await waiting
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        raise self._no_room(completion=completion, upload=upload)

    def _no_room(self, *, completion: bool, upload: bool) -> NoRoom:
        minute = self._counter.room_in(completion=False, upload=False)
        hour = self._counter.room_in(completion=completion, upload=False)
        wait = self._counter.room_in(completion=completion, upload=upload)
        window = "uploads" if wait > hour else "hour" if hour > minute else "minute"
        said = {
            "uploads": "the hour's file uploads",
            "hour": "the hour's completions",
            "minute": "the minute",
        }
        return NoRoom(
            f"the organisation's budget for {said[window]} is used up, for {max(1.0, wait):.0f} s at least",
            retry_after=max(1.0, wait),
            window=window,
        )


class Alone:
    """A counter without a gateway: this process is the only one that asks for the organisation."""

    def __init__(self, organization: str, quota: Quota, journal: Journal, clock: Clock) -> None:
        self._organization, self._quota, self._journal, self._clock = organization, quota, journal, clock
        self._now = Steady(clock.now(), clock.monotonic())

    def now(self) -> float:
        return self._now(self._clock.monotonic())

    async def slot(self, kind: SpendClass, completion: bool, bot: str, *, upload: bool = False) -> str:
        while (at := self._quota.ready_at(self.now(), kind, completion, upload=upload)) > self.now():
            await self._clock.sleep(at - self.now())
        slot = new_id(self._organization)
        self._quota.take(self.now(), slot, kind, completion, bot=bot, upload=upload)
        return slot

    def room_in(self, *, completion: bool, upload: bool) -> float:
        now = self.now()
        return self._quota.ready_at(now, "operator", completion, upload=upload) - now

    def sent(self, slot: str) -> None:
        self._quota.sent(self.now(), slot)

    def settled(self, slot: str) -> None:
        self._quota.settle(self.now(), slot)

    def unused(self, slot: str) -> None:
        self._quota.refund(slot)

    async def refused(self, slot: str, error: RateLimited) -> None:
        self._quota.limited(self.now(), error.retry_after, slot)
        await self._journal.refund(self._organization, slot)
