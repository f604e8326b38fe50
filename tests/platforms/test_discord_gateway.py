"""Discord with everything behind it: journal, pipeline and a pretended Sensay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from adapters.discord.render import GOES_ON
from gateway.app import Gateway
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.server import Sandbox
from gateway.sandbox.telegram_files import PICTURE
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
    sandbox: Sandbox, access: dict[str, Any] | None = None, images: str = "off", **section: Any
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
                    "images": images,
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


# --- pictures ---


def asked(sandbox: Sandbox) -> list[Any]:
    """Completions of a user that Sensay knows."""
    return [
        request
        for request in sandbox.sensay.requests
        if request.operation == "complete" and request.status != 401
    ]


async def shows(sandbox: Sandbox, text: str, *names: str, **more: object) -> None:
    await sandbox.discord.say(TOKEN, {"user": ADA, "text": text, "attachments": list(names), **more})


async def test_the_replica_is_shown_a_picture_by_discords_own_address(sandbox: Sandbox, sent: Sent):
    async with running(sandbox, images="signed_url"):
        await shows(sandbox, "What is this?", "cat.png")
        await until(lambda: len(sent("message")) == 1, 15)
        [request] = asked(sandbox)
        async with aiohttp.ClientSession() as http, http.get(request.body["imageURL"]) as picture:
            seen = await picture.read()

    assert PICTURE == seen
    assert "What is this?" == request.body["content"]
    assert request.path.endswith("/chat/completions/telegram"), (
        "the one path on which Sensay looks at pictures"
    )
    assert "discord" == request.headers["X-USER-ID-TYPE"]


async def test_a_picture_without_words_is_a_question_and_the_next_one_is_asked_as_always(
    sandbox: Sandbox, sent: Sent
):
    async with running(sandbox, images="signed_url"):
        await shows(sandbox, "", "cat.png", channel=55, mention=True)
        await until(lambda: len(sent("message")) == 1, 15)
        await shows(sandbox, QUESTION)
        await until(lambda: len(sent("message")) == 2, 15)

    assert [("(picture)", True), (QUESTION, False)] == [
        (request.body["content"], "imageURL" in request.body) for request in asked(sandbox)
    ]


async def test_what_cannot_be_shown_is_said_to_be_unsupported_and_costs_nothing(sandbox: Sandbox, sent: Sent):
    async with running(sandbox, images="signed_url"):
        await shows(sandbox, "", "notes.pdf")
        await until(lambda: len(sent("message")) == 1, 15)

    assert ([], True) == (asked(sandbox), sent("message")[0]["text"].startswith("Sorry, I cannot read this"))


async def test_without_images_the_words_are_asked_and_a_picture_alone_is_unsupported(
    sandbox: Sandbox, sent: Sent
):
    async with running(sandbox):
        await shows(sandbox, "What is this?", "cat.png")
        await shows(sandbox, "", "cat.png")
        await until(lambda: len(sent("message")) == 2, 15)

    assert [("What is this?\n\n(with a picture that you cannot open)", False)] == [
        (request.body["content"], "imageURL" in request.body) for request in asked(sandbox)
    ]


async def test_a_picture_whose_answer_was_lost_is_looked_up_where_it_was_asked(sandbox: Sandbox, sent: Sent):
    async with running(sandbox, images="signed_url"):
        await shows(sandbox, QUESTION)
        await until(lambda: len(sent("message")) == 1, 15)
        sandbox.sensay.faults.add(Fault("sensay", "complete", "drop_after", times=1))
        await shows(sandbox, "What is this?", "cat.png")
        await until(lambda: len(sent("message")) == 2, 30)

    assert [QUESTION, "What is this?"] == [request.body["content"] for request in asked(sandbox)]
    assert any(request.path.endswith("/chat/history/telegram") for request in sandbox.sensay.requests)


# --- answers that are shown while they are written ---


async def test_an_answer_grows_in_one_message(sandbox: Sandbox, sent: Sent):
    sandbox.sensay.latency = 4.0
    async with running(sandbox, stream="on"):
        await sandbox.discord.say(TOKEN, {"user": ADA, "channel": 55, "text": QUESTION, "mention": True})
        await until(lambda: sent("edit"), 20)
        [draft] = sent("message")
        whole = sandbox.sensay.requests[-1]
        await until(lambda: sent("edit")[-1]["text"].endswith("."), 20)

    assert whole.operation == "complete"
    assert draft["text"].endswith(GOES_ON)
    assert sent("edit")[-1]["text"].startswith(draft["text"].removesuffix(GOES_ON))
    assert 1 == len(sent("message"))


async def test_a_stream_that_breaks_off_leaves_one_message(sandbox: Sandbox, sent: Sent):
    sandbox.sensay.latency = 4.0
    async with running(sandbox, stream="on"):
        sandbox.sensay.faults.add(Fault("sensay", "stream", "drop_after"))
        await sandbox.discord.say(TOKEN, {"user": ADA, "text": QUESTION})
        await until(lambda: [item for item in latest(sent) if item["text"].endswith(".")], 30)

    assert 1 == len(sent("message"))
    assert 1 == len(asked(sandbox)), "what was cut off is looked up"


def latest(sent: Sent) -> list[dict[str, Any]]:
    return (sent("edit") or sent("message"))[-1:]
