"""Processes that are cut off, frozen, or without their server: nobody acts twice, and nothing is lost."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.sandbox.server import Sandbox
from tests.e2e.cluster import DURABLE, Cut, Pods, admin, held, settled
from tests.e2e.counting import asked
from tests.e2e.process import People, Program, eventually
from tests.valkey import Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    with Server(tmp_path / "server", *DURABLE) as server:
        yield server


@pytest.fixture
async def pods(sandbox: Sandbox, tmp_path: Path, server: Server) -> AsyncIterator[Pods]:
    pods = Pods(sandbox, tmp_path, server.url)
    yield pods
    await pods.close()


def stopped_at(pod: Program, channel: str) -> str:
    """When it was said there that another process has the channel."""
    bot, _, platform = channel.partition("/")
    return str(
        next(
            line["timestamp"]
            for line in reversed(pod.lines)
            if (line["event"], line.get("bot"), line.get("platform")) == ("channel.superseded", bot, platform)
        )
    )


def ran_at(pod: Program, channel: str) -> str:
    bot, _, platform = channel.partition("/")
    return str(
        next(
            line["timestamp"]
            for line in reversed(pod.lines)
            if (line["event"], line.get("bot"), line.get("platform")) == ("bot.running", bot, platform)
        )
    )


async def test_a_process_that_is_cut_off_stops_before_another_begins(
    pods: Pods, server: Server, sandbox: Sandbox, people: People, session: ClientSession
) -> None:
    async with Cut(server.port) as way:
        document = json.loads(json.dumps(pods.document))
        document["journal"] = way.url
        lonely, other = await pods.start(document), await pods.start()
        await settled(pods.running, 4, lambda numbers: 0 not in numbers)
        theirs = held(lonely)
        way.cut()
        await settled([other], 4)
        for platform in ("telegram", "discord"):
            await people.say(platform, f"On {platform}?")
            await people.hears(platform, 1)
        async with session.get(f"{await admin(lonely)}/readyz") as answer:
            unready = answer.status
        stopped = {channel: stopped_at(lonely, channel) for channel in theirs}
        began = {channel: ran_at(other, channel) for channel in theirs}
        way.heal()
        await settled(pods.running, 4, lambda numbers: 0 not in numbers)
        await people.say("telegram", "And now?")
        await people.hears("telegram", 2)

    assert 503 == unready
    assert theirs
    assert all(stopped[channel] < began[channel] for channel in theirs), (stopped, began)
    assert {"On telegram?": 1, "On discord?": 1, "And now?": 1} == dict(asked(sandbox))
    assert [2, 1] == [len(await people.heard(platform)) for platform in ("telegram", "discord")]


async def test_a_process_that_wakes_after_its_lease_does_not_act(
    pods: Pods, sandbox: Sandbox, people: People
) -> None:
    """Frozen with a question in hand, whose answer comes while it sleeps."""
    frozen = await pods.start()
    await settled([frozen], 4)
    sandbox.sensay.latency = 1.0
    await people.say("telegram", "Are you asleep?")

    async def questions() -> int:
        return asked(sandbox)["Are you asleep?"]

    await eventually(questions, lambda count: count == 1)
    frozen.signal(signal.SIGSTOP)
    other = await pods.start()
    await settled([other], 4)
    await people.hears("telegram", 1)
    frozen.signal(signal.SIGCONT)
    await settled(pods.running, 4, lambda numbers: 0 not in numbers)
    await people.say("telegram", "And now?")
    await people.hears("telegram", 2)

    assert {"Are you asleep?": 1, "And now?": 1} == dict(asked(sandbox))
    assert 2 == len(await people.heard("telegram"))


async def test_a_server_that_comes_back_finds_all_processes_at_work_again(
    pods: Pods, server: Server, sandbox: Sandbox, people: People
) -> None:
    await pods.start()
    await pods.start()
    await settled(pods.running, 4, lambda numbers: 0 not in numbers)
    server.stop()
    for pod in pods.running:
        await pod.event("channel.superseded")
    await people.say("telegram", "While it is away?")
    server.start()
    await people.hears("telegram", 1)
    await settled(pods.running, 4, lambda numbers: 0 not in numbers)

    assert {"While it is away?": 1} == dict(asked(sandbox))
