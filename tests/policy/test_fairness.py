from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import pairwise
from math import ceil, inf, sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messages import Head
from gateway.policy.fairness import Depth, Estimate, Fairness, Pick
from gateway.policy.pacing import GLIMPSE, HORIZON
from gateway.policy.quota import GUARD, TRANSIT, Quota
from tests.policy.heads import chat, head

MINUTE, HOUR = 6.0, 60.0


def ample(minute: int = 10_000, hour: int = 100_000) -> Quota:
    return Quota(requests_per_minute=minute, completions_per_hour=hour, minute=MINUTE, hour=HOUR)


class Desk:
    """A dispatcher without a network: takes what may go, at once or over time."""

    def __init__(self, quota: Quota | None = None, **facts: Any) -> None:
        self.quota = quota or ample()
        self.fairness = Fairness(**facts)
        self.now = 0.0
        self.taken: list[tuple[float, Pick]] = []

    def offer(self, *heads: Head) -> None:
        for one in heads:
            self.fairness.offer(one, self.now)

    def next(self) -> Pick | float | None:
        return self.fairness.next(self.now, self.quota)

    def take(self, pick: Pick) -> None:
        kind = "reply" if pick.kind == "ask" else "record"
        spend_id = f"s{len(self.taken)}"
        self.quota.take(self.now, spend_id, kind, completion=pick.kind == "ask", bot=pick.bot)
        self.fairness.started(pick, self.now)
        self.taken.append((self.now, pick))

    def start(self) -> Pick:
        """The next pick, in flight."""
        pick = self.next()
        assert isinstance(pick, Pick), pick
        self.take(pick)
        return pick

    def finish(self, pick: Pick) -> None:
        self.fairness.finished(pick.key, self.now, pick.kind)

    def serve(self, most: int = 10_000) -> Iterator[Pick]:
        """Everything that may go now, each answered before the next."""
        for _ in range(most):
            if not isinstance(self.next(), Pick):
                return
            pick = self.start()
            self.finish(pick)
            yield pick

    def bots(self, most: int = 10_000) -> list[str]:
        return [pick.bot for pick in self.serve(most)]

    def chats(self, most: int = 10_000) -> list[str]:
        return [pick.key.chat for pick in self.serve(most)]

    def wait_until_a_pick(self) -> Pick:
        for _ in range(1000):
            answer = self.next()
            if isinstance(answer, Pick):
                return answer
            assert answer is not None
            assert answer > self.now
            self.now = answer
        raise AssertionError("asked again and again for nothing")


# --- bots ---


def test_nothing_waits_nothing_is_picked():
    assert Desk().next() is None


def test_bots_of_equal_weight_alternate_however_much_one_of_them_has():
    desk = Desk()
    desk.offer(*(head("loud", f"c{n}") for n in range(50)), *(head("quiet", f"c{n}") for n in range(3)))

    order = desk.bots()

    assert ["loud", "quiet"] * 3 == order[:6]
    assert 53 == len(order)


def test_a_bot_of_double_weight_has_two_turns_for_one():
    desk = Desk()
    desk.fairness.set_bot("big", weight=2.0)
    desk.offer(*(head("big", f"c{n}") for n in range(40)), *(head("small", f"c{n}") for n in range(40)))

    assert {"big": 20, "small": 10} == Counter(desk.bots(30))


def test_a_bot_that_was_quiet_neither_saved_up_turns_nor_pays_for_old_ones():
    desk = Desk()
    desk.offer(*(head("early", f"c{n}") for n in range(30)), *(head("other", f"c{n}") for n in range(30)))
    desk.bots(40)
    desk.offer(*(head("late", f"c{n}") for n in range(10)))

    counts = Counter(desk.bots(9))

    assert {"early": 3, "other": 3, "late": 3} == counts


def test_what_a_bot_took_while_nobody_waited_is_not_held_against_it():
    desk = Desk()
    desk.fairness.set_bot("light", weight=0.1)
    for number in range(3):
        desk.offer(head("light", f"c{number}"))
        assert ["light"] == desk.bots()
    desk.offer(*(head("heavy", f"c{n}") for n in range(20)), head("light"))

    assert "light" in desk.bots(2)


