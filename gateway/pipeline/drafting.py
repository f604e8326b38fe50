"""Beside the flow: a waiting user sees the answer grow, where it comes in pieces and the platform can show that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from gateway.messages import Address
from gateway.pipeline.bell import done_within
from gateway.pipeline.thoughts import without_thoughts_so_far
from gateway.ports import Clock, ShowsDraft

PATIENCE = 1.0
"""Seconds that a draft under way may hold up the answer: one that arrives after it would look like another answer."""


class Drafting:
    """One answer while it is written. Never raises; after `end` nothing is shown any more."""

    def __init__(self, adapter: ShowsDraft, address: Address, part_id: str, clock: Clock) -> None:
        self._adapter, self._address, self._part_id, self._clock = adapter, address, part_id, clock
        self._pieces: list[str] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._under_way = self._over = False

    def begin(self) -> Callable[[str], None]:
        """A completion is asked, perhaps not the first: what an earlier one wrote is forgotten. Takes its pieces."""
        self._pieces = pieces = []

        def grow(delta: str) -> None:
            pieces.append(delta)
            if pieces is self._pieces and not self._over:
                self._news.set()
                self._task = self._task or asyncio.get_running_loop().create_task(self._show())

        return grow

    async def end(self) -> None:
        """Stop before the answer goes out."""
        self._over = True
        if self._task is None:
            return
        try:
            if self._under_way:
                await done_within(self._clock, PATIENCE, self._task)
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _show(self) -> None:
        while not self._over:
            await self._news.wait()
            self._news.clear()
            self._under_way = True
            if shown := without_thoughts_so_far("".join(self._pieces)):
                with contextlib.suppress(Exception):
                    await self._adapter.draft(self._address, shown, self._part_id)
            self._under_way = False
            if not self._over:
                await self._clock.sleep(self._adapter.draft_every)
