"""A waiting person sees the answer grow, and never instead of it or after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from gateway.errors import Transient
from gateway.pipeline.drafting import PATIENCE
from gateway.pipeline.thoughts import without_thoughts, without_thoughts_so_far
from tests.fakes import DraftingAdapter
from tests.pipeline.works import CHANNEL, Works, configured, quiet, works_of

EVERY = DraftingAdapter.draft_every
STREAMING = {"token": "1:telegram-token", "stream": "on"}


@pytest.fixture
async def works() -> AsyncIterator[Works]:
    async with works_of(configured(telegram=STREAMING)) as made:
        yield made


@pytest.fixture
def adapter(works: Works) -> DraftingAdapter:
    works.adapter = adapter = DraftingAdapter()
    works.presence.attach(CHANNEL, adapter)
    works.completions.gate.clear()
    return adapter


async def writes(works: Works, *deltas: str) -> None:
    for delta in deltas:
        works.completions.writes(delta)
    await quiet()


async def test_drafts_grow_with_the_answer_at_most_one_a_second(works: Works, adapter: DraftingAdapter):
    async with works.running():
        await works.hears()
        await writes(works, "We ")
        await writes(works, "open ")
        await writes(works, "at ")
        at_once = list(adapter.drafts)
        await works.passes(EVERY)
        a_second_later = list(adapter.drafts)
        await works.passes(10 * EVERY)
        works.completions.gate.set()
        await quiet()

    assert at_once == ["We "]
    assert a_second_later == ["We ", "We open at "]
    assert adapter.drafts == a_second_later, "nothing new, nothing shown"
    assert adapter.texts == ["We open at nine."]
    assert adapter.drafted == {delivery.id for delivery in adapter.sent}, "a draft has its answer's id"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["<think>They ask for"], []),
        (["<thi"], []),
        (["<think>Nine?</think>We ", "open"], ["We open"]),
        (["We open <reasoning>at"], ["We open "]),
        (["if a < b"], ["if a < b"]),
        (["<think>a</think><think>b"], []),
    ],
)
async def test_a_draft_shows_no_thoughts(
    works: Works, adapter: DraftingAdapter, written: list[str], shown: list[str]
):
    async with works.running():
        await works.hears()
        await writes(works, *written[:-1])
        adapter.drafts.clear()
        await writes(works, written[-1])
        await works.passes(EVERY)
        drafts = list(adapter.drafts)
        works.completions.gate.set()
        await quiet()

    assert shown == drafts


def test_thoughts_that_never_end_are_looked_for_in_little_time():
    began = time.process_time()
    text = "<think>" * 30_000

    assert text == without_thoughts(text)
    assert "" == without_thoughts_so_far(text)
    assert time.process_time() - began < 1.0


async def test_nothing_is_shown_once_the_answer_is_there(works: Works, adapter: DraftingAdapter):
    async with works.running():
        await works.hears()
        await writes(works, "We ")
        works.completions.writes("open ")
        works.completions.gate.set()
        await quiet()
        await writes(works, "at nine.")
        await works.passes(60.0)

    assert adapter.drafts == ["We "]
    assert adapter.texts == ["We open at nine."]


async def test_the_answer_waits_for_a_draft_under_way_but_not_long(works: Works, adapter: DraftingAdapter):
    adapter.pen.clear()
    async with works.running():
        await works.hears()
        await writes(works, "We ")
        works.completions.gate.set()
        await quiet()
        before = list(adapter.texts)
        await works.passes(PATIENCE)
        after = list(adapter.texts)

    assert (before, after) == ([], ["We open at nine."])


async def test_a_draft_that_ends_lets_the_answer_go_at_once(works: Works, adapter: DraftingAdapter):
    adapter.pen.clear()
    async with works.running():
        await works.hears()
        await writes(works, "We ")
        works.completions.gate.set()
        await quiet()
        adapter.pen.set()
        await quiet()

    assert adapter.texts == ["We open at nine."]


async def test_a_draft_that_fails_is_nobodys_business(works: Works, adapter: DraftingAdapter):
    adapter.draft_error = RuntimeError("no drafts here")
    async with works.running():
        await works.hears()
        await writes(works, "We ")
        await works.passes(EVERY)
        await writes(works, "open ")
        works.completions.gate.set()
        await quiet()

    assert adapter.drafts == ["We ", "We open "]
    assert adapter.texts == ["We open at nine."]


async def test_a_second_attempt_begins_a_new_draft(works: Works, adapter: DraftingAdapter):
    works.completions.script.extend([Transient("nothing sent"), "We open at ten."])
    async with works.running():
        await works.hears()
        await writes(works, "We are ")
        stale = works.completions.asked[0].on_delta
        works.completions.gate.set()
        await quiet()
        works.completions.gate.clear()
        await works.passes(10.0)
        assert stale is not None
        stale("closed")
        await writes(works, "We open ")
        await works.passes(EVERY)
        works.completions.gate.set()
        await works.passes(1.0)

    assert adapter.drafts == ["We are ", "We open "]
    assert adapter.texts == ["We open at ten."]


async def test_a_shutdown_does_not_leave_a_draft_behind(works: Works, adapter: DraftingAdapter):
    async with works.running():
        await works.hears()
        await writes(works, "We ")
        works.completions.writes("open ")
    await works.passes(60.0)

    assert adapter.drafts == ["We "]
    assert [task.get_name() for task in asyncio.all_tasks() if "Drafting" in repr(task)] == []


@pytest.mark.parametrize("stream", ["off", None])
async def test_answers_are_not_followed_unless_the_bot_is_set_to(stream: str | None):
    section = STREAMING | {"stream": stream} if stream else {"token": "1:telegram-token"}
    async with works_of(configured(telegram=section)) as works:
        works.presence.attach(CHANNEL, DraftingAdapter())
        async with works.dispatching():
            await works.hears()

    assert [asked.on_delta for asked in works.completions.asked] == [None]


async def test_a_platform_that_shows_no_drafts_is_not_bothered(works: Works):
    works.presence.attach(CHANNEL, works.adapter)
    async with works.dispatching():
        await works.hears()

    assert [asked.on_delta for asked in works.completions.asked] == [None]
