"""The contract of the outbox: lanes in order, nothing lost, nothing sent twice unknowingly."""

from __future__ import annotations

import pytest

from gateway.ports import Journal
from tests.clock import FakeClock
from tests.contracts.journal_kit import CHANNEL, Desk, intake, key, notices, said, take


class OutboxContract:
    async def test_a_lane_sends_one_part_at_a_time_in_order(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one", "two")
        [first] = await desk.outgoing()

        assert [] == await desk.outgoing()
        await desk.sent(first)
        [second] = await desk.outgoing()
        assert [first.part.text, second.part.text] == ["one", "two"]

    async def test_lanes_go_beside_each_other_oldest_first(self, journal: Journal, desk: Desk) -> None:
        await take(journal, *(intake(f"m{n}", said(chat=f"c{n}")) for n in (3, 1, 2)))
        for n in (3, 1, 2):
            await desk.answer(f"m{n}", f"to {n}", "more")

        assert ["to 3", "to 1"] == [delivery.part.text for delivery in await desk.outgoing(2)]
        assert ["to 2"] == [delivery.part.text for delivery in await desk.outgoing(2)]

    async def test_a_channel_sees_only_its_own_parts(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1", said(key=key(bot="support"))))
        await desk.answer("m1", "elsewhere")

        assert [] == await desk.outgoing()

    async def test_a_postponed_part_holds_its_lane_and_counts_its_attempts(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await take(journal, intake("m1"), intake("m2", said(chat="c2")))
        await desk.answer("m1", "one", "two")
        await desk.answer("m2", "other")
        first, other = await desk.outgoing()
        await desk.sent(other)
        due = clock.now() + 30.0
        await journal.postpone(CHANNEL, desk.parts, due, delivery=first)

        assert [] == await desk.outgoing()
        assert due == await journal.next_due(CHANNEL)
        await clock.advance(30.0)
        [again] = await desk.outgoing()
        assert (again.part.text, first.attempt, again.attempt) == ("one", 1, 2)
        assert None is await journal.next_due(CHANNEL)

    async def test_a_postponed_lane_waits_while_others_go(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await take(journal, intake("m1"), intake("m2", said(chat="c2")))
        await desk.answer("m1", "one")
        await desk.answer("m2", "two")
        await journal.postpone(CHANNEL, desk.parts, clock.now() + 30.0, lane="c1")

        assert ["two"] == [delivery.part.text for delivery in await desk.outgoing()]
        assert clock.now() + 30.0 == await journal.next_due(CHANNEL)
        await clock.advance(30.0)
        assert ["one"] == [delivery.part.text for delivery in await desk.outgoing()]

    async def test_a_postponed_channel_waits_as_a_whole(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one")
        await journal.postpone(CHANNEL, desk.parts, clock.now() + 30.0)

        assert [] == await desk.outgoing()
        assert clock.now() + 30.0 == await journal.next_due(CHANNEL)
        await journal.postpone(CHANNEL, desk.parts, clock.now())
        assert 1 == len(await desk.outgoing())

    async def test_a_due_time_that_passed_meanwhile_is_still_told(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one")
        await journal.postpone(CHANNEL, desk.parts, clock.now() + 1.0, lane="c1")
        await clock.advance(2.0)

        assert clock.now() - 1.0 == await journal.next_due(CHANNEL)

    async def test_nothing_is_due_without_a_postponed_part(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await journal.postpone(CHANNEL, desk.parts, clock.now() + 30.0)
        assert None is await journal.next_due(CHANNEL)
        await take(journal, intake("m1", said(chat="c2"), verdict="answer", endings=notices("answer")))

        assert clock.now() + 30.0 == await journal.next_due(CHANNEL)

    @pytest.mark.parametrize("unknown", [False, True])
    async def test_a_buried_part_lets_the_next_one_go(
        self, journal: Journal, desk: Desk, unknown: bool
    ) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one", "two")
        [first] = await desk.outgoing()
        await journal.bury(first, desk.parts, "too odd", unknown=unknown)

        life = await journal.message("m1")
        assert life is not None
        assert ("unknown" if unknown else "dead", "too odd") == (life.parts[0].state, life.parts[0].cause)
        assert ["two"] == [delivery.part.text for delivery in await desk.outgoing()]
        assert 1 == (await journal.counts())["shop"].dead_letters

    async def test_a_part_that_did_arrive_is_sent_even_if_given_up(
        self, journal: Journal, desk: Desk
    ) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one")
        [part] = await desk.outgoing()
        await journal.bury(part, desk.parts, "no answer", unknown=True)
        await desk.sent(part)
        await desk.sent(part)

        life = await journal.message("m1")
        assert life is not None
        assert (
            life.parts[0].state,
            life.parts[0].platform_ids,
            life.parts[0].cause,
        ) == ("sent", ("p1",), None)

    async def test_a_sent_part_is_neither_buried_nor_postponed(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one")
        [part] = await desk.outgoing()
        await desk.sent(part)
        await journal.bury(part, desk.parts, "late")
        await journal.postpone(CHANNEL, desk.parts, clock.now(), delivery=part)

        assert [] == await desk.outgoing()
        assert 0 == (await journal.counts())["shop"].dead_letters

    async def test_a_killed_lane_buries_all_of_it_and_nothing_else(
        self, journal: Journal, desk: Desk
    ) -> None:
        await take(journal, intake("m1"), intake("m2", said(chat="c2")))
        await desk.answer("m1", "one", "two")
        await desk.answer("m2", "other")
        await desk.outgoing(1)

        assert 2 == await journal.kill_lane(CHANNEL, desk.parts, "c1", "blocked")
        assert ["other"] == [delivery.part.text for delivery in await desk.outgoing()]
        assert 2 == (await journal.counts())["shop"].dead_letters

    async def test_a_new_courier_inherits_what_was_being_sent(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("m2", said(chat="c2")))
        await desk.answer("m1", "one", "two")
        await desk.answer("m2", "other")
        async with journal.hold("courier") as old:
            [left] = await journal.claim_deliveries(CHANNEL, old, 1)
        async with journal.hold("courier") as new:
            mine = await journal.claim_deliveries(CHANNEL, new, 5)

            assert ["other"] == [delivery.part.text for delivery in mine]
            assert [left] == await journal.inherit_deliveries(CHANNEL, new)
            assert [] == await journal.inherit_deliveries(CHANNEL, new)
