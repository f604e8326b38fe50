"""Waiting messages become answers: whose turn it is, and what becomes of each turn."""

from __future__ import annotations

import pytest

from gateway.errors import Permanent
from gateway.messages import Address, BotCounts, ConversationKey, Deleted, Moved
from gateway.policy.texts import BUILT_IN
from gateway.ports import MessageReceived, Noted, QuotaGranted, TurnEnded
from tests.fakes import BrokenRenderer, FakeCompletions, TroubledJournal
from tests.pipeline.works import Works, configured, quiet, works_of

EN = BUILT_IN["en"]


async def test_a_message_comes_back_answered(works: Works):
    async with works.running():
        message = await works.hears("When are you open?")

    assert works.adapter.texts == ["We open at nine."]
    assert await works.status(message) == "answered"
    assert works.completions.requests == [("reply", True)]


async def test_what_waited_before_the_start_is_answered(works: Works):
    message = await works.hears()
    async with works.dispatching():
        assert await works.status(message) == "answered"


async def test_the_question_says_who_asks_whom_where(works: Works):
    async with works.dispatching():
        await works.hears("When?", who="42", context={"chat_id": 7}, images=("https://img.example/1",))

    (asked,) = works.completions.asked
    assert asked.question.organization == "acme"
    assert asked.question.replica == works.settings.bots["shop"].replica
    assert asked.question.user.id == "42"
    assert asked.question.text == "When?"
    assert asked.question.context == {"chat_id": 7}
    assert asked.question.images == ("https://img.example/1",)


async def test_an_end_is_told_with_its_times(works: Works):
    works.completions.gate.clear()
    async with works.dispatching():
        await works.hears()
        await works.passes(3.0)
        works.completions.gate.set()
        await works.passes(1.0)

    (ended,) = works.facts.of(TurnEnded)
    assert ended.outcome == "answered"
    assert ended.parts == 1
    assert ended.attempts == 1
    assert ended.upstream_seconds == pytest.approx(3.0)
    assert ended.quota_wait_seconds == 0.0
    assert ended.ended_at - ended.accepted_at == pytest.approx(3.0)
    assert [fact.waited for fact in works.facts.of(QuotaGranted)] == [0.0]
    assert works.facts.outcomes(MessageReceived) == ["accepted"]


# --- order ---


async def test_a_conversation_has_one_turn_in_flight_and_keeps_its_order():
    async with works_of(configured(coalesce="off")) as works:
        works.completions.gate.clear()
        async with works.dispatching():
            for text in ("one", "two", "three"):
                await works.hears(text)
            in_flight = list(works.completions.texts)
            works.completions.gate.set()
            await works.passes(1.0)

        assert in_flight == ["one"]
        assert works.completions.texts == ["one", "two", "three"]
        assert works.completions.most_working == 1


async def test_conversations_are_asked_in_parallel(works: Works):
    works.completions.gate.clear()
    async with works.dispatching() as dispatcher:
        for number in range(5):
            await works.hears(chat=f"c{number}")

        assert works.completions.working == 5
        assert dispatcher.in_flight == 5


async def test_what_one_person_says_meanwhile_becomes_one_turn(works: Works):
    works.completions.gate.clear()
    async with works.dispatching():
        await works.hears("one", who="ann")
        second = await works.hears("two", who="ann")
        third = await works.hears("three", who="ann")
        works.completions.gate.set()
        await works.passes(1.0)

    assert works.completions.texts == ["one", "two\nthree"]
    assert [await works.status(message) for message in (second, third)] == ["answered", "answered"]
    life = await works.journal.message(third)
    assert life.parts[0].text == works.completions.answer


async def test_two_people_in_one_conversation_are_not_mixed(works: Works):
    works.completions.gate.clear()
    async with works.dispatching():
        await works.hears("one", who="ann")
        await works.hears("two", who="bob")
        await works.hears("three", who="ann")
        works.completions.gate.set()
        await works.passes(1.0)

    assert works.completions.texts[0] == "one"
    assert sorted(works.completions.texts[1:]) == ["three", "two"]


