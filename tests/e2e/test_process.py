from __future__ import annotations

import asyncio
import json
import signal
import time

import pytest
from aiohttp import ClientSession
from standardwebhooks import Webhook

from gateway.sandbox.faults import Fault
from tests.e2e.process import (
    DISCORD,
    ORIGIN,
    TELEGRAM,
    WEBHOOK,
    Program,
    configuration,
    eventually,
    write_configuration,
)

pytestmark = pytest.mark.e2e
ALL = ("telegram", "discord", "web", "webhook")


async def ask_webhook(session: ClientSession, public: str, text: str) -> dict:
    body = json.dumps({"user": {"id": "7"}, "text": text})
    now = int(time.time())
    from datetime import UTC, datetime

    signature = Webhook(WEBHOOK).sign("msg-1", datetime.fromtimestamp(now, UTC), body)
    headers = {
        "webhook-id": "msg-1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature,
        "Prefer": "wait=20",
        "Content-Type": "application/json",
    }
    async with session.post(f"{public}/v1/hooks/support/messages", data=body, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def ask_web(session: ClientSession, public: str, text: str) -> dict:
    """Session, message, stream; returns the answer's event."""
    base, origin = f"{public}/v1/web/support", {"Origin": ORIGIN}
    async with session.post(f"{base}/sessions", json={}, headers=origin) as answer:
        assert answer.status == 201, await answer.text()
        bearer = {**origin, "Authorization": f"Bearer {(await answer.json())['token']}"}
    key = {**bearer, "Idempotency-Key": "k1"}
    async with session.post(f"{base}/messages", json={"text": text}, headers=key) as answer:
        assert answer.status == 202, await answer.text()
    async with session.get(f"{base}/events", headers=bearer) as stream:
        async for line in stream.content:
            if line.startswith(b"data:"):
                data = json.loads(line[5:])
                if data.get("role") == "assistant":
                    return data
    raise AssertionError("the stream ended without an answer")


async def test_a_message_on_every_channel_comes_back_answered(program, people, session):
    public = await program.running(*ALL)
    await people.say("telegram", "What are your opening hours?")
    await people.say("discord", "How long is the warranty?")
    web = await asyncio.wait_for(ask_web(session, public, "Do you ship abroad?"), 20)
    webhook = await ask_webhook(session, public, "What are your opening hours?")
    telegram, discord = await people.hears("telegram", 1), await people.hears("discord", 1)
    program.signal(signal.SIGTERM)

    assert "10:00" in telegram[0]["text"]
    assert "year" in discord[0]["text"]
    assert "ship" in web["text"].lower()
    assert web["content"]
    assert "10:00" in webhook["text"]
    assert webhook["status"] == "answered"
    assert await program.ended() == 0


async def test_nothing_secret_and_nothing_said_is_in_the_log(program, people):
    await program.running(*ALL)
    await people.say("telegram", "my-private-question about opening hours")
    await people.hears("telegram", 1)
    program.signal(signal.SIGTERM)
    await program.ended()
    log = "\n".join(program.raw)

    for secret in (TELEGRAM, DISCORD, WEBHOOK, "sandbox-organisation-secret", "my-private-question"):
        assert secret not in log
    assert all(line["event"] for line in program.lines), "every line is a JSON event"


async def test_a_kill_in_the_middle_loses_nothing(sandbox, people, tmp_path):
    """Messages wait at Sensay, in the queue and at the platform when the process is killed; all are answered once."""
    sandbox.sensay.latency = 0.4
    path = write_configuration(tmp_path, configuration(sandbox, tmp_path))
    first = await Program(["run", "-c", str(path)]).start()
    await first.running("telegram", "discord")
    for user in range(4):
        await people.say("telegram", f"What are your opening hours? ({user})", user=100 + user)
        await people.say("discord", f"How long is the warranty? ({user})", user=200 + user)
    completions = lambda: sum("completions" in request.path for request in sandbox.sensay.requests)

    async def asked() -> int:
        return completions()

    await eventually(asked, lambda count: count >= 3)
    first.signal(signal.SIGKILL)
    await first.ended()
    await people.say("telegram", "And a last one: do you ship abroad?", user=300)

    second = await Program(["run", "-c", str(path)]).start()
    try:
        await second.running("telegram", "discord")
        telegram = await people.hears("telegram", 5)
        discord = await people.hears("discord", 4)
        second.signal(signal.SIGTERM)

        assert await second.ended() == 0
        assert sorted({item["chat"] for item in telegram}, key=int) == [
            "100",
            "101",
            "102",
            "103",
            "300",
        ] or (len({str(item["chat"]) for item in telegram}) == 5)
        assert len({str(item["chat"]) for item in discord}) == 4
        assert len(telegram) == 5, "nobody is answered twice"
        assert len(discord) == 4
    finally:
        await second.kill()


async def test_a_second_process_on_the_same_journal_is_refused(program, sandbox, tmp_path):
    await program.running("web")
    path = tmp_path / "gateway.yaml"
    second = await Program(["run", "-c", str(path)]).start()

    assert await second.ended() == 1
    assert [line["event"] for line in second.lines if line.get("level") == "error"] == ["startup.failed"]


async def test_sensay_down_is_told_to_the_user_and_the_operator(program, people, sandbox):
    await program.running("telegram")
    sandbox.faults.add(Fault("sensay", "complete", "status", status=404, times=50))
    await people.say("telegram", "Anybody there?")
    told = await people.hears("telegram", 1)
    ended = await program.event("turn.completed", outcome="failed")

    assert ended["reference"] in told[0]["text"]
    assert "404" in ended["cause"]
