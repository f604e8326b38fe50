"""Several processes over one server: each thing is held once, and goes on when its holder goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.sandbox.server import Sandbox
from tests.e2e.cluster import DURABLE, Pods, held, settled
from tests.e2e.counting import asked
from tests.e2e.process import People
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

    assert 4 == len(held(second))
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
