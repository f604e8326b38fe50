"""Asked once, looked up before it is asked again, and ended in time."""

from __future__ import annotations

import pytest

from gateway.errors import Ambiguous, Misconfigured, Permanent, QuotaExhausted, RateLimited, Transient
from gateway.policy.texts import BUILT_IN
from gateway.ports import Noted, TurnEnded
from tests.fakes import FakeCompletions, Stored, TroubledJournal
from tests.pipeline.works import Works, configured, quiet, works_of

EN = BUILT_IN["en"]
ASK, LOOK = ("reply", True), ("reply", False)
LONGEST = 2 * 30.0 + 20.0
"""Seconds in which a turn ends, with the tests' `sensay.timeout` of 30 s."""


async def ending(works: Works, seconds: float = LONGEST) -> str:
    """One message's status after its longest time."""
    async with works.running():
        message = await works.hears("When are you open?")
        await works.passes(seconds)
        return await works.status(message)


# --- what may have happened is looked up ---


async def test_an_answer_lost_on_its_way_is_found_and_not_asked_again(works: Works):
    works.completions.script.append(Stored(Ambiguous("connection broke"), "We open at ten."))

    assert await ending(works) == "answered"
    assert works.adapter.texts == ["We open at ten."]
    assert works.completions.requests == [ASK, LOOK]


async def test_a_question_that_was_lost_is_asked_once_more(works: Works):
    works.completions.script.append(Ambiguous("connection broke"))

    assert await ending(works) == "answered"
    assert works.completions.requests == [ASK, LOOK, ASK]


async def test_a_question_that_is_still_worked_on_is_looked_up_until_it_is_answered(works: Works):
    works.completions.script.append(Stored(Ambiguous("connection broke")))
    async with works.running():
        message = await works.hears()
        await works.passes(10.0)
        works.completions.finishes("We open at ten.")
        await works.passes(10.0)

        assert await works.status(message) == "answered"
        assert works.adapter.texts == ["We open at ten."]
        assert works.completions.requests.count(ASK) == 1
        assert len(works.completions.looked) >= 3


async def test_a_question_that_is_worked_on_for_ever_is_asked_once_more(works: Works):
    works.completions.script.append(Stored(Ambiguous("connection broke")))

    assert await ending(works) == "answered"
    assert works.completions.requests.count(ASK) == 2
    assert works.completions.asked[1].at - works.completions.asked[0].at >= 30.0


async def test_a_look_up_that_fails_is_no_reason_to_ask_again(works: Works):
    works.completions.script.append(Stored(Ambiguous("connection broke"), "We open at ten."))
    works.completions.looks.append(Transient("history is down"))

    assert await ending(works) == "answered"
    assert works.completions.requests == [ASK, LOOK, LOOK]


async def test_where_no_history_can_be_read_the_question_is_asked_once_more(works: Works):
    works.completions.script.append(Ambiguous("connection broke"))
    works.completions.looks.append(Permanent("this dialect has no history"))

    assert await ending(works) == "answered"
    assert works.completions.requests == [ASK, LOOK, ASK]


# --- never more than three ---


@pytest.mark.parametrize(
    "error", [Ambiguous("500"), Transient("refused"), Transient("refused", retry_after=2.0)]
)
async def test_a_turn_costs_three_requests_at_most(works: Works, error: Exception):
    works.completions.script.extend([error] * 10)

    assert await ending(works) == "failed"
    assert len(works.completions.requests) == 3
    assert works.facts.of(TurnEnded)[0].cause == str(error)


async def test_with_a_user_to_create_it_is_still_three():
    async with works_of() as works:
        works.completions = FakeCompletions(works.clock, *[Ambiguous("500")] * 10, strangers=True)
        works.dispatcher = works.another_dispatcher()

        assert await ending(works) == "failed"
        assert works.completions.requests == [ASK, ("user", False), ASK]


async def test_nothing_found_after_the_last_request_is_the_end(works: Works):
    works.completions.script.extend([Transient("refused"), Ambiguous("connection broke")])

    assert await ending(works) == "failed"
    assert works.completions.requests == [ASK, ASK, LOOK]


@pytest.mark.parametrize(
    ("error", "text", "cause"),
    [
        (Permanent("replica not found"), "failed", "replica not found"),
        (Misconfigured("key refused", remedy="set the secret"), "failed", "key refused: set the secret"),
        (QuotaExhausted("monthly quota exceeded"), "quota", "monthly quota exceeded"),
    ],
)
async def test_what_will_never_work_is_asked_once(works: Works, error: Exception, text: str, cause: str):
    works.completions.script.append(error)

    assert await ending(works) == "failed"
    assert works.completions.requests == [ASK]
    assert works.adapter.texts[0][:20] == EN[text][:20]
    assert works.facts.of(TurnEnded)[0].cause == cause


