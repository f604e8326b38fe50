"""Parts on their way out: lanes in order, trouble where it belongs, every part's end written down."""

from __future__ import annotations

import asyncio
from itertools import count, pairwise
from typing import Any

import pytest

from gateway.errors import Ambiguous, Misconfigured, Permanent, RateLimited, Superseded, Transient
from gateway.journal.leases import draw
from gateway.messages import Address, Channel, ConversationKey, Delivery, Ending, Part, Sender
from gateway.policy.retry import SEND_ATTEMPTS
from gateway.ports import DeliveryEnded, Intake, Noted
from tests.fakes import FakeAdapter, TroubledJournal
from tests.pipeline.works import CHANNEL, Works, quiet

_numbers = count(1)


async def answered(works: Works, *texts: str, to: str = "c1") -> list[str]:
    """A reply of these parts is in the outbox; returns its delivery ids."""
    number = next(_numbers)
    (message,) = await works.journal.accept(
        [Intake(id=f"m{number}", organization="acme", arrival=works.said(chat=to))]
    )
    async with works.journal.hold("dispatcher/acme") as lease:
        turn = await works.journal.claim(f"t{number}", [message.id], lease)
        parts = tuple(Part(text=text) for text in texts)
        await works.journal.finish(turn.id, lease, Ending(outcome="answered", parts=parts))
    await quiet()
    return [f"t{number}.answer.{index}" for index in range(len(texts))]


async def state(works: Works, delivery: str) -> str:
    life = await works.journal.message(delivery)
    return next(part.state for part in life.parts if part.id == delivery)


async def cause(works: Works, delivery: str) -> str | None:
    life = await works.journal.message(delivery)
    return next(part.cause for part in life.parts if part.id == delivery)


async def test_a_part_is_sent_and_its_receipt_kept(works: Works):
    async with works.delivering():
        (delivery,) = await answered(works, "hello")

    life = await works.journal.message(delivery)
    assert works.adapter.texts == ["hello"]
    assert life.parts[0].state == "sent"
    assert life.parts[0].platform_ids == ("p1",)


async def test_the_end_of_a_reply_is_told(works: Works):
    async with works.delivering():
        await answered(works, "one", "two")

    ended = works.facts.of(DeliveryEnded)
    assert [fact.outcome for fact in ended] == ["sent", "sent"]
    assert [fact.last for fact in ended] == [False, True]
    assert {fact.owner for fact in ended} == {ended[0].delivery.partition(".")[0]}
    assert ended[0].conversation == "shop/telegram/c1"


# --- lanes ---


async def test_a_lane_sends_one_part_at_a_time_in_order(works: Works):
    works.adapter.gate.clear()
    async with works.delivering():
        await answered(works, "one", "two")
        await answered(works, "three")
        under_way = [delivery.part.text for delivery in works.adapter.tried]
        works.adapter.gate.set()
        await quiet()

    assert under_way == ["one"]
    assert works.adapter.texts == ["one", "two", "three"]
    assert works.adapter.most_sending == 1


async def test_lanes_are_served_in_parallel(works: Works):
    works.adapter.gate.clear()
    async with works.delivering():
        for number in range(5):
            await answered(works, "hello", to=f"c{number}")

        assert works.adapter.sending == 5


async def test_a_channel_sends_at_most_so_many_parts_at_once(works: Works):
    works.adapter.gate.clear()
    async with works.delivering() as courier:
        for number in range(40):
            await answered(works, "hello", to=f"c{number}")
        under_way = works.adapter.sending
        idle = courier.idle
        works.adapter.gate.set()
        await quiet()

        assert under_way == 32
        assert not idle
        assert len(works.adapter.sent) == 40
        assert courier.idle