def test_a_weight_may_change_while_messages_wait():
    desk = Desk()
    desk.offer(*(head("a", f"c{n}") for n in range(40)), *(head("b", f"c{n}") for n in range(40)))
    desk.bots(10)
    desk.fairness.set_bot("a", weight=4.0)
    desk.bots(5)

    assert 16 == Counter(desk.bots(20))["a"]


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 6)), max_size=30),
)
def test_service_follows_the_ideal_schedule_within_a_turn_of_each_bot(weights, others):
    """Two bots that always have turns waiting are never further apart than a turn of each, whatever the others do."""
    desk = Desk()
    always = sorted(weights)[:2]
    for bot, weight in weights.items():
        desk.fairness.set_bot(bot, weight=weight)
    for bot in always:
        desk.offer(*(head(bot, f"c{n}") for n in range(400)))
    served: Counter[str] = Counter()
    history = [(0.0, 0.0)]
    for bot, turns in [*others, *([("a", 0)] * 20)]:
        if bot not in always:
            desk.offer(*(head(bot, f"x{n}") for n in range(turns)))
        served.update(desk.bots(4))
        history.append((served[always[0]] / weights[always[0]], served[always[1]] / weights[always[1]]))

    bound = sum(1 / weights[bot] for bot in always)
    if weights[always[0]] == weights[always[1]]:
        bound /= 2
    lead = [first - second for first, second in history]
    assert max(lead) - min(lead) <= bound + 1e-9


# --- conversations and senders ---


def test_conversations_of_a_bot_take_turns():
    desk = Desk()
    desk.fairness.set_bot("bot", coalesce=None)
    desk.offer(*(head(name=name) for name in "aaabbc"))

    assert list("abcaba") == desk.chats()


def test_the_messages_of_one_sender_that_wait_are_one_turn():
    desk = Desk()
    waiting = [head(), head()]
    desk.offer(*waiting)

    assert Pick(tuple(waiting)) == desk.next()


def test_users_of_a_group_take_turns_in_it():
    desk = Desk()
    desk.fairness.set_bot("bot", coalesce=None)
    desk.offer(*(head(sender=sender, direct=False) for sender in ("ann", "ann", "ann", "bob", "cid")))

    assert ["ann", "bob", "cid", "ann", "ann"] == [pick.sender for pick in desk.serve()]


def test_one_turn_of_a_conversation_is_in_flight_at_a_time():
    desk = Desk()
    desk.offer(head("bot", "a"), head("bot", "b"))
    first, second = desk.start(), desk.start()
    late = head("bot", first.key.chat)
    desk.offer(late)

    assert {"a", "b"} == {first.key.chat, second.key.chat}
    assert desk.next() is None
    desk.finish(first)
    assert Pick((late,)) == desk.next()


def test_a_turn_inherited_from_an_earlier_process_occupies_its_conversation():
    desk = Desk()
    desk.fairness.started_key(chat())
    desk.offer(head())

    assert desk.next() is None
    desk.fairness.finished(chat(), desk.now)
    assert isinstance(desk.next(), Pick)


def test_a_direct_conversation_is_not_kept_waiting_by_a_thousand_groups():
    desk = Desk()
    desk.offer(*(head(name=f"group{n}", direct=False) for n in range(1000)))
    desk.chats(10)
    for _ in range(5):
        desk.offer(head(name="direct"))
        assert "direct" in desk.chats(2)


def test_a_group_is_not_kept_waiting_by_many_direct_conversations_beyond_its_turn():
    desk = Desk()
    desk.offer(*(head(name=f"direct{n}") for n in range(100)), head(name="group", direct=False))

    assert "group" in desk.chats(101)


def test_groups_do_not_pay_for_turns_that_no_direct_conversation_wanted():
    desk = Desk()
    desk.offer(*(head(name=f"group{n}", direct=False) for n in range(60)))
    desk.chats(40)
    desk.offer(*(head(name=f"direct{n}") for n in range(20)))

    assert 5 == sum(name.startswith("direct") for name in desk.chats(10))


def test_groups_have_up_to_every_second_turn():
    desk = Desk()
    desk.offer(*(head(name=f"direct{n}") for n in range(5)))
    desk.offer(*(head(name=f"group{n}", direct=False) for n in range(50)))

    assert 5 == sum(name.startswith("direct") for name in desk.chats(10))


# --- holding ---


def test_a_bot_may_hold_the_first_message_for_company():
    desk = Desk()
    desk.fairness.set_bot("bot", coalesce=2.0)
    waiting = [head(accepted_at=0.0), head(accepted_at=1.0)]
    desk.offer(*waiting)

    assert desk.next() == 2.0
    desk.now = 2.0
    assert Pick(tuple(waiting)) == desk.next()