async def test_a_turn_that_gets_no_answer_ends_in_time(works: Works):
    works.completions.gate.clear()
    async with works.running():
        message = await works.hears()
        await works.passes(LONGEST - 1.0)
        before = await works.status(message)
        await works.passes(1.0)

        assert before == "asking"
        assert await works.status(message) == "failed"
        assert works.completions.working == 0, "the request was given up"
        assert works.adapter.texts[0].startswith("Sorry")


async def test_a_conversation_goes_on_after_a_failure(works: Works):
    works.completions.script.append(Permanent("no"))
    async with works.running():
        await works.hears("one")
        await works.hears("two")
        await works.passes(1.0)

    assert works.adapter.texts[1:] == [works.completions.answer]


# --- rate limits ---


async def test_a_rate_limited_question_is_asked_again_when_the_server_says(works: Works):
    works.completions.script.append(RateLimited("429", retry_after=7.0))
    async with works.running() as _:
        message = await works.hears()
        await works.passes(6.9)
        before = len(works.completions.asked)
        await works.passes(1.0)

        assert before == 1
        assert await works.status(message) == "answered"


async def test_a_rate_limit_does_not_count_in_any_window(works: Works):
    works.completions.script.append(RateLimited("429", retry_after=1.0))
    async with works.dispatching() as dispatcher:
        await works.hears()
        await works.passes(0.5)
        refused = (
            dispatcher.door.quota.used(dispatcher.door.now()),
            await works.journal.spent_since("acme", 0.0),
        )
        await works.passes(5.0)

        assert refused[0]["hour"][0] == 0
        assert refused[1] == []
        assert dispatcher.door.quota.used(dispatcher.door.now())["hour"][0] == 1


async def test_a_rate_limit_holds_the_whole_organisation(works: Works):
    works.completions.script.append(RateLimited("429", retry_after=7.0))
    async with works.dispatching():
        await works.hears(chat="c1")
        await works.hears(chat="c2")
        before = len(works.completions.asked)
        await works.passes(10.0)

        assert before == 1
        assert len(works.completions.asked) == 3


async def test_a_rate_limit_does_not_use_up_an_attempt(works: Works):
    works.completions.script.extend(
        [RateLimited("429", retry_after=1.0)] * 3 + [Ambiguous("connection broke")]
    )

    assert await ending(works) == "answered"
    assert works.completions.requests == [ASK] * 4 + [LOOK, ASK]


async def test_a_rate_limit_without_end_ends_in_time(works: Works):
    works.completions.script.extend([RateLimited("429", retry_after=10.0)] * 1000)

    assert await ending(works) == "failed"
    assert len(works.completions.asked) <= 9


# --- crashes ---


async def test_after_a_crash_an_asked_question_is_looked_up_first():
    async with works_of() as works:
        works.completions.script.append(Stored(Ambiguous("never heard of"), "We open at ten."))
        works.completions.gate.clear()
        async with works.dispatching():
            message = await works.hears()
        works.completions._answer(works.completions.asked[0].question, "We open at ten.")
        works.completions.gate.set()
        works.dispatcher = works.another_dispatcher()
        async with works.running():
            await works.passes(1.0)

        assert await works.status(message) == "answered"
        assert works.adapter.texts == ["We open at ten."]
        assert works.completions.requests == [ASK, LOOK]


async def test_after_a_crash_a_question_that_never_arrived_is_asked_again(works: Works):
    works.completions.gate.clear()
    async with works.dispatching():
        message = await works.hears()
    works.completions.gate.set()
    async with works.dispatching(works.another_dispatcher()):
        await works.passes(1.0)

        assert await works.status(message) == "answered"
        assert works.completions.requests == [ASK, LOOK, ASK]


async def test_requests_before_a_crash_count_too(works: Works):
    works.completions.script.append(Transient("refused"))
    async with works.dispatching():
        message = await works.hears()
        works.completions.gate.clear()
        await works.passes(5.0)
    works.completions.gate.set()
    async with works.dispatching(works.another_dispatcher()):
        await works.passes(LONGEST)

        assert await works.status(message) == "failed"
        assert works.completions.requests == [ASK, ASK, LOOK]


