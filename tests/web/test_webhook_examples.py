"""The programs in docs/examples/webhook, run as a reader runs them, against a gateway that answers and calls back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from standardwebhooks.webhooks import Webhook

from gateway.app import Gateway
from gateway.ports import BotChanged
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.server import Sandbox
from gateway.settings import Settings
from tests.fakes import Facts
from tests.web.webhook_host import OTHER_SECRET, SECRET

FOLDER = Path(__file__).parents[2] / "docs/examples/webhook"
NODE = shutil.which("node")
PATIENCE = 30.0
"""Seconds: a machine with other work takes long to start a process."""


@dataclass(frozen=True)
class Example:
    """A program in one language."""

    command: tuple[str, ...]

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.command,
            *arguments,
            env={**os.environ, "WEBHOOK_SECRET": SECRET, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def ask(self, gateway: Gateway, text: str, **environment: str) -> tuple[int, str]:
        """Return the exit code and what it printed."""
        url = f"{gateway.public_url}/v1/hooks/support/messages"
        process = await self.start("ask", text, WEBHOOK_URL=url, **environment)
        async with asyncio.timeout(PATIENCE):
            printed, complaints = await process.communicate()
        return process.returncode, (printed or complaints).decode().strip()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listening]:
        process = await self.start("listen", "0")
        try:
            async with asyncio.timeout(PATIENCE):
                port = re.search(rb"port (\d+)", await process.stderr.readline())[1].decode()
            yield Listening(process, f"http://127.0.0.1:{port}/answers")
        finally:
            process.kill()
            await process.communicate()


@dataclass
class Listening:
    process: asyncio.subprocess.Process
    url: str

    async def heard(self) -> dict[str, Any]:
        """The next callback that it prints."""
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.process.stdout.readline())


@pytest.fixture(
    params=[
        pytest.param((sys.executable, str(FOLDER / "client.py")), id="python"),
        pytest.param(
            (NODE, str(FOLDER / "client.mjs")),
            id="javascript",
            marks=pytest.mark.skipif(
                NODE is None, reason="*** no node here: the JavaScript example is not tested ***"
            ),
        ),
    ]
)
def example(request: pytest.FixtureRequest) -> Example:
    return Example(request.param)


@asynccontextmanager
async def gateway_of(sandbox: Sandbox, **webhook: Any) -> AsyncIterator[Gateway]:
    facts = Facts()
    made = Gateway(
        Settings.model_validate(
            {
                "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
                "journal": "memory:",
                "shutdown_grace": "1s",
                "sensay": {"base_url": sandbox.url},
                "organizations": {"acme": {"secret": "acme-secret"}},
                "bots": {
                    "support": {
                        "organization": "acme",
                        "replica": SUPPORT,
                        "webhook": {"secret": SECRET, **webhook},
                    }
                },
            }
        ),
        observe=facts,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    async with asyncio.timeout(10):
        while not running.done() and "running" not in [fact.state for fact in facts.of(BotChanged)]:
            await asyncio.sleep(0)
    try:
        yield made
    finally:
        stop.set()
        await running


async def test_it_asks_and_prints_the_answer(example: Example, sandbox: Sandbox):
    async with gateway_of(sandbox) as gateway:
        code, printed = await example.ask(gateway, "Grüße! When are you open?")

    assert code == 0, printed
    (asked,) = [r for r in sandbox.sensay.requests if r.operation == "complete" and r.status == 200]
    assert asked.body["content"] == "Grüße! When are you open?"
    assert printed


async def test_it_comes_back_for_an_answer_that_takes_longer_than_it_waits(
    example: Example, sandbox: Sandbox
):
    sandbox.faults.add(Fault("sensay", "answer", "delay", seconds=0.5))
    async with gateway_of(sandbox) as gateway:
        code, printed = await example.ask(gateway, "When are you open?", WEBHOOK_WAIT="0")

    assert code == 0, printed
    assert printed


async def test_it_says_so_when_a_question_fails(example: Example, sandbox: Sandbox):
    sandbox.faults.add(Fault("sensay", "complete", "status", status=404, times=10))
    async with gateway_of(sandbox) as gateway:
        code, printed = await example.ask(gateway, "When are you open?")

    assert code == 1
    assert printed


async def test_it_does_not_insist_with_a_wrong_secret(example: Example, sandbox: Sandbox):
    async with gateway_of(sandbox) as gateway:
        code, printed = await example.ask(gateway, "When are you open?", WEBHOOK_SECRET=OTHER_SECRET)

    assert code == 1
    assert "401" in printed
    assert OTHER_SECRET not in printed


async def test_it_receives_callbacks(example: Example, sandbox: Sandbox):
    async with (
        example.listening() as listening,
        gateway_of(sandbox, callback_url=listening.url, callback_allow=["127.0.0.1"]) as gateway,
    ):
        code, printed = await example.ask(gateway, "When are you open?")
        heard = await listening.heard()

    assert code == 0
    assert heard["type"] == "message.created"
    assert heard["data"]["text"].strip() == printed


async def test_it_takes_a_callback_once_and_a_forged_one_never(example: Example):
    def signed(message_id: str, body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
        moment = datetime.fromtimestamp(int(at), UTC)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at)),
            "webhook-signature": "v1,AAAA " + Webhook(secret).sign(message_id, moment, body.decode()),
        }

    one, two, now = b'{"n": 1}', b'{"n": 2}', time.time()
    async with example.listening() as listening, ClientSession() as session:
        statuses = [
            (await session.post(listening.url, data=body, headers=headers)).status
            for body, headers in [
                (one, {}),
                (one, signed("a", one, now, OTHER_SECRET)),
                (two, signed("a", one, now)),
                (one, signed("a", one, now - 400)),
                (one, {**signed("a", one, now), "webhook-timestamp": "soon"}),
                (one, signed("a", one, now)),
                (one, signed("a", one, now)),
                (two, signed("b", two, now)),
            ]
        ]
        heard = [await listening.heard(), await listening.heard()]

    assert statuses == [401, 401, 401, 401, 401, 204, 204, 204]
    assert heard == [{"n": 1}, {"n": 2}]