def test_a_part_that_comes_late_holds_back_a_paste_that_was_ready():
    desk = Desk()
    desk.offer(head(join_key="paste", not_before=1.0))
    desk.now = 1.0
    assert isinstance(desk.next(), Pick)
    desk.offer(head(join_key="paste", not_before=1.5))

    assert desk.next() == 1.5
    desk.now = 1.5
    assert 2 == len(desk.start().heads)


def test_a_shorter_hold_counts_for_what_waits_already():
    desk = Desk()
    desk.fairness.set_bot("bot", coalesce=100.0)
    desk.offer(head())
    assert desk.next() == 100.0
    desk.fairness.set_bot("bot", coalesce=0.0)

    assert isinstance(desk.next(), Pick)


def test_one_sender_who_is_held_back_does_not_hold_another_of_the_group():
    desk = Desk()
    desk.offer(head(sender="ann", direct=False, not_before=9.0))
    other = head(sender="bob", direct=False)
    desk.offer(other)

    assert Pick((other,)) == desk.next()


# --- coming and going ---


def test_a_message_offered_twice_waits_once_also_while_it_is_in_flight():
    desk = Desk()
    one = head()
    desk.offer(one, one)
    pick = desk.start()
    desk.offer(one)
    desk.finish(pick)

    assert (one,) == pick.heads
    assert desk.next() is None


def test_a_message_taken_back_is_not_asked():
    desk = Desk()
    first, second = head(), head()
    desk.offer(first, second)
    desk.fairness.remove(first.id)

    assert Pick((second,)) == desk.next()
    desk.fairness.remove(second.id)
    desk.fairness.remove("never seen")
    assert desk.next() is None


def test_asking_changes_nothing():
    desk = Desk()
    desk.offer(*(head(bot, f"c{n}") for n in range(5) for bot in "ab"))

    assert desk.next() == desk.next() == desk.next()


def test_a_turn_that_was_not_asked_after_all_is_next_again_and_not_charged():
    desk = Desk()
    desk.offer(*(head(bot, f"c{n}") for n in range(4) for bot in "ab"))
    pick = desk.start()
    desk.quota.refund("s0")
    desk.fairness.requeue(pick.heads, desk.now)

    assert pick in list(desk.serve(2))
    assert Counter(desk.bots(4)) == {"a": 2, "b": 2}


def test_a_requeued_turn_takes_along_what_came_meanwhile():
    desk = Desk()
    desk.offer(head())
    pick = desk.start()
    late = head()
    desk.offer(late)
    desk.fairness.requeue(pick.heads, desk.now)

    assert Pick((*pick.heads, late)) == desk.next()


def test_a_paused_bot_keeps_its_messages():
    desk = Desk()
    desk.offer(head())
    desk.fairness.set_bot("bot", paused=True)

    assert desk.next() is None
    desk.fairness.set_bot("bot", paused=False)
    assert isinstance(desk.next(), Pick)


def test_a_removed_bot_gives_its_messages_back():
    desk = Desk()
    gone, stays = [head("gone"), head("gone", kind="record")], head("stays")
    desk.offer(*gone, stays)
    flying = desk.start()

    assert {one.id for one in gone} - {flying.heads[0].id} == {
        one.id for one in desk.fairness.remove_bot("gone")
    }
    desk.fairness.finished(flying.key, desk.now)
    desk.fairness.remove_bot("gone")
    assert {"stays"} >= set(desk.bots())


def test_depth_tells_what_waits_and_since_when():
    desk = Desk()
    desk.offer(head("a", accepted_at=5.0), head("a", "other", accepted_at=7.0), head("b", kind="record"))

    assert desk.fairness.depth() == {"a": Depth(2, 5.0), "b": Depth(0, None)}
    desk.start()
    assert desk.fairness.depth()["a"] == Depth(1, 7.0)


def test_further_requests_of_a_turn_count_against_its_bot():
    desk = Desk()
    desk.offer(*(head(bot, f"c{n}") for n in range(20) for bot in "ab"))
    for _ in range(6):
        for pick in desk.serve(1):
            if pick.bot == "a":
                desk.fairness.charge("a", 1)

    assert {"a": 2, "b": 4} == Counter(pick.bot for _, pick in desk.taken)


