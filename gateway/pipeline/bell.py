"""Waiting for news or for a time, whichever is first: the loops of the pipeline never poll."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.ports import Clock, Watch


async def done_within(clock: Clock, seconds: float, work: asyncio.Future[Any]) -> bool:
    """Wait for `work`, but no longer than that; whatever comes of it, it is the caller's to end."""
    over = asyncio.Event()

    def done(_: asyncio.Future[Any]) -> None:
        over.set()

    work.add_done_callback(done)
    forget = clock.alarm(seconds, over.set)
    try:
        await over.wait()
    finally:
        forget()
        work.remove_done_callback(done)
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
            forget = None if seconds is None else self._clock.alarm(max(0.0, seconds), self.ring)
            try:
                await self._event.wait()
            finally:
                if forget is not None:
                    forget()
        self._event.clear()

    async def follow(self, watch: Watch) -> None:
        """Ring for every fact of a subscription, until cancelled."""
        while True:
            await watch.next()
            watch.drain()
            self.ring()
