"""A gateway of its own for one adapter under test: what it accepts, remembers and is told can be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.errors import GatewayError
from gateway.messages import Accepted, Arrival, ConversationKey, Facts, Life, Log, PlatformName, TextName
from gateway.ports import Card


class FakeClock:
    """Sleeps at once and notes for how long: time passes only by sleeping or by `advance`."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        """For what takes real time: time by hand does not ring it."""
        return asyncio.get_running_loop().call_later(seconds, ring).cancel

    def advance(self, seconds: float) -> None:
        self.time += seconds


class FakeHost:
    """`gateway.ports.Host`. While `accepting` is an error, `accept` raises it; dedupe keys are honoured."""

    def __init__(self, bot: str, platform: PlatformName, clock: FakeClock | None = None) -> None:
        self.bot = bot
        self.platform: PlatformName = platform
        self.clock = clock or FakeClock()
        self.accepted: list[Arrival] = []
        self.offered: list[Arrival] = []
        self.batches: list[tuple[Arrival, ...]] = []
        self.states: list[tuple[str, str]] = []
        self.beats = 0
        self.accepting: GatewayError | None = None
        self.gate: asyncio.Event | None = None
        """Whoever offers something waits for it."""
        self.outcome = Accepted(id="", outcome="accepted")
        self.memory: dict[str, bytes] = {}
        self.published: list[tuple[str, Facts]] = []
        self.paused = False
        self.images = False
        self._seen: set[str] = set()

    async def accept(self, *arrivals: Arrival) -> list[Accepted]:
        self.offered += arrivals
        if self.gate is not None:
            await self.gate.wait()
        if self.accepting is not None:
            raise self.accepting
        self.batches.append(arrivals)
        return [self._accept(arrival) for arrival in arrivals]

    def _accept(self, arrival: Arrival) -> Accepted:
        if self._seen.intersection(arrival.dedupe):
            return Accepted(id="seen", outcome="duplicate")
        self._seen.update(arrival.dedupe)
        self.accepted.append(arrival)
        return Accepted(id=f"m{len(self.accepted)}", outcome=self.outcome.outcome, notice=self.outcome.notice)

    def ready(self, identity: str) -> None:
        self.states.append(("ready", identity))

    def degraded(self, why: str) -> None:
        self.states.append(("degraded", why))

    def beat(self) -> None:
        self.beats += 1

    @property
    def state(self) -> str:
        return self.states[-1][0] if self.states else "starting"

    async def recall(self, key: str) -> bytes | None:
        return self.memory.get(key)

    async def remember(self, key: str, value: bytes | None, *, ttl: float | None = None) -> None:
        if value is None:
            self.memory.pop(key, None)
        else:
            self.memory[key] = value

    async def secret(self, name: str) -> bytes:
        return name.encode().ljust(32, b"\0")[:32]

    async def card(self, locale: str | None = None) -> Card:
        return Card(title=self.bot, greeting="Hello")

    def text(self, name: TextName, locale: str | None = None) -> str:
        return f"({name})"

    async def log(
        self, key: ConversationKey, *, after: int = 0, before: int | None = None, limit: int = 100
    ) -> Log:
        return Log()

    @asynccontextmanager
    async def watch(self, topic: str) -> AsyncIterator[Any]:
        raise NotImplementedError
        yield

    async def publish(self, topic: str, fact: Facts) -> None:
        self.published.append((topic, fact))

    async def message(self, id: str) -> Life | None:  # noqa: A002 - as in the contract
        return None

    async def find(self, dedupe: str) -> str | None:
        return None

    async def forget(self, key: ConversationKey) -> None: ...


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for something to become true, and return it; AssertionError when it does not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (value := condition()):
        assert asyncio.get_running_loop().time() < deadline, f"still not: {condition}"
        await asyncio.sleep(0.005)
    return value
