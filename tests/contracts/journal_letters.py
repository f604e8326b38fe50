"""The contract of dead letters: what was given up is seen, taken up again, or forgotten."""

from __future__ import annotations

import pytest

from gateway.errors import Permanent
from gateway.messages import Ending, Part, Unreadable
from gateway.ports import Journal, Retention
from tests.clock import FakeClock
from tests.contracts.journal_kit import (
    ANSWER,
    CHANNEL,
    Desk,
    intake,
    key,
    notices,
    purge_all,
    said,
    spend,
    take,
    waiting,
)

FAILED = Ending(outcome="failed", cause="Sensay answered 500", parts=(Part(text="Sorry", purpose="error"),))


async def fail(journal: Journal, desk: Desk, *messages: str, turn: str = "t1") -> None:
    await take(journal, *(intake(id_) for id_ in messages))
    await desk.claim(turn, *messages)
    await journal.asked(turn, desk.turns, spend(turn))
    await journal.finish(turn, desk.turns, FAILED)


async def letters(journal: Journal, **which: object) -> list[str]:
    return [letter.id for letter in await journal.dead_letters(**which)]  # type: ignore[arg-type]


class DeadLetterContract:
    async def test_a_failed_turn_is_a_dead_letter_with_its_cause(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await fail(journal, desk, "m1", "m2")
        [letter] = await journal.dead_letters()

        assert letter == await journal.dead_letter("t1")
        assert ("t1", "turn", "failed", "Sensay answered 500", "m2", clock.now(), key()) == (
            letter.id,
            letter.kind,
            letter.outcome,
            letter.cause,
            letter.message,
            letter.at,
            letter.key,
        )

    async def test_what_ended_well_is_none(self, journal: Journal, desk: Desk) -> None:
        await take(
            journal,
            intake("m1"),
            intake("m2", said(chat="c2"), verdict="answer", endings=notices("answer")),
            intake("r1", said(chat="c3"), verdict="record"),
        )
        await desk.answer("m1", "one")
        for part in await desk.outgoing():
            await desk.sent(part)
        await desk.claim("t2", "r1")
        await journal.finish("t2", desk.turns, Ending(outcome="failed", cause="dropped"))

        assert [] == await letters(journal)

    async def test_letters_are_listed_from_the_newest_in_pages_and_by_bot(
        self, journal: Journal, desk: Desk
    ) -> None:
        for n in range(3):
            await fail(journal, desk, f"m{n}", turn=f"t{n}")
        first = await journal.dead_letters(limit=2)

        assert ["t2", "t1"] == [letter.id for letter in first]
        assert ["t0"] == await letters(journal, before=first[-1].seq)
        assert [] == await letters(journal, bot="other")
        assert None is await journal.dead_letter("m0")

    async def test_a_retried_turn_waits_to_be_asked_as_if_it_were_new(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await take(
            journal,
            intake("m1", said(deadline=clock.now() + 5.0)),
            intake("m2"),
            intake("m3", said(chat="c2")),
        )
        await desk.claim("t1", "m1", "m2")
        await journal.finish("t1", desk.turns, FAILED)
        seen = (await journal.waiting("acme"))[-1].seq
        await clock.advance(3600.0)
        async with journal.watch("inbox/acme") as watch:
            assert await journal.retry("t1")
            assert [{}] == watch.drain()
        heads = await journal.waiting("acme", seen)
        turn = await desk.claim("t2", "m1", "m2")

        assert ["m1", "m2"] == [head.id for head in heads]
        assert [(clock.now(), None)] * 2 == [(head.accepted_at, head.deadline) for head in heads]
        assert turn is not None
        assert ["hi", "hi"] == [message.said.text for message in turn.messages]
        assert [] == await letters(journal)

    async def test_a_retried_turn_that_succeeds_is_answered_under_the_old_reference(
        self, journal: Journal, desk: Desk
    ) -> None:
        await fail(journal, desk, "m1")
        await journal.retry("t1")
        await desk.claim("t2", "m1")
        await journal.finish("t2", desk.turns, ANSWER)
        life = await journal.message("t1")

        assert life is not None
        assert ("m1", "answered", "t2") == (life.id, life.status, life.turn)

    async def test_a_retried_turn_keeps_its_text_and_its_place_in_the_log(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await fail(journal, desk, "m1")
        before = [(entry.seq, entry.id) for entry in (await journal.log(key())).entries]
        await journal.retry("t1")
        await clock.advance(10 * 86_400.0)
        await purge_all(journal, Retention())

        assert before[:1] == [(entry.seq, entry.id) for entry in (await journal.log(key())).entries][:1]
        assert None is not await desk.claim("t2", "m1")

    async def test_a_message_accepted_after_a_retry_comes_behind_it(
        self, journal: Journal, desk: Desk
    ) -> None:
        await fail(journal, desk, "m1")
        await journal.retry("t1")
        await take(journal, intake("m2"))

        assert ["m1", "m2"] == await waiting(journal)

    @pytest.mark.parametrize("unknown", [False, True])
    async def test_a_buried_part_is_a_letter_and_is_sent_when_retried(
        self, journal: Journal, desk: Desk, unknown: bool
    ) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one")
        [part] = await desk.outgoing()
        await journal.bury(part, desk.parts, "no answer", unknown=unknown)
        [letter] = await journal.dead_letters()
        async with journal.watch(f"outbox/{CHANNEL}") as watch:
            assert await journal.retry(letter.id)
            assert [{}] == watch.drain()
        [again] = await desk.outgoing()

        assert (part.id, "part", "unknown" if unknown else "dead", "no answer", "m1") == (
            letter.id,
            letter.kind,
            letter.outcome,
            letter.cause,
            letter.message,
        )
        assert (part.id, 1) == (again.id, again.attempt)
        assert [] == await letters(journal)

    async def test_a_killed_lane_leaves_a_letter_for_each_part(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one", "two")
        await journal.kill_lane(CHANNEL, desk.parts, "c1", "blocked")

        assert 2 == len(await letters(journal))

    async def test_a_part_that_did_arrive_is_no_letter_any_more(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one")
        [part] = await desk.outgoing()
        await journal.bury(part, desk.parts, "no answer", unknown=True)
        await desk.sent(part)

        assert [] == await letters(journal)

    async def test_an_unreadable_update_is_a_letter_with_what_came(self, journal: Journal) -> None:
        odd = Unreadable(bot="shop", platform="telegram", raw='{"odd": 1}', error="KeyError", dedupe=("7",))
        await take(journal, intake("m1", odd))
        letter = await journal.dead_letter("m1")

        assert letter is not None
        assert ("update", "quarantined", "KeyError", '{"odd": 1}') == (
            letter.kind,
            letter.outcome,
            letter.cause,
            letter.raw,
        )
        with pytest.raises(Permanent):
            await journal.retry("m1")
        assert ["m1"] == await letters(journal)

    async def test_a_dropped_letter_is_gone_and_its_life_stays(self, journal: Journal, desk: Desk) -> None:
        await fail(journal, desk, "m1")

        assert [True, False] == [await journal.drop("t1"), await journal.drop("t1")]
        assert not await journal.retry("t1")
        life = await journal.message("t1")
        assert life is not None
        assert "failed" == life.status

    async def test_what_has_lost_its_text_cannot_be_retried_and_says_so(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await fail(journal, desk, "m1")
        [part] = await desk.outgoing()
        await journal.bury(part, desk.parts, "no answer")
        await clock.advance(86_401.0)
        await purge_all(journal, Retention())

        for letter in await letters(journal):
            with pytest.raises(Permanent, match="retention"):
                await journal.retry(letter)
        assert 2 == len(await letters(journal))

    async def test_letters_go_with_their_traces_and_with_their_conversation(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await fail(journal, desk, "m1")
        await take(journal, intake("m2", said(chat="c2")))
        await desk.claim("t2", "m2")
        await journal.finish("t2", desk.turns, FAILED)
        await journal.forget(key("c2"))
        assert ["t1"] == await letters(journal)
        await clock.advance(7 * 86_400.0)
        await purge_all(journal, Retention())

        assert [] == await letters(journal)
