"""A connection that is answered and told nothing: is nobody speaking, or is it deaf?"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.discord import deafness
from adapters.discord.deafness import QUIET
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import Scene, scene_of
from tests.platforms.fake_host import until


@pytest.fixture
async def scene(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(deafness, "LOOK_EVERY", 0.02)
    sandbox.discord.gateway.heartbeat_interval = 0.2
    async with scene_of(sandbox) as made:
        yield made


def texts(scene: Scene) -> list[str]:
    return [said.text for said in scene.host.accepted]


async def test_what_it_was_not_told_is_read_told_of_and_cured_with_a_new_session(scene: Scene):
    async with scene.running():
        await scene.says("before", channel=55, mention=True)
        await scene.heard(1)
        scene.gateway.tells = False
        await scene.says("Anybody?", channel=55, mention=True)
        deaf_so_far, identified = texts(scene), scene.gateway.identifies
        scene.host.clock.advance(QUIET)
        await scene.heard(2)
        await until(lambda: scene.gateway.identifies == identified + 1 and scene.host.state == "ready")
        scene.gateway.tells = True
        await scene.says("after", channel=55, mention=True)
        await scene.heard(3)
        why = [why for state, why in scene.host.states if state == "degraded"]

    assert ["before"] == deaf_so_far
    assert ["before", "Anybody?", "after"] == texts(scene)
    assert "deaf: 1 messages were said that Discord did not tell of" in why[0]


async def test_a_quiet_bot_keeps_its_session(scene: Scene, sandbox: Sandbox):
    looks = 0

    async def counted(self: deafness.Deafness, look=deafness.Deafness.look) -> None:
        nonlocal looks
        await look(self)
        looks += 1

    deafness.Deafness.look, real = counted, deafness.Deafness.look
    try:
        async with scene.running():
            await scene.says("before")
            await scene.heard(1)
            scene.host.clock.advance(QUIET)
            so_far = looks
            await until(lambda: looks >= so_far + 2)
    finally:
        deafness.Deafness.look = real

    assert ["before"] == texts(scene)
    assert 1 == scene.gateway.identifies
    assert "degraded" not in dict(scene.host.states)
