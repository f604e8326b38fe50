"""What one process is told holds for all of them, and each shows the whole fleet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.server import Sandbox
from tests.e2e.cluster import DURABLE, Pods, Visitor, admin, get, held, public, settled
from tests.e2e.process import TELEGRAM, People, Program, eventually
from tests.valkey import Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.fixture
async def pods(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Pods]:
    """Two, each with some of the channels."""
    with Server(tmp_path / "server", *DURABLE) as server:
        pods = Pods(sandbox, tmp_path, server.url)
        await pods.start()
        await pods.start()
        await settled(pods.running, 4, lambda numbers: 0 not in numbers)
        yield pods
        await pods.close()


def by_telegram(pods: Pods) -> tuple[Program, Program]:
    """The one that polls, and the other one."""
    one, other = pods.running
    return (one, other) if "support/telegram" in held(one) else (other, one)


async def post(session: ClientSession, pod: Program, path: str, body: Any = None) -> tuple[int, Any]:
    async with session.post((await admin(pod)) + path, json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def shown(session: ClientSession, pod: Program) -> dict[str, str]:
    _, status = await get(session, f"{await admin(pod)}/status.json")
    return {name: channel["state"] for name, channel in status["bots"]["support"]["platforms"].items()}


async def waiting(session: ClientSession, pod: Program) -> int:
    _, status = await get(session, f"{await admin(pod)}/status.json")
    return int(status["bots"]["support"]["queue"]["waiting"])


async def problems(session: ClientSession, pod: Program) -> str:
    _, status = await get(session, f"{await admin(pod)}/status.json")
    return "; ".join(status["problems"])


async def test_each_process_shows_the_whole_fleet(pods: Pods, session: ClientSession) -> None:
    states = [await shown(session, pod) for pod in pods.running]
    _, status = await get(session, f"{await admin(pods.running[0])}/status.json")

    assert [dict.fromkeys(("telegram", "discord", "web", "webhook"), "running")] * 2 == states
    assert 4 == sum(pod["channels"] for pod in status["pods"].values())
    assert [] == status["problems"]


async def test_a_pause_told_to_one_process_holds_for_all_and_ends_from_any(
    pods: Pods, session: ClientSession, people: People
) -> None:
    polls, other = by_telegram(pods)
    paused, _ = await post(session, other, "/-/bots/support/pause")
    states = [await shown(session, pod) for pod in pods.running]
    await people.say("telegram", "Anybody there?")
    await eventually(lambda: waiting(session, other), lambda count: count == 1)
    nothing = await people.heard("telegram")
    resumed, _ = await post(session, polls, "/-/bots/support/resume")
    await people.hears("telegram", 1)

    assert (200, 200) == (paused, resumed)
    assert [dict.fromkeys(("telegram", "discord", "web", "webhook"), "paused")] * 2 == states
    assert [] == nothing


async def test_a_restart_reaches_the_process_that_runs_the_channel(
    pods: Pods, session: ClientSession, people: People
) -> None:
    polls, other = by_telegram(pods)
    before = sum(line["event"] == "bot.running" for line in polls.lines)
    status, _ = await post(session, other, "/-/bots/support/restart?platform=telegram")

    async def again() -> int:
        return sum(line["event"] == "bot.running" for line in polls.lines) - before

    await eventually(again, lambda count: count >= 1)
    await people.say("telegram", "Back again?")
    await people.hears("telegram", 1)

    assert 200 == status


async def test_any_process_takes_an_operators_request(pods: Pods, session: ClientSession) -> None:
    asked = {"operation": "replicas.get", "arguments": {"replica": SUPPORT}}
    told = [await post(session, pod, "/-/sensay/acme", asked) for pod in pods.running]
    wrong = [
        await post(session, pod, "/-/sensay/acme", {**asked, "arguments": {"replica": f"{SUPPORT[:-1]}f"}})
        for pod in pods.running
    ]

    assert [200, 200] == [status for status, _ in told], told
    assert told[0][1]["result"] == told[1][1]["result"]
    assert wrong[0][0] == wrong[1][0] == 502
    assert wrong[0][1]["error"] == wrong[1][1]["error"]


async def test_each_process_greets_with_the_replicas_own_words(pods: Pods, session: ClientSession) -> None:
    async def greeted() -> list[str]:
        found = []
        for pod in pods.running:
            url = f"{await public(pod)}/v1/web/support/sessions"
            async with session.post(url, json={}, headers={"Origin": "https://shop.example.com"}) as answer:
                found.append((await answer.json())["bot"]["greeting"])
        return found

    greetings = await eventually(greeted, lambda found: found[0] == found[1])

    assert greetings[0]


async def test_typing_is_shown_wherever_the_visitor_listens(
    pods: Pods, session: ClientSession, sandbox: Sandbox
) -> None:
    sandbox.sensay.latency = 2.5
    one, other = [await public(pod) for pod in pods.running]
    for said, heard in ((one, other), (other, one)):
        visitor = await Visitor.begin(session, said)
        await visitor.say(said, "Slowly, please.", "key-1")
        (typing,) = await visitor.hears(heard, 1, ("typing",))
        assert typing is not None
        await visitor.hears(heard, 1)


async def test_two_configurations_that_contradict_each_other_use_an_account_once(
    pods: Pods, session: ClientSession, people: People, sandbox: Sandbox
) -> None:
    """Renamed in one of them: the same token under two names."""
    document = json.loads(json.dumps(pods.document))
    document["bots"]["help"] = document["bots"].pop("support")
    third = await pods.start(document)
    await third.event("config.disagreed")
    await third.event("bot.running", bot="help", platform="telegram")
    await eventually(lambda: problems(session, pods.running[0]), lambda said: "of support/" in said)
    for number in range(3):
        await people.say("telegram", f"Number {number}?")
        await people.hears("telegram", number + 1)
    troubled = [
        line
        for pod in pods.running
        for line in pod.lines
        if "another process polls" in str(line.get("error"))
    ]

    said = [line["error"] for line in third.lines if line["event"] == "config.disagreed"]

    assert "another process uses the account of help/telegram for support/telegram" in said
    assert TELEGRAM not in "\n".join(third.raw)
    assert 3 == len(await people.heard("telegram"))
    assert [] == troubled
