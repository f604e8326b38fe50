"""What Sensay knows of a replica is fetched once, beside everything else."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import Transient
from gateway.messages import Profile
from gateway.pipeline.profiles import AGAIN, PATIENCE, Profiles
from tests.clock import FakeClock
from tests.pipeline.works import REPLICA, Works, quiet, started

KNOWN = Profile(name="Shop", greeting="Welcome!")


class Upstream:
    """`fetch` as a test wants it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def fetch(self, organization: str, replica: str) -> Profile:
        self.asked.append((organization, replica))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return KNOWN


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def cache(upstream: Upstream, clock: FakeClock) -> Profiles:
    return Profiles(upstream.fetch, clock)


async def test_a_profile_is_fetched_once_for_all_who_ask(cache: Profiles, upstream: Upstream):
    upstream.gate.clear()
    asking = asyncio.gather(*(cache.get("acme", REPLICA) for _ in range(5)))
    await quiet()
    upstream.gate.set()

    assert await asking == [KNOWN] * 5
    assert await cache.get("acme", REPLICA) == KNOWN
    assert upstream.asked == [("acme", REPLICA)]


async def test_nobody_waits_longer_than_the_patience_and_the_fetch_goes_on(
    cache: Profiles, upstream: Upstream, clock: FakeClock
):
    upstream.gate.clear()
    async with started(cache.get("acme", REPLICA)) as asking:
        await clock.advance(PATIENCE - 0.1)
        patient = not asking.done()
        await clock.advance(0.2)
        await quiet()
        answer = asking.result()
        upstream.gate.set()
        await quiet()

    assert patient
    assert answer is None
    assert cache.known(REPLICA) == KNOWN


async def test_after_a_failure_it_is_tried_again_but_not_at_once(
    cache: Profiles, upstream: Upstream, clock: FakeClock
):
    upstream.error = Transient("down")
    first = await cache.get("acme", REPLICA)
    second = await cache.get("acme", REPLICA)
    asked = len(upstream.asked)
    upstream.error = None
    await clock.advance(AGAIN)

    assert (first, second) == (None, None)
    assert asked == 1
    assert await cache.get("acme", REPLICA) == KNOWN


async def test_what_is_known_costs_no_wait(cache: Profiles):
    assert cache.known(REPLICA) is None
    await cache.get("acme", REPLICA)

    assert cache.start("acme", REPLICA) is None
    assert cache.known(REPLICA) == KNOWN


async def test_closing_ends_a_fetch_under_way(cache: Profiles, upstream: Upstream):
    before = asyncio.all_tasks()
    upstream.gate.clear()
    cache.start("acme", REPLICA)
    await quiet()
    cache.close()
    await quiet()

    assert asyncio.all_tasks() == before


async def test_a_profile_waits_behind_the_answers_and_is_counted(works: Works):
    async with works.dispatching() as dispatcher:
        profile = await dispatcher.profile(REPLICA)

        assert profile.greeting == "Welcome!"
        assert works.completions.requests == [("operator", False)]
        assert dispatcher.door.quota.used(dispatcher.door.now())["minute"][0] == 1
        assert [spend.kind for spend in await works.journal.spent_since("acme", 0.0)] == ["operator"]
