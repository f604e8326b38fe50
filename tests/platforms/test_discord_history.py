"""After a session was lost: what was said meanwhile is read from the histories, over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import ADA, TOKEN, Scene, scene_of
from tests.platforms.fake_host import until


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with scene_of(sandbox) as made:
        yield made


async def been_there(scene: Scene) -> None:
    """A run that has heard somebody, and has ended."""
    async with scene.running():
        await scene.says("before")
        await scene.says("before", channel=55, mention=True)
        await scene.heard(2)
    scene.host.states.clear()
    scene.gateway.forget_sessions()


async def test_direct_messages_channels_and_threads_are_caught_up_with(scene: Scene):
    await been_there(scene)
    await scene.says("direct")
    await scene.says("mentioned", channel=55, mention=True)
    await scene.says("in a new channel", channel=56, mention=True)
    await scene.says("in a thread", channel={"id": 88, "type": "thread", "parent": 55}, mention=True)
    async with scene.running():
        heard = await scene.heard(6)

    by_text = {said.text: said for said in heard[2:]}
    assert by_text.keys() == {"direct", "mentioned", "in a new channel", "in a thread"}
    assert by_text["direct"].place.direct
    assert by_text["in a thread"].place.channel == "55"
    assert by_text["mentioned"].place.guild == heard[1].place.guild


async def test_what_was_heard_before_is_not_accepted_twice(scene: Scene):
    await been_there(scene)
    await scene.says("meanwhile")
    async with scene.running():
        await scene.heard(3)

    assert ["before", "before", "meanwhile"] == [said.text for said in scene.host.accepted]


async def test_who_wrote_meanwhile_has_their_roles(scene: Scene):
    await been_there(scene)
    await scene.discord.say(
        TOKEN, {"user": {**ADA, "roles": ["100"]}, "text": "hi", "channel": 55, "mention": True}
    )
    async with scene.running():
        said = (await scene.heard(3))[2]

    assert said.sender.roles == ("100",)


async def test_a_session_that_is_lost_while_running_is_made_up_for(scene: Scene):
    async with scene.running():
        await scene.says("before")
        await scene.heard()
        scene.gateway.drop()
        scene.gateway.forget_sessions()
        await scene.says("meanwhile")

        assert ["before", "meanwhile"] == await scene.texts(2)


async def test_more_than_a_page_is_read_in_order(scene: Scene):
    await been_there(scene)
    for number in range(130):
        await scene.says(f"{number}")
    async with scene.running():
        texts = await scene.texts(132)

    assert [str(number) for number in range(130)] == texts[2:]


async def test_a_resumed_session_reads_no_history(scene: Scene):
    async with scene.running():
        await scene.says("before")
        await scene.heard()
    scene.host.states.clear()
    async with scene.running():
        await scene.says("after")
        await scene.heard(2)

    assert scene.discord.rest.calls["list_messages"] == 0


async def test_a_first_session_reads_no_history(scene: Scene):
    await scene.says("long before")
    async with scene.running():
        await scene.says("now")
        assert ["now"] == await scene.texts()

    assert scene.discord.rest.calls["list_messages"] == 0


async def test_channels_that_refuse_are_passed_over_and_soon_left_alone(scene: Scene):
    await been_there(scene)
    for number in range(100, 130):
        await scene.says("secret", channel=number, mention=True)
        scene.discord.rest.refused[str(number)] = 50001
    await scene.says("direct")
    async with scene.running():
        assert "direct" == (await scene.texts(3))[2]
        await until(lambda: scene.discord.rest.calls["list_messages"] >= 11)
        await scene.says("live")
        await scene.heard(4)

    assert scene.discord.rest.calls["list_messages"] <= 12


async def test_trouble_with_a_history_costs_nothing_else(scene: Scene, sandbox: Sandbox):
    await been_there(scene)
    sandbox.faults.add(Fault("discord", "list_messages", "status", status=403, times=99))
    sandbox.faults.add(Fault("discord", "list_guilds", "malformed", times=99))
    async with scene.running():
        await scene.says("live")
        assert "live" == (await scene.texts(3))[2]


async def test_nothing_older_than_a_day_is_read(scene: Scene):
    await been_there(scene)
    await scene.says("two days ago")
    scene.host.clock.advance(2 * 86_400)
    async with scene.running():
        await until(lambda: scene.discord.rest.calls["list_messages"])
        await scene.discord.say(TOKEN, {"user": ADA, "text": "live", "channel": 55, "mention": True})
        assert "live" == (await scene.texts(3))[2]
