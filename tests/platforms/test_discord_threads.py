"""`threads: auto`, and where a message was said when Discord is slow to tell, over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.discord import directory
from adapters.discord.convert import title
from gateway.errors import Permanent
from gateway.policy.access import People, Rules, judge
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import Scene, delivery, scene_of


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with scene_of(sandbox) as made:
        yield made


def threaded(scene: Scene, **more: object):
    return scene.adapter(threads="auto", message_content=True, **more)


async def test_a_conversation_in_a_channel_gets_a_thread_named_after_the_question(scene: Scene):
    async with scene.running(threaded(scene)) as bot:
        question = await scene.says("Where is my order?\nIt was due on Monday.", channel=55, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said, "On its way."))
        await bot.send(delivery(said, "More.", index=1, part="t1.answer.1"))

    [thread] = scene.sent("thread")
    assert (thread["id"], thread["text"]) == (question["id"], "Where is my order?")
    assert [question["id"]] * 2 == [sent["chat"] for sent in scene.sent()]
    assert [None, None] == [sent["reply_to"] for sent in scene.sent()]
    assert (said.key.chat, said.address.to, said.place.channel) == (question["id"], question["id"], "55")


async def test_in_its_own_thread_the_bot_needs_no_mention(scene: Scene):
    async with scene.running(threaded(scene)) as bot:
        question = await scene.says("Where is my order?", channel=55, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said))
        await scene.says("and the other one?", channel=question["id"])
        follow_up = (await scene.heard(2))[1]
        await bot.send(delivery(follow_up, part="t2.answer.0"))

    assert (follow_up.addressed, follow_up.key, follow_up.place.channel) == ("reply", said.key, "55")
    assert [question["id"]] * 2 == [sent["chat"] for sent in scene.sent()]
    assert len(scene.sent("thread")) == 1


async def test_a_restart_forgets_no_thread(scene: Scene):
    async with scene.running(threaded(scene)) as bot:
        question = await scene.says("Where is my order?", channel=55, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said))
    scene.host.states.clear()
    async with scene.running(threaded(scene)) as bot:
        await bot.send(delivery(said, "More.", index=1, part="t1.answer.1"))
        await scene.says("and now?", channel=question["id"])
        assert "reply" == (await scene.heard(2))[1].addressed

    assert [question["id"]] * 2 == [sent["chat"] for sent in scene.sent()]


async def test_somebody_elses_thread_needs_a_mention_and_gets_no_thread_inside(scene: Scene):
    place = {"id": 88, "type": "thread", "parent": 55}
    async with scene.running(threaded(scene)) as bot:
        await scene.says("just chatting", channel=place)
        await scene.says("hi", channel=place, mention=True)
        chatting, said = await scene.heard(2)
        await bot.send(delivery(said))

    assert (chatting.addressed, said.addressed, said.key.chat) == (None, "mention", "88")
    assert scene.sent("thread") == []


async def test_a_post_in_a_forum_is_a_thread_too(scene: Scene):
    post = {"id": 90, "type": "thread", "parent": 66, "forum": True}
    async with scene.running(threaded(scene)) as bot:
        await scene.says("hi", channel=post, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said))

    assert (said.key.chat, said.place.channel) == ("90", "66")
    assert (["90"], []) == ([sent["chat"] for sent in scene.sent()], scene.sent("thread"))


@pytest.mark.parametrize("code", [50013, 160006, 10008])
async def test_without_a_thread_the_channel_will_do(scene: Scene, code: int):
    scene.discord.rest.unthreaded = code
    async with scene.running(threaded(scene)) as bot:
        question = await scene.says("hi", channel=55, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said))

    assert [("55", question["id"])] == [(sent["chat"], sent["reply_to"]) for sent in scene.sent()]


async def test_two_who_open_the_same_thread_share_it(scene: Scene):
    async with scene.running(threaded(scene)) as bot:
        question = await scene.says("hi", channel=55, mention=True)
        scene.discord.world.thread(scene.discord.world.channels["55"], question["id"])
        [said] = await scene.heard()
        await bot.send(delivery(said))

    assert [question["id"]] == [sent["chat"] for sent in scene.sent()]


async def test_an_edit_and_a_deletion_reach_the_question_that_will_have_a_thread(scene: Scene):
    async with scene.running(threaded(scene)):
        question = await scene.says("Where is my oder?", channel=55, mention=True)
        await scene.discord.edit(question, "Where is my order?")
        await scene.discord.delete(question)
        said, *amendments = await scene.heard(5)

    keys = [(type(arrival).__name__, arrival.key.chat) for arrival in amendments]
    assert said.key.chat == question["id"]
    assert {("Edited", question["id"]), ("Deleted", question["id"])} <= set(keys)


async def test_a_locked_thread_is_a_dead_lane(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi", channel={"id": 88, "type": "thread", "parent": 55}, mention=True)
        [said] = await scene.heard()
        scene.discord.world.channels["88"].locked = True
        with pytest.raises(Permanent) as refused:
            await bot.send(delivery(said))

    assert (refused.value.scope, refused.value.context["code"]) == ("lane", 160005)


async def test_an_archived_thread_is_opened_again_by_the_answer(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi", channel={"id": 88, "type": "thread", "parent": 55}, mention=True)
        [said] = await scene.heard()
        scene.discord.world.channels["88"].archived = True
        await bot.send(delivery(said))

    assert (["88"], False) == (
        [message["chat"] for message in scene.sent()],
        scene.discord.world.channels["88"].archived,
    )


async def test_a_parent_that_discord_is_slow_to_tell_is_asked_for_again(scene: Scene, sandbox: Sandbox):
    sandbox.faults.add(Fault("discord", "get_channel", "status", status=503, times=directory.TRIES - 1))
    async with scene.running():
        await scene.says("hi", channel={"id": 88, "type": "thread", "parent": 55}, mention=True)
        [said] = await scene.heard()

    assert said.place.channel == "55"


async def test_a_place_that_nobody_knows_is_on_every_deny_list_of_channels(scene: Scene, sandbox: Sandbox):
    sandbox.faults.add(Fault("discord", "get_channel", "status", status=503, times=99))
    async with scene.running():
        await scene.says("hi", channel={"id": 88, "type": "thread", "parent": 55}, mention=True)
        [said] = await scene.heard()

    def verdict(rules: Rules) -> str:
        return judge(said, rules, said.sent_at).verdict

    assert said.place.channel is None
    assert verdict(Rules(deny=People(channels=frozenset({"55"})))) == "deny"
    assert verdict(Rules(allow=People(channels=frozenset({"55"})))) == "deny"
    assert verdict(Rules(deny=People(users=frozenset({"1"})))) == "ask"


async def test_what_is_not_meant_for_it_is_heard_as_context_when_listening(scene: Scene):
    async with scene.running(scene.adapter(message_content=True, groups={"mode": "listen"})):
        await scene.says("just chatting", channel={"id": 88, "type": "thread", "parent": 55})
        [said] = await scene.heard()

    assert (said.addressed, said.text, said.place.channel) == (None, "just chatting", "55")
    assert judge(said, Rules(groups="listen"), said.sent_at).verdict == "record"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Where is it?", "Where is it?"),
        ("\n## Where is it?\nplease", "Where is it?"),
        ("word " * 40, ("word " * 16).strip() + "…"),
        ("x" * 200, "x" * 80 + "…"),
        ("***", "…"),
    ],
)
def test_a_thread_is_named_by_the_first_line_that_fits(text: str, name: str):
    assert name == title(text)