async def test_after_a_crash_the_conversation_waits_for_its_inherited_turn(works: Works):
    works.completions.gate.clear()
    async with works.dispatching():
        await works.hears("one")
        second = await works.hears("two")
    async with works.dispatching(works.another_dispatcher()):
        await works.passes(1.0)
        asked = list(works.completions.texts)
        works.completions.gate.set()
        await works.passes(0.5)

        assert asked == ["one", "one"]
        assert works.completions.texts == ["one", "one", "two"]
        assert await works.status(second) == "answered"


async def test_a_turn_that_was_not_asked_yet_waits_on_when_the_process_stops(works: Works):
    """Writing down its request takes long."""
    journal = TroubledJournal(works.journal)
    journal.fails["claim"] = 1000
    async with works.dispatching(works.another_dispatcher(journal)):
        message = await works.hears()
        await works.passes(3.0)
    waiting = [head.id for head in await works.journal.waiting("acme")]

    assert journal.failed["claim"] > 1
    assert waiting == [message]
    assert works.completions.requests == []


async def test_a_stopped_dispatcher_lets_nothing_run_on(works: Works):
    works.completions.gate.clear()
    async with works.dispatching():
        await works.hears()
    works.completions.gate.set()
    await works.passes(100.0)

    assert works.completions.working == 0
    assert await works.parts() == []


async def test_draining_ends_what_was_asked_and_starts_nothing(works: Works):
    works.completions.gate.clear()
    async with works.dispatching() as dispatcher:
        first = await works.hears(chat="c1")
        dispatcher.drain()
        second = await works.hears(chat="c2")
        works.completions.gate.set()
        await works.passes(1.0)

        assert await works.status(first) == "answered"
        assert await works.status(second) == "queued"
        assert dispatcher.in_flight == 0


# --- a journal that cannot write ---


async def test_an_answer_in_hand_waits_for_the_journal():
    async with works_of() as works:
        journal = TroubledJournal(works.journal)
        journal.fails["finish"] = 5
        async with works.dispatching(works.another_dispatcher(journal)), works.delivering():
            message = await works.hears()
            await works.passes(4.5)
            before = await works.status(message)
            await works.passes(1.0)

            assert before == "asking"
            assert await works.status(message) == "answered"
            assert works.adapter.texts == [works.completions.answer]
            assert len(works.completions.asked) == 1


@pytest.mark.parametrize("method", ["waiting", "claim"])
async def test_a_journal_that_stumbles_costs_no_message(method: str):
    async with works_of() as works:
        journal = TroubledJournal(works.journal)
        async with works.dispatching(works.another_dispatcher(journal)):
            journal.fails[method] = 2
            message = await works.hears()
            await works.passes(10.0)

            assert journal.failed[method] == 2
            assert await works.status(message) == "answered"
            assert works.completions.requests == [ASK]


async def test_a_repetition_that_cannot_be_written_down_waits(works: Works):
    journal = TroubledJournal(works.journal)
    journal.fails["asked"] = 2
    works.completions.script.append(Transient("busy"))
    async with works.dispatching(works.another_dispatcher(journal)):
        message = await works.hears()
        await works.passes(60.0)

        assert journal.failed["asked"] == 2
        assert works.completions.requests == [ASK, ASK]
        assert await works.status(message) == "answered"


async def test_a_request_that_cannot_be_written_down_does_not_leave(works: Works):
    journal = TroubledJournal(works.journal)
    journal.fails["claim"] = 1
    async with works.dispatching(works.another_dispatcher(journal)):
        await works.hears()
        await quiet()
        before = list(works.completions.requests)
        await works.passes(10.0)

        assert before == []
        assert works.completions.requests == [ASK]


async def test_a_conversation_that_is_forgotten_while_it_is_asked_is_not_answered():
    async with works_of(configured()) as works, works.running():
        works.completions.gate.clear()
        said = works.said()
        await works.accept(said)
        await quiet()
        await works.journal.forget(said.key)
        works.completions.gate.set()
        await works.passes(5.0)

        assert works.adapter.tried == []


async def test_an_organisation_that_needs_a_person_says_so_until_it_answers_again(works: Works):
    works.completions.script.extend([Misconfigured("key refused", remedy="set the secret")] * 2)
    async with works.running():
        await works.hears("one", chat="c1")
        await works.hears("two", chat="c2")
        await works.passes(1.0)
        trouble = works.dispatcher.trouble
        await works.hears("three", chat="c3")
        await works.passes(1.0)

        notes = [fact.event for fact in works.facts.of(Noted) if fact.event.startswith("organization.")]
        assert trouble == "key refused: set the secret"
        assert works.dispatcher.trouble is None
        assert notes == ["organization.failed", "organization.recovered"]
