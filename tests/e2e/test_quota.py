from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sandbox.server import Sandbox
from tests.e2e.process import Program, configuration, eventually, write_configuration

pytestmark = pytest.mark.e2e
NOISY, QUIET = "700:noisy-bot-of-the-quota-test-00000000000", "701:quiet-bot-of-the-quota-test-00000000000"
WINDOWS = {"minute": 3.0, "hour": 12.0}
LIMITS = {"requests_per_minute": 20, "completions_per_hour": 60}


def bots() -> dict:
    common = {"replica": SUPPORT, "coalesce": "off", "limits": {"user": "off"}}
    return {
        "noisy": {**common, "telegram": {"token": NOISY}},
        "quiet": {**common, "telegram": {"token": QUIET}},
    }


async def say(session: ClientSession, box: Sandbox, token: str, user: int, text: str) -> None:
    body = {"user": {"id": user, "name": "U"}, "text": text}
    async with session.post(f"{box.url}/_control/telegram/{token}/messages", json=body) as answer:
        assert answer.status == 200


async def answers(session: ClientSession, box: Sandbox, token: str) -> int:
    async with session.get(f"{box.url}/_control/telegram/{token}/sent") as answer:
        return sum(item["kind"] == "message" for item in (await answer.json())["items"])


async def test_the_servers_limits_are_never_hit_over_a_kill_and_a_restart(tmp_path: Path):
    """Twice the minute's limit in one burst, against a server that keeps the same shrunken windows."""
    sensay = SensaySandbox(**LIMITS, **WINDOWS, latency=0.05)
    async with Sandbox(sensay=sensay) as box, ClientSession() as session:
        document = configuration(box, tmp_path, bots=bots())
        windows = {name: f"{seconds}s" for name, seconds in WINDOWS.items()}
        document["organizations"]["acme"]["quota"] = {**LIMITS, "windows": windows}
        path = write_configuration(tmp_path, document)
        program = await Program(["run", "-c", str(path)]).start()
        try:
            await program.running("telegram")
            for number in range(36):
                await say(session, box, NOISY, 10 + number % 4, f"How long is the warranty? ({number})")
            await say(session, box, QUIET, 90, "What are your opening hours?")

            async def noisy() -> int:
                return await answers(session, box, NOISY)

            await eventually(noisy, lambda count: count >= 8)
            program.signal(signal.SIGKILL)
            await program.ended()
            program = await Program(["run", "-c", str(path)]).start()
            await eventually(noisy, lambda count: count >= 36, patience=60)
            program.signal(signal.SIGTERM)
            assert await program.ended() == 0
            statuses = Counter(request.status for request in sensay.requests)
            began = sensay.requests[0].at
            told = [
                f"{request.at - began:.3f} {request.status} {request.path[-24:]}"
                for request in sensay.requests
            ]
            quiet = await answers(session, box, QUIET)
        finally:
            await program.kill()

    assert 0 == statuses[429], "\n".join(told)
    assert 1 == quiet