async def test_a_reply_threads_to_the_last_message_of_its_turn(works: Works):
    works.completions.gate.clear()
    async with works.running():
        await works.hears("one")
        await works.hears("two")
        last = await works.hears("three")
        works.completions.gate.set()
        await works.passes(1.0)

    assert works.adapter.sent[-1].in_reply_to == last
    assert works.adapter.sent[-1].address.data == {"reply_to": "3"}


async def test_a_held_message_waits_for_its_company():
    async with works_of(configured(coalesce="2s")) as works, works.dispatching():
        await works.hears("one")
        await works.passes(1.0)
        await works.hears("two")
        before = list(works.completions.texts)
        await works.passes(1.5)

        assert before == []
        assert works.completions.texts == ["one\ntwo"]


async def test_a_deleted_message_is_not_asked(works: Works):
    said = works.said("forget it")
    await works.accept(said)
    await works.accept(Deleted(key=said.key, message_id=said.message_id))
    async with works.dispatching():
        await works.hears("other", chat="c2")

    assert works.completions.texts == ["other"]


async def test_a_message_deleted_while_it_waits_costs_no_quota():
    async with works_of(configured(coalesce="off")) as works:
        works.completions.gate.clear()
        async with works.dispatching() as dispatcher:
            await works.hears("one")
            said = works.said("forget it")
            await works.accept(said)
            await quiet()
            await works.accept(Deleted(key=said.key, message_id=said.message_id))
            works.completions.gate.set()
            await works.passes(1.0)

            assert works.completions.texts == ["one"]
            assert dispatcher.door.quota.used(dispatcher.door.now())["hour"][0] == 1


async def test_a_chat_that_moved_while_it_was_answered_forgets_nobody():
    async with works_of(configured(coalesce="off")) as works, works.dispatching():
        works.completions.gate.clear()
        old = works.said("one", chat="group")
        await works.accept(old)
        behind = await works.hears("two", chat="group")
        new = ConversationKey(bot="shop", platform="telegram", chat="supergroup")
        await works.accept(Moved(old=old.key, new=new, old_to="group", address=Address(to="supergroup")))
        after = await works.hears("three", chat="supergroup")
        works.completions.gate.set()
        await works.passes(5.0)

        assert [await works.status(message) for message in (behind, after)] == ["answered", "answered"]
        assert sorted(works.completions.texts) == ["one", "three", "two"]


# --- quota ---


def busiest(times: list[float], window: float) -> int:
    """The most requests in any window of that length."""
    return max(sum(start <= time < start + window for time in times) for start in times)


async def test_both_windows_are_never_exceeded_and_never_left_idle():
    quota = {"requests_per_minute": 4, "completions_per_hour": 10}
    async with works_of(configured(quota=quota, max_wait="3h")) as works, works.dispatching():
        for number in range(23):
            await works.hears(chat=f"c{number}")
        await works.passes(2 * 3600.0 + 600.0)

        times = [at for _, _, at in works.completions.admitted]
        assert len(times) == 23
        assert busiest(times, 60.0) == 4
        assert busiest(times, 3600.0) == 10
        assert times[9] - times[0] < 125.0, "ten in the first hour, as fast as the minute allows"
        assert times[20] - times[0] < 2 * 3605.0


async def test_every_request_counts_in_the_minute_not_only_completions():
    async with works_of(configured(quota={"requests_per_minute": 3}, max_wait="1h")) as works:
        works.completions = FakeCompletions(works.clock, strangers=True)
        async with works.dispatching(works.another_dispatcher()):
            await works.hears(chat="c1")
            await works.hears(chat="c2")
            in_first_minute = works.completions.requests
            await works.passes(130.0)

        assert in_first_minute == [("reply", True), ("user", False), ("reply", True)]
        assert len(works.completions.asked) == 2
        assert busiest([at for *_, at in works.completions.admitted], 60.0) == 3


