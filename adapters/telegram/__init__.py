"""Telegram: python-telegram-bot as a typed client, and around it what a fleet of bots needs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from adapters.telegram.adapter import TelegramAdapter
from adapters.telegram.render import TelegramRenderer
from adapters.telegram.transport import AiohttpRequest
from gateway.messages import PlatformName
from gateway.ports import Fleet
from gateway.settings.models import Settings, TelegramSettings

__all__ = ["TelegramAdapter", "TelegramPlatform", "TelegramRenderer", "platform"]


class TelegramPlatform:
    """`gateway.ports.Platform`: what all Telegram bots share, above all one pool of connections."""

    name: PlatformName = "telegram"

    def __init__(self, api_url: str) -> None:
        self.renderer = TelegramRenderer()
        self._api_url = api_url.rstrip("/")
        self._request = AiohttpRequest()
        # At DEBUG, python-telegram-bot logs every parameter, that is what people write.
        logging.getLogger("telegram").setLevel(logging.INFO)

    def adapter(self, bot: str, section: TelegramSettings) -> TelegramAdapter:
        return TelegramAdapter(bot, section, self._request, self._api_url)

    def routes(self, fleet: Fleet) -> Sequence[Any]:  # noqa: ARG002 - polling needs none
        return []

    async def close(self) -> None:
        await self._request.close()


def platform(settings: Settings) -> TelegramPlatform:
    """Make the platform as configured."""
    return TelegramPlatform(settings.platforms.telegram.api_url)
