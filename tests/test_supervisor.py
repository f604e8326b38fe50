"""Channels fail one by one, and each is tried again for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from gateway.errors import Misconfigured, Moved, Permanent, Superseded, Transient
from gateway.fleet import _ends_badly
from gateway.journal import open_journal
from gateway.messages import BotState, Channel
from gateway.placement import Placement
from gateway.policy.lifecycle import CAP, PERSON_CAP, PERSON_EVERY
from gateway.ports import BotChanged, Lease, Noted
from gateway.supervisor import STEADY, Supervisor
from tests.clock import FakeClock, settle
from tests.fakes import Facts, FakeAdapter

ONE, TWO = Channel(bot="one", platform="telegram"), Channel(bot="two", platform="telegram")
BAD_TOKEN = Misconfigured("token refused", remedy="make a new one")


class Stage:
    """A supervisor whose channels run until they are told to fail."""

    def __init__(self, journal, clock: FakeClock) -> None:
        self.clock, self.facts = clock, Facts()
        leases = Placement(journal, clock, self.facts, 10.0)
        self.supervisor = Supervisor(leases, self._serve, clock, self.facts, lambda: 1.0)
        self.served: list[Channel] = []
        self.tokens: list[int] = []
        self.running: dict[Channel, asyncio.Future[None]] = {}
        self.report: dict[Channel, Callable[[BotState, str | None], None]] = {}
        self.errors: dict[Channel, list[BaseException]] = {}
        """Raised at once by the next runs."""
        self.becomes_ready = True

    async def _serve(
        self, channel: Channel, lease: Lease, report: Callable[[BotState, str | None], None]
    ) -> None:
        self.served.append(channel)
        self.tokens.append(lease.token)
        if self.errors.get(channel):
            raise self.errors[channel].pop(0)
        self.report[channel] = report
        if self.becomes_ready:
            report("running", f"@{channel.bot}")
        self.running[channel] = asyncio.get_running_loop().create_future()
        try:
            await self.running[channel]
        finally:
            del self.running[channel]

    async def start(self, *channels: Channel) -> None:
        for channel in channels:
            self.supervisor.start(channel)
        await settle(50)

    async def fail(self, channel: Channel, error: BaseException) -> None:
        self.running[channel].set_exception(error)
        await settle(50)

    async def passes(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        await settle(50)

    async def close(self) -> None:
        await self.supervisor.stop_all()

    aclose = close

    def state(self, channel: Channel) -> str:
        status = self.supervisor.status(channel)
        assert status is not None
        return status.state

    async def pause_before_next_try(self, longest: float = 2000.0) -> float:
        """How long until some channel is served again."""
        tries, began = len(self.served), self.clock.monotonic()
        while len(self.served) == tries:
            assert self.clock.monotonic() - began < longest, "never tried again"
            await self.passes(0.5)
        return self.clock.monotonic() - began


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    clock = FakeClock()
    journal = open_journal("memory:", clock)
    await journal.open()
    async with aclosing(Stage(journal, clock)) as stage:
        yield stage
    await journal.close()


async def test_a_channel_starts_and_says_so(stage: Stage):
    await stage.start(ONE)

    assert stage.state(ONE) == "running"
    assert stage.supervisor.status(ONE).identity == "@one"
    assert [fact.state for fact in stage.facts.of(BotChanged)] == ["starting", "running"]


async def test_a_channel_that_fails_is_started_again_and_the_others_run_on(stage: Stage):
    await stage.start(ONE, TWO)
    untouched = stage.running[TWO]
    await stage.fail(ONE, Transient("connection lost"))
    after_failure = stage.state(ONE)
    await stage.passes(2.0)

    assert after_failure == "degraded"
    assert stage.state(ONE) == "running"
    assert stage.served == [ONE, TWO, ONE]
    assert stage.running[TWO] is untouched


async def test_each_run_has_a_lease_of_its_own(stage: Stage):
    await stage.start(ONE)
    await stage.fail(ONE, Transient("connection lost"))
    await stage.passes(2.0)

    assert stage.tokens == [1, 2]


async def test_pauses_grow_up_to_a_cap(stage: Stage):
    stage.errors[ONE] = [Transient("down")] * 10
    await stage.start(ONE)
    pauses = [await stage.pause_before_next_try() for _ in range(9)]

    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == CAP


async def test_a_platform_that_says_when_is_obeyed(stage: Stage):
    stage.errors[ONE] = [Transient("slow down", retry_after=40.0)]
    await stage.start(ONE)

    assert await stage.pause_before_next_try() == 40.0


async def test_what_needs_a_person_has_failed_and_is_tried_again_all_the_same(stage: Stage):
    stage.errors[ONE] = [BAD_TOKEN] * 3
    await stage.start(ONE)
    status = stage.supervisor.status(ONE)
    seen = (status.state, status.error, status.remedy)
    pauses = [await stage.pause_before_next_try() for _ in range(3)]

    assert seen == ("failed", "token refused", "make a new one")
    assert pauses == [PERSON_EVERY] * 3
    assert stage.state(ONE) == "running"
    assert (status.error, status.remedy) == (None, None)


async def test_what_needs_a_person_is_tried_ever_more_slowly_but_for_ever(stage: Stage):
    stage.errors[ONE] = [BAD_TOKEN] * 10_000
    await stage.start(ONE)
    for _ in range(40):
        await stage.pause_before_next_try()
    later = await stage.pause_before_next_try()
    await stage.passes(24 * 3600.0)

    assert 15.0 < later <= PERSON_CAP
    assert await stage.pause_before_next_try() <= PERSON_CAP


async def test_between_two_tries_it_stays_what_it_was(stage: Stage):
    """Also while it is being tried: nothing flickers."""
    stage.errors[ONE] = [BAD_TOKEN]
    stage.becomes_ready = False
    await stage.start(ONE)
    await stage.pause_before_next_try()

    assert stage.state(ONE) == "failed"
    assert [fact.state for fact in stage.facts.of(BotChanged)] == ["starting", "failed"]


async def test_earlier_failures_are_forgotten_after_a_steady_time(stage: Stage):
    stage.errors[ONE] = [Transient("down")] * 5
    await stage.start(ONE)
    for _ in range(5):
        grown = await stage.pause_before_next_try()
    await stage.passes(STEADY)
    await stage.fail(ONE, Transient("down"))

    assert grown == 16.0
    assert await stage.pause_before_next_try() == 1.0


async def test_a_channel_that_never_runs_for_long_is_not_steady(stage: Stage):
    await stage.start(ONE)
    pauses = []
    for _ in range(4):
        await stage.passes(5.0)
        await stage.fail(ONE, Transient("down"))
        pauses.append(await stage.pause_before_next_try())

    assert pauses == [1.0, 2.0, 4.0, 8.0]


async def test_a_connection_that_works_on_itself_is_degraded_and_recovers(stage: Stage):
    await stage.start(ONE)
    stage.report[ONE]("degraded", "no heartbeat")
    degraded = stage.supervisor.status(ONE)
    seen = (degraded.state, degraded.error)
    stage.report[ONE]("running", "@one")

    assert seen == ("degraded", "no heartbeat")
    assert stage.state(ONE) == "running"
    assert stage.supervisor.status(ONE).error is None
    assert stage.served == [ONE]


async def test_since_says_when_the_state_began(stage: Stage):
    await stage.start(ONE)
    began = stage.supervisor.status(ONE).since
    await stage.passes(10.0)
    stage.report[ONE]("running", "@one")
    unchanged = stage.supervisor.status(ONE).since
    stage.report[ONE]("degraded", "slow")

    assert unchanged == began
    assert stage.supervisor.status(ONE).since == began + 10.0


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("oops"),
        Permanent("gone"),
        BaseExceptionGroup("two", [ExceptionGroup("one", [Transient("down")])]),
        Superseded("taken over"),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_channel_ends_with_it_is_started_again(stage: Stage, error: BaseException):
    stage.errors[ONE] = [error]
    await stage.start(ONE)
    after = stage.state(ONE)
    await stage.passes(2.0)

    assert after == "degraded"
    assert stage.state(ONE) == "running"


async def test_an_adapter_that_cancels_itself_has_not_been_told_to_stop():
    class Adapter(FakeAdapter):
        async def run(self, host) -> None:
            raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="ended by itself"):
        await _ends_badly(Adapter(), None)


async def test_a_channel_that_just_ends_is_started_again(stage: Stage):
    await stage.start(ONE)
    stage.running[ONE].set_result(None)
    await settle(50)
    after = stage.supervisor.status(ONE)
    seen = (after.state, after.error)
    await stage.passes(2.0)

    assert seen[0] == "degraded"
    assert "ended by itself" in seen[1]
    assert stage.state(ONE) == "running"


async def test_the_first_of_several_errors_is_the_one_that_is_shown(stage: Stage):
    stage.errors[ONE] = [BaseExceptionGroup("all", [BAD_TOKEN, RuntimeError("aftermath")])]
    await stage.start(ONE)

    assert stage.state(ONE) == "failed"
    assert stage.supervisor.status(ONE).error == "token refused"


async def test_a_take_over_is_noted(stage: Stage):
    stage.errors[ONE] = [Superseded("taken over")]
    await stage.start(ONE)

    assert [noted.event for noted in stage.facts.of(Noted)] == ["channel.superseded"]


async def test_a_stopped_channel_ends_and_stays_ended(stage: Stage):
    await stage.start(ONE, TWO)
    await stage.supervisor.stop(ONE)
    await stage.passes(3600.0)

    assert stage.supervisor.status(ONE) is None
    assert stage.served == [ONE, TWO]
    assert set(stage.running) == {TWO}
    assert stage.facts.of(BotChanged)[-1].state == "stopped"


async def test_a_channel_can_be_stopped_while_it_waits_for_its_next_try(stage: Stage):
    stage.errors[ONE] = [BAD_TOKEN] * 9
    await stage.start(ONE)
    await stage.supervisor.stop(ONE)
    await stage.passes(3600.0)

    assert stage.served == [ONE]


async def test_stopping_what_does_not_run_is_harmless(stage: Stage):
    await stage.supervisor.stop(ONE)

    assert stage.facts == []


async def test_nothing_is_left_when_all_are_stopped(stage: Stage):
    before = asyncio.all_tasks()
    await stage.start(ONE, TWO)
    stage.errors[TWO] = [BAD_TOKEN] * 9
    await stage.fail(TWO, BAD_TOKEN)
    await stage.supervisor.stop_all()
    await settle(50)

    assert asyncio.all_tasks() == before
    assert list(stage.supervisor) == []


async def test_a_channel_that_ends_by_itself_while_it_is_told_to_stop_has_stopped(stage: Stage):
    async def serve(*_) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise Moved("just then") from None

    stage.supervisor._serve = serve
    await stage.start(ONE)
    await asyncio.wait_for(stage.supervisor.stop(ONE), 5)

    assert stage.supervisor.status(ONE) is None
