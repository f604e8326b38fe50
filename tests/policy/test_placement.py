"""Every process computes the same, evenly, and moves little."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.placement import assign

MEMBERS = st.lists(st.text("abcdef0123456789", min_size=4, max_size=8), min_size=1, max_size=8, unique=True)
COUNTS = st.integers(0, 200)


def names(count: int) -> list[str]:
    return [f"channel/bot{number}/telegram" for number in range(count)]


@given(MEMBERS, COUNTS)
def test_everything_is_held_and_evenly(members: list[str], count: int) -> None:
    assigned = assign(dict.fromkeys(members, names(count)))
    shares = [Counter(assigned.values())[member] for member in members]

    assert set(names(count)) == set(assigned)
    assert max(shares) - min(shares) <= 1


@given(MEMBERS, COUNTS, st.randoms(use_true_random=False))
def test_all_processes_come_to_the_same(members: list[str], count: int, dice: random.Random) -> None:
    ours, theirs = names(count), names(count)
    dice.shuffle(theirs)
    shuffled = members[:]
    dice.shuffle(shuffled)

    assert assign(dict.fromkeys(members, ours)) == assign(dict.fromkeys(shuffled, theirs))


@given(MEMBERS, COUNTS)
def test_one_more_process_moves_little_more_than_its_share(members: list[str], count: int) -> None:
    before = assign(dict.fromkeys(members, names(count)))
    after = assign(dict.fromkeys([*members, "newcomer"], names(count)))
    moved = sum(before[name] != after[name] for name in before)

    assert moved <= 1.5 * count / (len(members) + 1) + 2 * len(members)


@given(MEMBERS, COUNTS)
def test_what_only_one_process_knows_is_that_ones(members: list[str], count: int) -> None:
    first, *others = members
    assigned = assign({first: [*names(count), "channel/new/web"], **dict.fromkeys(others, names(count))})

    assert first == assigned["channel/new/web"]


def test_without_processes_nothing_is_held() -> None:
    assert {} == assign({})
