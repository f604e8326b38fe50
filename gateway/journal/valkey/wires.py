"""Wake-ups and ephemeral facts between processes, by publish and subscribe: at most once, never the only copy.

Whoever watches in this process hears of it at once; the others are told through the server, which sends it back to this
one, too: it is passed over. After a lost connection nobody knows what was missed, so all watchers are woken to look.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from gateway.errors import GatewayError, Transient
from gateway.journal.topics import Topics
from gateway.journal.valkey.client import ANSWER, make, translated
from gateway.journal.valkey.store import Store
from gateway.messages import Facts, decode, encode
from gateway.ports import Clock, Watch

QUIET = 5.0
"""Seconds without a word before the server is asked for one."""
PAUSE = 0.5
"""Seconds between two attempts to connect."""
_PREFIX = "gw:"


class Wires:
    """Topics that processes share."""

    def __init__(self, store: Store, topics: Topics, clock: Clock) -> None:
        self._store, self._topics, self._clock = store, topics, clock
        self._wanted: Counter[str] = Counter()
        self._confirmed: dict[str, asyncio.Event] = {}
        self._client: Redis | None = None
        self._pubsub: PubSub | None = None
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect. Raises Transient."""
        self._client = make(self._store.at, blocking=True)
        with translated(self._store.at):
            await self._connect(self._client)
        self._listening = asyncio.create_task(self._listen(self._client))

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self._disconnect()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # telling

    async def publish(self, topic: str, fact: Facts) -> None:
        self._topics.publish(topic, fact)
        told = f"{self._store.origin} ".encode() + encode(fact)
        with suppress(Transient):
            async with self._store.connected() as client:
                await client.publish(f"{_PREFIX}{topic}", told)

    # hearing

    @asynccontextmanager
    async def watch(self, topic: str) -> AsyncIterator[Watch]:
        async with self._topics.watch(topic) as watch:
            await self._want(topic)
            try:
                yield watch
            finally:
                await self._leave(topic)

    async def _want(self, topic: str) -> None:
        """Return when the server has confirmed it. One that is away is not waited for: its return wakes everybody."""
        self._wanted[topic] += 1
        if self._wanted[topic] == 1:
            self._confirmed[topic] = asyncio.Event()
            if self._pubsub is not None:
                with suppress(GatewayError), translated(self._store.at):
                    await self._pubsub.subscribe(f"{_PREFIX}{topic}")
        if self._pubsub is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER):
                    await self._confirmed[topic].wait()

    async def _leave(self, topic: str) -> None:
        self._wanted[topic] -= 1
        if not self._wanted[topic]:
            del self._wanted[topic], self._confirmed[topic]
            if self._pubsub is not None:
                with suppress(GatewayError), translated(self._store.at):
                    await self._pubsub.unsubscribe(f"{_PREFIX}{topic}")

    async def _connect(self, client: Redis) -> None:
        pubsub = client.pubsub()
        await pubsub.subscribe(
            f"{_PREFIX}{self._store.origin}", *(f"{_PREFIX}{topic}" for topic in self._wanted)
        )
        self._pubsub = pubsub

    async def _disconnect(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(Exception):  # it is broken already, or will be now
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def _listen(self, client: Redis) -> None:
        while True:
            try:
                with translated(self._store.at):
                    if self._pubsub is None:
                        await self._connect(client)
                        self._topics.wake(list(self._wanted))
                    await self._hear()
            except GatewayError:
                for confirmed in self._confirmed.values():
                    confirmed.clear()
                await self._disconnect()
                await self._clock.sleep(PAUSE)

    async def _hear(self) -> None:
        """Pass on what comes, until the server has been silent for too long. Raises what the connection does."""
        asked = False
        while self._pubsub is not None:
            message = await self._pubsub.get_message(timeout=QUIET)
            if message is None and asked:
                raise Transient("the server says nothing")
            if message is None:
                await self._pubsub.ping()
            else:
                self._pass_on(message["type"], message["channel"], message["data"])
            asked = message is None

    def _pass_on(self, kind: str, channel: bytes | None, data: bytes) -> None:
        topic = (channel or b"").decode().removeprefix(_PREFIX)
        if kind == "subscribe" and topic in self._confirmed:
            self._confirmed[topic].set()
        elif kind == "message":
            origin, _, fact = data.partition(b" ")
            if origin.decode() != self._store.origin:
                self._topics.publish(topic, decode(fact, dict))
