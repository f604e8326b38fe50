"""The webhook with everything behind it: journal, pipeline and a pretended Sensay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.app import Gateway, SystemClock
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.server import Sandbox
from gateway.settings import Settings
from tests.web.webhook_host import SECRET, Caller

QUESTION: dict[str, Any] = {"user": {"id": "7"}, "text": "When are you open?"}


@pytest.fixture
async def gateway(sandbox: Sandbox) -> AsyncIterator[Gateway]:
    bot = {"organization": "acme", "replica": SUPPORT, "webhook": {"secret": SECRET}}
    made = Gateway(
        Settings.model_validate(
            {
                "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
                "journal": "memory:",
                "shutdown_grace": "1s",
                "sensay": {"base_url": sandbox.url},
                "organizations": {"acme": {"secret": "acme-secret"}},
                "bots": {"support": {**bot, "limits": {"user": "3/1m"}}},
            }
        )
    )
    stop = asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    async with asyncio.timeout(10):
        while made.fleet.channel("support", "webhook") is None and not running.done():
            await asyncio.sleep(0)
    made.stop = stop
    yield made
    stop.set()
    await running


@pytest.fixture
async def caller(gateway: Gateway) -> AsyncIterator[Caller]:
    async with ClientSession(gateway.public_url) as session:
        yield Caller(session, SystemClock())


async def final(caller: Caller, message_id: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (response := await caller.get(message_id)).status == 202:
            response.release()
    return await response.json()


async def test_a_question_is_answered_in_the_same_request(caller: Caller, sandbox: Sandbox):
    response = await caller.post(QUESTION, Prefer="wait=20")

    told = await response.json()
    assert (response.status, told["status"]) == (200, "answered")
    assert told["text"]
    assert told["content"]
    assert [r.operation for r in sandbox.sensay.requests].count("complete") == 2  # unknown user, then known


async def test_a_question_that_is_not_waited_for_is_answered_later(caller: Caller):
    taken = await (await caller.post(QUESTION)).json()
    told = await final(caller, taken["id"])

    assert taken["status"] == "queued"
    assert (told["id"], told["status"]) == (taken["id"], "answered")


async def test_a_repeated_id_is_asked_once(caller: Caller, sandbox: Sandbox):
    first = await (await caller.post(QUESTION, Prefer="wait=20")).json()
    asked = len(sandbox.sensay.requests)
    again = await caller.post(QUESTION, Prefer="wait=20")
    other = await caller.post({**QUESTION, "text": "And where?"})

    assert (again.status, await again.json()) == (200, first)
    assert other.status == 422
    assert len(sandbox.sensay.requests) == asked


async def test_an_answer_that_takes_too_long_is_there_to_be_fetched(caller: Caller, sandbox: Sandbox):
    sandbox.faults.add(Fault("sensay", "answer", "delay", seconds=1.5))

    response = await caller.post(QUESTION, Prefer="wait=1")
    told = await response.json()

    assert (response.status, told["status"]) == (202, "queued")
    assert (await final(caller, told["id"]))["status"] == "answered"


async def test_over_the_users_limit_every_question_is_told_that_we_are_busy(caller: Caller):
    answers = [await (await caller.post(QUESTION, f"msg_{n}", Prefer="wait=20")).json() for n in range(5)]

    assert [told["status"] for told in answers] == ["answered"] * 3 + ["busy"] * 2
    assert all(told["text"] for told in answers)


async def test_a_failure_has_a_reference_that_the_journal_knows(
    caller: Caller, sandbox: Sandbox, gateway: Gateway
):
    sandbox.faults.add(Fault("sensay", "complete", "status", status=404, times=10))

    told = await (await caller.post(QUESTION, Prefer="wait=20")).json()

    assert told["status"] == "failed"
    assert told["reference"] in told["text"]
    life = await gateway.journal.message(told["reference"])
    assert life is not None
    assert life.id == told["id"]


@pytest.mark.parametrize(("seconds", "status"), [(0.3, 200), (30.0, 202)])
async def test_a_caller_who_waits_at_the_end_gets_the_answer_within_the_grace_or_202(
    caller: Caller, sandbox: Sandbox, gateway: Gateway, seconds: float, status: int
):
    sandbox.faults.add(Fault("sensay", "answer", "delay", seconds=seconds))
    asking = asyncio.create_task(caller.post(QUESTION, Prefer="wait=50"))
    async with asyncio.timeout(10):
        while not any(r.operation == "complete" for r in sandbox.sensay.requests):
            await asyncio.sleep(0)
    gateway.stop.set()

    async with asyncio.timeout(10):
        assert (await asking).status == status


async def test_while_it_drains_it_is_not_ready_and_still_serves_who_is_there(
    caller: Caller, sandbox: Sandbox, gateway: Gateway
):
    sandbox.faults.add(Fault("sensay", "answer", "delay", seconds=30.0))
    admin = f"http://127.0.0.1:{gateway.admin.port}"
    async with ClientSession(admin) as operator, asyncio.timeout(10):
        async with operator.get("/readyz") as before:
            assert before.status == 200
        asking = asyncio.create_task(caller.post(QUESTION, Prefer="wait=50"))
        while not any(r.operation == "complete" for r in sandbox.sensay.requests):
            await asyncio.sleep(0)
        gateway.stop.set()
        while not gateway._acceptor.closed:
            await asyncio.sleep(0)
        async with operator.get("/readyz") as during:
            told = during.status, await during.text()
        alive = (await operator.get("/livez")).status
        page = (await caller.get("nothing")).status

        assert (told, alive, page) == ((503, "shutting down\n"), 200, 404)
        assert (await asking).status == 202
