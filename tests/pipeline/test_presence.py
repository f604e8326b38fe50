"""A waiting person sees that an answer is coming, and nobody sees it for ever."""

from __future__ import annotations

import asyncio

import pytest

from gateway.messages import Address, Channel
from gateway.pipeline.presence import AT_ONCE, LONGEST, PATIENCE, Presence
from tests.fakes import FakeAdapter
from tests.pipeline.works import CHANNEL, Works, configured, quiet, works_of


@pytest.fixture
def adapter(works: Works) -> FakeAdapter:
    works.presence.attach(CHANNEL, works.adapter)
    return works.adapter


async def test_typing_repeats_while_a_message_waits_and_ends_with_its_answer(
    works: Works, adapter: FakeAdapter
):
    works.completions.gate.clear()
    async with works.dispatching():
        await works.hears()
        await works.passes(10.0)
        during = len(adapter.shown)
        works.completions.gate.set()
        await quiet()
        await works.passes(60.0)

    assert during == 3, "after 0.7, 4.7 and 8.7 seconds"
    assert len(adapter.shown) == during


async def test_typing_begins_before_the_message_is_asked(works: Works, adapter: FakeAdapter):
    await works.hears()
    await works.passes(PATIENCE)

    assert adapter.shown == ["c1"]


async def test_a_fast_answer_is_not_announced(works: Works, adapter: FakeAdapter):
    works.completions.gate.clear()
    async with works.dispatching():
        await works.hears()
        await works.passes(PATIENCE - 0.1)
        works.completions.gate.set()
        await quiet()
        await works.passes(60.0)

    assert adapter.shown == []


async def test_a_conversation_with_several_messages_types_once_at_a_time(works: Works, adapter: FakeAdapter):
    await works.hears("one")
    await works.hears("two")
    await works.passes(PATIENCE + 4.0)

    assert len(adapter.shown) == 2


async def test_typing_goes_on_while_another_message_of_the_conversation_waits():
    async with works_of(configured(coalesce="off")) as works:
        works.presence.attach(CHANNEL, works.adapter)
        works.completions.gate.clear()
        async with works.dispatching():
            await works.hears("one")
            await works.hears("two")
            works.completions.gate.set()
            await quiet()
            works.completions.gate.clear()
            first = len(works.adapter.shown)
            await works.passes(20.0)

            assert works.completions.texts == ["one", "two"]
            assert first <= 2
        assert len(works.adapter.shown) == first, "both are answered"


async def test_typing_ends_with_a_failure_too(works: Works, adapter: FakeAdapter):
    works.completions.script.append(ZeroDivisionError())
    async with works.dispatching():
        await works.hears()
        shown = len(adapter.shown)
        await works.passes(60.0)

    assert len(adapter.shown) == shown


async def test_typing_ends_with_an_expired_message():
    quota = {"requests_per_minute": 1, "completions_per_hour": 1}
    async with works_of(configured(quota=quota, max_wait="20s")) as works, works.dispatching():
        works.presence.attach(CHANNEL, works.adapter)
        await works.hears(chat="c1")
        await works.hears(chat="c2")
        await works.passes(21.0)
        shown = works.adapter.shown.count("c2")
        await works.passes(60.0)

        assert shown >= 5
        assert works.adapter.shown.count("c2") == shown


async def test_typing_stops_at_the_deadline_whatever_happens(works: Works, adapter: FakeAdapter):
    await works.hears()
    await works.passes(LONGEST + adapter.typing_every)
    shown = len(adapter.shown)
    await works.passes(LONGEST)

    assert shown == LONGEST / adapter.typing_every
    assert len(adapter.shown) == shown


async def test_a_later_message_types_again_after_the_deadline(works: Works, adapter: FakeAdapter):
    await works.hears()
    await works.passes(LONGEST + 10.0)
    shown = len(adapter.shown)
    await works.hears()
    await works.passes(PATIENCE)

    assert len(adapter.shown) == shown + 1


async def test_typing_that_fails_is_tried_again_and_disturbs_nothing(works: Works, adapter: FakeAdapter):
    adapter.typing_error = ZeroDivisionError()
    await works.hears()
    await works.passes(PATIENCE + 4.0)
    async with works.running():
        await works.passes(1.0)

    assert len(adapter.shown) >= 2
    assert adapter.texts == [works.completions.answer]


async def test_typing_waits_for_the_channels_connection(works: Works):
    await works.hears()
    await works.passes(5.0)
    before = list(works.adapter.shown)
    works.presence.attach(CHANNEL, works.adapter)
    await works.passes(2.0)
    during = list(works.adapter.shown)
    works.presence.detach(CHANNEL)
    await works.passes(60.0)

    assert before == []
    assert during == ["c1"]
    assert works.adapter.shown == during


async def test_an_inherited_turn_types_too(works: Works):
    works.completions.gate.clear()
    async with works.dispatching():
        await works.hears()
    works.presence.close()
    works.presence.attach(CHANNEL, works.adapter)
    async with works.dispatching(works.another_dispatcher()):
        await works.passes(1.0)

        assert works.adapter.shown == ["c1"]


async def test_an_adapter_that_cannot_type_is_left_alone(works: Works):
    works.presence.attach(Channel(bot="shop", platform="telegram"), object())
    await works.hears()
    await works.passes(10.0)

    assert works.adapter.shown == []


async def test_in_a_crowd_only_so_many_are_shown_typing_at_once():
    class Slow(FakeAdapter):
        async def typing(self, address: Address) -> None:
            await super().typing(address)
            await answered.wait()

    async with works_of(configured(queue={"per_bot": 1000})) as works:
        answered, adapter = asyncio.Event(), Slow()
        works.presence.attach(CHANNEL, adapter)
        for number in range(AT_ONCE + 8):
            await works.hears(chat=f"c{number}")
        await works.passes(PATIENCE)
        at_once = len(adapter.shown)
        answered.set()
        await works.passes(1.0 + adapter.typing_every)

    assert at_once == AT_ONCE
    assert len(set(adapter.shown)) == AT_ONCE + 8


async def test_nothing_runs_on_when_presence_is_closed(works: Works, adapter: FakeAdapter):
    before = asyncio.all_tasks()
    await works.hears("Long ago", chat="c1")
    await works.passes(PATIENCE)
    await works.hears("Just now", chat="c2")
    during = asyncio.all_tasks() - before
    works.presence.close()
    await works.passes(PATIENCE)

    assert len(during) == 1
    assert asyncio.all_tasks() == before
    assert ["c1"] == adapter.shown


async def test_who_waits_is_shown_by_the_process_that_runs_the_channel(works: Works, adapter: FakeAdapter):
    """Another one takes the message and ends the turn."""
    told: list[tuple[str, dict[str, object]]] = []
    other = Presence(works.clock, lambda topic, fact: told.append((topic, fact)))
    said = works.said()
    other.begin(said.key, said.address, "m1")
    (topic, fact) = told.pop()
    works.presence.hear(fact)
    await works.passes(PATIENCE)
    during = list(adapter.shown)
    other.end(said.key, ["m1"])
    works.presence.hear(told.pop()[1])
    await works.passes(60.0)

    assert topic == f"presence/{CHANNEL}"
    assert during == ["c1"]
    assert adapter.shown == ["c1"]
