"""The Discord adapter against the sandbox, over sockets."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from discord.gateway import KeepAliveHandler

from adapters.discord.errors import INTENT_REMEDY, MEANINGS
from adapters.discord.outgoing import nonce
from gateway.errors import Misconfigured, Permanent, RateLimited, Transient
from gateway.ports import Adapter, Platform, Renderer, ShowsDraft, ShowsTyping
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import ADA, BOT_ID, TOKEN, Scene, delivery, scene_of
from tests.platforms.fake_host import until


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with scene_of(sandbox) as made:
        yield made


async def test_a_direct_message_arrives_and_is_answered(scene: Scene):
    async with scene.running() as bot:
        message = await scene.says("Where is my order?")
        [said] = await scene.heard()
        receipt = await bot.send(delivery(said, "On its way."))

    assert said.text == "Where is my order?"
    assert (said.addressed, said.place.direct, said.sender.id, said.sender.name) == (
        "direct",
        True,
        "7",
        "Ada",
    )
    assert message["id"] == said.message_id
    [sent] = scene.sent()
    assert (message["channel_id"], "On its way.", None) == (sent["chat"], sent["text"], sent["reply_to"])
    assert (sent["id"],) == receipt.platform_ids


async def test_a_mention_in_a_channel_is_answered_as_a_reply_without_the_privileged_intent(scene: Scene):
    async with scene.running() as bot:
        await scene.says("just chatting", channel=55)
        message = await scene.says("what are your hours?", channel=55, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said))

    assert (said.addressed, said.text) == ("mention", "what are your hours?")
    assert (said.place.channel, said.context["channel_name"]) == ("55", "channel-55")
    assert said.context["server_name"].startswith("Guild")
    assert message["id"] == scene.sent()[0]["reply_to"]


async def test_only_the_first_part_quotes_the_question(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi", channel=55, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said, index=1, part="t1.answer.1"))

    assert [sent["reply_to"] for sent in scene.sent()] == [None]


async def test_a_thread_is_a_conversation_of_its_own_whose_place_is_the_parent(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi", channel={"id": 88, "type": "thread", "parent": 55}, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said))

    assert (said.key.chat, said.place.channel) == ("88", "55")
    assert scene.sent()[0]["chat"] == "88"


async def test_a_mention_of_the_bots_own_role_addresses_it(scene: Scene):
    role = scene.discord.bot(TOKEN).role
    async with scene.running(scene.adapter(message_content=True)):
        await scene.says(f"<@&{role}> are you there?", channel=55)
        [said] = await scene.heard()

    assert (said.addressed, said.text) == ("mention", "are you there?")


async def test_its_own_messages_other_bots_and_webhooks_are_not_heard(scene: Scene):
    async with scene.running(scene.adapter(message_content=True)) as bot:
        await scene.says("first", channel=55, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said, f"I am <@{BOT_ID}>"))
        await scene.says("beep", channel=55, user={"id": 8, "name": "Robo", "bot": True}, mention=True)
        await scene.says("hook", channel=55, mention=True, extra={"webhook_id": "99"})
        await scene.says("last", channel=55, mention=True)

        assert await scene.texts(2) == ["first", "last"]


async def test_nobody_is_pinged_by_an_answer(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi", channel=55, mention=True)
        [said] = await scene.heard()
        await bot.send(delivery(said, "@everyone and <@7>"))

    [sent] = scene.sent()
    assert sent["text"] == "@everyone and <@7>"
    assert sent["allowed_mentions"]["parse"] == []
    assert not sent["allowed_mentions"].get("replied_user")


async def test_a_repeated_part_is_one_message(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        first, second = await bot.send(delivery(said)), await bot.send(delivery(said))

    assert first == second
    assert len(scene.sent()) == 1


async def test_an_answer_lost_behind_a_bad_gateway_is_one_message(scene: Scene):
    scene.discord.rest.lost_answers = [502]
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        receipt = await bot.send(delivery(said))

    assert [(sent["id"],) for sent in scene.sent()] == [receipt.platform_ids]


async def test_a_connection_lost_after_the_message_was_stored_may_be_repeated(scene: Scene, sandbox: Sandbox):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        sandbox.faults.add(Fault("discord", "create_message", "drop_after"))
        with pytest.raises(Transient):
            await bot.send(delivery(said))
        await bot.send(delivery(said))

    assert len(scene.sent()) == 1


def test_parts_of_one_reply_and_of_a_notice_have_different_nonces_that_fit():
    ids = ["t1.answer.0", "t1.answer.1", "t1.error.0"]

    assert len({nonce(identity) for identity in ids}) == 3
    assert all(len(nonce(identity)) <= 25 for identity in ids)


@pytest.mark.parametrize(
    ("code", "kind", "scope"),
    [
        (50001, Permanent, "lane"),
        (50013, Permanent, "lane"),
        (50007, Permanent, "lane"),
        (50278, Permanent, "lane"),
        (10003, Permanent, "lane"),
        (10004, Permanent, "lane"),
        (50083, Permanent, "part"),
        (50035, Permanent, "part"),
    ],
)
async def test_a_refused_message_is_judged_by_its_code(scene: Scene, code: int, kind: type, scope: str):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        scene.discord.rest.refused[said.key.chat] = code
        with pytest.raises(kind) as refused:
            await bot.send(delivery(said))

    assert (scope, code) == (refused.value.scope, refused.value.context["code"])


@pytest.mark.parametrize("code", [10004, 50001, 50013, 50007, 50083])
async def test_a_dead_letter_says_in_words_what_discord_meant(scene: Scene, code: int):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        scene.discord.rest.refused[said.key.chat] = code
        with pytest.raises(Permanent, match=re.escape(MEANINGS[code])):
            await bot.send(delivery(said))


async def test_a_servers_outage_is_waited_for_and_nothing_is_lost(scene: Scene, sandbox: Sandbox):
    async with scene.running() as bot:
        await scene.says("before", channel=55, mention=True)
        [said] = await scene.heard()
        await scene.gateway.inject(TOKEN, "GUILD_DELETE", {"id": said.place.guild, "unavailable": True})
        sandbox.faults.add(Fault("discord", "create_message", "status", status=503))
        with pytest.raises(Transient):
            await bot.send(delivery(said))
        await scene.gateway.inject(TOKEN, "GUILD_CREATE", {"id": said.place.guild, "unavailable": False})
        await bot.send(delivery(said))
        await scene.says("after", channel=55, mention=True)

        assert ["before", "after"] == await scene.texts(2)
    assert 1 == len(scene.sent())


async def test_a_message_that_cannot_be_quoted_is_answered_without_the_quote(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi", channel=55, mention=True)
        [said] = await scene.heard()
        scene.discord.world.channels["55"].messages[said.message_id]["type"] = 7
        await bot.send(delivery(said))

    assert [sent["reply_to"] for sent in scene.sent()] == [None]


async def test_a_deleted_question_is_answered_all_the_same(scene: Scene):
    async with scene.running() as bot:
        message = await scene.says("hi", channel=55, mention=True)
        [said] = await scene.heard()
        scene.discord.world.channels["55"].messages.pop(message["id"])
        await bot.send(delivery(said))

    assert len(scene.sent()) == 1


@pytest.mark.parametrize(
    ("kind", "scope", "wait"), [("bucket", "lane", 33.0), ("cloudflare", "channel", 33.0)]
)
async def test_a_long_wait_is_handed_back(scene: Scene, sandbox: Sandbox, kind: str, scope: str, wait: float):
    scene.discord.rest.limited = kind
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        sandbox.faults.add(Fault("discord", "create_message", "status", status=429, retry_after=wait))
        with pytest.raises(RateLimited) as limited:
            await bot.send(delivery(said))

    assert (scope, wait) == (limited.value.scope, limited.value.retry_after)


async def test_a_file_follows_an_answer_that_is_too_long(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        document = {"document": {"filename": "answer.md", "content": "# All of it ✓"}}
        await bot.send(delivery(said, "answer.md", payload=document))

    assert scene.sent()[0]["files"] == [{"name": "answer.md", "text": "# All of it ✓"}]


async def test_typing_is_shown_where_the_answer_will_be(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        await bot.typing(said.address)

    assert [said.key.chat] == [shown["chat"] for shown in scene.sent("typing")]


async def test_an_edit_and_a_deletion_amend_what_was_said(scene: Scene):
    async with scene.running():
        message = await scene.says("Where is my oder?")
        await scene.discord.edit(message, "Where is my order?")
        await scene.discord.delete(message)
        said, edited, deleted = await scene.heard(3)

    assert {said.message_id} == {edited.message_id, deleted.message_id}
    assert edited.text == "Where is my order?"
    assert {said.key} == {edited.key, deleted.key}


async def test_a_file_without_words_says_that_it_cannot_be_read(scene: Scene):
    async with scene.running():
        await scene.says("", extra={"attachments": [{"id": "1", "filename": "scan.pdf"}]})
        [said] = await scene.heard()

    assert (said.answer_with, said.text) == ("unsupported", "")


async def test_a_malformed_payload_is_kept_and_the_next_message_is_heard(scene: Scene):
    async with scene.running():
        await scene.gateway.inject(TOKEN, "MESSAGE_CREATE", {"id": "5", "channel_id": "6", "content": None})
        await scene.says("still there?")
        broken, said = await scene.heard(2)

    assert broken.error == "KeyError: 'author'"
    assert '"id":"5"' in broken.raw
    assert said.text == "still there?"
    assert scene.gateway.connects == 1


@pytest.mark.parametrize("data", [None, [], "text", 7])
async def test_a_payload_that_is_not_even_an_object_is_survived(scene: Scene, data: object):
    async with scene.running():
        await scene.gateway.inject(TOKEN, "MESSAGE_CREATE", data)
        await scene.says("still there?")

        assert (await scene.heard(2))[1].text == "still there?"


async def test_a_bad_token_needs_a_person(scene: Scene):
    await scene.discord.revoke(TOKEN)

    with pytest.raises(Misconfigured) as wrong:
        await scene.adapter().run(scene.host)

    assert "Reset Token" in wrong.value.remedy
    assert "secret-part" not in repr(wrong.value) + repr(wrong.value.__cause__) + repr(wrong.value.context)


async def test_a_token_reset_while_connected_needs_a_person(scene: Scene):
    run = asyncio.create_task(scene.adapter().run(scene.host))
    await until(lambda: scene.host.state == "ready")
    await scene.discord.revoke(TOKEN)
    await scene.gateway.close(4000)

    with pytest.raises(Misconfigured):
        await asyncio.wait_for(run, 5)


async def test_a_token_that_is_refused_twice_needs_a_person_though_the_connection_lives_on(scene: Scene):
    adapter = scene.adapter()
    run = asyncio.create_task(adapter.run(scene.host))
    await until(lambda: scene.host.state == "ready")
    await scene.says("hello")
    [said] = await scene.heard()
    await scene.discord.revoke(TOKEN)
    for _ in range(2):
        with pytest.raises(Misconfigured):
            await adapter.send(delivery(said))

    with pytest.raises(Misconfigured, match="refused the bot token"):
        await asyncio.wait_for(run, 5)


async def test_a_missing_intent_is_explained(scene: Scene):
    scene.discord.bot(TOKEN).privileged = False

    with pytest.raises(Misconfigured) as wrong:
        await scene.adapter(message_content=True).run(scene.host)

    assert wrong.value.remedy == INTENT_REMEDY
    assert scene.gateway.identifies == 1


async def test_a_login_without_an_answer_may_be_tried_again(scene: Scene, sandbox: Sandbox):
    sandbox.faults.add(Fault("discord", "get_me", "status", status=503))

    with pytest.raises(Transient):
        await scene.adapter().run(scene.host)
    async with scene.running():
        assert scene.host.state == "ready"


async def test_sending_while_not_running_may_be_tried_again(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()

    with pytest.raises(Transient):
        await bot.send(delivery(said))


async def test_the_control_api_speaks_for_a_user_and_shows_what_the_bot_did(scene: Scene, sandbox: Sandbox):
    at = f"{sandbox.url}/_control/discord/{TOKEN}"
    async with scene.running() as bot, aiohttp.ClientSession() as http:
        async with http.post(
            f"{at}/messages", json={"user": ADA, "text": "hi", "channel": "9", "mention": True}
        ) as r:
            identity = (await r.json())["id"]
        [said] = await scene.heard()
        await bot.send(delivery(said))
        async with http.get(f"{at}/sent") as r:
            [item] = (await r.json())["items"]

    assert identity == said.message_id
    assert {"id", "at", "kind", "chat", "text", "reply_to", "nonce"} <= item.keys()
    assert ("message", "9", "hello", identity) == (item["kind"], item["chat"], item["text"], item["reply_to"])


@pytest.mark.parametrize("name", ["discord.http", "discord.gateway", "discord.client"])
def test_the_library_never_writes_down_what_people_say(scene_free_platform, name: str):
    assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)


async def test_no_warning_about_what_is_left_out_on_purpose(scene: Scene, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        async with scene.running():
            pass

    assert not [record for record in caplog.records if record.name.startswith("discord")]


def test_a_heartbeat_whose_answer_was_quick_is_not_taken_for_a_late_one(
    scene_free_platform, caplog: pytest.LogCaptureFixture
):
    socket: Any = SimpleNamespace(thread_id=0, _max_heartbeat_timeout=60.0)
    acknowledged = KeepAliveHandler(ws=socket, interval=41.25)
    acknowledged._last_send -= 41.25  # the library's thread has not come round to noting the latest one
    acknowledged.ack()

    assert caplog.messages == []


def test_it_keeps_the_contracts(scene_free_platform):
    bot = scene_free_platform.adapter("support", None)

    assert isinstance(bot, ShowsTyping)
    assert isinstance(bot, ShowsDraft)
    fits: tuple[Platform, Adapter, Renderer] = (scene_free_platform, bot, scene_free_platform.renderer)
    assert fits[0].name == "discord"
    assert scene_free_platform.routes(None) == []


@pytest.fixture
def scene_free_platform():
    from adapters.discord import platform
    from gateway.settings.models import Settings

    return platform(Settings())
