"""A bot that polls and hears nothing, against the sandbox: is it quiet there, or is it deaf?"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.telegram.deafness import QUIET
from gateway.sandbox.server import Sandbox
from tests.platforms.fake_host import until
from tests.platforms.telegram_scene import Scene, telegram_scene


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with telegram_scene(sandbox) as scene:
        yield scene


async def test_updates_that_are_withheld_are_told_of_and_a_bot_that_hears_again_is_well(scene: Scene) -> None:
    async with scene.running(scene.adapter(poll=0.05)):
        scene.bot.withholds = "all"
        await scene.says("Anybody?")
        quiet = scene.bot.calls["getwebhookinfo"]
        scene.host.clock.advance(QUIET)
        await until(lambda: scene.host.state == "degraded")
        told = scene.host.states[-1][1]
        scene.bot.withholds = None
        scene.bot.interrupt()
        [heard] = await scene.heard()
        await until(lambda: scene.host.state == "ready")

        assert 0 == quiet, "nobody asks while it is not quiet for long"
        assert told.startswith("deaf: Telegram says that 1 updates wait for this bot")
        assert "revoke" in told
        assert "Anybody?" == heard.text


async def test_a_quiet_bot_for_which_nothing_waits_stays_as_it_is(scene: Scene) -> None:
    async with scene.running(scene.adapter(poll=0.05)):
        scene.host.clock.advance(QUIET)
        await until(lambda: scene.bot.calls["getwebhookinfo"])
        polls = scene.bot.calls["getupdates"]
        await until(lambda: scene.bot.calls["getupdates"] > polls + 1)

        assert 1 == scene.bot.calls["getwebhookinfo"]
        assert ["ready"] == [state for state, _ in scene.host.states]


async def test_numbers_that_began_anew_do_not_hide_what_waits(scene: Scene) -> None:
    """After a quiet week Telegram counts updates from somewhere else; a number beyond its queue hides all of them."""
    async with scene.running(scene.adapter(poll=0.05)):
        await scene.says("Before")
        await scene.heard(1)
        scene.bot.withholds = "numbered"
        await scene.says("After")
        scene.host.clock.advance(QUIET)
        heard = await scene.heard(2)

        assert ["Before", "After"] == [said.text for said in heard]
        assert "degraded" not in dict(scene.host.states)