# --- records ---


def test_records_go_when_no_reply_waits_and_do_not_occupy_the_conversation():
    desk = Desk()
    record, ask = head(kind="record"), head()
    desk.offer(record, ask)
    first, second = desk.start(), desk.start()

    assert (ask,) == first.heads
    assert (record,) == second.heads


def test_records_of_a_conversation_are_stored_one_at_a_time_in_order():
    desk = Desk()
    records = [head(kind="record", sender=sender) for sender in ("ann", "bob", "ann")]
    desk.offer(*records)
    first = desk.start()

    assert desk.next() is None
    desk.finish(first)
    assert records == [first.heads[0], *(pick.heads[0] for pick in desk.serve())]


def test_the_oldest_record_makes_room_and_is_told():
    desk = Desk(records_per_conversation=2)
    records = [head(kind="record") for _ in range(3)]

    assert [None, None, records[0]] == [desk.fairness.offer(one, 0.0) for one in records]
    assert [(one,) for one in records[1:]] == [pick.heads for pick in desk.serve()]


def test_a_flood_of_records_makes_no_reply_wait():
    desk = Desk(ample(minute=100))
    desk.offer(*(head("chatty", f"c{n}", kind="record") for n in range(500)))
    sum(1 for _ in desk.serve())
    desk.offer(*(head("quiet", f"c{n}") for n in range(40)))

    assert 40 == sum(pick.kind == "ask" for pick in desk.serve())


def test_a_record_is_granted_in_the_end():
    desk = Desk(ample(minute=2))
    desk.offer(*(head(name=f"c{n}", kind="record") for n in range(4)))
    for _ in range(4):
        desk.take(desk.wait_until_a_pick())

    assert desk.now < 5 * MINUTE


# --- reserves ---


def test_a_reserve_is_served_while_others_wait_for_the_hour():
    desk = Desk(ample(minute=1000, hour=10))
    desk.fairness.set_bot("owner", reserve_per_hour=3)
    desk.offer(*(head("loud", f"c{n}") for n in range(30)))

    assert 7 == len(desk.bots())
    desk.offer(*(head("owner", f"c{n}") for n in range(5)))
    assert ["owner"] * 3 == desk.bots()


def test_a_paused_bot_lends_its_reserve():
    desk = Desk(ample(minute=1000, hour=10))
    desk.fairness.set_bot("owner", reserve_per_hour=3, paused=True)
    desk.offer(*(head("loud", f"c{n}") for n in range(30)))

    assert 10 == len(desk.bots())


# --- pacing ---


def test_what_nobody_may_need_is_granted_at_once():
    desk = Desk(ample(minute=100))
    desk.offer(*(head("loud", f"c{n}") for n in range(200)))

    assert 100 == len(desk.bots())


def test_a_burst_leaves_what_recently_active_bots_may_still_need():
    desk = Desk(ample(minute=100))
    for at in range(4):
        desk.now = at * MINUTE
        desk.offer(*(head("quiet", f"c{n}") for n in range(10)))
        assert 10 == len(desk.bots())
    desk.now = 4.9 * MINUTE
    desk.offer(*(head("loud", f"c{n}") for n in range(200)))

    rate = 40 / 4.9
    assert 100 - ceil(rate + 2 * sqrt(rate)) == len(desk.bots())
    desk.offer(*(head("quiet", f"c{n}") for n in range(5)))
    assert 5 == desk.bots().count("quiet")


def test_a_bot_that_was_loud_all_the_time_has_no_claim_to_what_is_held_for_others():
    desk = Desk(ample(minute=100))
    for at in range(5):
        desk.now = at * (MINUTE + 1)
        desk.offer(*(head("quiet", f"c{n}") for n in range(10)), *(head("loud", f"c{n}") for n in range(200)))
        assert 10 == desk.bots().count("quiet")
    desk.now += MINUTE + 0.3

    rate = 40 / HORIZON
    assert 100 - ceil(rate + 2 * sqrt(rate)) == len(desk.bots())


def test_at_most_half_the_window_is_held_however_active_the_others_were():
    desk = Desk(ample(minute=100))
    for at in range(5):
        desk.now = at * (MINUTE + 1)
        desk.offer(*(head(f"b{n}") for n in range(90)))
        assert 90 == len(desk.bots())
    desk.now += MINUTE + 0.3
    desk.offer(*(head("loud", f"c{n}") for n in range(200)))

    assert 50 == len(desk.bots())


