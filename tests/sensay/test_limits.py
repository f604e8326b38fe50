from __future__ import annotations

import pytest

from gateway.sandbox.sensay.limits import Bucket, Fixed, Gate, Sliding


def let_through(limiter, times: list[float]) -> list[bool]:
    def one(now: float) -> bool:
        free = limiter.wait(now) == 0
        if free:
            limiter.take(now)
        return free

    return [one(now) for now in times]


def test_a_sliding_window_frees_each_place_a_window_later():
    assert let_through(Sliding(2, 10.0), [0.0, 4.0, 9.9, 10.0, 13.9]) == [True, True, False, True, False]


def test_a_fixed_window_frees_all_places_at_its_stroke():
    assert let_through(Fixed(2, 10.0), [8.0, 9.0, 9.9, 10.0, 10.1, 19.9]) == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]


def test_a_bucket_fills_evenly():
    assert let_through(Bucket(2, 10.0), [100.0, 100.0, 100.0, 104.9, 105.0, 105.1]) == [
        True,
        True,
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("kind", [Sliding, Fixed, Bucket])
def test_after_the_wait_that_it_asks_for_one_more_gets_through(kind):
    limiter = kind(3, 10.0)
    let_through(limiter, [101.0, 102.0, 103.0])
    wait = limiter.wait(103.0)

    assert 0 < wait <= 10.0
    assert let_through(limiter, [103.0 + wait]) == [True]


@pytest.mark.parametrize("kind", [Sliding, Fixed, Bucket])
def test_what_is_given_back_may_be_taken_again(kind):
    limiter = kind(1, 10.0)
    let_through(limiter, [100.0])
    limiter.give_back()

    assert let_through(limiter, [100.0, 100.0]) == [True, False]


def test_a_gate_counts_in_all_limits_or_in_none():
    everything, completions = Sliding(10, 60.0), Sliding(1, 3600.0)
    gate = Gate(everything, completions)
    gate.enter(0.0, completion=True)

    assert gate.enter(1.0, completion=True) == 3599.0
    assert [gate.enter(2.0, completion=False) for _ in range(9)] == [0.0] * 9
    assert gate.enter(3.0, completion=False) == 57.0
