from __future__ import annotations

from gateway.policy.breaker import CAP, FIRST, THRESHOLD, Breaker


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(THRESHOLD):
        breaker.failed(at, 1.0)
    return breaker


def test_a_few_failures_hold_nobody():
    breaker = Breaker()
    told = [breaker.failed(1.0, 0.5) for _ in range(THRESHOLD - 1)]

    assert not any(told)
    assert breaker.ready_at(1.0) == 1.0
    assert not breaker.probe()


def test_failures_in_a_row_open_it_and_an_answer_in_between_starts_the_row_anew():
    breaker = Breaker()
    for _ in range(3):
        for _ in range(THRESHOLD - 1):
            breaker.failed(1.0, 0.5)
        breaker.answered()

    assert not breaker.is_open
    assert [breaker.failed(1.0, 0.5) for _ in range(THRESHOLD + 1)] == [False] * (THRESHOLD - 1) + [
        True,
        False,
    ]
    assert breaker.is_open


def test_one_probe_at_a_time_is_let_through_after_the_pause():
    breaker = opened(100.0)

    assert breaker.ready_at(100.0) == 100.0 + FIRST
    assert breaker.ready_at(105.0) == 105.0
    assert breaker.probe()
    assert breaker.ready_at(105.0) is None
    breaker.probed()
    assert breaker.ready_at(105.0) == 105.0


def test_the_pause_doubles_with_every_failed_probe_up_to_the_cap():
    breaker, now, pauses = opened(0.0), 0.0, []
    for _ in range(8):
        at = breaker.ready_at(now)
        assert at is not None
        pauses.append(at - now)
        now = at
        breaker.probe()
        breaker.failed(now, 1.0)

    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, CAP, CAP, CAP]


def test_failures_of_turns_that_were_asked_before_do_not_lengthen_the_pause():
    breaker = opened(100.0)
    for _ in range(50):
        breaker.failed(100.5, 1.0)

    assert breaker.ready_at(100.5) == 100.0 + FIRST


def test_the_first_answer_closes_it_and_says_so_once():
    breaker = opened()
    breaker.probe()

    assert [breaker.answered(), breaker.answered()] == [True, False]
    assert breaker.ready_at(100.0) == 100.0
    assert breaker.expected(200.0) == 0.0


def test_what_has_lasted_long_is_expected_to_last_on():
    assert opened(100.0).expected(160.0) >= 60.0
