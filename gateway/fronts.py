"""What takes requests over HTTP for channels that other processes run: a load balancer sends them to any of us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from gateway.errors import GatewayError
from gateway.messages import Channel
from gateway.ports import Adapter, Clock, Host
from gateway.ports import Fronts as Takes

AGAIN = 1.0


class Fronts:
    """`make` builds a channel's adapter and the host that it sees here."""

    def __init__(self, make: Callable[[Channel], tuple[Adapter, Host]], clock: Clock) -> None:
        self._make, self._clock = make, clock
        self._ready: dict[Channel, tuple[Any, Host]] = {}
        self._opening: dict[Channel, asyncio.Task[None]] = {}

    def open(self, channels: Iterable[Channel]) -> None:
        """In the background."""
        for channel in channels:
            self.close([channel])
            self._opening[channel] = asyncio.get_running_loop().create_task(self._open(channel))

    def close(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            self._ready.pop(channel, None)
            if (opening := self._opening.pop(channel, None)) is not None:
                opening.cancel()

    def close_all(self) -> None:
        self.close(list(self._opening))

    def get(self, channel: Channel) -> tuple[Any, Host] | None:
        return self._ready.get(channel)

    async def _open(self, channel: Channel) -> None:
        adapter, host = self._make(channel)
        while isinstance(adapter, Takes):
            with suppress(GatewayError):
                if await adapter.front(host):
                    self._ready[channel] = adapter, host
                return
            await self._clock.sleep(AGAIN)
