"""Analytics for the pages: fetched in the background when somebody looks, once an hour, one replica after another.

They say nothing that is urgent, so they wait for room in the quota, and what was known stays on show meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from gateway.errors import GatewayError, Permanent, Transient
from gateway.ports import Clock
from gateway.sensay.api.analytics import Analytics
from gateway.sensay.api.operation import Door
from gateway.settings.models import Bot, Settings
from gateway.web.figures import Day, Figures, Share

T = TypeVar("T")
KEPT, ABSENT, AGAIN = 3600.0, 900.0, 60.0
"""Seconds until they are fetched anew: figures, "there are none", and after a failure."""
MOST = 1_000
"""Replicas that are remembered."""
_NOT_TO_BE_SEEN = {403, 404}


@dataclass(frozen=True, slots=True)
class _Known:
    figures: Figures
    until: float


class Counting:
    """`door` leads to Sensay for an organisation, as its lowest class. Implements `gateway.web.figures.Counts`."""

    def __init__(self, current: Callable[[], Settings], door: Callable[[str], Door], clock: Clock) -> None:
        self._current, self._door, self._clock = current, door, clock
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._coming: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._turn: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def look(self, bot: str) -> Figures:
        one = self._current().bots[bot]
        key = one.organization, one.replica
        known = self._known.get(key)
        if known is None or known.until <= self._clock.monotonic():
            self._start(key, one)
        figures = known.figures if known else Figures()
        return replace(figures, coming=key in self._coming)

    def close(self) -> None:
        for task in self._coming.values():
            task.cancel()

    def _start(self, key: tuple[str, str], one: Bot) -> None:
        if key not in self._coming and len(self._coming) < MOST:
            self._coming[key] = asyncio.get_running_loop().create_task(self._fetch(key, one))
            self._coming[key].add_done_callback(lambda _: self._coming.pop(key, None))

    async def _fetch(self, key: tuple[str, str], one: Bot) -> None:
        async with self._turn[one.organization]:
            before = self._known[key].figures if key in self._known else Figures()
            found, keep = await self._figures(one, before)
            self._known[key] = _Known(found, self._clock.monotonic() + keep)
            self._known.move_to_end(key)
            if len(self._known) > MOST:
                self._known.popitem(last=False)

    async def _figures(self, one: Bot, before: Figures) -> tuple[Figures, float]:
        """The figures, and how long they are good for."""
        asked = Analytics(self._door(one.organization))
        try:
            growth, no_growth = await _there(asked.historical(one.replica))
            sources, no_sources = await _there(asked.sources(one.replica))
        except GatewayError as error:
            wait = error.retry_after if isinstance(error, Transient) else None
            return replace(before, error=error), max(AGAIN, wait or 0.0)
        except KeyError:  # the organisation has left the configuration
            return before, AGAIN
        figures = Figures(
            days=None if growth is None else tuple(Day(day.date, day.total, day.new) for day in growth),
            shares=None
            if sources is None
            else tuple(Share(share.source, share.conversations) for share in sources),
            at=self._clock.now(),
            absent=no_growth or no_sources,
        )
        return figures, ABSENT if figures.absent else KEPT


async def _there(asking: Awaitable[T]) -> tuple[T | None, GatewayError | None]:
    """What is answered, or the refusal that says that there is nothing to be seen."""
    try:
        return await asking, None
    except Permanent as error:
        if error.context.get("status") not in _NOT_TO_BE_SEEN:
            raise
        return None, error
