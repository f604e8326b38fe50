"""The world's troubles, over HTTP, as somebody meets them who tries the program."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from adapters.discord.errors import INTENT_REMEDY
from gateway.errors import Misconfigured, Permanent
from gateway.messages import Deleted, Edited
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import TOKEN, Scene, delivery, scene_of
from tests.platforms.fake_host import until


class World:
    def __init__(self, scene: Scene, http: aiohttp.ClientSession) -> None:
        self.scene, self._http = scene, http

    async def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        url = f"{self.scene.sandbox.url}/_control/{path}"
        async with self._http.request(method, url, json=body) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def world(sandbox: Sandbox) -> AsyncIterator[World]:
    async with scene_of(sandbox) as scene, aiohttp.ClientSession() as http:
        yield World(scene, http)


async def test_the_privileged_intent_is_taken_away(world: World) -> None:
    await world("POST", f"discord/{TOKEN}/account", {"privileged": False})
    with pytest.raises(Misconfigured) as wrong:
        await world.scene.adapter(message_content=True).run(world.scene.host)

    assert INTENT_REMEDY == wrong.value.remedy


async def test_a_channel_refuses_and_takes_messages_again(world: World) -> None:
    async with world.scene.running() as bot:
        await world.scene.says("hi", channel=55, mention=True)
        [said] = await world.scene.heard()
        await world("POST", f"discord/{TOKEN}/channels/55", {"refuse": 10004})
        with pytest.raises(Permanent, match="no longer in the server"):
            await bot.send(delivery(said))
        status, state = await world("POST", f"discord/{TOKEN}/channels/55", {"refuse": 0})
        await bot.send(delivery(said))

    assert (200, {"archived": False, "locked": False, "refuse": 0}) == (status, state)
    assert 1 == len(world.scene.sent())


async def test_a_person_changes_and_takes_back_what_they_said(world: World) -> None:
    async with world.scene.running():
        message = await world.scene.says("hi")
        await world("PATCH", f"discord/{TOKEN}/messages/{message['id']}", {"text": "hello"})
        await world("DELETE", f"discord/{TOKEN}/messages/{message['id']}")
        await until(lambda: len(world.scene.host.accepted) == 3)

    [_, edited, deleted] = world.scene.host.accepted
    assert isinstance(edited, Edited)
    assert isinstance(deleted, Deleted)
    assert "hello" == edited.text


async def test_a_token_expires(world: World) -> None:
    async with world.scene.running() as bot:
        used = await world.scene.asks()
        [said] = await world.scene.heard()
        await until(lambda: world.scene.sent("deferred"))
        await world("DELETE", f"discord/{TOKEN}/interactions/{used['id']}")
        await bot.send(delivery(said, "late"))

    assert ["late"] == [message["text"] for message in world.scene.sent()]


@pytest.mark.parametrize(
    ("wish", "sessions"),
    [
        ({"do": "drop"}, 1),
        ({"do": "close", "code": 4000}, 1),
        ({"do": "reconnect"}, 1),
        ({"do": "invalidate"}, 2),
        ({"do": "forget"}, 2),
    ],
)
async def test_connections_end_and_come_back(world: World, wish: dict[str, Any], sessions: int) -> None:
    async with world.scene.running():
        await world("POST", "discord-gateway", wish)
        await until(lambda: world.scene.readies() == 2)
        await world.scene.says("still there?")

        assert ["still there?"] == await world.scene.texts()
    assert sessions == world.scene.gateway.identifies


async def test_an_answer_is_lost_after_the_message_was_stored(world: World) -> None:
    async with world.scene.running() as bot:
        await world.scene.says("hi")
        [said] = await world.scene.heard()
        await world("POST", "discord-rest", {"lose_answers": [502]})
        await bot.send(delivery(said))

    assert (1, 2) == (len(world.scene.sent()), world.scene.discord.rest.calls["create_message"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", f"discord/{TOKEN}/account", {"shards": 0}, 422),
        ("POST", f"discord/{TOKEN}/channels/1", {}, 404),
        ("PATCH", f"discord/{TOKEN}/messages/1", {"text": "x"}, 404),
        ("DELETE", f"discord/{TOKEN}/interactions/1", None, 404),
        ("POST", "discord-gateway", {"do": "explode"}, 422),
        ("POST", "discord-rest", {"lose": 1}, 422),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(
    world: World, method: str, path: str, body: Any, status: int
) -> None:
    assert status == (await world(method, path, body))[0]
