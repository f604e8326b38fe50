"""The web channel on a whole gateway: an answer is seen to grow while the replica writes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.app import Gateway
from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.server import Sandbox
from gateway.settings.models import Settings

ORIGIN = "https://shop.example.com"


@asynccontextmanager
async def running(sandbox: Sandbox, **web: Any) -> AsyncIterator[str]:
    """A gateway with a bot on the web; yields its public address."""
    section = {"allowed_origins": [ORIGIN], **web}
    gateway = Gateway(
        Settings.model_validate(
            {
                "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
                "journal": "memory:",
                "shutdown_grace": "1s",
                "sensay": {"base_url": sandbox.url},
                "organizations": {"acme": {"secret": "acme-secret"}},
                "bots": {"support": {"organization": "acme", "replica": SUPPORT, "web": section}},
            }
        )
    )
    stop = asyncio.Event()
    work = asyncio.create_task(gateway.run(stop))
    async with asyncio.timeout(20):
        while gateway.fleet.channel("support", "web") is None and not work.done():
            await asyncio.sleep(0)
    assert gateway.public_url is not None
    yield gateway.public_url
    stop.set()
    await work


async def told(session: ClientSession, public: str, question: str) -> list[tuple[str, dict[str, Any]]]:
    """Ask, and read the stream until the answer is there."""
    base, headers = f"{public}/v1/web/support", {"Origin": ORIGIN}
    async with session.post(f"{base}/sessions", json={}, headers=headers) as answer:
        headers["Authorization"] = f"Bearer {(await answer.json())['token']}"
    events = await session.get(f"{base}/events", headers=headers)
    async with session.post(
        f"{base}/messages", json={"text": question}, headers={**headers, "Idempotency-Key": "k1"}
    ) as answer:
        assert answer.status == 202
    heard, name = [], ""
    async for line in events.content:
        if line.startswith(b"event: "):
            name = line[7:].strip().decode()
        elif line.startswith(b"data: "):
            heard.append((name, json.loads(line[6:])))
            if heard[-1][1].get("role") == "assistant":
                break
    events.close()
    return heard


@pytest.mark.parametrize("stream", ["on", "off"])
async def test_an_answer_grows_where_the_owner_wants_it(sandbox: Sandbox, stream: str):
    sandbox.sensay.latency = 2.0
    async with running(sandbox, stream=stream) as public, ClientSession() as session, asyncio.timeout(30):
        heard = await told(session, public, "What are your opening hours?")

    answer = heard[-1][1]
    grown = [facts for name, facts in heard if name == "delta"]
    assert bool(grown) == (stream == "on")
    assert {facts["id"] for facts in grown} <= {answer["id"]}
    texts = [facts["text"] for facts in grown]
    assert texts == sorted(set(texts), key=len), "each is longer than the one before"
    assert all(answer["text"].startswith(text) for text in texts)