async def test_what_an_earlier_process_spent_still_counts():
    quota = {"requests_per_minute": 2}
    async with works_of(configured(quota=quota)) as works:
        async with works.dispatching():
            await works.hears(chat="c1")
            await works.hears(chat="c2")
        async with works.dispatching(works.another_dispatcher()):
            await works.hears(chat="c3")
            at_once = list(works.completions.texts)
            await works.passes(61.0)

        assert len(at_once) == 2
        assert len(works.completions.texts) == 3


async def test_a_wait_for_quota_is_told_as_such():
    async with works_of(configured(quota={"requests_per_minute": 1})) as works, works.dispatching():
        await works.hears(chat="c1")
        await works.hears(chat="c2")
        await works.passes(61.0)

        first, second = works.facts.of(TurnEnded)
        assert first.quota_wait_seconds == 0.0
        assert second.quota_wait_seconds == pytest.approx(60.0, abs=1.0)


async def test_new_limits_hold_at_once():
    async with works_of(configured(quota={"requests_per_minute": 1})) as works, works.dispatching():
        await works.hears(chat="c1")
        await works.hears(chat="c2")
        works.settings = configured(quota={"requests_per_minute": 2})
        works.dispatcher.ring()
        await quiet()

        assert len(works.completions.asked) == 2


# --- waiting too long ---


def one_a_minute(**bot):
    return configured(quota={"requests_per_minute": 1, "completions_per_hour": 1}, max_wait="5m", **bot)


async def test_a_message_that_waited_too_long_is_told_so():
    async with works_of(one_a_minute()) as works, works.running():
        await works.hears(chat="c1")
        late = await works.hears(chat="c2")
        await works.passes(299.0)
        before = await works.status(late)
        await works.passes(2.0)

        assert before == "queued"
        assert await works.status(late) == "expired"
        assert works.adapter.texts == [works.completions.answer, EN["expired"]]
        assert works.facts.outcomes(TurnEnded) == ["answered", "expired"]
        assert (await works.journal.counts())["shop"] == BotCounts(answered=1, expired=1)


async def test_a_deadline_is_nearer_than_the_longest_wait():
    async with works_of(one_a_minute()) as works, works.dispatching():
        await works.hears(chat="c1")
        late = await works.hears(chat="c2", deadline=works.clock.now() + 60.0)
        await works.passes(61.0)

        assert await works.status(late) == "expired"


async def test_a_message_does_not_expire_while_its_conversation_is_being_answered():
    async with works_of(configured(max_wait="10s")) as works, works.dispatching():
        works.completions.gate.clear()
        await works.hears("one")
        second = await works.hears("two")
        await works.passes(15.0)
        before = await works.status(second)
        works.completions.gate.set()
        await works.passes(2.0)

        assert before == "queued"
        assert await works.status(second) == "answered"


async def test_after_a_long_stop_only_what_is_too_old_expires(works: Works):
    """All of it waits when the process starts, and nothing of it may be forgotten."""
    old = await works.hears("old")
    await works.passes(290.0)
    new = await works.hears("new")
    await works.passes(60.0)
    started_at = works.clock.now()
    async with works.dispatching(works.another_dispatcher(TroubledJournal(works.journal))):
        await works.passes(5.0)

        assert await works.status(old) == "expired"
        assert await works.status(new) == "answered"
        assert works.completions.texts == ["new"]
        assert works.completions.asked[0].at == started_at, "at once"


async def test_each_message_of_a_conversation_that_waited_too_long_expires(works: Works):
    messages = [await works.hears(text, who=who) for text, who in (("1", "ann"), ("2", "bob"), ("3", "ann"))]
    await works.passes(301.0)
    async with works.dispatching(works.another_dispatcher(TroubledJournal(works.journal))):
        await works.passes(5.0)

        assert [await works.status(message) for message in messages] == ["expired"] * 3
        assert works.completions.asked == []
        assert works.facts.outcomes(TurnEnded) == ["expired"] * 3


# --- endings ---


