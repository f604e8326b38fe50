"""One timer a connection, however much is said: a timer for each frame costs more than reading the frame."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def heard_within(patience: float) -> AsyncIterator[Callable[[], None]]:
    """Raise TimeoutError in whoever is inside when what is given was not called for `patience` seconds."""
    async with asyncio.timeout(None) as limit:
        watch = _Watch(limit, patience)
        watch.look()
        try:
            yield watch.heard
        finally:
            watch.timer.cancel()


class _Watch:
    def __init__(self, limit: asyncio.Timeout, patience: float) -> None:
        self._loop, self._limit, self._patience = asyncio.get_running_loop(), limit, patience
        self.heard()

    def heard(self) -> None:
        self._last = self._loop.time()

    def look(self) -> None:
        due = self._last + self._patience
        if due <= self._loop.time():
            self._limit.reschedule(due)
        else:
            self.timer = self._loop.call_at(due, self.look)
