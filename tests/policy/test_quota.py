from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from math import inf, nan
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messages import Spend, SpendClass
from gateway.policy.quota import GUARD, QUIET, SLACK, TRANSIT, Quota, Steady

MINUTE, HOUR = 6.0, 60.0
PERIOD = MINUTE * (1 + GUARD)
HOURS_PERIOD = HOUR * (1 + GUARD)


def quota(minute: int = 5, hour: int = 20, uploads: int = 10) -> Quota:
    return Quota(
        requests_per_minute=minute,
        completions_per_hour=hour,
        uploads_per_hour=uploads,
        minute=MINUTE,
        hour=HOUR,
    )


def spend(number: int, at: float, *, completion: bool = True, bot: str = "", upload: bool = False) -> Spend:
    return Spend(
        id=f"s{number}",
        organization="acme",
        kind="reply",
        completion=completion,
        at=at,
        bot=bot,
        upload=upload,
    )


def fill(budget: Quota, requests: int, now: float, kind: SpendClass = "reply", bot: str = "") -> None:
    """Take that many requests that are no completions."""
    for number in range(requests):
        budget.take(now, f"{kind}-{bot}-{now}-{number}", kind, completion=False, bot=bot)


# --- the servers that we may meet ---


class Server(Protocol):
    def arrives(self, at: float) -> bool: ...


class FixedWindow:
    """Counts in windows that begin at a phase which we do not know."""

    def __init__(self, limit: int, window: float, phase: float) -> None:
        self.limit, self.window, self.phase = limit, window, phase
        self.counts: Counter[int] = Counter()

    def arrives(self, at: float) -> bool:
        number = int((at + self.phase) // self.window)
        self.counts[number] += 1
        return self.counts[number] <= self.limit


class SlidingLog:
    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.window = limit, window
        self.log: list[float] = []

    def arrives(self, at: float) -> bool:
        self.log = [*(one for one in self.log if one >= at - self.window), at]
        return len(self.log) <= self.limit


class TokenBucket:
    def __init__(self, limit: int, window: float) -> None:
        self.limit, self.rate = limit, limit / window
        self.tokens, self.filled_at = float(limit), -inf

    def arrives(self, at: float) -> bool:
        if self.filled_at > -inf:
            self.tokens = min(self.limit, self.tokens + (at - self.filled_at) * self.rate)
        self.filled_at = at
        self.tokens -= 1
        return self.tokens > -1e-9


def servers(limit: int, window: float) -> list[Server]:
    phases = [window * part / 7 for part in range(7)]
    return [
        SlidingLog(limit, window),
        TokenBucket(limit, window),
        *(FixedWindow(limit, window, phase) for phase in phases),
    ]


class World:
    """A greedy client, a network of changing speed, processes that die, and a wall clock that somebody sets."""

    def __init__(self, minute: int, hour: int) -> None:
        self.limits = (minute, hour)
        self.true = 1000.0
        self.wall = 0.0
        """How far the wall clock is from true time."""
        self.steady = Steady(self.true, self.true)
        self.quota = quota(minute, hour)
        self.journal: list[Spend] = []
        self.requests: list[float] = []
        self.completions: list[float] = []
        self._answers: list[tuple[float, str]] = []

    @property
    def now(self) -> float:
        return self.steady(self.true)

    def wait(self, until: float) -> None:
        while self._answers and self._answers[0][0] <= until:
            at, spend_id = heappop(self._answers)
            self.quota.settle(self.steady(at), spend_id)
        self.true = max(self.true, until)

    def ask(self, *, completion: bool, travel: float, work: float) -> None:
        while (at := self.quota.ready_at(self.now, completion=completion)) > self.now:
            self.wait(self.true + max(at - self.now, 1e-6))
        row = spend(len(self.journal), self.now, completion=completion)
        self.quota.take(row.at, row.id, completion=completion)
        self.journal.append(row)
        heappush(self._answers, (self.true + travel + work, row.id))
        self.requests.append(self.true + travel)
        if completion:
            self.completions.append(self.true + travel)

    def set_clock(self, step: float) -> None:
        self.wall += step

    def die(self) -> None:
        """`kill -9`; the next process reads the wall clock and the journal. Its clock may be behind the last one's."""
        self.wall = min(self.wall, self.now - self.true)
        self.steady = Steady(self.true + self.wall, self.true)
        self.quota = quota(*self.limits)
        self.quota.restore(self.journal, self.now)


steps = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "ask", "look", "set clock", "die"]),
    st.floats(0, 4),
    st.floats(0, TRANSIT),
    st.sampled_from([0.0, 0.05, 1.0, 8.0]),
)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 6), st.integers(1, 12), st.lists(steps, min_size=5, max_size=80))
def test_no_algorithm_of_the_server_ever_refuses(minute, hour, script):
    world = World(minute, hour)
    for action, pause, travel, work in script:
        world.wait(world.true + (pause if pause > 1 else 0.0))
        if action == "set clock":
            world.set_clock((pause - 2) * 1000)
        elif action == "die":
            world.die()
        else:
            world.ask(completion=action == "ask", travel=travel, work=work)

    for arrivals, limit, window in ((world.requests, minute, MINUTE), (world.completions, hour, HOUR)):
        for server in servers(limit, window):
            assert all(server.arrives(at) for at in sorted(arrivals)), server


