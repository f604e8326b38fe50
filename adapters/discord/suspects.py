"""Events that kill the process: after such a death they are taken one by one, and the one that does it again is not.

A session that is resumed brings what was not journaled again, so a payload that ends the process would do so for ever.
Nothing is written down for this while all goes well: one note says that events are being taken, and a tidy end removes
it. Whoever finds it follows a process that died, and for a while notes each event before it is looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from adapters.discord.convert import Me, as_text, unreadable
from gateway.messages import Facts
from gateway.ports import Host

CAREFUL = 120.0
"""Seconds after the start of a successor: longer than a resume takes to bring what was missed."""

Event = tuple[str, Facts]
Take = Callable[[list[Event]], Awaitable[None]]


class Suspects:
    """One connection's; `name` tells its notes from those of the others."""

    def __init__(self, host: Host, me: Me, name: str) -> None:
        self._host, self._me = host, me
        self._taking, self._suspected = f"{name}/taking", f"{name}/suspect"
        self._begun = False
        self._careful_until = float("-inf")
        self._suspect: bytes | None = None

    async def take(self, events: list[Event], take: Take) -> None:
        """Have them taken; one that was in flight at two deaths is quarantined as it came. Raises what `take` does."""
        if not self._begun:
            await self._begin()
        if self._host.clock.monotonic() >= self._careful_until:
            await take(events)
            return
        for event in events:
            await self._carefully(event, take)
        await self._host.remember(self._suspected, None)

    async def over(self) -> None:
        """Nothing is taken any more, and the process lives."""
        if self._begun:
            self._begun = False
            await self._host.remember(self._taking, None)

    async def _begin(self) -> None:
        self._suspect = await self._host.recall(self._suspected)
        if await self._host.recall(self._taking) is not None:
            self._careful_until = self._host.clock.monotonic() + CAREFUL
        await self._host.remember(self._taking, b"1")
        self._begun = True

    async def _carefully(self, event: Event, take: Take) -> None:
        mark = hashlib.sha256(as_text(event).encode()).hexdigest().encode()
        if mark == self._suspect:
            name, data = event
            await self._host.accept(
                unreadable(name, data, self._me, "the process died twice with it in flight")
            )
            return
        await self._host.remember(self._suspected, mark)
        await take([event])
