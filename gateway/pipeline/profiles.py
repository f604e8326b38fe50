"""What Sensay knows of the replicas: fetched once, in the background, and never waited for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.errors import GatewayError
from gateway.messages import Profile
from gateway.pipeline.bell import done_within
from gateway.ports import Clock

PATIENCE = 2.0
"""Seconds a visitor may wait for the replica's own greeting before the built-in one is used."""
AGAIN = 60.0
"""Seconds after a failed fetch before the next try."""


class Profiles:
    """`fetch(organization, replica)` costs one upstream request at most; the client behind it caches for a day."""

    def __init__(
        self, fetch: Callable[[str, str], Awaitable[Profile]], clock: Clock, *, again: float = AGAIN
    ) -> None:
        self._fetch, self._clock, self._again = fetch, clock, again
        self._known: dict[str, Profile] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._failed_at: dict[str, float] = {}

    def known(self, replica: str) -> Profile | None:
        """Without waiting."""
        return self._known.get(replica)

    async def get(self, organization: str, replica: str) -> Profile | None:
        """Wait `PATIENCE` seconds at most; None when it is not known by then."""
        task = self.start(organization, replica)
        if task is not None:
            await done_within(self._clock, PATIENCE, task)
        return self.known(replica)

    def start(self, organization: str, replica: str) -> asyncio.Task[None] | None:
        """Fetch it unless it is known, under way, or failed a moment ago."""
        if replica in self._known:
            return None
        if replica not in self._fetching:
            if self._clock.monotonic() - self._failed_at.get(replica, float("-inf")) < self._again:
                return None
            work = self._run(organization, replica)
            self._fetching[replica] = asyncio.get_running_loop().create_task(work)
        return self._fetching[replica]

    def close(self) -> None:
        for task in self._fetching.values():
            task.cancel()

    async def _run(self, organization: str, replica: str) -> None:
        try:
            self._known[replica] = await self._fetch(organization, replica)
        except GatewayError:
            self._failed_at[replica] = self._clock.monotonic()
        finally:
            self._fetching.pop(replica, None)