# --- exactness ---


class Oracle:
    """The windows counted the slow way: every spend, from the latest moment at which it can have arrived."""

    def __init__(self, minute: int, hour: int, reserves: dict[str, int]) -> None:
        self.minute, self.hour, self.reserves = minute, hour, reserves
        self.spends: list[tuple[float, bool, str]] = []

    def allows(self, now: float, *, completion: bool, bot: str) -> bool:
        requests = [row for row in self.spends if row[0] + PERIOD > now]
        if len(requests) >= self.minute:
            return False
        completions = Counter(row[2] for row in self.spends if row[1] and row[0] + HOURS_PERIOD > now)
        unspent = {name: max(0, count - completions[name]) for name, count in self.reserves.items()}
        room = self.hour - completions.total()
        return not completion or room > (0 if unspent.get(bot) else sum(unspent.values()))


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 6),
    st.integers(6, 15),
    st.dictionaries(st.sampled_from("ab"), st.integers(1, 2)),
    st.lists(
        st.tuples(st.floats(0, 3), st.booleans(), st.sampled_from("abc"), st.sampled_from([0.0, 0.1, 1.0])),
        min_size=5,
        max_size=60,
    ),
)
def test_a_grant_comes_at_the_exact_time_and_never_before(minute, hour, reserves, script):
    budget, oracle, now = quota(minute, hour), Oracle(minute, hour, reserves), 0.0
    budget.reserve(reserves)
    for number, (pause, completion, bot, answered) in enumerate(script):
        now += pause
        at = budget.ready_at(now, completion=completion, bot=bot)
        assert (at <= now) == oracle.allows(now, completion=completion, bot=bot)
        if at > now:
            assert not oracle.allows(at - 1e-6, completion=completion, bot=bot)
            assert oracle.allows(at + 1e-6, completion=completion, bot=bot)
        now = at
        budget.take(now, f"s{number}", completion=completion, bot=bot)
        budget.settle(now + answered, f"s{number}")
        oracle.spends.append((now + min(answered, TRANSIT), completion, bot))


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 6), min_size=1),
    st.lists(st.tuples(st.floats(0, 5), st.sampled_from("abcdxyz")), max_size=120),
)
def test_a_reserve_is_always_there_for_its_owner(reserves, script):
    budget, now, number = quota(minute=1000, hour=12), 0.0, 0
    budget.reserve(reserves)
    shrink = min(1.0, 11 / sum(reserves.values()))
    spent: list[tuple[float, str]] = []
    for pause, bot in script:
        now += pause
        for owner, count in reserves.items():
            own = sum(1 for at, whose in spent if whose == owner and at + TRANSIT + HOURS_PERIOD > now)
            assert own >= int(count * shrink) or budget.ready_at(now, bot=owner) <= now
        if budget.ready_at(now, bot=bot) <= now:
            number += 1
            budget.take(now, f"s{number}", bot=bot)
            spent.append((now, bot))


def test_nobody_starves_beside_reserves_that_promise_the_whole_hour():
    budget = quota(minute=100, hour=10)
    budget.reserve({"a": 20, "b": 20})
    for number in range(4):
        budget.take(0.0, f"a{number}", bot="a")
        budget.take(0.0, f"b{number}", bot="b")

    assert budget.ready_at(0.0, bot="c") <= 0.0
    budget.take(0.0, "c0", bot="c")
    budget.take(0.0, "c1", bot="c")
    assert budget.ready_at(1.0, bot="c") == TRANSIT + HOURS_PERIOD


