"""Answers that are shown while they are written: which message each one is in.

The draft becomes the answer's first part: it is posted with that part's nonce, and the part is delivered by changing
it. Its id is remembered before it grows, so that another process changes the same message; should even that be lost
with a process, the nonce finds it for as long as Discord remembers one. So no answer is there twice, and none missing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable

from gateway.errors import GatewayError
from gateway.ports import Host

EVERY = 1.5
"""Seconds between two changes in a channel: Discord takes about one a second, and answers need them, too."""
TIMEOUT = 5.0
REMEMBERED = 1000
KEPT = 3600.0
"""Longer than any turn and what holds its answer up."""


class Drafts:
    """One bot's, for one run; `on` is what the operator wants."""

    def __init__(self, host: Host, *, on: bool) -> None:
        self._host, self.on = host, on
        self._messages: OrderedDict[str, str] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._shown: OrderedDict[str, float] = OrderedDict()

    def may_show(self, channel: str) -> bool:
        """Whether another change in this channel leaves room for answers; then it counts."""
        now = self._host.clock.monotonic()
        if now - self._shown.get(channel, float("-inf")) < EVERY:
            return False
        _keep(self._shown, channel, now)
        return True

    async def show(self, owner: str, showing: Awaitable[None]) -> None:
        """See it through even if nobody waits for it any more: cut off, it could arrive after the answer."""
        task = self._under_way[owner] = asyncio.ensure_future(_bounded(showing))
        task.add_done_callback(lambda done: self._done(owner, done))
        await asyncio.shield(task)

    async def settled(self, owner: str) -> None:
        """Return when no draft of this turn is on its way."""
        if task := self._under_way.get(owner):
            await asyncio.wait({task})

    async def message(self, owner: str) -> str | None:
        """The message that shows the turn's draft, posted by this process or an earlier one."""
        if not self.on:
            return None
        if owner not in self._messages:
            with contextlib.suppress(GatewayError):
                if kept := await self._host.recall(_key(owner)):
                    _keep(self._messages, owner, kept.decode())
        return self._messages.get(owner)

    async def posted(self, owner: str, message: str) -> None:
        _keep(self._messages, owner, message)
        await self._host.remember(_key(owner), message.encode(), ttl=KEPT)

    async def close(self) -> None:
        """Nothing is shown any more."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, owner: str, task: asyncio.Task[None]) -> None:
        if self._under_way.get(owner) is task:
            del self._under_way[owner]
        if not task.cancelled():
            task.exception()  # whoever waited has heard of it


async def _bounded(showing: Awaitable[None]) -> None:
    async with asyncio.timeout(TIMEOUT):
        await showing


def _key(owner: str) -> str:
    return f"draft/{owner}"


def _keep(kept: OrderedDict[str, str] | OrderedDict[str, float], key: str, value: str | float) -> None:
    kept[key] = value  # type: ignore[assignment]
    kept.move_to_end(key)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
