"""Which update killed the process, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from adapters.telegram.suspects import CAREFUL, Suspects
from gateway.errors import Transient
from gateway.messages import Unreadable
from tests.platforms.fake_host import FakeHost


class Died(BaseException):
    """What the test takes for the end of a process."""


def update(number: int) -> dict[str, Any]:
    return {"update_id": number}


class Taker:
    """Takes updates and dies of one of them."""

    def __init__(self, poison: int | None = None) -> None:
        self.poison, self.taken = poison, []

    async def __call__(self, updates: Sequence[Any]) -> None:
        for one in updates:
            if one["update_id"] == self.poison:
                raise Died
        self.taken.append([one["update_id"] for one in updates])


@pytest.fixture
def host() -> FakeHost:
    return FakeHost("shop", "telegram")


BATCH = [update(1), update(2), update(3)]


async def test_while_all_goes_well_a_batch_stays_a_batch(host):
    taker = Taker()
    for suspects in (Suspects(host), Suspects(host)):
        await suspects.take(BATCH, taker)
        await suspects.over()

    assert taker.taken == [[1, 2, 3]] * 2


async def test_what_kills_twice_is_quarantined_as_it_came_and_the_rest_flows(host):
    for _ in range(2):
        with pytest.raises(Died):
            await Suspects(host).take(BATCH, Taker(poison=2))
    taker = Taker(poison=2)
    await Suspects(host).take(BATCH, taker)
    [kept] = host.accepted

    assert taker.taken == [[1], [3]]
    assert isinstance(kept, Unreadable)
    assert (kept.raw, kept.dedupe) == ('{"update_id": 2}', ("update:2",))


async def test_a_process_that_died_of_something_else_quarantines_nothing(host):
    with pytest.raises(Died):
        await Suspects(host).take(BATCH, Taker(poison=2))
    for _ in range(3):
        taker = Taker()
        await Suspects(host).take(BATCH, taker)  # and dies afterwards, with nothing in flight

        assert taker.taken == [[1], [2], [3]]
    assert host.accepted == []


async def test_care_ends_after_a_while(host):
    await Suspects(host).take(BATCH, Taker())
    suspects, taker = Suspects(host), Taker()
    await suspects.take(BATCH, taker)
    host.clock.advance(CAREFUL)
    await suspects.take(BATCH, taker)

    assert taker.taken == [[1], [2], [3], [1, 2, 3]]


async def test_a_suspect_is_kept_until_the_journal_has_it(host):
    for _ in range(2):
        with pytest.raises(Died):
            await Suspects(host).take(BATCH, Taker(poison=1))
    suspects = Suspects(host)
    host.accepting = Transient("journal is full")
    with pytest.raises(Transient):
        await suspects.take(BATCH, Taker(poison=1))
    host.accepting = None
    await suspects.take(BATCH, Taker(poison=1))

    assert len(host.accepted) == 1
