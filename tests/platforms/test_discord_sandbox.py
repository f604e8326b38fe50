"""The pretended Discord, judged by discord.py as it is: stock client, stock loop, stock caches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import pytest
from discord import app_commands

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import ADA, TOKEN, scene_of
from tests.platforms.fake_host import until


@pytest.fixture(autouse=True)
async def _pointed_here(sandbox: Sandbox) -> AsyncIterator[None]:
    async with scene_of(sandbox):
        yield


class Stock(discord.Client):
    def __init__(self, **options: Any) -> None:
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(intents=intents, guild_ready_timeout=0.1, **options)
        self.heard: list[discord.Message] = []
        self.ready = 0
        self.resumed = 0

    async def on_ready(self) -> None:
        self.ready += 1

    async def on_resumed(self) -> None:
        self.resumed += 1

    async def on_message(self, message: discord.Message) -> None:
        if message.author != self.user:
            self.heard.append(message)


@asynccontextmanager
async def stock(client: Stock | None = None) -> AsyncIterator[Stock]:
    client = client or Stock()
    task = asyncio.create_task(client.start(TOKEN))
    try:
        await until(lambda: client.ready or task.done())
        yield client
    finally:
        await client.close()
        await asyncio.wait([task], timeout=5)


async def test_it_sees_its_guild_channel_and_the_author_with_roles(sandbox: Sandbox):
    await sandbox.discord.say(TOKEN, {"channel": 55, "user": ADA, "text": "earlier"})
    async with stock() as client:
        await sandbox.discord.say(
            TOKEN, {"channel": 55, "user": {**ADA, "roles": ["5"]}, "text": "hi", "mention": True}
        )
        [message] = await until(lambda: client.heard)

    assert "channel-55" == message.channel.name
    assert [client.user.id] == [user.id for user in message.mentions]
    assert [5] == list(message.author._roles)
    assert "Ada" == message.author.global_name


async def test_a_reply_quotes_and_is_read_back(sandbox: Sandbox):
    async with stock() as client:
        said = await sandbox.discord.say(TOKEN, {"user": ADA, "text": "hi"})
        [message] = await until(lambda: client.heard)
        answer = await message.reply("hello", file=discord.File(__file__, filename="test.py"))
        found = await message.channel.fetch_message(answer.id)
        history = [older.id async for older in message.channel.history(limit=5)]

    assert (said["id"], "hello") == (str(found.reference.message_id), found.content)
    assert ["test.py"] == [attachment.filename for attachment in found.attachments]
    assert [answer.id, message.id] == history


async def test_two_thousand_and_one_characters_are_refused(sandbox: Sandbox):
    async with stock() as client:
        await sandbox.discord.say(TOKEN, {"user": ADA, "text": "hi"})
        [message] = await until(lambda: client.heard)
        await message.channel.send("x" * 2000)
        with pytest.raises(discord.HTTPException) as refused:
            await message.channel.send("x" * 2001)

    assert (400, 50035) == (refused.value.status, refused.value.code)


async def test_a_rate_limit_is_waited_out_by_the_library(sandbox: Sandbox):
    async with stock() as client:
        await sandbox.discord.say(TOKEN, {"user": ADA, "text": "hi"})
        [message] = await until(lambda: client.heard)
        sandbox.faults.add(Fault("discord", "create_message", "status", status=429, retry_after=0.01))
        await message.channel.send("after all")

    assert ["after all"] == [item["text"] for item in sandbox.discord.sent(TOKEN)]


async def test_a_ban_by_address_is_told_apart_from_a_rate_limit(sandbox: Sandbox):
    sandbox.discord.rest.limited = "cloudflare"
    async with stock() as client:
        sandbox.faults.add(Fault("discord", "create_dm", "status", status=429, retry_after=5))
        with pytest.raises(discord.HTTPException) as banned:
            await client.http.start_private_message(7)

    assert 429 == banned.value.status


async def test_dropped_and_told_to_leave_it_resumes(sandbox: Sandbox):
    async with stock() as client:
        sandbox.discord.gateway.drop()
        await sandbox.discord.say(TOKEN, {"user": ADA, "text": "missed"})
        await until(lambda: client.heard and client.resumed == 1)
        await sandbox.discord.gateway.reconnect()
        await until(lambda: client.resumed == 2)

    assert (1, 2) == (sandbox.discord.gateway.identifies, sandbox.discord.gateway.resumes)


async def test_a_slash_command_is_registered_deferred_and_answered(sandbox: Sandbox):
    client = Stock()
    tree = app_commands.CommandTree(client)

    @tree.command(name="ask", description="Ask")
    async def ask(interaction: discord.Interaction, question: str) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content=f"you asked: {question}")
        await interaction.followup.send("more")

    async with stock(client):
        await tree.sync()
        used = {"command": "ask", "options": {"question": "why?"}}
        async with aiohttp.ClientSession() as http:
            at = f"{sandbox.url}/_control/discord/{TOKEN}/messages"
            async with http.post(at, json={"user": ADA, "channel": 55, "interaction": used}) as answer:
                assert {"id", "token"} == (await answer.json()).keys()
        await until(lambda: sandbox.discord.sent(TOKEN, "followup"))

    assert ["you asked: why?"] == [item["text"] for item in sandbox.discord.sent(TOKEN, "edit_original")]


async def test_a_thread_is_opened_once(sandbox: Sandbox):
    async with stock() as client:
        await sandbox.discord.say(TOKEN, {"channel": 55, "user": ADA, "text": "hi"})
        [message] = await until(lambda: client.heard)
        thread = await message.create_thread(name="about hi")
        with pytest.raises(discord.HTTPException) as again:
            await message.create_thread(name="again")

    assert (message.id, "about hi") == (thread.id, thread.name)
    assert 160004 == again.value.code


async def test_the_privileged_intent_can_be_refused(sandbox: Sandbox):
    sandbox.discord.bot(TOKEN).privileged = False
    client = Stock()
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await client.start(TOKEN)
    await client.close()


async def test_budget_and_commands_are_told(sandbox: Sandbox):
    async with stock() as client:
        shards, url, limit = await client.http.get_bot_gateway()

    assert (1, sandbox.discord_gateway_url) == (shards, url)
    assert {"total", "remaining", "reset_after", "max_concurrency"} == limit.keys()


async def test_a_request_without_a_bot_token_is_refused(sandbox: Sandbox):
    async with aiohttp.ClientSession() as http:
        for headers in ({}, {"Authorization": "Bot "}, {"Authorization": "Bearer x"}):
            async with http.get(f"{sandbox.discord_api_url}/users/@me", headers=headers) as answer:
                assert (401, "application/json") == (answer.status, answer.headers["Content-Type"])


async def test_a_control_request_that_makes_no_sense_is_refused(sandbox: Sandbox):
    async with aiohttp.ClientSession() as http:
        for body in (b"{", b"[]", b'{"interaction": {}}'):
            async with http.post(f"{sandbox.url}/_control/discord/{TOKEN}/messages", data=body) as answer:
                assert 422 == answer.status


async def test_a_connected_bot_hears_what_is_said_after_a_reset(sandbox: Sandbox):
    async with stock() as client:
        await sandbox.discord.say(TOKEN, {"channel": 55, "user": ADA, "text": "before"})
        await until(lambda: client.heard)
        sandbox.reset()

        await sandbox.discord.say(TOKEN, {"channel": 55, "user": ADA, "text": "in a channel"})
        await sandbox.discord.say(TOKEN, {"user": ADA, "text": "in private"})
        await until(lambda: len(client.heard) == 3)
        assert ["in a channel", "in private"] == [message.content for message in client.heard[1:]]


async def test_a_reply_pings_as_peoples_clients_do_and_a_channel_may_be_called_a_chat(sandbox: Sandbox):
    async with stock() as client:
        first = await sandbox.discord.say(TOKEN, {"chat": 55, "user": ADA, "text": "first"})
        for ping in ({}, {"ping": False}):
            answer = {"channel": 55, "user": ADA, "text": "so?", "reply_to": first["id"], **ping}
            await sandbox.discord.say(TOKEN, answer)
        await until(lambda: len(client.heard) == 3)
        assert [55, 55, 55] == [message.channel.id for message in client.heard]
        assert [0, 1, 0] == [len(message.mentions) for message in client.heard]


async def test_reset_forgets_everybody(sandbox: Sandbox):
    await sandbox.discord.revoke(TOKEN)
    await sandbox.discord.say(TOKEN, {"user": ADA, "text": "hi"})
    sandbox.discord.reset()
    async with stock() as client:
        assert 1 == client.ready
