"""One Discord bot, its host, and the pretended Discord around it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from adapters.discord import DiscordAdapter, DiscordPlatform, platform
from gateway.messages import Address, Delivery, Part, Said
from gateway.sandbox.server import Sandbox
from gateway.settings.models import DiscordServer, DiscordSettings, Platforms, Settings
from tests.platforms.fake_host import FakeClock, FakeHost, until

BOT_ID = "4200000000000000001"
TOKEN = base64.urlsafe_b64encode(BOT_ID.encode()).decode().rstrip("=") + ".abcdef.secret-part"
ADA = {"id": 7, "name": "Ada"}


class Scene:
    def __init__(self, sandbox: Sandbox, platform: DiscordPlatform) -> None:
        self.sandbox, self.platform = sandbox, platform
        self.discord = sandbox.discord
        self.host = FakeHost("support", "discord", FakeClock(time.time()))  # ids tell the time

    @property
    def gateway(self) -> Any:
        return self.discord.gateway

    def adapter(self, token: str = TOKEN, **section: object) -> DiscordAdapter:
        return self.platform.adapter("support", DiscordSettings(token=token, **section))

    @asynccontextmanager
    async def running(
        self, adapter: DiscordAdapter | None = None, host: FakeHost | None = None
    ) -> AsyncIterator[DiscordAdapter]:
        adapter, host = adapter or self.adapter(), host or self.host
        task = asyncio.create_task(adapter.run(host))
        try:
            await until(lambda: host.state == "ready" or task.done())
            yield adapter
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def says(self, text: str, **more: object) -> dict[str, Any]:
        return await self.discord.say(TOKEN, {"user": ADA, "text": text, **more})

    async def uses(self, command: str, where: dict[str, Any] | None = None, **used: object) -> dict[str, Any]:
        """A person uses a command, in the bot's direct messages unless told `where`."""
        interaction = {"command": command, **used}
        return await self.discord.interact(TOKEN, {"user": ADA, "interaction": interaction, **(where or {})})

    async def asks(self, question: str = "why?", **where: object) -> dict[str, Any]:
        return await self.uses("ask", where, options={"question": question})

    async def heard(self, count: int = 1) -> list[Said]:
        await until(lambda: len(self.host.accepted) >= count)
        return self.host.accepted  # type: ignore[return-value]

    async def texts(self, count: int = 1) -> list[str]:
        return [said.text for said in await self.heard(count)]

    def sent(self, kind: str = "message") -> list[dict[str, Any]]:
        return self.discord.sent(TOKEN, kind)

    def readies(self) -> int:
        return sum(state == "ready" for state, _ in self.host.states)


@asynccontextmanager
async def scene_of(sandbox: Sandbox) -> AsyncIterator[Scene]:
    server = DiscordServer(api_url=sandbox.discord_api_url, gateway_url=sandbox.discord_gateway_url)
    made = platform(Settings(platforms=Platforms(discord=server)))
    yield Scene(sandbox, made)
    await made.close()


def delivery(
    said: Said | None = None,
    text: str = "hello",
    *,
    address: Address | None = None,
    part: str = "t1.answer.0",
    **more,
) -> Delivery:
    assert said is not None or address is not None
    where = address or said.address
    return Delivery(
        id=part,
        organization="acme",
        key=said.key if said else None,
        address=where,
        part=Part(text=text, payload=more.pop("payload", {})),
        owner="t1",
        index=more.pop("index", 0),
        count=1,
        created_at=0.0,
        **more,
    )
