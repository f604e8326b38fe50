"""The Telegram adapter against the sandbox, over sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from adapters.telegram import TelegramAdapter, TelegramPlatform
from gateway.errors import Ambiguous, Misconfigured, Permanent, RateLimited, Transient
from gateway.messages import Address, Delivery, Moved, Part, Said, Unreadable
from gateway.ports import Adapter, Platform, Renderer, ShowsTyping
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from gateway.settings.models import TelegramSettings
from tests.platforms.fake_host import FakeHost, until

TOKEN = "4711:AAsecretsecretsecretsecretsecretsecret"
GROUP = -100


class Scene:
    """One bot, its host, and the world around."""

    def __init__(self, sandbox: Sandbox, platform: TelegramPlatform, http: aiohttp.ClientSession) -> None:
        self.sandbox, self.platform, self.http = sandbox, platform, http
        self.host = FakeHost("support", "telegram")

    def adapter(self) -> TelegramAdapter:
        return self.platform.adapter("support", TelegramSettings(token=TOKEN))

    @asynccontextmanager
    async def running(self, adapter: TelegramAdapter | None = None) -> AsyncIterator[TelegramAdapter]:
        adapter = adapter or self.adapter()
        task = asyncio.create_task(adapter.run(self.host))
        try:
            await until(lambda: self.host.state == "ready" or task.done())
            yield adapter
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def says(self, text: str | None = None, **more: object) -> int:
        body = {"user": {"id": 7, "name": "Ada", "username": "ada", "language_code": "de"}, **more}
        if text is not None:
            body["text"] = text
        url = f"{self.sandbox.url}/_control/telegram/{TOKEN}/messages"
        async with self.http.post(url, json=body) as response:
            assert response.status == 200
            return (await response.json())["id"]

    async def heard(self, count: int = 1) -> list[Said]:
        await until(lambda: len(self.host.accepted) >= count)
        return self.host.accepted  # type: ignore[return-value]

    def sent(self, kind: str = "message") -> list[dict]:
        return [item for item in self.sandbox.telegram.sent(TOKEN) if item["kind"] == kind]


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    platform = TelegramPlatform(sandbox.url)
    async with aiohttp.ClientSession() as http:
        yield Scene(sandbox, platform, http)
    await platform.close()


def delivery(text: str, address: Address, *, index: int = 0, **payload: object) -> Delivery:
    from gateway.messages import ConversationKey

    return Delivery(
        id=f"t1.answer.{index}",
        organization="acme",
        key=ConversationKey(bot="support", platform="telegram", chat=address.to),
        address=address,
        part=Part(text=text, payload=payload),
        owner="t1",
        index=index,
        count=1,
        created_at=0.0,
    )


async def test_a_private_message_arrives_and_is_answered(scene: Scene) -> None:
    async with scene.running() as adapter:
        number = await scene.says("Hello")
        (said,) = await scene.heard()
        receipt = await adapter.send(delivery("Hi", said.address))

    assert ("Hello", "direct", "7", "de") == (said.text, said.addressed, said.sender.id, said.sender.locale)
    assert f"message:7:{number}" in said.dedupe
    assert {
        "chat_type": "private",
        "chat_id": 7,
        "message_id": number,
        "user_id": 7,
        "username": "ada",
    } == said.context
    (item,) = scene.sent()
    assert ("Hi", 7, None) == (item["text"], item["chat"], item["reply_to"])
    assert receipt.platform_ids == (str(item["id"]),)
