"""Updates that kill the process: after such a death they are taken one by one, and the one that does it again is not.

Nothing is written down for this while all goes well. A note says that updates are being taken, and a tidy end removes
it; whoever finds it at the start follows a process that died. Then, for a while, each update is noted before it is
looked at; one that is still noted at the next start was in flight when the process died again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from gateway.errors import GatewayError
from gateway.messages import Unreadable
from gateway.ports import Host

CAREFUL = 120.0
"""Seconds after the start of a successor: longer than Telegram takes to come back with what was not acknowledged."""
DEATHS = 2
"""So many processes an update may cost that Telegram sends to any of them."""
_TAKING, _SUSPECT = "taking", "suspect"

Take = Callable[[Sequence[Any]], Awaitable[None]]


class Suspects:
    """One bot's."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = asyncio.Lock()
        self._begun = False
        self._careful_until = 0.0
        self._suspect: bytes | None = None

    async def take(self, updates: Sequence[Any], take: Take) -> None:
        """Have them taken; one that killed a process is quarantined as it came. Raises what `take` raises."""
        if not self._begun or self._host.clock.monotonic() < self._careful_until:
            async with self._lock:
                await self._begin()
                if self._careful_until:
                    await self._one_by_one(updates, take)
                    return
        await take(updates)

    async def over(self) -> None:
        """Updates are not taken any more, and the process lives."""
        if self._begun:
            self._begun = False
            await self._host.remember(_TAKING, None)

    async def _begin(self) -> None:
        if self._begun:
            return
        died = await self._host.recall(_TAKING) is not None
        self._suspect = await self._host.recall(_SUSPECT)
        if died:
            self._careful_until = self._host.clock.monotonic() + CAREFUL
        await self._host.remember(_TAKING, b"1")
        self._begun = True

    async def _one_by_one(self, updates: Sequence[Any], take: Take) -> None:
        for update in updates:
            number = _number(update)
            if number == self._suspect is not None:
                await self._quarantine(update, number)
            else:
                await self._host.remember(_SUSPECT, number)
                await take([update])
        await self._host.remember(_SUSPECT, None)

    async def _quarantine(self, update: Any, number: bytes) -> None:
        await _quarantine(self._host, update, number)
        self._suspect = None


class SharedSuspects:
    """One bot's, where any process may be sent its updates: each is noted while it is taken, with how often it was."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def take(self, updates: Sequence[Any], take: Take) -> None:
        """As `Suspects.take`."""
        for update in updates:
            number = _number(update)
            noted = f"{_SUSPECT}/{number.decode()}"
            died = int(await self._host.recall(noted) or b"0")
            if died >= DEATHS:
                await _quarantine(self._host, update, number)
            else:
                await self._host.remember(noted, str(died + 1).encode(), ttl=CAREFUL)
                try:
                    await take([update])
                finally:  # whatever it raised, the process lives
                    with suppress(GatewayError):
                        await self._host.remember(noted, None)

    async def over(self) -> None:
        """What it noted, it has taken back."""


async def _quarantine(host: Host, update: Any, number: bytes) -> None:
    await host.accept(
        Unreadable(
            bot=host.bot,
            platform=host.platform,
            raw=json.dumps(update),
            error="the process died while it took this update",
            dedupe=(f"update:{number.decode()}",),
        )
    )


def _number(update: Any) -> bytes:
    return str(update.get("update_id") if isinstance(update, dict) else None).encode()