def test_what_the_first_glimpse_overestimated_is_granted_as_more_is_known():
    desk = Desk(ample(minute=100))
    desk.offer(*(head("quiet", f"c{n}") for n in range(10)))
    desk.bots()
    desk.offer(*(head("loud", f"c{n}") for n in range(200)))
    desk.bots()
    desk.wait_until_a_pick()

    assert desk.now < MINUTE


def test_what_was_held_for_bots_that_stay_silent_is_granted_later():
    desk = Desk(ample(minute=10))
    desk.offer(*(head("quiet", f"c{n}") for n in range(5)))
    desk.bots()
    desk.now = MINUTE + 1.0
    desk.offer(*(head("loud", f"c{n}") for n in range(100)))
    assert 5 == len(desk.bots())
    while desk.quota.used(desk.now)["minute"][0] < 10:
        desk.wait_until_a_pick()
        desk.bots()

    assert (HORIZON + 2) * MINUTE >= desk.now


def rush(quiet_bots: int, loud_factor: int, seconds: float, quiet_rate: float) -> dict[str, list[float]]:
    """100 requests per 6 s, answers after 0.1 s: waits of the quiet bots beside a loud one, by bot."""
    desk = Desk(ample(minute=100))
    events: list[tuple[float, int, str, Any]] = []
    loud_rate = loud_factor * quiet_rate * quiet_bots
    for number in range(int(seconds * quiet_rate * quiet_bots)):
        at = number / (quiet_rate * quiet_bots)
        events.append(
            (at, len(events), "say", head(f"quiet{number % quiet_bots}", f"c{number}", accepted_at=at))
        )
    for number in range(int(seconds * loud_rate)):
        at = number / loud_rate
        events.append(
            (at, len(events), "say", head("loud", f"c{number % 500}", f"u{number}", accepted_at=at))
        )
    waits: dict[str, list[float]] = {}
    events.sort(key=lambda event: event[:2])
    count, wake = len(events), inf
    while events or wake < inf:
        at = min(events[0][0] if events else inf, wake)
        desk.now = at
        while events and events[0][0] <= at:
            _, _, what, which = heappop(events)
            if what == "say":
                desk.offer(which)
            else:
                desk.quota.settle(at, which[0])
                desk.finish(which[1])
        while isinstance(answer := desk.next(), Pick):
            desk.take(answer)
            count += 1
            heappush(events, (at + 0.1, count, "answer", (f"s{len(desk.taken) - 1}", answer)))
            for one in answer.heads:
                waits.setdefault(one.key.bot, []).append(at - one.accepted_at)
        wake = answer if answer is not None and at < seconds * 2 else inf
    return waits


def test_beside_a_bot_with_twenty_times_their_load_quiet_bots_hardly_wait():
    waits = rush(quiet_bots=9, loud_factor=20, seconds=60.0, quiet_rate=0.25)
    quiet = sorted(wait for bot, values in waits.items() if bot != "loud" for wait in values)

    assert int(60 * 0.25 * 9) == len(quiet)
    assert quiet[int(len(quiet) * 0.95)] <= 1.0


# --- everything at once ---


