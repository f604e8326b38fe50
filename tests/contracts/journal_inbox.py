"""The contract of the inbox: dedupe, bounds and limits, amendments."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.messages import (
    Accepted,
    Address,
    Channel,
    Deleted,
    Edited,
    Head,
    Moved,
    Place,
    Sender,
    Unreadable,
)
from gateway.ports import Bounds, Clock, Intake, Journal
from tests.clock import FakeClock
from tests.contracts.journal_kit import (
    ANSWER,
    CHANNEL,
    Desk,
    intake,
    key,
    notices,
    said,
    take,
    texts,
    waiting,
)


class InboxContract:
    async def test_a_message_waits_and_its_head_says_all_but_the_text(
        self, journal: Journal, clock: Clock
    ) -> None:
        arrival = said(
            "four",
            id_="7",
            sender=Sender(id="bob", name="Bob"),
            place=Place(direct=False, channel="c1"),
            not_before=2.0,
            join_key="album",
            deadline=99.0,
            raw="{}",
        )

        assert [Accepted(id="m1", outcome="accepted")] == await journal.accept([intake("m1", arrival)])
        [head] = await journal.waiting("acme")
        assert head == Head(
            id="m1",
            seq=head.seq,
            key=key(),
            sender="bob",
            kind="ask",
            direct=False,
            sent_at=1.0,
            accepted_at=clock.now(),
            size=4,
            not_before=2.0,
            join_key="album",
            deadline=99.0,
        )

    async def test_heads_come_in_the_order_of_acceptance_and_page_by_seq(self, journal: Journal) -> None:
        await journal.accept([intake(f"m{n}", said(chat=f"c{n}")) for n in range(5)])
        await journal.accept([intake("other", said(chat="c9"), organization="umbrella")])

        heads = await journal.waiting("acme")
        assert [f"m{n}" for n in range(5)] == [head.id for head in heads]
        assert sorted(head.seq for head in heads) == [head.seq for head in heads]
        assert heads[2:4] == await journal.waiting("acme", after=heads[1].seq, limit=2)

    async def test_a_redelivered_update_is_accepted_once(self, journal: Journal) -> None:
        first = intake("m1", said(dedupe=("update:1", "message:c1:1")))
        again = intake("m2", said(dedupe=("update:1", "message:c1:1")))

        assert ["accepted"] == await take(journal, first)
        assert [Accepted(id="m1", outcome="duplicate")] == await journal.accept([again])
        assert ["m1"] == await waiting(journal)

    async def test_one_known_key_is_enough_and_makes_the_others_known(self, journal: Journal) -> None:
        await journal.accept([intake("m1", said(dedupe=("update:1", "message:1")))])
        await journal.accept([intake("m2", said(dedupe=("update:2", "message:1")))])

        assert "m1" == await journal.find(CHANNEL, "update:2")
        assert ["duplicate"] == await take(journal, intake("m3", said(dedupe=("update:2",))))

    async def test_dedupe_keys_of_other_bots_and_platforms_are_other_keys(self, journal: Journal) -> None:
        elsewhere = [key(bot="support"), key(platform="discord")]
        same = [intake("m1", said(dedupe=("1",)))]
        same += [intake(f"x{n}", said(key=k, dedupe=("1",))) for n, k in enumerate(elsewhere)]

        assert ["accepted"] * 3 == await take(journal, *same)
        assert None is await journal.find(Channel(bot="shop", platform="web"), "1")

    async def test_a_redelivery_within_one_batch_is_a_duplicate(self, journal: Journal) -> None:
        batch = [intake(id_, said(dedupe=("1",))) for id_ in ("m1", "m2")]

        assert ["accepted", "duplicate"] == await take(journal, *batch)

    async def test_a_repeated_key_with_another_body_is_a_mismatch(self, journal: Journal) -> None:
        bodies = ("a", "a", "b")
        batch = [intake(f"m{n}", said(dedupe=("k",), body_hash=body)) for n, body in enumerate(bodies)]

        assert ["accepted", "duplicate", "mismatch"] == await take(journal, *batch)
        assert ["m0"] == await waiting(journal)

    async def test_accepting_the_same_id_again_changes_nothing(self, journal: Journal) -> None:
        assert ["accepted", "duplicate"] == await take(journal, intake("m1"), intake("m1"))
        assert 1 == await journal.queue("acme")

    @pytest.mark.parametrize("verdict", ["deny", "ignore", "answer", "record"])
    async def test_a_redelivery_is_a_duplicate_whatever_became_of_the_first(
        self, journal: Journal, verdict: Any
    ) -> None:
        await take(journal, intake("m1", said(dedupe=("1",)), verdict=verdict))

        assert [Accepted(id="m1", outcome="duplicate")] == await journal.accept(
            [intake("m2", said(dedupe=("1",)), verdict=verdict)]
        )

    async def test_an_ignored_message_leaves_only_its_key(self, journal: Journal) -> None:
        assert ["ignored"] == await take(journal, intake("m1", said(dedupe=("1",)), verdict="ignore"))
        assert None is await journal.message("m1")
        assert [] == await texts(journal)

    async def test_an_unreadable_update_is_kept_and_known(self, journal: Journal) -> None:
        poison = Unreadable(bot="shop", platform="telegram", raw="{", error="bad json", dedupe=("update:9",))

        assert ["quarantined", "duplicate"] == await take(journal, intake("m1", poison), intake("m2", poison))
        life = await journal.message("m1")
        assert life is not None
        assert (life.status, life.cause) == ("quarantined", "bad json")
        assert [] == await waiting(journal)

    async def test_a_fixed_answer_ends_the_message_at_once(self, journal: Journal, desk: Desk) -> None:
        greeted = intake("m1", said("/start"), verdict="answer", endings=notices("answer"))

        assert [Accepted(id="m1", outcome="answered", notice=True)] == await journal.accept([greeted])
        assert [] == await waiting(journal)
        assert ["m1.notice.0"] == [delivery.id for delivery in await desk.outgoing()]
        assert ["/start", "answer"] == await texts(journal)

    async def test_a_missing_ending_is_silence(self, journal: Journal, desk: Desk) -> None:
        bounds = Bounds(per_conversation=1, user_limit=None)
        batch = [intake(id_, bounds=bounds) for id_ in ("m1", "m2")]

        assert [Accepted(id="m1", outcome="accepted"), Accepted(id="m2", outcome="busy")] == (
            await journal.accept(batch)
        )
        assert [] == await desk.outgoing()


class BoundsContract:
    async def test_a_conversation_over_its_bound_is_told_that_the_bot_is_busy(
        self, journal: Journal, desk: Desk
    ) -> None:
        bounds = Bounds(per_conversation=2, user_limit=None)
        batch = [intake(f"m{n}", bounds=bounds, endings=notices("busy")) for n in range(4)]

        assert ["accepted", "accepted", "busy", "busy"] == await take(journal, *batch)
        assert ["busy"] == [delivery.part.text for delivery in await desk.outgoing()]
        assert ["accepted"] == await take(journal, intake("m9", said(chat="c2"), bounds=bounds))
        life = await journal.message("m3")
        assert life is not None
        assert "busy" == life.status

    async def test_a_bot_over_its_bound_is_busy_everywhere(self, journal: Journal) -> None:
        bounds = Bounds(per_bot=2, user_limit=None)
        batch = [intake(f"m{n}", said(chat=f"c{n}"), bounds=bounds) for n in range(3)]
        other = intake("o1", said(key=key(bot="support")), bounds=bounds)

        assert ["accepted", "accepted", "busy", "accepted"] == await take(journal, *batch, other)

    async def test_what_is_being_asked_does_not_count_as_waiting(self, journal: Journal, desk: Desk) -> None:
        bounds = Bounds(per_conversation=1, per_bot=1, user_limit=None)
        await take(journal, intake("m1", bounds=bounds))
        await desk.claim("t1", "m1")

        assert [
            "accepted",
            "busy",
        ] == await take(journal, intake("m2", bounds=bounds), intake("m3", bounds=bounds))

    async def test_context_has_a_bound_of_its_own_where_the_oldest_gives_way(self, journal: Journal) -> None:
        bounds = Bounds(per_conversation=2, per_bot=2, user_limit=None)
        batch = [intake(f"r{n}", verdict="record", bounds=bounds) for n in range(4)]

        assert ["recorded"] * 4 + ["accepted"] == await take(journal, *batch, intake("m1", bounds=bounds))
        assert ["r2", "r3", "m1"] == await waiting(journal)
        assert 1 == await journal.queue("acme")
        assert [2] == [counts.dropped for counts in (await journal.counts()).values()]

    async def test_over_the_users_limit_there_is_one_notice_a_window(
        self, journal: Journal, desk: Desk
    ) -> None:
        bounds = Bounds(user_limit=(2, 10.0))
        batch = [intake(f"m{n}", bounds=bounds, endings=notices("limited")) for n in range(5)]

        outcomes = await journal.accept(batch)
        assert ["accepted"] * 2 + ["limited"] * 3 == [accepted.outcome for accepted in outcomes]
        assert [False, False, True, False, False] == [accepted.notice for accepted in outcomes]
        assert 1 == len(await desk.outgoing())

    async def test_the_users_window_slides_and_a_flood_does_not_prolong_it(
        self, journal: Journal, clock: FakeClock
    ) -> None:
        bounds = Bounds(user_limit=(1, 10.0))
        flood = [intake(f"m{n}", bounds=bounds, endings=notices("limited")) for n in range(4)]
        assert ["accepted", "limited"] == await take(journal, *flood[:2])
        await clock.advance(9.0)
        assert ["limited"] == await take(journal, flood[2])
        await clock.advance(1.0)

        assert ["accepted"] == await take(journal, flood[3])
        assert [Accepted(id="m9", outcome="limited", notice=True)] == await journal.accept(
            [intake("m9", bounds=bounds, endings=notices("limited"))]
        )

    async def test_a_limit_is_the_senders_own_on_one_channel(self, journal: Journal) -> None:
        bounds = Bounds(user_limit=(1, 10.0))
        others = [
            said(chat="c2"),
            said(chat="c2", sender=Sender(id="bob")),
            said(key=key(bot="support")),
            said(key=key(platform="discord")),
        ]
        batch = [intake("m0", bounds=bounds)]
        batch += [intake(f"x{n}", arrival, bounds=bounds) for n, arrival in enumerate(others)]

        assert ["accepted", "limited", "accepted", "accepted", "accepted"] == await take(journal, *batch)

    async def test_fixed_answers_count_against_the_limit_and_context_does_not(self, journal: Journal) -> None:
        bounds = Bounds(user_limit=(2, 10.0))
        verdicts: list[Any] = ["record", "record", "answer", "ask", "answer", "record"]
        batch = [intake(f"m{n}", verdict=verdict, bounds=bounds) for n, verdict in enumerate(verdicts)]

        assert (
            [
                "recorded",
                "recorded",
                "answered",
                "accepted",
                "limited",
                "recorded",
            ]
        ) == await take(journal, *batch)

    async def test_one_kind_of_notice_does_not_use_up_another(self, journal: Journal) -> None:
        limited = {"bounds": Bounds(user_limit=(1, 10.0)), "endings": notices("limited")}
        batch = [intake("m1", verdict="deny", endings=notices("denied"))]
        batch += [intake(id_, **limited) for id_ in ("m2", "m3")]

        assert [True, False, True] == [accepted.notice for accepted in await journal.accept(batch)]

    async def test_a_denied_user_is_told_once_an_hour_and_the_text_is_not_kept(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        def denied(id_: str) -> Intake:
            return intake(id_, verdict="deny", endings=notices("denied"))

        assert [True, False] == [a.notice for a in await journal.accept([denied("m1"), denied("m2")])]
        await clock.advance(3600.0)
        assert [Accepted(id="m3", outcome="denied", notice=True)] == await journal.accept([denied("m3")])
        assert ["denied", "denied"] == await texts(journal)
        life = await journal.message("m1")
        assert life is not None
        assert ("denied", None, ["m1.notice.0"]) == (life.status, life.text, [part.id for part in life.parts])


class AmendmentContract:
    async def test_an_edit_counts_while_the_message_waits(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1", said("helo", id_="7")))
        edit = intake("e1", Edited(key=key(), message_id="7", text="hello", dedupe=("update:2",)))

        assert [Accepted(id="m1", outcome="amended")] == await journal.accept([edit])
        [head] = await journal.waiting("acme")
        turn = await desk.claim("t1", "m1")
        assert turn is not None
        assert (5, "hello", ["hello"]) == (head.size, turn.text, await texts(journal))

    async def test_an_edit_or_deletion_after_the_claim_is_ignored(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1", said("hi", id_="7")))
        await desk.claim("t1", "m1")
        late = [Edited(key=key(), message_id="7", text="no"), Deleted(key=key(), message_id="7")]

        assert [
            "ignored",
            "ignored",
        ] == await take(journal, *(intake(f"e{n}", arrival) for n, arrival in enumerate(late)))
        turn = await desk.claim("t1", "m1")
        assert turn is not None
        assert "hi" == turn.text

    async def test_an_edit_concerns_only_its_own_chat(self, journal: Journal) -> None:
        await take(journal, intake("m1", said("hi", id_="7")))

        assert ["ignored"] == await take(
            journal, intake("e1", Edited(key=key("c2"), message_id="7", text="no"))
        )
        assert ["hi"] == await texts(journal)

    async def test_a_deleted_message_is_never_asked_nor_shown(self, journal: Journal) -> None:
        await take(journal, intake("m1", said(id_="7")), intake("m2", said("other", id_="8")))

        assert [Accepted(id="m1", outcome="amended")] == await journal.accept(
            [intake("d1", Deleted(key=key(), message_id="7"))]
        )
        life = await journal.message("m1")
        assert life is not None
        assert ("deleted", ["m2"], ["other"]) == (life.status, await waiting(journal), await texts(journal))

    async def test_a_moved_chat_takes_its_waiting_messages_along(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1", said("hi")))

        assert ["amended"] == await take(journal, intake("v1", _moved()))
        turn = await desk.claim("t1", "m1")
        assert turn is not None
        assert (key("c2"), Address(to="c2")) == (turn.key, turn.address)
        assert ([], ["hi"]) == (await texts(journal), await texts(journal, "c2"))

    async def test_a_moved_chats_parts_go_to_the_new_address(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("m2"))
        await desk.answer("m1", "one")
        await desk.claim("t2", "m2")
        await take(journal, intake("v1", _moved()))
        await journal.finish("t2", desk.turns, ANSWER)

        [first] = await desk.outgoing()
        await desk.sent(first)
        [second] = await desk.outgoing()
        assert [("one", "c2", key("c2")), ("Hello!", "c2", key("c2"))] == [
            (delivery.part.text, delivery.address.to, delivery.key) for delivery in (first, second)
        ]

    async def test_a_moved_part_under_way_holds_the_lane_it_came_to(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        await take(journal, intake("m2", said(chat="c2")), intake("m1"))
        await desk.answer("m2", "waits")
        await desk.answer("m1", "under way")
        await journal.postpone(CHANNEL, desk.parts, clock.now() + 1.0, lane="c2")
        [under_way] = await desk.outgoing()
        await take(journal, intake("v1", _moved()))
        await clock.advance(1.0)

        assert [] == await desk.outgoing()
        await desk.sent(under_way)
        assert ["waits"] == [delivery.part.text for delivery in await desk.outgoing()]

    async def test_a_chat_moves_into_one_that_is_known_already(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("m2", said("old")), intake("n1", said("new", "c2")))
        await desk.claim("t1", "m1")
        await desk.claim("t2", "n1")

        assert ["amended"] == await take(journal, intake("v1", _moved()))
        heads = await journal.waiting("acme")
        assert [("m2", key("c2"))] == [(head.id, head.key) for head in heads]
        assert ["new", "old"] == await texts(journal, "c2")
        await journal.finish("t1", desk.turns, ANSWER)
        assert ["c2"] == [delivery.address.to for delivery in await desk.outgoing()]


def _moved() -> Moved:
    return Moved(old=key("c1"), new=key("c2"), old_to="c1", address=Address(to="c2"))
