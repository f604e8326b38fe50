"""The signed webhook: a server asks a replica, and reads the answer in the same request or later.

Requests are signed as Standard Webhooks 1.0 has it; `webhook-id` is the idempotency key.
Answers can be sent to an address of the customer's, signed the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from adapters.webhook import probe
from adapters.webhook.adapter import WebhookAdapter
from adapters.webhook.render import WebhookRenderer
from adapters.webhook.routes import Hooks
from gateway.messages import PlatformName
from gateway.ports import Clock, Fleet, Probed
from gateway.settings import Settings
from gateway.settings.models import WebhookSettings

__all__ = ["WebhookAdapter", "WebhookPlatform", "WebhookRenderer", "platform"]


class WebhookPlatform:
    """All webhooks: one set of routes. A bot's second adapter in one process is a restart or a reload, by a person."""

    name: PlatformName = "webhook"

    def __init__(self, base_url: str | None) -> None:
        self.renderer = WebhookRenderer()
        self._base_url = (base_url or "").rstrip("/")
        self._known: set[str] = set()
        self._stopping = asyncio.Event()

    def adapter(self, bot: str, section: WebhookSettings) -> WebhookAdapter:
        forgiving = bot in self._known
        self._known.add(bot)
        return WebhookAdapter(bot, section, base_url=self._base_url, forgiving=forgiving)

    def routes(self, fleet: Fleet) -> Sequence[web.RouteDef]:
        return Hooks(fleet, self._base_url, self._stopping).routes()

    async def probe(self, bot: str, section: WebhookSettings, clock: Clock) -> Probed:  # noqa: ARG002 - the contract's
        return await probe.probe(section)

    async def close(self) -> None:
        """Answer the callers that wait, now; nothing waits any more afterwards."""
        self._stopping.set()


def platform(settings: Settings) -> WebhookPlatform:
    return WebhookPlatform(settings.server.public.base_url)
