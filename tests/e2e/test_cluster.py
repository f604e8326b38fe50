"""Several processes over one server: each thing is held once, and goes on when its holder goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.sandbox.server import Sandbox
from tests.e2e.cluster import DURABLE, Pods, Visitor, public, settled
from tests.e2e.counting import asked
from tests.e2e.process import TELEGRAM, People, eventually
from tests.valkey import Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.fixture
async def pods(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Pods]:
    with Server(tmp_path / "server", *DURABLE) as server:
        pods = Pods(sandbox, tmp_path, server.url)
        yield pods
        await pods.close()


async def test_channels_are_spread_moved_on_join_and_taken_over(
    pods: Pods, sandbox: Sandbox, people: People
) -> None:
    first = await pods.start()
    await settled([first], 4)
    second = await pods.start()
    await settled([first, second], 4, lambda numbers: numbers in ([2, 2], [1, 3]))
    await people.say("telegram", "One?")
    await people.say("discord", "Two?")
    await people.hears("telegram", 1)
    await people.hears("discord", 1)
    await pods.kill(first)
    await people.say("telegram", "Three?")
    await people.say("discord", "Four?")
    await people.hears("telegram", 2)
    await people.hears("discord", 2)

    await settled([second], 4)
    assert {"One?": 1, "Two?": 1, "Three?": 1, "Four?": 1} == dict(asked(sandbox))
    assert 2 == len(await people.heard("telegram"))
    assert 2 == len(await people.heard("discord"))


async def test_a_process_that_is_told_to_end_hands_over_at_once(pods: Pods, people: People) -> None:
    pods.document["cluster"]["lease"] = "30s"
    first, second = await pods.start(), await pods.start()
    await settled([first, second], 4, lambda numbers: 0 not in numbers)

    assert 0 == await pods.end(first)
    await settled([second], 4)
    await people.say("telegram", "Still there?")
    await people.hears("telegram", 1)


async def test_any_process_takes_what_is_said_and_any_stream_delivers(
    pods: Pods, session: ClientSession, sandbox: Sandbox
) -> None:
    first, second = await pods.start(), await pods.start()
    await settled([first, second], 4, lambda numbers: 0 not in numbers)
    one, other = await public(first), await public(second)
    visitor = await Visitor.begin(session, one)
    await visitor.say(other, "What are your opening hours?", "key-1")
    (answer,) = await visitor.hears(one, 1)
    await visitor.say(one, "And on Sundays?", "key-2")
    (further,) = await visitor.hears(other, 1)
    again = await visitor.say(other, "And on Sundays?", "key-2")

    assert answer["text"]
    assert further["id"] != answer["id"]
    assert again["id"]
    assert {"What are your opening hours?": 1, "And on Sundays?": 1} == dict(asked(sandbox))


async def test_any_process_takes_what_telegram_calls_with(
    pods: Pods, session: ClientSession, sandbox: Sandbox, people: People
) -> None:
    pods.document["server"]["public"]["base_url"] = "https://bots.example.com"  # nobody: we call ourselves
    pods.document["bots"]["support"]["telegram"]["mode"] = "webhook"
    first, second = await pods.start(), await pods.start()
    await settled([first, second], 4, lambda numbers: 0 not in numbers)
    secret = sandbox.telegram.bot(TELEGRAM).webhook["secret"]
    statuses = []
    for number, pod in enumerate((first, second, first)):
        person = {"id": 42 + number, "is_bot": False, "first_name": "Robin"}
        message = {"message_id": 7, "date": int(time.time()), "text": f"Number {number}?", "from": person}
        chat = {"id": person["id"], "type": "private"}
        async with session.post(
            f"{await public(pod)}/v1/telegram/support",
            json={"update_id": 100 + number, "message": {**message, "chat": chat}},
            headers={"X-Telegram-Bot-Api-Secret-Token": secret},
        ) as answer:
            statuses.append(answer.status)

    assert [200, 200, 200] == statuses
    await eventually(questions(sandbox), lambda found: sum(found.values()) == 3)
    assert {f"Number {number}?": 1 for number in range(3)} == dict(asked(sandbox))


def questions(sandbox: Sandbox) -> Callable[[], Awaitable[Counter[str]]]:
    async def look() -> Counter[str]:
        return asked(sandbox)

    return look
