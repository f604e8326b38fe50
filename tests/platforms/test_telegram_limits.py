"""The pacer, against the plain reading of each limit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.telegram.limits import BOT, CHAT, FORGET, GROUP, Pacer, Window
from adapters.telegram.starting import EVERY, MEMORY, Starts


def within(times: list[float], window: Window) -> bool:
    count, seconds = window
    return all(later - first >= seconds - 1e-6 for first, later in zip(times, times[count:], strict=False))


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, -1, -2]), st.floats(0, 2)), max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_window_is_ever_exceeded(wishes: list[tuple[int, float]]) -> None:
    pacer, now, sent = Pacer(), 0.0, []
    for chat, pause in wishes:
        now += pause
        at = now + pacer.delay(chat, now)
        pacer.note(chat, at)
        sent.append((at, chat))
    chats = {chat: sorted(at for at, other in sent if other == chat) for _, chat in sent}

    assert within(sorted(at for at, _ in sent), BOT)
    assert all(within(times, CHAT) for times in chats.values())
    assert all(within(times, GROUP) for chat, times in chats.items() if chat < 0)


def test_a_quiet_chat_does_not_wait() -> None:
    assert 0.0 == Pacer().delay(7, 100.0)


def test_a_busy_chat_does_not_hold_another() -> None:
    pacer = Pacer()
    for _ in range(3):
        pacer.note(1, 100.0)

    assert (3.0, 0.0) == (pacer.delay(1, 100.0), pacer.delay(2, 100.0))


def test_a_pause_holds_its_chat_until_it_is_over() -> None:
    pacer = Pacer()
    pacer.pause(-1, 140.0)

    assert (40.0, 0.0, 0.0) == (pacer.delay(-1, 100.0), pacer.delay(1, 100.0), pacer.delay(-1, 140.0))
    assert [False, True] == [pacer.spare(-1, 100.0), pacer.spare(-1, 140.0)]
    assert ({-1: 140.0}, {}) == (pacer.pauses(139.0), pacer.pauses(140.0))


@given(st.lists(st.tuples(st.sampled_from([1, 2, -1]), st.floats(0, 2), st.booleans()), max_size=200))
@settings(max_examples=100, deadline=None)
def test_typing_leaves_every_window_half_to_messages(wishes: list[tuple[int, float, bool]]) -> None:
    pacer, now = Pacer(), 0.0
    for chat, pause, is_message in wishes:
        now += pause
        if is_message:
            now += pacer.delay(chat, now)
            pacer.note(chat, now)
        elif pacer.spare(chat, now):
            pacer.note(chat, now)
            half = [(sent, (count + 1) // 2, seconds) for sent, (count, seconds) in pacer._windows(chat)]
            assert all(sum(at > now - seconds for at in sent) <= most for sent, most, seconds in half)


def test_typing_that_was_refused_does_not_hold_a_message() -> None:
    pacer = Pacer()
    pacer.hush(1, 140.0)

    assert (False, 0.0, True) == (pacer.spare(1, 100.0), pacer.delay(1, 100.0), pacer.spare(1, 140.0))


def test_bots_start_at_once_until_the_server_refuses_one_and_then_one_after_the_other() -> None:
    starts = Starts()
    free = [starts.wait(100.0) for _ in range(50)]
    starts.refused(100.0, 10.0)
    queued = [starts.wait(100.0) for _ in range(3)]
    later = starts.wait(100.0 + MEMORY + 1)

    assert [0.0] * 50 == free
    assert [10.0, 10.0 + EVERY, 10.0 + 2 * EVERY] == queued
    assert 0.0 == later


def test_quiet_chats_are_forgotten() -> None:
    pacer = Pacer()
    for chat in range(1, 5 * FORGET):
        pacer.note(chat, float(chat))

    assert len(pacer._chats) <= FORGET + 1
