from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Ambiguous, Misconfigured, Permanent, QuotaExhausted, RateLimited, Transient
from gateway.policy.lifecycle import after_error
from gateway.policy.retry import (
    ATTEMPTS,
    CHANNEL_PAUSE,
    PUBLISHED,
    SEND_ATTEMPTS,
    Again,
    Bury,
    GiveUp,
    LookUp,
    Postpone,
    after_question,
    after_send,
)


def test_a_refused_request_is_asked_again_and_does_not_count():
    assert after_question(RateLimited("429", retry_after=7), ATTEMPTS, 0.0) == Again(7, counted=False)


def test_an_unknown_outcome_is_looked_up_before_anything_else():
    assert isinstance(after_question(Ambiguous("timeout"), 1, 0.0), LookUp)


def test_nothing_is_asked_more_often_than_the_table_allows():
    for error in (Ambiguous("timeout"), Transient("refused")):
        assert isinstance(after_question(error, ATTEMPTS, 0.0), GiveUp)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Permanent("404"), "404"),
        (Permanent("403", remedy="make the replica public"), "403: make the replica public"),
        (Misconfigured("401", remedy="check the key"), "401: check the key"),
    ],
)
def test_what_cannot_work_is_asked_once_and_the_operator_is_told_what_to_do(error, cause):
    assert after_question(error, 1, 0.0) == GiveUp("failed", cause)


def test_a_used_up_allowance_has_its_own_text():
    assert after_question(QuotaExhausted("monthly"), 1, 0.0) == GiveUp("quota", "monthly")


def test_waits_between_questions_grow():
    waits = [after_question(Transient("refused"), requests, 0.5).wait for requests in (1, 2)]

    assert waits == sorted(waits)
    assert waits[0] > 0


def test_flood_control_holds_back_the_lane_for_as_long_as_the_platform_says():
    assert after_send(RateLimited("429", retry_after=30), 1, 0.0) == Postpone(30, "lane")


def test_flood_control_of_the_whole_bot_holds_back_the_channel():
    assert after_send(RateLimited("429", retry_after=30, scope="channel"), 1, 0.0) == Postpone(30, "channel")


def test_a_part_that_the_platform_refuses_is_buried():
    assert after_send(Permanent("bad entity"), 1, 0.0) == Bury("bad entity")


def test_a_blocked_chat_takes_its_lane_with_it():
    assert after_send(Permanent("blocked", scope="lane"), 1, 0.0) == Bury("blocked", lane=True)


def test_an_unknown_send_is_dropped_unless_repeating_is_allowed():
    error = Ambiguous("reset")

    assert after_send(error, 1, 0.0) == Bury("reset", unknown=True)
    assert isinstance(after_send(error, 1, 0.0, repeat_unknown=True), Postpone)
    assert after_send(error, 2, 0.0, repeat_unknown=True) == Bury("reset", unknown=True)


def test_a_part_that_could_not_leave_is_tried_again_but_not_for_ever():
    assert isinstance(after_send(Transient("refused"), SEND_ATTEMPTS - 1, 0.0), Postpone)
    assert after_send(Transient("refused"), SEND_ATTEMPTS, 0.0) == Bury("refused")


def test_a_callback_is_tried_by_the_schedule_that_is_published():
    waits = [
        after_send(Transient("500"), attempt, 0.0, schedule=PUBLISHED).wait
        for attempt in range(1, PUBLISHED.attempts)
    ]

    minute, hour = 60, 3600
    expected = [
        5,
        5 * minute,
        30 * minute,
        2 * hour,
        5 * hour,
        10 * hour,
        14 * hour,
        20 * hour,
        24 * hour,
    ]
    assert expected == waits
    assert Bury("500") == after_send(Transient("500"), PUBLISHED.attempts, 0.0, schedule=PUBLISHED)


@given(st.floats(0.0, 1.0), st.integers(1, PUBLISHED.attempts - 1))
def test_a_callback_comes_a_little_late_but_never_early(jitter: float, attempt: int):
    wait = after_send(Transient("500"), attempt, jitter, schedule=PUBLISHED).wait

    assert PUBLISHED.waits[attempt - 1] <= wait <= PUBLISHED.waits[attempt - 1] * 1.1


@pytest.mark.parametrize(("asked", "waited"), [(1.0, 300.0), (900.0, 900.0)])
def test_a_receiver_may_make_a_published_wait_longer_but_not_shorter(asked: float, waited: float):
    error = Transient("503", retry_after=asked)

    assert after_send(error, 2, 0.0, schedule=PUBLISHED) == Postpone(waited, "lane")


@pytest.mark.parametrize(("asked", "pause"), [(None, CHANNEL_PAUSE), (120.0, 120.0)])
def test_a_receiver_under_load_is_left_alone_for_a_while_not_for_the_whole_schedule(
    asked: float | None, pause: float
):
    error = Transient("503", retry_after=asked, scope="channel")

    assert after_send(error, 9, 0.0, schedule=PUBLISHED) == Postpone(86_400.0, "channel", pause)


def test_an_answer_is_never_given_up_because_its_platform_is_away():
    away = Transient("the bot is not connected", retry_after=1.0, scope="channel")

    assert after_send(away, 10 * SEND_ATTEMPTS, 0.0) == Postpone(1.0, "channel", 1.0)


def test_what_needs_a_person_is_failed_and_still_tried_every_fifteen_seconds_at_first():
    trouble = after_error(Misconfigured("bad token", remedy="write a good one"), 3, 20.0, 1.0)

    assert (trouble.state, trouble.error, trouble.remedy) == ("failed", "bad token", "write a good one")
    assert trouble.wait <= 15.0


def test_what_needs_a_person_for_long_is_tried_ever_more_slowly_but_never_given_up():
    waits = [
        after_error(Misconfigured("x", remedy="y"), 100, seconds, 1.0).wait for seconds in (301, 3000, 1e7)
    ]

    assert waits == sorted(waits)
    assert waits[-1] <= 900.0


def test_ordinary_trouble_backs_off_to_a_minute_and_honours_the_server():
    waits = [after_error(RuntimeError("x"), failures, 0.0, 1.0).wait for failures in range(1, 20)]

    assert waits == sorted(waits)
    assert waits[-1] == 60.0
    assert after_error(Transient("x", retry_after=500), 1, 0.0, 0.0).wait == 500