def test_requests_ahead_are_counted_over_several_windows():
    budget = quota(minute=2, hour=100)
    budget.take(0.0, "a")

    expected = [1.0, TRANSIT + PERIOD, 1.0 + PERIOD, TRANSIT + 2 * PERIOD, 1.0 + 2 * PERIOD]
    assert expected == pytest.approx([budget.ready_at(1.0, ahead=ahead) for ahead in range(5)])


def test_a_spend_that_was_not_granted_or_is_counted_already_is_refused_loudly():
    narrow, wide = quota(minute=1), quota()
    narrow.take(0.0, "a")
    wide.take(0.0, "a")

    with pytest.raises(AssertionError, match="not granted"):
        narrow.take(1.0, "b")
    with pytest.raises(AssertionError, match="counted already"):
        wide.take(1.0, "a")


# --- answers, refusals and restarts ---


def test_an_answer_ends_the_doubt_when_the_request_arrived():
    budget = quota(minute=1)
    budget.take(0.0, "a")
    budget.settle(0.1, "a")

    assert budget.ready_at(1.0) == pytest.approx(0.1 + PERIOD)


def test_a_late_answer_does_not_make_it_count_longer():
    budget = quota(minute=1)
    budget.take(0.0, "a")
    budget.settle(3.0, "a")

    assert budget.ready_at(4.0) == pytest.approx(TRANSIT + PERIOD)


def test_a_request_counts_from_when_it_left_after_a_slow_commit():
    budget = quota(minute=2)
    budget.take(0.0, "a")
    budget.take(0.5, "b")
    budget.sent(2.0, "a")

    assert budget.ready_at(2.0) == pytest.approx(0.5 + TRANSIT + PERIOD)
    assert budget.ready_at(2.0, ahead=1) == pytest.approx(2.0 + TRANSIT + PERIOD)


def test_a_refund_gives_the_slot_back_at_once_and_only_once():
    budget = quota(minute=1, hour=1)
    budget.take(0.0, "a")
    budget.refund("a")
    budget.refund("a")

    assert budget.ready_at(0.0) == 0.0
    assert budget.used(0.0) == {"minute": (0, 1), "hour": (0, 1), "uploads": (0, 10)}


def test_a_restart_neither_forgets_nor_counts_twice():
    budget = quota(minute=2, hour=3)
    rows = [spend(number, float(at)) for number, at in enumerate((0, 50, 55, 56))]
    budget.restore(rows, 57.0)
    budget.restore(rows, 57.0)

    assert budget.used(57.0)["minute"] == (2, 2)
    assert budget.used(57.0)["hour"] == (4, 3)
    assert budget.ready_at(57.0) == pytest.approx(50 + TRANSIT + HOURS_PERIOD)


def test_what_seems_to_be_spent_in_the_future_counts_from_now():
    budget = quota(minute=1)
    budget.restore([spend(1, at=900.0)], now=100.0)

    assert budget.ready_at(100.0) == pytest.approx(100 + TRANSIT + PERIOD)


def test_a_restart_knows_who_used_up_their_reserve():
    budget = quota(minute=100, hour=4)
    budget.reserve({"a": 3})
    budget.restore([spend(number, 0.0, bot="a") for number in range(3)], 1.0)

    assert not budget.owns("a")
    assert budget.ready_at(1.0, bot="b") == 1.0


def test_other_limits_keep_what_was_spent():
    budget = quota(minute=5)
    for number in range(5):
        budget.take(0.0, f"s{number}")
    budget.reconfigure(requests_per_minute=2, completions_per_hour=20, minute=MINUTE, hour=HOUR)

    assert budget.used(1.0)["minute"] == (5, 2)
    assert budget.ready_at(1.0) == pytest.approx(TRANSIT + PERIOD)
    budget.reconfigure(requests_per_minute=6, completions_per_hour=20, minute=MINUTE, hour=HOUR)
    assert budget.ready_at(1.0) == 1.0


def test_uploads_have_an_hour_of_their_own():
    budget = quota(minute=10, uploads=1)
    budget.take(0.0, "a", "operator", completion=False, upload=True)

    assert budget.ready_at(1.0, "operator", completion=False) == 1.0
    assert budget.ready_at(1.0, "operator", completion=False, upload=True) == pytest.approx(
        TRANSIT + HOURS_PERIOD
    )


# --- a 429 all the same ---


def slots_apart(budget: Quota, now: float) -> float:
    """How long one slot is used."""
    budget.take(now, f"probe{now}", completion=False)
    budget.settle(now, f"probe{now}")
    return budget.ready_at(now, completion=False) - now


