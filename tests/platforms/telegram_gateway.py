"""A Telegram bot with everything behind it: journal, pipeline and a pretended Sensay."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from gateway.app import Gateway
from gateway.ports import Observer
from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.server import Sandbox
from gateway.settings import Settings
from tests.platforms.fake_host import until

TOKEN = "100200300:sandbox-token-for-the-tests-0000000000"
GROUP = {"id": -100, "title": "Shop talk", "type": "supergroup"}


@asynccontextmanager
async def gateway(
    box: Sandbox,
    *,
    images: str = "off",
    observe: Observer = lambda _: None,
    dialect: str = "openapi",
    base_url: str | None = None,
    others: dict[str, str] | None = None,
    **telegram: Any,
) -> AsyncIterator[Gateway]:
    """With its public address known beforehand, as behind a proxy. `others`: further bots that are polled, their
    tokens by name.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    local = f"http://127.0.0.1:{port}"
    box.telegram.webhooks.pace = 0.0
    bot = {"organization": "acme", "replica": SUPPORT, "images": images, "limits": {"user": "off"}}
    made = Gateway(
        Settings.model_validate(
            {
                "server": {
                    "public": {"host": "127.0.0.1", "port": port, "base_url": base_url or local},
                    "admin": {"port": 0},
                },
                "journal": "memory:",
                "shutdown_grace": "1s",
                "sensay": {"base_url": box.url, "dialect": dialect},
                "platforms": {"telegram": {"api_url": box.url}},
                "organizations": {"acme": {"secret": "acme-secret"}},
                "bots": {
                    "support": {**bot, "telegram": {"token": TOKEN, **telegram}},
                    **{name: {**bot, "telegram": {"token": token}} for name, token in (others or {}).items()},
                },
            }
        ),
        observe=observe,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    try:
        account = box.telegram.bot(TOKEN)
        await until(lambda: running.done() or account.calls["getme"] or account.revoked, 10)
        yield made
    finally:
        stop.set()
        await running


async def says(box: Sandbox, text: str | None = None, *, token: str = TOKEN, **more: Any) -> None:
    body = {"user": {"id": 7, "name": "Ada"}, **({"text": text} if text else {}), **more}
    url = f"{box.url}/_control/telegram/{token}/messages"
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as response:
        assert response.status == 200


def sent(box: Sandbox, token: str = TOKEN) -> list[str]:
    return [item["text"] for item in box.telegram.sent(token) if item["kind"] == "message"]


def asked(box: Sandbox, operation: str = "complete") -> list[dict[str, Any]]:
    """Bodies of what Sensay answered well."""
    found = [r for r in box.sensay.requests if r.operation == operation and r.status == 200]
    return [request.body for request in found]
