"""What was dear to fetch, kept for a while: fetched once however many ask for it, and never more than fits."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.ports import Clock

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Kept(Generic[V]):
    """`at`: when it was fetched."""

    value: V
    at: float
    until: float
    weight: int


class Shelf:
    """Bounded by `most` values and by their `weight` together; what was not looked at for longest goes first."""

    def __init__(self, clock: Clock, *, most: int, weight: int) -> None:
        self._clock, self._most, self._weight = clock, most, weight
        self._kept: OrderedDict[Hashable, Kept[Any]] = OrderedDict()
        self._coming: dict[Hashable, asyncio.Task[Kept[Any]]] = {}
        self._heavy = 0

    async def get(
        self,
        key: Hashable,
        fetch: Callable[[], Awaitable[V]],
        *,
        keep: float,
        weigh: Callable[[V], int] = lambda _: 1,
    ) -> Kept[V]:
        """What is kept under `key`, or what `fetch` brings, for `keep` seconds. Raises what `fetch` raises."""
        self._let_go()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._coming:
            work = self._fetched(key, fetch, keep, weigh)
            self._coming[key] = asyncio.get_running_loop().create_task(work)
            self._coming[key].add_done_callback(lambda task: self._came(key, task))
        return await asyncio.shield(self._coming[key])

    def close(self) -> None:
        for task in self._coming.values():
            task.cancel()

    def __len__(self) -> int:
        return len(self._kept)

    async def _fetched(
        self, key: Hashable, fetch: Callable[[], Awaitable[V]], keep: float, weigh: Callable[[V], int]
    ) -> Kept[V]:
        value = await fetch()
        kept = Kept(value, self._clock.now(), self._clock.monotonic() + keep, weigh(value))
        self._kept[key] = kept
        self._heavy += kept.weight
        self._let_go()
        return kept

    def _came(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._coming.pop(key, None)
        if not task.cancelled():
            task.exception()  # heard by whoever still waits; nobody may

    def _let_go(self) -> None:
        """Of what is past its time, and of what does not fit."""
        now = self._clock.monotonic()
        for key in [key for key, kept in self._kept.items() if kept.until <= now]:
            self._heavy -= self._kept.pop(key).weight
        while len(self._kept) > self._most or self._heavy > self._weight:
            self._heavy -= self._kept.popitem(last=False)[1].weight
