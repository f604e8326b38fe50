"""What counts as connected is watched: silence rebuilds a connection, and time that steps back breaks nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from aiohttp import web

from gateway import app
from gateway import fleet as fleets
from gateway.app import SystemClock
from gateway.messages import Channel, PlatformName
from gateway.sandbox.sensay import SUPPORT
from gateway.web.server import Listener
from tests.e2e.process import DISCORD, ORIGIN, eventually
from tests.fleet.scene import Scene, bot, fleet, token


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that looks at its connections all the time and has no patience."""
    monkeypatch.setattr(fleets, "WATCH_EVERY", 0.05)
    monkeypatch.setattr(fleets, "HEARD_EVERY", 0.5)
    monkeypatch.setattr(app, "HEAR_EVERY", 0.05)


@pytest.mark.parametrize("platform", ["telegram", "discord"])
async def test_a_connection_that_hangs_without_a_word_is_built_anew(
    tmp_path: Path, hasty: None, platform: PlatformName
):
    """The hanging is in the server; the adapters' own patience is far longer than this watchdog's."""
    one = bot(1) if platform == "telegram" else {"replica": SUPPORT, "discord": {"token": DISCORD}}
    async with fleet(tmp_path, {"one": one}) as scene:
        channel = Channel(bot="one", platform=platform)

        async def seen() -> str | None:
            status = scene.gateway.fleet.status(channel)
            return status.state if status else None

        await eventually(seen, lambda state: state == "running")
        first = scene.gateway.fleet.live(channel)
        hang(scene, platform)

        async def rebuilt() -> bool:
            live = scene.gateway.fleet.live(channel)
            return live is not None and live is not first

        await eventually(rebuilt, bool)
        why = [
            change.error for change in scene.changes() if change.error and "nothing was heard" in change.error
        ]
        scene.box.telegram.bot(token(1)).answering.set()

        assert why
        assert why[0].endswith("connecting anew")
        await eventually(seen, lambda state: state == "running")


def hang(scene: Scene, platform: PlatformName) -> None:
    if platform == "telegram":
        scene.box.telegram.bot(token(1)).answering.clear()
        scene.box.telegram.bot(token(1)).interrupt()
    else:
        scene.box.discord.gateway.acknowledges = False


async def test_web_channels_are_deaf_while_our_own_listener_is(tmp_path: Path, hasty: None):
    shop = {"replica": SUPPORT, "web": {"allowed_origins": [ORIGIN]}}
    async with fleet(tmp_path, {"shop": shop}) as scene:
        channel, well = Channel(bot="shop", platform="web"), True
        assert scene.gateway.public is not None
        answers = scene.gateway.public.answers

        async def reached() -> bool:
            return well and await answers()

        async def seen() -> tuple[str, str | None]:
            status = scene.gateway.fleet.status(channel)
            return (status.state, status.error) if status else ("", None)

        scene.gateway.public.answers = reached  # type: ignore[method-assign]
        await eventually(seen, lambda found: found == ("running", None))
        well = False
        deaf = await eventually(seen, lambda found: found[0] == "degraded")
        well = True
        await eventually(seen, lambda found: found == ("running", None))

        assert deaf[1].startswith("deaf: our own listener does not answer")


async def test_a_listener_that_takes_connections_and_says_nothing_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("gateway.web.server.ANSWERS_WITHIN", 0.2)
    silent = await asyncio.start_server(lambda _, writer: asyncio.Event().wait(), "127.0.0.1", 0)

    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    listener = Listener("127.0.0.1", 0, [web.get("/openapi.json", answer)])
    await listener.start()
    well = await listener.answers()
    listener.port, real = silent.sockets[0].getsockname()[1], listener.port
    hanging = await listener.answers()
    silent.close()
    closed = await listener.answers()
    listener.port = real
    await listener.stop()

    assert (True, False, False) == (well, hanging, closed)


class Clocks:
    wall, steady = 1000.0, 50.0


def test_time_does_not_step_back_with_the_machines_clock_and_follows_it_ahead():
    at = Clocks()
    clock, told = SystemClock(lambda: at.wall, lambda: at.steady), []
    for wall, steady in ((1.0, 1.0), (-3600.0, 1.0), (10.0, 10.0), (7200.0, 1.0)):
        at.wall, at.steady = at.wall + wall, at.steady + steady
        told.append((clock.now(), clock.behind))

    assert [(1001.0, 0.0), (1002.0, 3601.0), (1012.0, 3601.0), (4611.0, 0.0)] == told


async def test_nobody_is_locked_out_when_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was said in the hour that comes again would count against its sender for that hour."""
    back = 0.0
    monkeypatch.setattr("gateway.app.SystemClock", lambda: SystemClock(lambda: time.time() - back))
    one = bot(1, limits={"user": "3/1s"})
    async with fleet(tmp_path, {"one": one}) as scene:
        await scene.all_in("running")
        me = scene.box.telegram.bot(token(1))
        for _ in range(3):
            me.hear({"user": {"id": 5, "name": "Ann"}, "text": "What are your opening hours?"})
            await scene.answered(1, len(scene.answers(1)) + 1)
        back = 3600.0
        ages = (await scene.gateway.status())["bots"]["one"]["queue"]

        async def answers() -> int:
            me.hear({"user": {"id": 5, "name": "Ann"}, "text": "And on Sunday?"})
            return sum("10:00" in text or "Sunday" in text for text in scene.answers(1))

        assert {"waiting": 0, "oldest_age": None} == ages
        await eventually(answers, lambda count: count > 3, 20.0)
