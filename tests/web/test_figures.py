"""Sensay's figures: asked for when somebody looks, kept for an hour, drawn, and absent where Sensay says so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors import NoRoom
from gateway.insight.counting import KEPT, Counting
from gateway.insight.shelf import Shelf
from gateway.sandbox.sensay import SUPPORT
from gateway.settings.models import Settings
from gateway.web import charts
from gateway.web.analytics import figures_view
from gateway.web.figures import Day, Figures, Share
from tests.clock import FakeClock, settle
from tests.sensay.api_world import ApiWorld, api_world
from tests.sensay.world import until

DAYS = tuple(
    Day(f"2026-11-{day:02}", 100 + day * day, None if day == 1 else 2 * day - 1) for day in range(1, 31)
)


@asynccontextmanager
async def counting(world: ApiWorld) -> AsyncIterator[Counting]:
    settings = Settings.model_validate(
        {
            "organizations": {"acme": {"secret": "s"}},
            "bots": {
                name: {"organization": "acme", "replica": SUPPORT, "enabled": False}
                for name in ("one", "two")
            },
        }
    )
    made = Counting(lambda: settings, lambda _: world.door, world.clock)
    try:
        yield made
    finally:
        made.close()


async def looked(made: Counting, done: Callable[[Figures], bool] = lambda _: True) -> Figures:
    """What is known once nothing is under way."""
    made.look("one")
    await until(lambda: not made.look("one").coming and done(made.look("one")))
    return made.look("one")


def requests(world: ApiWorld) -> int:
    return sum("/analytics/" in one for one in world.sent)


async def test_a_look_returns_at_once_and_has_the_figures_fetched():
    async with api_world() as world, counting(world) as made:
        first = made.look("one")
        known = await looked(made)

    assert (first.known, first.coming) == (False, True)
    assert len(known.days or ()) == 30
    assert (
        sum(day.new or 0 for day in known.days or ())
        == (known.days or ())[-1].total - (known.days or ())[0].total
    )
    assert {share.source for share in known.shares or ()} == {"telegram", "discord", "embed", "web"}


async def test_nobody_looking_costs_nothing_and_looking_costs_two_requests_an_hour():
    async with api_world() as world, counting(world) as made:
        idle = requests(world)
        for _ in range(20):
            await looked(made)
            made.look("two")
        hour = requests(world)
        await world.clock.advance(KEPT - 1)
        await looked(made)
        before = requests(world)
        await world.clock.advance(2)
        await looked(made)

        assert (idle, hour, before, requests(world)) == (0, 2, 2, 4)


@pytest.mark.parametrize("status", [403, 404])
async def test_figures_that_may_not_be_seen_are_not_available_for_a_quarter_of_an_hour(status: int):
    async with api_world() as world, counting(world) as made:
        world.fault("historical", "status", status=status)
        world.fault("sources", "status", status=status)
        known = await looked(made)
        asked = requests(world)
        await looked(made)
        again = requests(world)
        await world.clock.advance(901)
        later = await looked(made, lambda figures: figures.known)

    assert not known.known
    assert known.absent is not None
    assert asked == again
    assert later.known


async def test_one_of_two_that_is_absent_leaves_the_other():
    async with api_world() as world, counting(world) as made:
        world.fault("sources", "status", status=404)
        known = await looked(made)

    assert known.shares is None
    assert len(known.days or ()) == 30


async def test_old_figures_stay_on_show_with_their_age_when_new_ones_fail():
    async with api_world() as world, counting(world) as made:
        await looked(made)
        await world.clock.advance(KEPT + 1)
        world.fault("historical", "status", status=500)
        stale = await looked(made, lambda figures: figures.error is not None)
        view = figures_view(stale, world.clock.now())
        await world.clock.advance(61)
        fresh = await looked(made, lambda figures: figures.error is None)

    assert len(stale.days or ()) == 30
    assert view["as_of"] == "as of 60 min ago"
    assert fresh.at is not None


async def test_without_room_it_is_tried_again_when_there_is():
    async with api_world() as world, counting(world) as made:
        full = [True]

        async def door(operation: Any, arguments: Any, auth: Any) -> Any:
            if full[0]:
                raise NoRoom("full", retry_after=200.0, window="minute")
            return await world.door(operation, arguments, auth)

        made._door = lambda _: door
        refused = await looked(made, lambda figures: figures.error is not None)
        full[0] = False
        await world.clock.advance(199)
        early = made.look("one").coming
        await world.clock.advance(2)
        known = await looked(made, lambda figures: figures.known)

    assert isinstance(refused.error, NoRoom)
    assert not early
    assert known.known


# --- pictures ---


def test_the_line_and_the_bars_say_their_whole_in_words():
    line, bars = charts.line_chart(DAYS), charts.bar_chart(DAYS)

    assert 'aria-label="Conversations so far: 101 on 2026-11-01, 1,000 on 2026-11-30"' in line
    assert 'aria-label="New conversations: 899 in 29 days, most on 2026-11-30: 59"' in bars
    assert 29 == bars.count('class="bar"')
    assert 30 == len(re.findall(r"polyline[^>]*points=\"([^\"]*)\"", line)[0].split())


def test_the_slices_of_a_donut_are_as_long_as_their_shares():
    shares = [Share("telegram", 245), Share("discord", 123), Share("web", 89), Share("embed", 34)]
    lengths = [float(one) for one in re.findall(r'stroke-dasharray="([0-9.]+) ', charts.donut(shares))]

    assert [245, 123, 89, 34] == [round((one + 2.5) / (2 * 3.14159265 * 74) * 491) for one in lengths]
    assert charts.shares_words(shares) == "telegram 49.9 %, discord 25.1 %, web 18.1 %, embed 6.9 %"


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (0, 0, (0, 1, 1)),
        (0, 3, (0, 3, 1)),
        (100, 115, (100, 115, 5)),
        (990, 1010, (990, 1010, 5)),
        (0, 123_456, (0, 150_000, 50_000)),
    ],
)
def test_an_axis_has_round_numbers(least: int, most: int, expected: tuple[int, int, int]):
    assert charts.scale(least, most) == expected


@pytest.mark.parametrize(
    "days",
    [
        (),
        (Day("2026-11-01", 0, None),),
        (Day("<b>", 7, None), Day("2026-11-02", 3, -4)),
        (Day("2026-11-01", 10**40, None), Day("2026-11-02", 10**41, 9 * 10**40)),
    ],
)
def test_strange_figures_are_drawn_without_a_word(days: tuple[Day, ...]):
    view = figures_view(Figures(days=days, shares=(Share("<i>", 0),), at=0.0), 7200.0)

    assert "<b>" not in f"{view['line']}{view['bars']}{view['small']}"
    assert "<i>" not in f"{view['donut']}{view['split']}"
    assert view["as_of"] == "as of 2 h ago"


# --- what is kept ---


async def test_a_shelf_keeps_what_fits_and_lets_go_of_what_is_old():
    clock = FakeClock()
    shelf = Shelf(clock, most=3, weight=10)
    fetched: list[int] = []

    async def bring(number: int) -> int:
        fetched.append(number)
        return number

    async def get(number: int) -> int:
        kept = await shelf.get(number, lambda: bring(number), keep=60.0, weigh=lambda value: value)
        return kept.value

    values = [await get(number) for number in (1, 2, 3, 4, 4, 3, 50, 4)]
    size = len(shelf)
    await clock.advance(61)
    await get(4)

    assert values == [1, 2, 3, 4, 4, 3, 50, 4]
    assert fetched == [1, 2, 3, 4, 50, 4, 4]
    assert size == 1
    assert len(shelf) == 1


async def test_who_goes_away_does_not_take_the_answer_from_the_others():
    shelf = Shelf(FakeClock(), most=3, weight=10)
    come = asyncio.Event()

    async def bring() -> str:
        await come.wait()
        return "here"

    first, second = (asyncio.ensure_future(shelf.get("x", bring, keep=60.0)) for _ in range(2))
    await settle()
    first.cancel()
    come.set()

    assert (await second).value == "here"
