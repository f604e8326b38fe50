"""Waiting for news or for a time, whichever is first: the loops of the pipeline never poll."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.ports import Clock, Watch


async def done_within(clock: Clock, seconds: float, work: asyncio.Future[Any]) -> bool:
    """Wait for `work`, but no longer than that; whatever comes of it, it is the caller's to end."""
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({work, alarm}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        alarm.cancel()
    return work.done()


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
                rung = asyncio.ensure_future(self._event.wait())
                try:
                    await done_within(self._clock, max(0.0, seconds), rung)
                finally:
                    rung.cancel()
        self._event.clear()

    async def follow(self, watch: Watch) -> None:
        """Ring for every fact of a subscription, until cancelled."""
        while True:
            await watch.next()
            watch.drain()
            self.ring()