class Reasons:
    """Why nothing may go, found out the slow way from what was taken and what waits."""

    def __init__(self, desk: Desk, minute: int, hour: int, reserves: dict[str, int]) -> None:
        self.desk, self.minute, self.hour, self.reserves = desk, minute, hour, reserves

    def _taken_within(self, seconds: float) -> list[Pick]:
        return [pick for at, pick in self.desk.taken if at + seconds > self.desk.now - 1e-6]

    def _windows_seen(self) -> float:
        """Over how many windows the recent turns are spread: the horizon, or less after a pause that long."""
        times = [at for at, _ in self.desk.taken]
        since = next((b for a, b in reversed([*pairwise(times)]) if b >= a + HORIZON * MINUTE), times[0])
        return min(HORIZON, max(GLIMPSE, (self.desk.now - since) / MINUTE))

    def holds(self, waiting: dict[str, set[str]]) -> bool:
        """Whether windows, reserves or pacing forbid every bot that has a conversation ready."""
        return all(self._forbidden(bot, waiting) for bot in waiting)

    def _forbidden(self, bot: str, waiting: dict[str, set[str]]) -> bool:
        minute = self._taken_within(MINUTE * (1 + GUARD) + TRANSIT)
        if len(minute) >= self.minute:
            return True
        hour = Counter(pick.bot for pick in self._taken_within(HOUR * (1 + GUARD) + TRANSIT))
        unspent = {name: max(0, count - hour[name]) for name, count in self.reserves.items()}
        if hour.total() + (0 if unspent.get(bot) else sum(unspent.values())) >= self.hour:
            return True
        quiet = [pick.bot for pick in self._taken_within(HORIZON * MINUTE) if pick.bot not in waiting]
        rate = len(quiet) / self._windows_seen()
        held = min(self.minute // 2, ceil(rate + 2 * sqrt(rate)))
        first = all(pick.bot != bot for pick in minute)
        return not first and len(minute) + held >= self.minute


scripts = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "say", "say", "answer", "wait"]),
        st.sampled_from("abcd"),
        st.sampled_from("xyz"),
        st.floats(0, 3),
    ),
    min_size=10,
    max_size=120,
)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(2, 8),
    st.integers(4, 20),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 2), max_size=2),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0.5, 2.0])),
    scripts,
)
def test_nothing_is_withheld_without_a_reason_and_nobody_starves(minute, hour, reserves, weights, script):
    desk = Desk(ample(minute, hour))
    reasons = Reasons(desk, minute, hour, reserves if sum(reserves.values()) < hour else {})
    for bot in "abcd":
        desk.fairness.set_bot(
            bot, weight=weights.get(bot, 1.0), reserve_per_hour=reasons.reserves.get(bot, 0), coalesce=None
        )
    waiting: dict[str, Head] = {}
    flying: list[Pick] = []

    def go(finish: Callable[[Pick], None]) -> float | None:
        while isinstance(answer := desk.next(), Pick):
            assert answer.key not in {pick.key for pick in flying}
            desk.take(answer)
            finish(answer)
            for one in answer.heads:
                del waiting[one.id]
        busy = {pick.key for pick in flying}
        ready = {one.key.bot: {one.key.chat} for one in waiting.values() if one.key not in busy}
        assert reasons.holds(ready)
        assert (answer is None) == (not ready)
        return answer

    for what, bot, name, seconds in script:
        if what == "say":
            one = head(bot, name, accepted_at=desk.now)
            waiting[one.id] = one
            desk.offer(one)
        elif what == "answer" and flying:
            desk.finish(flying.pop(0))
        elif what == "wait":
            desk.now += seconds
        go(flying.append)
    for pick in flying:
        desk.finish(pick)
    flying.clear()
    for _ in range(2000):
        later = go(desk.finish)
        if later is None:
            break
        desk.now = later
    assert not waiting


# --- telling ---


def estimate(desk: Desk, one: Head) -> Estimate:
    told = desk.fairness.estimate(one.id, desk.now, desk.quota)
    assert told is not None
    return told


def test_the_next_one_is_told_that_it_is_next():
    desk = Desk()
    one = head()
    desk.offer(one)

    assert Estimate(1, 0.0) == estimate(desk, one)
    assert desk.fairness.estimate("unknown", 0.0, desk.quota) is None


@pytest.mark.parametrize("weight", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("direct", [True, False])
def test_a_wait_is_estimated_honestly(weight, direct):
    """The last of a bot's queue, beside two busy bots: told place and time against what happens."""
    desk = Desk(ample(minute=10))
    desk.fairness.set_bot("bot", weight=weight)
    desk.offer(*(head(bot, f"c{n}", direct=n % 2 == 0) for n in range(60) for bot in ("a", "b")))
    desk.offer(*(head("bot", f"c{n}", direct=n % 3 > 0) for n in range(12)))
    one = head("bot", "last", direct=direct)
    desk.offer(one)
    told, place = estimate(desk, one), 0
    while one not in (pick := desk.wait_until_a_pick()).heads:
        place += 1
        desk.take(pick)
        desk.finish(pick)

    assert place + 1 == pytest.approx(told.position, rel=0.3, abs=3)
    assert desk.now == pytest.approx(told.seconds, rel=0.3, abs=MINUTE * 1.1)


def test_an_estimate_knows_the_turns_of_others_in_a_group():
    desk = Desk(ample(minute=1))
    desk.offer(*(head(sender=f"u{n}", direct=False) for n in range(3)))
    last = head(sender="last", direct=False)
    desk.offer(last)

    assert 4 == estimate(desk, last).position
