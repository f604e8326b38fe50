"""One bot on the web. Nothing is sent: visitors read the journal, so a part is delivered once it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import web

from adapters.web.assets import Asset, Files
from adapters.web.limits import Limits, Proxies
from adapters.web.picture import Pictures
from adapters.web.render import WebRenderer
from adapters.web.routes import WebRoutes
from adapters.web.stream import Pace, Streams
from gateway.messages import Address, ConversationKey, Delivery, Facts, PlatformName, Receipt
from gateway.ports import Fleet, Host
from gateway.settings.models import WebSettings


class WebAdapter:
    """Keeps a bot's settings and session key for the routes while its channel runs."""

    idempotent = True  # nothing is sent: readers find the part in the journal
    typing_every = 4.0
    draft_every = 0.25

    def __init__(self, bot: str, section: WebSettings) -> None:
        self.bot = bot
        self.section = section
        self._host: Host | None = None
        self._key: bytes | None = None

    async def run(self, host: Host) -> None:
        self._host = host
        host.ready("widget")
        await asyncio.get_running_loop().create_future()

    async def front(self, host: Host) -> bool:
        """Visitors may come to any process."""
        self._host = host
        return True

    async def send(self, delivery: Delivery) -> Receipt:
        """Acknowledge: the streams of this conversation were woken by the commit."""
        return Receipt(platform_ids=(delivery.id,))

    async def typing(self, address: Address) -> None:
        await self._tell(address, {"type": "typing"})

    async def draft(self, address: Address, text: str, part_id: str) -> None:
        """Show the open streams what there is of an answer: all of it each time, so that a lost one is no loss."""
        whole = text.encode(errors="ignore").decode()  # the last character may be half there
        await self._tell(address, {"type": "delta", "id": part_id, "text": whole})

    async def _tell(self, address: Address, fact: Facts) -> None:
        """Tell the open streams of a conversation, in every process."""
        if self._host is not None:
            key = ConversationKey(bot=self.bot, platform="web", chat=address.to)
            await self._host.publish(f"conversation/{key}", fact)

    async def session_key(self, host: Host) -> bytes:
        """The key that signs this gateway's session tokens."""
        if self._key is None:
            self._key = await host.secret("web-session")
        return self._key


class WebPlatform:
    """What all web channels share: the widget's files, open streams, pictures and limits."""

    name: PlatformName = "web"

    def __init__(
        self,
        *,
        trusted_proxies: Sequence[str] = (),
        base_url: str | None = None,
        upstream: str | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.renderer = WebRenderer()
        self.files = Files()
        self.streams = Streams(pace or Pace())
        self.pictures = Pictures(upstream)
        self.limits = Limits()
        self._proxies = Proxies.parse(trusted_proxies)
        self._base_url = base_url

    @property
    def widget(self) -> Asset:
        return self.files.widget

    def adapter(self, bot: str, section: WebSettings) -> WebAdapter:
        return WebAdapter(bot, section)

    def routes(self, fleet: Fleet) -> list[web.RouteDef]:
        return WebRoutes(
            fleet=fleet,
            files=self.files,
            streams=self.streams,
            pictures=self.pictures,
            limits=self.limits,
            proxies=self._proxies,
            base_url=self._base_url,
        ).table()

    async def close(self) -> None:
        """End all open streams now; their clients come back, perhaps to another process."""
        self.streams.close()
        await self.pictures.close()
