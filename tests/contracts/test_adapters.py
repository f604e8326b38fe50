"""The adapters' contract, by every adapter: over the sandbox where there is a platform to reach."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, web

from adapters import discord, telegram, webhook
from adapters import web as web_adapter
from gateway.messages import Address, PlatformName
from gateway.ports import Adapter, Platform
from gateway.sandbox.server import Sandbox
from gateway.settings.models import Settings
from tests.contracts.adapter import AdapterContract
from tests.fakes import FakeAdapter, FakePlatform
from tests.platforms.fake_host import FakeHost, until

TOKENS = {
    "telegram": "100200300:sandbox-token-for-the-tests-0000000000",
    "discord": "MTAwMjAwMzAwNDAwNTAwNjAw.tests0.sandbox-token-for-the-tests-00000",
}


def configured(box: Sandbox | None = None) -> Settings:
    """One bot on every platform."""
    places: dict[str, Any] = {}
    if box is not None:
        places = {
            "telegram": {"api_url": box.url},
            "discord": {"api_url": box.discord_api_url, "gateway_url": box.discord_gateway_url},
        }
    return Settings.model_validate(
        {
            "platforms": places,
            "organizations": {"acme": {"secret": "acme-secret"}},
            "bots": {
                "support": {
                    "organization": "acme",
                    "replica": "12345678-1234-1234-1234-123456789abc",
                    "telegram": {"token": TOKENS["telegram"]},
                    "discord": {"token": TOKENS["discord"]},
                    "web": {"allowed_origins": ["https://shop.example.com"]},
                    "webhook": {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
                }
            },
        }
    )


@dataclass
class SandboxWorld:
    """A person who writes to the bot through the sandbox, and is answered there."""

    platform: Platform
    section: Any
    box: Sandbox
    http: ClientSession
    reachable: bool = True

    async def address(self, adapter: Adapter, host: FakeHost) -> Address:
        name = self.platform.name
        url = f"{self.box.url}/_control/{name}/{TOKENS[name]}/messages"
        body = {"user": {"id": 42, "name": "Ada"}, "text": "When are you open?"}
        async with self.http.post(url, json=body) as answer:
            assert answer.status == 200, await answer.text()
        await until(lambda: host.accepted)
        return host.accepted[0].address  # type: ignore[union-attr, no-any-return]

    def shown(self) -> list[str]:
        service = getattr(self.box, self.platform.name)
        items = service.sent(TOKENS[self.platform.name])
        return [item["text"] for item in items if item["kind"] == "message"]


@dataclass
class JournalWorld:
    """A person who reads the journal: nothing is sent to them."""

    platform: Platform
    section: Any
    reachable: bool = False

    async def address(self, adapter: Adapter, host: FakeHost) -> Address:
        return Address(to="a-conversation")

    def shown(self) -> list[str]:
        return []


@dataclass
class FakeWorld:
    """The tests' own platform is held to the same."""

    platform: FakePlatform = field(default_factory=FakePlatform)
    section: Any = None
    reachable: bool = True

    async def address(self, adapter: Adapter, host: FakeHost) -> Address:
        return Address(to="c1")

    def shown(self) -> list[str]:
        return [text for adapter in self.platform.adapters for text in adapter.texts]


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


class TestTelegram(AdapterContract):
    @pytest.fixture
    async def world(self, sandbox: Sandbox, http: ClientSession) -> AsyncIterator[SandboxWorld]:
        settings = configured(sandbox)
        platform = telegram.platform(settings)
        yield SandboxWorld(platform, settings.bots["support"].telegram, sandbox, http)
        await platform.close()


class TestDiscord(AdapterContract):
    @pytest.fixture
    async def world(self, sandbox: Sandbox, http: ClientSession) -> AsyncIterator[SandboxWorld]:
        settings = configured(sandbox)
        platform = discord.platform(settings)
        yield SandboxWorld(platform, settings.bots["support"].discord, sandbox, http)
        await platform.close()


class TestWeb(AdapterContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[JournalWorld]:
        settings = configured()
        platform = web_adapter.platform(settings)
        yield JournalWorld(platform, settings.bots["support"].web)
        await platform.close()


class TestWebhook(AdapterContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[JournalWorld]:
        settings = configured()
        platform = webhook.platform(settings)
        yield JournalWorld(platform, settings.bots["support"].webhook)
        await platform.close()


class TestFakePlatform(AdapterContract):
    @pytest.fixture
    def world(self) -> FakeWorld:
        return FakeWorld()


class TestIdempotentFake(TestFakePlatform):
    @pytest.fixture
    def world(self) -> FakeWorld:
        return FakeWorld(FakePlatform(idempotent=True))


# --- all together ---


class Nobody:
    """A fleet without bots."""

    def channel(self, bot: str, platform: PlatformName) -> tuple[FakeAdapter, FakeHost] | None:
        return None


def platforms() -> Sequence[Platform]:
    settings = configured()
    return [module.platform(settings) for module in (telegram, discord, web_adapter, webhook)]


async def test_each_platform_has_its_own_name():
    assert [platform.name for platform in platforms()] == ["telegram", "discord", "web", "webhook"]


async def test_no_two_platforms_want_the_same_route():
    routes = [
        (route.method, route.path)
        for platform in platforms()
        for route in platform.routes(Nobody())
        if isinstance(route, web.RouteDef)
    ]

    assert len(routes) == len(set(routes))
    assert ("POST", "/v1/hooks/{bot}/messages") in routes
    assert ("POST", "/v1/web/{bot}/messages") in routes
