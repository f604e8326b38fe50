"""Waiting for news or for a time, whichever is first: the loops of the pipeline never poll."""

from __future__ import annotations

import asyncio

from gateway.ports import Clock, Watch


class Bell:
    """Rung by whoever has news; many rings before a wait are one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Return when it was rung, or after `seconds`."""
        if not self._event.is_set():
            if seconds is None:
                await self._event.wait()
            else:
                await self._first_of(max(0.0, seconds))
        self._event.clear()

    async def _first_of(self, seconds: float) -> None:
        tasks = {
            asyncio.ensure_future(self._event.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def follow(self, watch: Watch) -> None:
        """Ring for every fact of a subscription, until cancelled."""
        while True:
            await watch.next()
            watch.drain()
            self.ring()