async def test_an_answer_of_several_parts_is_one_reply(works: Works):
    works.completions.script.append("first\nsecond\nthird")
    async with works.running():
        await works.hears()
        await works.passes(1.0)

    assert works.adapter.texts == ["first", "second", "third"]
    assert [delivery.index for delivery in works.adapter.sent] == [0, 1, 2]
    assert {delivery.count for delivery in works.adapter.sent} == {3}


async def test_an_answer_is_cut_at_the_bots_most_parts():
    async with works_of(configured(reply={"max_parts": 2})) as works:
        works.completions.script.append("first\nsecond\nthird")
        async with works.dispatching():
            await works.hears()

        assert await works.parts() == ["first", "second"]


async def test_an_answer_that_cannot_be_rendered_is_sent_plain(works: Works):
    works.renderer = BrokenRenderer("**")
    works.completions.script.append("We open at **nine**.")
    async with works.dispatching():
        message = await works.hears()

    assert await works.parts() == ["We open at **nine**."]
    assert await works.status(message) == "answered"


async def test_an_answer_with_nothing_to_show_has_failed(works: Works):
    works.completions.script.append("\n")
    async with works.dispatching():
        message = await works.hears()

    assert await works.status(message) == "failed"
    assert len(await works.parts()) == 1


async def test_the_reference_in_a_failure_leads_to_the_message(works: Works):
    works.completions.script.append(Permanent("replica is private"))
    async with works.dispatching():
        message = await works.hears()
    (text,) = await works.parts()
    reference = text.rstrip(".").split()[-1]
    life = await works.journal.message(reference)

    assert life.id == message
    assert life.status == "failed"
    assert life.cause == "replica is private"
    assert text == EN["failed"].replace("{reference}", life.turn)


async def test_an_operators_own_text_gets_the_reference_too():
    async with works_of(configured(texts={"failed": "No luck."})) as works:
        works.completions.script.append(Permanent("no"))
        async with works.dispatching():
            message = await works.hears()

        life = await works.journal.message(message)
        assert await works.parts() == [f"No luck. ({life.turn})"]


async def test_a_fault_of_our_own_leaves_nobody_without_a_word(works: Works):
    works.completions.script.append(ZeroDivisionError("oops"))
    async with works.dispatching():
        message = await works.hears("one")
        await works.hears("two")

    assert await works.status(message) == "failed"
    assert works.completions.texts == ["one", "two"]
    assert "turn.crashed" in [noted.event for noted in works.facts.of(Noted)]


# --- context ---


def listening(**changes):
    return configured(telegram={"token": "1:telegram-token", "groups": {"mode": "listen"}}, **changes)


async def test_context_is_stored_and_nothing_is_said():
    async with works_of(listening()) as works, works.running():
        (accepted,) = await works.accept(works.in_group("we meet at noon"))
        await works.passes(5.0)

        assert [question.text for question in works.completions.recorded] == ["we meet at noon"]
        assert works.completions.requests == [("record", False)]
        assert await works.status(accepted.id) == "recorded"
        assert works.adapter.tried == []
        assert works.facts.of(TurnEnded) == []


async def test_context_does_not_hold_up_a_question_of_its_conversation():
    async with works_of(listening()) as works, works.dispatching():
        works.completions.gate.clear()
        await works.accept(works.in_group("@shop when?", "mention"))
        await works.passes(1.0)
        await works.accept(works.in_group("we meet at noon"))
        await works.passes(5.0)

        assert works.completions.working == 1
        assert len(works.completions.recorded) == 1


async def test_context_that_cannot_be_stored_costs_nobody_anything():
    async with works_of(listening()) as works, works.dispatching() as dispatcher:
        works.completions.refuses_records = True
        (accepted,) = await works.accept(works.in_group("we meet at noon"))
        await works.passes(5.0)

        assert await works.status(accepted.id) == "failed"
        assert await works.parts() == []
        assert dispatcher.door.quota.used(dispatcher.door.now())["minute"][0] == 0
