"""The contract of turns, of the leases they are written under, and of the quota they spend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import Permanent, Superseded
from gateway.messages import (
    Address,
    BotCounts,
    Deleted,
    Delivery,
    Ending,
    Part,
    Receipt,
)
from gateway.ports import Clock, Journal, Lease
from tests.clock import FakeClock
from tests.contracts.journal_kit import ANSWER, CHANNEL, Desk, intake, key, said, spend, take, texts, waiting


class TurnContract:
    async def test_a_turn_is_its_messages_in_order_as_they_were_said(
        self, journal: Journal, desk: Desk, clock: Clock
    ) -> None:
        first, second = (said(text, id_=text, context={"chat_id": 1}) for text in ("one", "two"))
        await take(journal, intake("m1", first), intake("m2", second))

        turn = await desk.claim("t1", "m2", "m1")
        assert turn is not None
        assert ("t1", "acme", key(), "claimed", 0) == (
            turn.id,
            turn.organization,
            turn.key,
            turn.state,
            turn.attempt,
        )
        assert [first, second] == [message.said for message in turn.messages]
        assert ("one\ntwo", clock.now(), []) == (turn.text, turn.claimed_at, await waiting(journal))

    async def test_a_conversation_has_one_turn_in_flight(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("m2"), intake("m3", said(chat="c2")))
        await desk.claim("t1", "m1")

        assert None is await desk.claim("t2", "m2")
        assert ["m2", "m3"] == await waiting(journal)
        assert None is not await desk.claim("t3", "m3")
        await journal.finish("t1", desk.turns, ANSWER)
        assert None is not await desk.claim("t2", "m2")

    async def test_claiming_again_under_the_same_id_returns_the_same_turn(
        self, journal: Journal, desk: Desk
    ) -> None:
        await take(journal, intake("m1"), intake("m2"))

        first = await desk.claim("t1", "m1")
        assert None is not first
        assert first == await desk.claim("t1", "m1", "m2")
        assert ["m2"] == await waiting(journal)

    async def test_a_claim_takes_what_still_waits(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("m2"), intake("d1", Deleted(key=key(), message_id="m1")))

        turn = await desk.claim("t1", "m1", "m2", "nonsense")
        assert turn is not None
        assert ["m2"] == [message.id for message in turn.messages]
        assert await desk.claim("t2", "m1", "nonsense") is None

    async def test_a_message_is_claimed_once(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("r1", verdict="record"))

        assert await desk.claim("t1", "r1") is not None
        assert await desk.claim("t2", "r1") is None

    async def test_context_is_claimed_beside_a_turn_in_flight(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("r1", verdict="record"), intake("r2", verdict="record"))

        turns = [await desk.claim(f"t-{id_}", id_) for id_ in ("r1", "m1", "r2")]
        assert [
            ["record"],
            ["ask"],
            ["record"],
        ] == [[message.said.kind for message in turn.messages] for turn in turns if turn]

    async def test_a_stored_context_record_is_no_answered_turn(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("r1", verdict="record"))
        await desk.claim("t1", "r1")
        await journal.finish("t1", desk.turns, Ending(outcome="answered"))

        life = await journal.message("r1")
        assert life is not None
        assert ("recorded", {}) == (life.status, await journal.counts())

    async def test_asking_commits_attempt_time_and_spend(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await take(journal, intake("m1"))
        await desk.claim("t1", "m1")
        first = await journal.asked("t1", desk.turns, spend("s1"))
        await clock.advance(5.0)
        second = await journal.asked("t1", desk.turns, spend("s2"))

        assert ("asked", 1, clock.now() - 5.0) == (first.state, first.attempt, first.asked_at)
        assert (2, clock.now()) == (second.attempt, second.asked_at)
        assert ["s1", "s2"] == [s.id for s in await journal.spent_since("acme", 0.0)]

    async def test_asking_twice_with_one_spend_is_asking_once(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"))
        await desk.claim("t1", "m1")
        first = await journal.asked("t1", desk.turns, spend("s1"))

        assert first == await journal.asked("t1", desk.turns, spend("s1"))
        assert 1 == len(await journal.spent_since("acme", 0.0))

    async def test_a_turn_may_be_claimed_and_asked_in_one(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("m2", said(chat="c2")))
        for _ in range(2):
            turn = await journal.claim("t1", ["m1"], desk.turns, spend("s1"))

            assert turn is not None
            assert ("asked", 1) == (turn.state, turn.attempt)
        assert None is await journal.claim("t2", ["m1"], desk.turns, spend("s2"))
        assert ["s1"] == [spent.id for spent in await journal.spent_since("acme", 0.0)]

    async def test_an_ended_turn_is_not_asked(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"))
        await desk.claim("t1", "m1")
        await journal.finish("t1", desk.turns, ANSWER)

        assert "ended" == (await journal.asked("t1", desk.turns, spend("s1"))).state
        assert [] == await journal.spent_since("acme", 0.0)

    async def test_an_unknown_turn_is_not_asked(self, journal: Journal, desk: Desk) -> None:
        with pytest.raises(Permanent):
            await journal.asked("t1", desk.turns, spend("s1"))

        assert [] == await journal.spent_since("acme", 0.0)

    async def test_finishing_puts_the_parts_into_the_outbox(
        self, journal: Journal, desk: Desk, clock: Clock
    ) -> None:
        await take(journal, intake("m1"), intake("m2"))
        await desk.claim("t1", "m1", "m2")
        parts = (Part(text="one", payload={"entities": []}), Part(text="two"))
        await journal.finish("t1", desk.turns, Ending(outcome="answered", parts=parts))

        [delivery] = await desk.outgoing()
        assert delivery == Delivery(
            id="t1.answer.0",
            organization="acme",
            key=key(),
            address=Address(to="c1", data={"reply_to": "m2"}),
            part=parts[0],
            owner="t1",
            index=0,
            count=2,
            created_at=clock.now(),
            attempt=1,
            in_reply_to="m2",
        )

    async def test_an_ended_turn_is_not_ended_again(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"))
        await desk.claim("t1", "m1")
        await journal.finish("t1", desk.turns, ANSWER)
        await journal.finish("t1", desk.turns, Ending(outcome="failed", parts=(Part(text="no"),)))
        await journal.finish("t9", desk.turns, ANSWER)

        assert ["hi", "Hello!"] == await texts(journal)
        assert {"shop": BotCounts(answered=1)} == await journal.counts()

    async def test_a_new_dispatcher_inherits_what_was_asked_and_puts_back_what_was_not(
        self, journal: Journal
    ) -> None:
        await take(journal, *(intake(f"m{n}", said(chat=f"c{n}")) for n in range(3)))
        async with journal.hold("dispatcher/acme") as old:
            await journal.claim("t0", ["m0"], old)
            asked = await journal.claim("t1", ["m1"], old)
            await journal.asked("t1", old, spend("s1"))
        for _ in range(3):  # the stranger's token is the greatest
            async with journal.hold("dispatcher/umbrella"):
                pass
        async with journal.hold("dispatcher/umbrella") as stranger, journal.hold("dispatcher/acme") as new:
            await journal.claim("t2", ["m2"], new)

            assert [] == await journal.inherit_turns(stranger)
            assert asked is not None
            assert [("t1", "asked", 1, asked.messages)] == [
                (turn.id, turn.state, turn.attempt, turn.messages)
                for turn in await journal.inherit_turns(new)
            ]
            assert ["m0"] == await waiting(journal)
            assert [] == await journal.inherit_turns(new)

    async def test_turns_of_several_conversations_are_refused(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("m2", said(chat="c2")))

        with pytest.raises(ValueError, match="several conversations"):
            await desk.claim("t1", "m1", "m2")
        assert ["m1", "m2"] == await waiting(journal)


Late = Callable[[Journal, Lease], Awaitable[object]]
_DELIVERY = Delivery(
    id="d",
    organization="acme",
    key=key(),
    address=Address(to="c1"),
    part=Part(text="x"),
    owner="t",
    index=0,
    count=1,
    created_at=0.0,
)
LATE_WRITES: dict[str, Late] = {
    "claim": lambda journal, lease: journal.claim("t1", ["m1"], lease),
    "asked": lambda journal, lease: journal.asked("t1", lease, spend("s1")),
    "finish": lambda journal, lease: journal.finish("t1", lease, ANSWER),
    "inherit_turns": lambda journal, lease: journal.inherit_turns(lease),
    "claim_deliveries": lambda journal, lease: journal.claim_deliveries(CHANNEL, lease, 1),
    "delivered": lambda journal, lease: journal.delivered(_DELIVERY, lease, Receipt()),
    "postpone": lambda journal, lease: journal.postpone(CHANNEL, lease, 2e9),
    "bury": lambda journal, lease: journal.bury(_DELIVERY, lease, "gone"),
    "kill_lane": lambda journal, lease: journal.kill_lane(CHANNEL, lease, "c1", "gone"),
    "inherit_deliveries": lambda journal, lease: journal.inherit_deliveries(CHANNEL, lease),
}


class LeaseContract:
    @pytest.mark.parametrize("write", LATE_WRITES.values(), ids=LATE_WRITES.keys())
    async def test_a_late_owner_is_refused(self, journal: Journal, write: Late) -> None:
        await take(journal, intake("m1"))
        async with journal.hold("some/thing") as old:
            pass
        async with journal.hold("some/thing"):
            with pytest.raises(Superseded):
                await write(journal, old)

        assert ["m1"] == await waiting(journal)

    async def test_tokens_grow_and_a_second_holder_waits_for_the_first(self, journal: Journal) -> None:
        order: list[str] = []
        async with journal.hold("x") as first:
            second = asyncio.ensure_future(self._hold(journal, order))
            async with journal.hold("y") as other:  # another name does not wait
                assert "y" == other.name
            order.append("first")
            assert not second.done()

        assert first.token < await asyncio.wait_for(second, 5)
        assert ["first", "second"] == order
        assert not first.lost

    @staticmethod
    async def _hold(journal: Journal, order: list[str]) -> int:
        async with journal.hold("x") as lease:
            order.append("second")
            return lease.token

    async def test_a_refused_write_does_not_hurt_the_writes_beside_it(self, journal: Journal) -> None:
        async with journal.hold("x") as old:
            pass
        async with journal.hold("x"):
            writes = [take(journal, intake(f"m{n}", said(chat=f"c{n}"))) for n in range(20)]
            writes.insert(10, journal.finish("t1", old, ANSWER))  # type: ignore[arg-type]
            results = await asyncio.gather(*writes, return_exceptions=True)

        assert isinstance(results.pop(10), Superseded)
        assert [["accepted"]] * 20 == results
        assert 20 == await journal.queue("acme")


class SpendContract:
    async def test_spends_are_read_back_by_time_and_count_once(
        self, journal: Journal, clock: FakeClock
    ) -> None:
        await journal.spend(spend("s1", kind="user", completion=False, bot="shop", upload=True))
        await journal.spend(spend("s1"))
        await clock.advance(10.0)
        await journal.spend(spend("s2"))
        await journal.spend(spend("x1", organization="umbrella"))

        first, second = await journal.spent_since("acme", 0.0)
        assert first == spend(
            "s1", kind="user", completion=False, bot="shop", upload=True, at=clock.now() - 10.0
        )
        assert [second] == await journal.spent_since("acme", first.at)

    async def test_a_refunded_spend_is_gone(self, journal: Journal) -> None:
        await journal.spend(spend("s1"))
        await journal.refund("umbrella", "s1")
        assert 1 == len(await journal.spent_since("acme", 0.0))
        await journal.refund("acme", "s1")

        assert [] == await journal.spent_since("acme", 0.0)
