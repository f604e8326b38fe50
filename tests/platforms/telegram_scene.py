"""A Telegram bot against the sandbox, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import aiohttp

from adapters.telegram import TelegramAdapter, TelegramPlatform, menu
from gateway.messages import Address, ConversationKey, Delivery, Part, Said
from gateway.sandbox.server import Sandbox
from gateway.sandbox.telegram_bot import BotAccount
from gateway.settings.models import TelegramSettings
from gateway.web.server import Listener
from tests.platforms.fake_host import FakeHost, until

TOKEN = "4711:AAsecretsecretsecretsecretsecretsecret"
GROUP = -100


class Fleet:
    """`gateway.ports.Fleet` with the one bot, while it runs."""

    scene: Scene | None = None

    def channel(self, bot: str, platform: str) -> tuple[TelegramAdapter, FakeHost] | None:
        scene = self.scene
        if scene is None or scene.live is None or (bot, platform) != ("support", "telegram"):
            return None
        return scene.live, scene.host


class Scene:
    """One bot, its host, and the world around."""

    def __init__(
        self, sandbox: Sandbox, platform: TelegramPlatform, http: aiohttp.ClientSession, port: int
    ) -> None:
        self.sandbox, self.platform, self.http, self.port = sandbox, platform, http, port
        self.live: TelegramAdapter | None = None
        self.host = FakeHost("support", "telegram")
        self.host.memory["commands"] = menu.mark(4711)  # it moves the clock

    def adapter(self, poll: float = 50.0, **more: object) -> TelegramAdapter:
        section = TelegramSettings(token=TOKEN, **more)
        return TelegramAdapter("support", section, self.platform.shared, poll=poll)

    @property
    def bot(self) -> BotAccount:
        return self.sandbox.telegram.bot(TOKEN)

    @asynccontextmanager
    async def running(self, adapter: TelegramAdapter | None = None) -> AsyncIterator[TelegramAdapter]:
        self.live, seen = adapter or self.adapter(), len(self.host.states)
        task = asyncio.create_task(self.live.run(self.host))
        try:
            await until(lambda: "ready" in dict(self.host.states[seen:]) or task.done())
            yield self.live
        finally:
            task.cancel()
            self.live = None
            with suppress(asyncio.CancelledError):
                await task

    async def told(self, what: str, **body: object) -> None:
        """The world changes, by the control API."""
        url = f"{self.sandbox.url}/_control/telegram/{TOKEN}/{what}"
        async with self.http.post(url, json=body) as response:
            assert response.status == 200

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


@asynccontextmanager
async def telegram_scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    """A scene with the public routes listening where Telegram and the replica reach them."""
    fleet = Fleet()
    platform = TelegramPlatform(sandbox.url)
    public = Listener("127.0.0.1", 0, platform.routes(fleet))
    await public.start()
    platform.shared = replace(platform.shared, base_url=f"http://127.0.0.1:{public.port}")
    async with aiohttp.ClientSession() as http:
        scene = Scene(sandbox, platform, http, public.port)
        fleet.scene = scene
        yield scene
    await public.stop()
    await platform.close()
    sandbox.reset()


def delivery(text: str, address: Address, *, index: int = 0, **payload: object) -> Delivery:
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