def test_a_429_freezes_widens_and_is_refunded():
    budget = quota(minute=1)
    budget.take(0.0, "a")
    budget.limited(1.0, 30.0, "a")

    assert budget.used(1.0)["minute"] == (0, 1)
    assert budget.ready_at(1.0) == 31.0
    assert slots_apart(budget, 31.0) == pytest.approx(PERIOD + SLACK * MINUTE)


def test_the_429s_of_one_burst_are_one_lesson():
    budget = quota(minute=5)
    for number in range(5):
        budget.take(0.0, f"s{number}")
    for number in range(5):
        budget.limited(0.5 + number, 0.1, f"s{number}")

    assert slots_apart(quota(minute=1), 10.0) == pytest.approx(PERIOD)
    budget.reconfigure(requests_per_minute=1, completions_per_hour=20, minute=MINUTE, hour=HOUR)
    assert slots_apart(budget, 10.0) == pytest.approx(PERIOD + SLACK * MINUTE)


def test_without_a_retry_after_every_lesson_freezes_longer_but_never_beyond_a_window():
    budget, now, waits = quota(minute=1, hour=1000), 0.0, []
    for number in range(12):
        now = budget.ready_at(now)
        budget.take(now, f"s{number}")
        now += 0.1
        budget.limited(now, None, f"s{number}")
        waits.append(budget.ready_at(now) - now)

    assert waits[:3] == pytest.approx([SLACK * MINUTE, 2 * SLACK * MINUTE, 4 * SLACK * MINUTE])
    assert waits[-1] == pytest.approx(MINUTE)


def test_the_margin_shrinks_slowly_after_quiet_windows():
    budget = quota(minute=1, hour=1000)
    budget.take(0.0, "a")
    budget.limited(0.0, 0.0, "a")
    widths, now = [], 0.0
    for _ in range(8):
        widths.append(slots_apart(budget, now) - PERIOD)
        now += QUIET * MINUTE

    assert widths[0] == pytest.approx(SLACK * MINUTE)
    assert sorted(widths, reverse=True) == widths
    assert widths[1] == pytest.approx(SLACK * MINUTE / 2)
    assert widths[-1] == pytest.approx(0.0)


@pytest.mark.parametrize("retry_after", [nan, -5.0, inf, 1e12])
def test_a_nonsensical_retry_after_stops_nobody_for_ever(retry_after):
    budget = quota()
    budget.limited(0.0, retry_after)

    assert 0.0 < budget.ready_at(0.0) <= HOUR


# --- classes ---


def test_records_and_operators_leave_what_replies_may_need():
    budget = quota(minute=100, hour=1000)
    fill(budget, 30, 0.0, "reply")
    while budget.ready_at(0.0, "record", completion=False) <= 0.0:
        fill(budget, 1, 0.0 + budget.used(0.0)["minute"][0] * 1e-9, "record")

    assert budget.used(0.0)["minute"] == (70, 100)
    assert budget.ready_at(0.0, "operator", completion=False) > 0.0
    assert budget.ready_at(0.0, completion=False) == 0.0
    assert budget.ready_at(0.0, "user", completion=False) == 0.0


def test_a_flood_of_records_leaves_room_for_operators_and_replies():
    budget = quota(minute=100, hour=1000)
    for number in range(100):
        if budget.ready_at(0.0, "record", completion=False) <= 0.0:
            budget.take(0.0, f"r{number}", "record", completion=False)

    assert budget.used(0.0)["minute"] == (50, 100)
    assert budget.ready_at(0.0, "operator", completion=False) == 0.0
    assert budget.ready_at(0.0, ahead=49) == 0.0


def test_an_operator_completion_leaves_a_tenth_of_the_hour():
    budget = quota(minute=1000, hour=20)
    for number in range(18):
        budget.take(0.0, f"s{number}")

    assert budget.ready_at(0.0, "operator") > 0.0
    assert budget.ready_at(0.0) == 0.0


@pytest.mark.parametrize("kind", ["reply", "user", "record", "operator"])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_every_class_gets_its_turn_under_the_smallest_limit(kind, limit):
    budget, now = quota(minute=limit, hour=limit), 0.0
    for number in range(5):
        while (at := budget.ready_at(now, kind, completion=False)) > now:
            assert at < now + 2 * MINUTE
            now = at
        budget.take(now, f"s{number}", kind, completion=False)


def test_time_that_steps_back_opens_no_window():
    budget = quota(minute=1)
    budget.take(1000.0, "a")

    assert budget.ready_at(500.0) == pytest.approx(1000 + TRANSIT + PERIOD)
