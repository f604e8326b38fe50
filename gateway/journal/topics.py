"""Wake-ups and ephemeral facts within one process: at most once, bounded, never the only copy of anything."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from gateway.messages import Facts

BOUND = 256


class Subscription:
    """One watcher's queue. Empty facts only say "look again", so one of them waiting is enough."""

    def __init__(self) -> None:
        self._facts: deque[Facts] = deque(maxlen=BOUND)
        self._here = asyncio.Event()

    def put(self, fact: Facts) -> None:
        if fact or {} not in self._facts:
            self._facts.append(fact)
        self._here.set()

    async def next(self) -> Facts:
        while not self._facts:
            self._here.clear()
            await self._here.wait()
        return self._facts.popleft()

    def drain(self) -> list[Facts]:
        facts = list(self._facts)
        self._facts.clear()
        return facts


class Topics:
    """Who watches what."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[Subscription]] = {}

    def publish(self, topic: str, fact: Facts) -> None:
        for subscription in self._watchers.get(topic, ()):
            subscription.put(fact)

    def wake(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self.publish(topic, {})

    @asynccontextmanager
    async def watch(self, topic: str) -> AsyncIterator[Subscription]:
        subscription = Subscription()
        self._watchers.setdefault(topic, set()).add(subscription)
        try:
            yield subscription
        finally:
            watchers = self._watchers[topic]
            watchers.discard(subscription)
            if not watchers:
                del self._watchers[topic]
