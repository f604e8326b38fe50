"""Time that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count


class FakeClock:
    """A `gateway.ports.Clock` that stands still until `advance`; whoever sleeps wakes in the order of their times."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._start = now
        self._elapsed = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many wait for the time to move: something to wait for before moving it."""
        return sum(not future.done() for _, _, future in self._sleepers)

    @property
    def next(self) -> float | None:
        """When the first of them wakes, by `monotonic`."""
        return min((at for at, _, future in self._sleepers if not future.done()), default=None)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda rung: None if rung.cancelled() else ring())
        if seconds > 0:
            heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        else:
            future.set_result(None)
        return future.cancel

    async def advance(self, seconds: float) -> None:
        """Move the time, letting each sleeper run at its own moment."""
        target = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= target:
            self._elapsed, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
                await settle()
        self._elapsed = target
        await settle()


async def settle(turns: int = 10) -> None:
    """Let tasks that are ready run; for work in other threads wait for its effect instead."""
    for _ in range(turns):
        await asyncio.sleep(0)
