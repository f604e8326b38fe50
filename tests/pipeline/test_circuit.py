"""An organisation's upstream is down: who is asked, who waits, and what they are told."""

from __future__ import annotations

import itertools

import pytest

from gateway.errors import Ambiguous, GatewayError, Permanent, Transient
from gateway.policy.breaker import THRESHOLD
from gateway.policy.texts import BUILT_IN
from gateway.ports import Noted
from tests.pipeline.works import Works, configured, works_of

QUEUED, FAILED = (BUILT_IN["en"][name][:12] for name in ("queued", "failed"))
DOWN = Transient("refused")


def notes(works: Works, event: str) -> list[Noted]:
    return [fact for fact in works.facts.of(Noted) if fact.event == event]


async def bring_down(works: Works, error: GatewayError = DOWN) -> None:
    """Three persons fail: their requests open the circuit."""
    works.completions.script.extend([error] * 1000)
    for chat in ("first", "second", "third"):
        await works.hears(chat=chat)
    await works.passes(3.5)
    assert len(notes(works, "circuit.opened")) == 1


async def test_while_it_is_down_one_turn_at_a_time_is_asked(works: Works):
    async with works.dispatching():
        await bring_down(works)
        before = len(works.completions.asked)
        for n in range(50):
            await works.hears(chat=f"c{n}")
        await works.passes(60.0)
        probes = len(works.completions.asked) - before

        assert works.completions.most_working <= 2
        assert 1 <= probes <= 15
        assert await works.journal.queue("acme") >= 40


async def test_who_waited_is_answered_in_order_when_it_is_back(works: Works):
    async with works.running():
        await bring_down(works)
        ids = [await works.hears(f"question {n}", chat=f"c{n}") for n in range(5)]
        works.completions.script.clear()
        asked = len(works.completions.asked)
        await works.passes(40.0)

        assert [await works.status(id_) for id_ in ids] == ["answered"] * 5
        assert len(notes(works, "circuit.closed")) == 1
        later = [text for text in works.completions.texts[asked:] if text.startswith("question")]
        assert later == sorted(later)


async def test_who_waits_too_long_is_told_that_it_expired():
    async with works_of(configured(max_wait="20s")) as works, works.running():
        await bring_down(works)
        ids = [await works.hears(chat=f"c{n}") for n in range(30)]
        await works.passes(30.0)

        assert "expired" in [await works.status(id_) for id_ in ids]
        assert "queued" not in [await works.status(id_) for id_ in ids]


async def test_refusals_open_nothing_because_somebody_refused(works: Works):
    works.completions.script.extend([Permanent("404")] * 50)
    async with works.dispatching():
        for n in range(3 * THRESHOLD):
            await works.hears(chat=f"c{n}")
        await works.passes(1.0)

        assert notes(works, "circuit.opened") == []
        assert len(works.completions.asked) == 3 * THRESHOLD


@pytest.mark.parametrize("error", [Transient("refused"), Ambiguous("timeout")])
async def test_nobody_hears_of_waiting_and_of_failing_within_queued_after(error: GatewayError):
    async with works_of(configured(queued_after="15s")) as works, works.running():
        await bring_down(works, error)
        for n in range(12):
            await works.hears(chat=f"c{n}")
        told: dict[str, list[tuple[float, str]]] = {}
        for _ in range(240):
            await works.passes(1.0)
            for chat in (f"c{n}" for n in range(12)):
                seen = told.setdefault(chat, [])
                seen += [(works.clock.now(), text) for text in (await works.parts(chat))[len(seen) :]]
        kinds = {text[:12] for seen in told.values() for _, text in seen}
        gaps = [
            after - before
            for seen in told.values()
            for (before, one), (after, other) in itertools.pairwise(seen)
            if {one[:12], other[:12]} == {QUEUED, FAILED}
        ]

        assert {QUEUED, FAILED} <= kinds
        assert gaps
        assert all(gap >= 14.0 for gap in gaps)


async def test_who_was_told_of_a_failure_is_not_told_to_wait_at_once():
    async with works_of(configured(queued_after="15s")) as works, works.running():
        await bring_down(works)
        before = await works.parts("first")
        await works.hears("again", chat="first")
        await works.passes(10.0)

        assert len(before) == 1
        assert {text[:12] for text in await works.parts("first")} == {FAILED}


async def test_who_was_told_of_a_failure_hears_of_the_next_one_at_once():
    async with works_of(configured(queued_after="15s")) as works, works.running():
        works.completions.script.extend([Permanent("404")] * 2)
        for _ in range(2):
            await works.hears(chat="first")
            await works.passes(1.0)

        assert [text[:12] for text in await works.parts("first")] == [FAILED] * 2


async def test_how_look_ups_ended_is_noted(works: Works):
    works.completions.script.append(Ambiguous("connection broke"))
    async with works.running():
        await works.hears()
        await works.passes(10.0)

        assert [note.fields["outcome"] for note in notes(works, "lookup.ended")] == ["absent"]
