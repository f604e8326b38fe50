"""Telegram: python-telegram-bot as a typed client, and around it what a fleet of bots needs."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aiohttp import web

from adapters.telegram import probe
from adapters.telegram.adapter import Shared, TelegramAdapter
from adapters.telegram.render import TelegramRenderer
from adapters.telegram.routes import TelegramRoutes
from gateway.messages import PlatformName
from gateway.ports import Clock, Fleet, Probed
from gateway.settings.models import Settings, TelegramSettings

__all__ = ["Shared", "TelegramAdapter", "TelegramPlatform", "TelegramRenderer", "platform"]


class TelegramPlatform:
    """`gateway.ports.Platform`: what all Telegram bots share, above all one pool of connections."""

    name: PlatformName = "telegram"

    def __init__(self, api_url: str, base_url: str | None = None) -> None:
        self.renderer = TelegramRenderer()
        self.shared = Shared(api_url.rstrip("/"), base_url)
        # At DEBUG, python-telegram-bot logs every parameter, that is what people write.
        library = logging.getLogger("telegram")
        library.setLevel(max(library.getEffectiveLevel(), logging.INFO))

    def adapter(self, bot: str, section: TelegramSettings) -> TelegramAdapter:
        return TelegramAdapter(bot, section, self.shared)

    def routes(self, fleet: Fleet) -> Sequence[web.RouteDef]:
        return TelegramRoutes(fleet).routes()

    async def probe(self, bot: str, section: TelegramSettings, clock: Clock) -> Probed:
        return await probe.probed(self.shared.api_url, self.shared.base_url, bot, section, clock)

    async def close(self) -> None:
        await self.shared.api.close()


def platform(settings: Settings) -> TelegramPlatform:
    """Make the platform as configured."""
    return TelegramPlatform(settings.platforms.telegram.api_url, settings.server.public.base_url)
