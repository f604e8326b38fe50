"""Discord with everything behind it: journal, pipeline and a pretended Sensay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.server import Sandbox
from gateway.settings import Settings
from tests.platforms.discord_scene import ADA, TOKEN
from tests.platforms.fake_host import until

QUESTION = "When are you open?"
Sent = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def sent(sandbox: Sandbox) -> Sent:
    return lambda kind: sandbox.discord.sent(TOKEN, kind)


@asynccontextmanager
async def running(
    sandbox: Sandbox, access: dict[str, Any] | None = None, **section: Any
) -> AsyncIterator[None]:
    settings = Settings.model_validate(
        {
            "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
            "journal": "memory:",
            "shutdown_grace": "1s",
            "platforms": {
                "discord": {"api_url": sandbox.discord_api_url, "gateway_url": sandbox.discord_gateway_url}
            },
            "sensay": {"base_url": sandbox.url},
            "organizations": {"acme": {"secret": "acme-secret"}},
            "bots": {
                "support": {
                    "organization": "acme",
                    "replica": SUPPORT,
                    "access": access or {},
                    "discord": {"token": TOKEN, **section},
                }
            },
        }
    )
    gateway, stop = Gateway(settings), asyncio.Event()
    task = asyncio.create_task(gateway.run(stop))
    try:
        await until(lambda: sandbox.discord.bot(TOKEN).commands or task.done(), 10)
        await until(lambda: sandbox.discord.gateway.sessions or task.done(), 10)
        yield
    finally:
        stop.set()
        await task


async def ask(sandbox: Sandbox, command: str = "ask", question: str = QUESTION) -> None:
    used: dict[str, Any] = {"command": command}
    if command == "ask":
        used["options"] = {"question": question}
    await sandbox.discord.interact(TOKEN, {"user": ADA, "channel": 55, "interaction": used})


async def test_a_command_is_answered_by_the_replica_in_its_place(sandbox: Sandbox, sent: Sent):
    async with running(sandbox):
        await ask(sandbox)
        [answer] = await until(lambda: sent("edit_original"), 15)

    assert answer["text"]
    assert ([0], []) == ([item["flags"] for item in sent("deferred")], sent("message"))


async def test_help_costs_no_completion_and_only_who_asked_sees_it(sandbox: Sandbox, sent: Sent):
    async with running(sandbox):
        await ask(sandbox, "help")
        [answer] = await until(lambda: sent("edit_original"))

    assert answer["text"].startswith("Just write your question")
    assert [64] == [item["flags"] for item in sent("deferred")]


async def test_who_is_denied_in_a_channel_is_told_so_alone(sandbox: Sandbox, sent: Sent):
    async with running(sandbox, {"deny": {"users": ["7"]}}):
        await ask(sandbox)
        [word] = await until(lambda: sent("interaction"))

    assert (word["text"], word["flags"]) == ("Sorry, I am not available to you here.", 64)


async def test_a_conversation_goes_on_in_its_thread(sandbox: Sandbox, sent: Sent):
    async with running(sandbox, threads="auto", message_content=True):
        question = await sandbox.discord.say(
            TOKEN, {"user": ADA, "channel": 55, "text": QUESTION, "mention": True}
        )
        await until(lambda: len(sent("message")) == 1, 15)
        await sandbox.discord.say(TOKEN, {"user": ADA, "channel": question["id"], "text": "And on Sundays?"})
        await until(lambda: len(sent("message")) == 2, 15)

    assert [QUESTION] == [item["text"] for item in sent("thread")]
    assert [question["id"]] * 2 == [item["chat"] for item in sent("message")]
