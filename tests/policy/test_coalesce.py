from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import Head
from gateway.policy.coalesce import due, together
from tests.policy.heads import head


def ids(heads: tuple[Head, ...] | list[Head]) -> list[str]:
    return [one.id for one in heads]


def test_the_first_message_of_a_quiet_conversation_goes_at_once():
    first = head(accepted_at=100.0)

    assert due([first], 0.0) <= 100.0
    assert together([first], 100.0, 0.0) == (first,)


def test_what_waits_together_becomes_one_turn_in_order():
    waiting = [head(accepted_at=float(at)) for at in range(3)]

    assert tuple(waiting) == together(waiting, 10.0, 0.0)


def test_off_asks_every_message_by_itself():
    waiting = [head(), head()]

    assert (waiting[0],) == together(waiting, 10.0, None)
    assert due(waiting, None) <= 0.0


def test_a_positive_duration_holds_the_first_message_for_company_and_no_longer():
    waiting = [head(accepted_at=100.0), head(accepted_at=101.9)]

    assert due(waiting, 2.0) == 102.0
    assert tuple(waiting) == together(waiting, 102.0, 2.0)


def test_the_parts_of_a_long_paste_wait_for_the_last_one_and_stay_together_even_when_off():
    waiting = [head(join_key="paste", not_before=at) for at in (101.0, 101.5)] + [head()]

    for hold, turn in ((None, waiting[:2]), (0.0, waiting)):
        assert due(waiting, hold) == 101.5
        assert turn == list(together(waiting, 101.5, hold))


def test_a_paste_that_is_still_arriving_does_not_keep_an_earlier_message_back():
    waiting = [head(), head(join_key="paste", not_before=105.0)]

    assert due(waiting, 0.0) <= 100.0
    assert (waiting[0],) == together(waiting, 100.0, 0.0)


def test_two_pastes_are_two_messages():
    waiting = [head(join_key="a"), head(join_key="b"), head(join_key="b")]

    assert (waiting[0],) == together(waiting, 0.0, None)
    assert tuple(waiting[1:]) == together(waiting[1:], 0.0, None)


def test_a_message_with_an_address_of_its_own_is_asked_alone_and_not_held():
    command = head(accepted_at=100.0, deadline=900.0)

    assert due([command], 5.0) <= 100.0
    assert (command,) == together([command, head()], 100.0, 0.0)
    assert ["x"] == ids(together([head(id="x"), command], 100.0, 0.0))


def test_a_turn_is_bounded_in_messages_and_characters():
    waiting = [head(size=300) for _ in range(10)]

    assert waiting[:4] == list(together(waiting, 0.0, 0.0, most=4))
    assert waiting[:3] == list(together(waiting, 0.0, 0.0, size=1000))


def test_one_message_is_never_cut_however_long_its_parts_are():
    waiting = [head(size=4096, join_key="paste") for _ in range(5)]

    assert waiting == list(together(waiting, 0.0, 0.0, most=2, size=1000))


messages = st.builds(
    head,
    join_key=st.sampled_from([None, None, "a", "b"]),
    not_before=st.none() | st.floats(0, 20),
    deadline=st.none() | st.just(500.0),
    accepted_at=st.floats(0, 10),
    size=st.integers(0, 3000),
)


@given(st.lists(messages, min_size=1, max_size=8), st.sampled_from([None, 0.0, 3.0]))
def test_a_turn_is_the_beginning_of_what_waits_and_nothing_in_it_leaves_early(waiting, hold):
    now = due(waiting, hold)
    turn = together(waiting, max(now, 0.0), hold)

    assert 1 <= len(turn)
    assert waiting[: len(turn)] == list(turn)
    assert all(one.not_before is None or one.not_before <= max(now, 0.0) for one in turn)