class GatedClaims:
    """A journal that gives out parts only while `open`."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal
        self.open = asyncio.Event()
        self.open.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def claim_deliveries(self, *args: Any) -> list[Delivery]:
        await self.open.wait()
        return await self._journal.claim_deliveries(*args)


async def test_parts_that_a_claim_had_no_room_for_go_although_sends_ended_meanwhile(works: Works):
    works.journal = journal = GatedClaims(works.journal)
    paused = asyncio.Event()
    works.adapter.gate.clear()
    async with works.delivering(paused=paused.is_set) as courier:
        for number in range(10):
            await answered(works, "hello", to=f"c{number}")
        paused.set()
        for number in range(10, 70):
            await answered(works, "hello", to=f"c{number}")
        paused.clear()
        journal.open.clear()
        courier.ring()
        await quiet()  # there is room for 22 of the 60
        works.adapter.gate.set()
        await quiet()
        journal.open.set()
        await quiet()

        assert len(works.adapter.sent) == 70


async def test_another_channels_parts_are_left_alone(works: Works):
    async with works.delivering(Channel(bot="shop", platform="discord")):
        await answered(works, "hello")

        assert works.adapter.tried == []


# --- trouble ---


async def test_a_flood_wait_holds_its_lane_only(works: Works):
    works.adapter.fail(RateLimited("flood", retry_after=30.0), to="c1")
    async with works.delivering():
        await answered(works, "one", "two", to="c1")
        await answered(works, "other", to="c2")
        at_once = list(works.adapter.texts)
        await works.passes(29.0)
        before = list(works.adapter.texts)
        await works.passes(2.0)

    assert at_once == ["other"]
    assert before == ["other"]
    assert works.adapter.texts == ["other", "one", "two"]
    assert works.facts.outcomes(DeliveryEnded) == ["retried", "sent", "sent", "sent"]


async def test_a_flood_wait_of_the_channel_holds_all_lanes(works: Works):
    works.adapter.fail(RateLimited("flood", retry_after=30.0, scope="channel"), to="c1")
    async with works.delivering():
        await answered(works, "one", to="c1")
        await answered(works, "other", to="c2")
        await works.passes(29.0)
        before = list(works.adapter.texts)
        await works.passes(2.0)

    assert before == []
    assert sorted(works.adapter.texts) == ["one", "other"]


async def test_a_flood_wait_outlives_the_process(works: Works):
    works.adapter.fail(RateLimited("flood", retry_after=30.0))
    async with works.delivering():
        await answered(works, "one")
    async with works.delivering():
        await works.passes(29.0)
        before = list(works.adapter.texts)
        await works.passes(2.0)

    assert before == []
    assert works.adapter.texts == ["one"]


async def test_what_did_not_leave_is_sent_again_with_ever_longer_pauses(works: Works):
    works.adapter.fail(*[Transient("refused")] * 4)
    async with works.delivering():
        await answered(works, "one")
        times = [works.clock.now()]
        while not works.adapter.sent:
            tried = len(works.adapter.tried)
            await works.passes(0.25)
            if len(works.adapter.tried) > tried:
                times.append(works.clock.now())

    pauses = [after - before for before, after in pairwise(times)]
    assert len(pauses) == 4
    assert pauses == sorted(pauses)
    assert pauses[-1] > 4 * pauses[0]


async def test_what_never_leaves_is_given_up(works: Works):
    works.adapter.fail(*[Transient("refused")] * 100)
    async with works.delivering():
        one, two = await answered(works, "one", "two")
        await works.passes(600.0)

        assert len([part for part in works.adapter.tried if part.part.text == "one"]) == SEND_ATTEMPTS
        assert await state(works, one) == "dead"
        assert await state(works, two) in {"dead", "waiting"}
        assert (await works.journal.counts())["shop"].dead_letters >= 1


async def test_a_refused_part_is_buried_and_the_next_one_goes_on(works: Works):
    works.adapter.fail(Permanent("too long"))
    async with works.delivering():
        one, two = await answered(works, "one", "two")

        assert await state(works, one) == "dead"
        assert await cause(works, one) == "too long"
        assert await state(works, two) == "sent"
        assert works.facts.outcomes(DeliveryEnded) == ["dead", "sent"]


async def test_a_chat_that_blocked_the_bot_loses_all_its_parts_and_no_other_does(works: Works):
    works.adapter.fail(Permanent("blocked by the user", scope="lane"), to="c1")
    async with works.delivering():
        parts = await answered(works, "one", "two", "three", to="c1")
        (other,) = await answered(works, "other", to="c2")

        assert [await state(works, part) for part in parts] == ["dead"] * 3
        assert await state(works, other) == "sent"
        assert len(works.adapter.tried) == 2
        [dead] = [end for end in works.facts.of(DeliveryEnded) if end.outcome == "dead"]
        assert dead.dropped == 2


async def test_a_person_who_unblocks_the_bot_is_answered_again(works: Works):
    works.adapter.fail(Permanent("blocked by the user", scope="lane"))
    async with works.delivering():
        await answered(works, "one")
        await answered(works, "two")

    assert works.adapter.texts == ["two"]


async def test_a_misconfigured_channel_keeps_its_parts(works: Works):
    works.adapter.fail(Misconfigured("token revoked", remedy="make a new one"))
    async with works.delivering():
        (one,) = await answered(works, "one")
        before = await state(works, one)
        await works.passes(11.0)

        assert before == "waiting"
        assert await state(works, one) == "sent"


async def test_an_adapters_own_fault_concerns_one_part(works: Works):
    works.adapter.fail(ZeroDivisionError("oops"))
    async with works.delivering():
        one, two = await answered(works, "one", "two")

        assert await state(works, one) == "unknown"
        assert await state(works, two) == "sent"
        assert "delivery.crashed" in [noted.event for noted in works.facts.of(Noted)]


# --- an unknown outcome ---


async def test_an_unknown_outcome_is_dropped_where_a_repetition_would_show(works: Works):
    works.adapter.fail(Ambiguous("timeout"))
    async with works.delivering():
        one, two = await answered(works, "one", "two")
        await works.passes(10.0)

        assert await state(works, one) == "unknown"
        assert works.adapter.texts == ["two"]
        assert works.facts.outcomes(DeliveryEnded) == ["unknown", "sent"]
        assert await state(works, two) == "sent"


async def test_an_unknown_outcome_is_sent_once_more_if_the_operator_wants_it(works: Works):
    works.adapter.fail(Ambiguous("timeout"), Ambiguous("timeout"))
    async with works.delivering(repeat_unknown=True):
        one, two = await answered(works, "one", "two")
        await works.passes(10.0)

        assert [delivery.part.text for delivery in works.adapter.tried] == ["one", "one", "two"]
        assert await state(works, one) == "unknown"
        assert await state(works, two) == "sent"


async def test_where_a_repetition_does_not_show_it_is_repeated_until_it_is_known(works: Works):
    works.adapter = FakeAdapter(idempotent=True)
    works.adapter.fail(*[Ambiguous("timeout")] * 3)
    async with works.delivering():
        (one,) = await answered(works, "one")
        await works.passes(60.0)

        assert await state(works, one) == "sent"
        assert len({delivery.id for delivery in works.adapter.tried}) == 1
        assert works.facts.outcomes(DeliveryEnded) == ["retried", "retried", "retried", "sent"]


async def interrupted(works: Works, *errors: Exception) -> str:
    """A part that was being sent when the process ended, after these errors."""
    works.adapter.fail(*errors)
    async with works.delivering():
        (delivery,) = await answered(works, "one")
        works.adapter.gate.clear()
        if errors:
            await works.passes(60.0)
        else:
            (delivery,) = await answered(works, "one")
    works.adapter.gate.set()
    assert await state(works, delivery) == "sending"
    works.adapter.sent.clear()
    works.adapter.tried.clear()
    works.facts.clear()
    return delivery


async def test_a_part_under_way_when_the_process_ended_is_unknown(works: Works):
    delivery = await interrupted(works)
    async with works.delivering():
        await answered(works, "next")
        await works.passes(10.0)

        assert await state(works, delivery) == "unknown"
        assert works.adapter.texts == ["next"]
        assert works.facts.outcomes(DeliveryEnded) == ["unknown", "sent"]


async def test_a_part_under_way_is_sent_once_more_if_the_operator_wants_it(works: Works):
    delivery = await interrupted(works)
    async with works.delivering(repeat_unknown=True):
        await answered(works, "next")
        await works.passes(10.0)

        assert await state(works, delivery) == "sent"
        assert works.adapter.texts == ["one", "next"]


@pytest.mark.parametrize("errors", [(), (RateLimited("flood", retry_after=5.0),)])
async def test_a_part_under_way_is_always_repeated_where_a_repetition_does_not_show(
    works: Works, errors: tuple[Exception, ...]
):
    works.adapter = FakeAdapter(idempotent=True)
    delivery = await interrupted(works, *errors)
    async with works.delivering():
        await works.passes(10.0)

        assert await state(works, delivery) == "sent"
        assert [tried.id for tried in works.adapter.tried] == [delivery]


# --- the journal and the lease ---


async def test_what_the_platform_took_is_written_down_as_soon_as_the_journal_can(works: Works):
    works.journal = journal = TroubledJournal(works.journal)
    async with works.delivering():
        journal.fails["delivered"] = 3
        (one,) = await answered(works, "one")
        await works.passes(10.0)

        assert await state(works, one) == "sent"
        assert len(works.adapter.tried) == 1
        assert journal.failed["delivered"] == 3


@pytest.mark.parametrize("method", ["claim_deliveries", "next_due"])
async def test_a_journal_that_stumbles_delays_a_part_and_loses_none(works: Works, method: str):
    works.journal = journal = TroubledJournal(works.journal)
    async with works.delivering():
        journal.fails[method] = 3
        await answered(works, "one")
        await works.passes(10.0)

        assert works.adapter.texts == ["one"]
        assert journal.failed[method] == 3


async def test_a_late_courier_stops_when_its_channel_was_taken_over(works: Works):
    async with works.journal.hold(f"channel/{CHANNEL}") as lease:
        late = asyncio.ensure_future(works.courier(CHANNEL, lease).run())
        await quiet()
        await take_over(works)
        await answered(works, "one")

        with pytest.raises(Superseded):
            await late
        assert works.adapter.tried == []


async def take_over(works: Works) -> None:
    """Another process draws the lease's next token."""
    await works.journal._write(draw, f"channel/{CHANNEL}")


async def test_an_address_keeps_its_secret_on_its_way_and_shows_it_to_nobody(works: Works):
    said = works.said(
        key=ConversationKey(bot="shop", platform="telegram", chat="c9"),
        address=Address(to="c9", secret={"token": "interaction-secret"}),
        sender=Sender(id="ann"),
        answer_with="help",
    )
    async with works.delivering():
        await works.accept(said)
        await quiet()

    assert works.adapter.sent[0].address.secret == {"token": "interaction-secret"}
    assert "interaction-secret" not in repr(works.adapter.sent) + repr(list(works.facts))
