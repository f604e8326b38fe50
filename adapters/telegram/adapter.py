"""One bot on Telegram: listens (polled or called), and lends its way out."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import structlog
from telegram.error import TelegramError

from adapters.telegram import floods
from adapters.telegram.business import Connections
from adapters.telegram.identity import Identity
from adapters.telegram.intake import Intake
from adapters.telegram.menu import Menu
from adapters.telegram.pictures import Pictures
from adapters.telegram.polling import POLL, Poller
from adapters.telegram.routes import FILES, UPDATES
from adapters.telegram.sending import Sender
from adapters.telegram.starting import Starts
from adapters.telegram.suspects import SharedSuspects, Suspects
from adapters.telegram.transport import BotApi, Client, Download
from adapters.telegram.webhook import Webhook
from gateway.errors import GatewayError, Misconfigured, Transient
from gateway.messages import Address, Arrival, Delivery, Receipt
from gateway.ports import Host
from gateway.settings.models import TelegramSettings

log = structlog.get_logger()

PROFILE_AGAIN = 900.0
"""Seconds until a name or menu that could not be had or set is tried again."""
DEAF_REMEDY = "turn privacy mode off with @BotFather, then remove the bot from its groups and add it again"


@dataclass(frozen=True)
class Shared:
    """What all bots of the process share. `base_url` is where our public listener is reached, if anywhere."""

    api_url: str
    base_url: str | None = None
    api: BotApi = field(default_factory=BotApi)
    starts: Starts = field(default_factory=Starts)


class TelegramAdapter:
    """`gateway.ports.Adapter`, `ShowsTyping`, `ShowsDraft` and `Rereads` for one bot token."""

    idempotent = False
    typing_every = 4.0
    draft_every = 1.0  # they count like messages

    def __init__(self, bot: str, section: TelegramSettings, shared: Shared, *, poll: float = POLL) -> None:
        self.bot = bot
        self.webhook: Webhook | None = None
        """While it runs in webhook mode."""
        self._client = Client(section.token.get_secret_value(), shared.api_url, shared.api)
        self._section, self._shared, self._poll = section, shared, poll
        self._sender: Sender | None = None
        self._pictures: Pictures | None = None
        self._intake: Intake | None = None

    # --- listening --------------------------------------------------------------------------------------------------

    async def run(self, host: Host) -> None:
        """Listen until cancelled."""
        self._sender = Sender(self._client, host)
        await floods.recall(self._sender.pacer, host)
        identity = Identity(self._client, host)
        listener = await self._listener(host, identity)
        beside = asyncio.create_task(self._keep_profile(listener, identity, host))
        try:
            await listener.run()
        finally:
            self.webhook = None
            beside.cancel()
            await asyncio.gather(beside, self._tidy(), return_exceptions=True)

    async def front(self, host: Host) -> bool:
        """Take what Telegram sends, and show the replica pictures, while another process runs the bot."""
        if self._shared.base_url is None:
            return False
        await self._listener(host, Identity(self._client, host), alone=False)
        return True

    async def _tidy(self) -> None:
        if self._intake is not None:
            await self._intake.suspects.over()

    async def _listener(self, host: Host, identity: Identity, *, alone: bool = True) -> Poller | Webhook:
        key, base = await host.secret(f"telegram/{self.bot}"), self._shared.base_url
        if base is not None:
            self._pictures = Pictures(_derived(key, "files"), base + FILES.format(bot=self.bot))
        suspects = Suspects(host) if alone else SharedSuspects(host)
        connections = Connections(self._client, host)
        self._intake = intake = Intake(host, identity, connections, self._pictures, suspects)
        if self._section.mode == "polling":
            return Poller(self._client, host, identity, intake, self._shared.starts, poll=self._poll)
        if base is None:
            raise Misconfigured("a webhook needs an address", remedy="set server.public.base_url")
        self.webhook = Webhook(
            self._client,
            host,
            identity,
            intake,
            self._shared.starts,
            url=base + UPDATES.format(bot=self.bot),
            secret=_derived(key, "webhook").hex(),
        )
        return self.webhook

    async def _keep_profile(self, listener: Poller | Webhook, identity: Identity, host: Host) -> None:
        """Once it listens: refresh a remembered identity, and set the command menu if it changed."""
        while True:
            await listener.working.wait()
            try:
                me = await identity.fresh()
                self._tell_if_deaf(identity)
                await Menu(self._client, host).keep(me.id)
            except (TelegramError, GatewayError) as error:
                log.info("telegram.profile_failed", bot=self.bot, error=str(error)[:300])
            else:
                return
            await host.clock.sleep(PROFILE_AGAIN)

    def _tell_if_deaf(self, identity: Identity) -> None:
        if self._section.groups.mode in ("listen", "open") and not identity.hears_groups:
            log.warning("groups.deaf", bot=self.bot, platform="telegram", remedy=DEAF_REMEDY)

    def reread(self, raw: str) -> Sequence[Arrival]:
        """What an update that was kept as unreadable means now."""
        return self._intake.reread(raw) if self._intake else ()

    # --- speaking ---------------------------------------------------------------------------------------------------

    async def send(self, delivery: Delivery) -> Receipt:
        """Send one part; not idempotent, Telegram has nothing to recognise a repetition by."""
        try:
            return await self._running().send(delivery)
        except Misconfigured:
            if self.webhook is not None:
                self.webhook.doubt()
            raise

    async def typing(self, address: Address) -> None:
        """Show "typing…" in the topic; lasts about five seconds."""
        await self._running().typing(address)

    async def draft(self, address: Address, text: str, part_id: str = "") -> None:
        """Show an answer while it is written, if the bot is set to; in private chats only."""
        if self._section.stream == "on":
            await self._running().draft(address, text, part_id)

    def _running(self) -> Sender:
        if self._sender is None:
            raise Transient("the bot is not running", scope="channel")
        return self._sender

    # --- pictures ---------------------------------------------------------------------------------------------------

    def file_id(self, signed: str, now: float) -> str | None:
        """The file that an address of ours stands for."""
        return self._pictures.file_id(signed, now) if self._pictures else None

    def download(self, file_id: str) -> AbstractAsyncContextManager[Download]:
        """A file from Telegram. Raises TelegramError."""
        return self._client.download(file_id)


def _derived(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, purpose.encode(), hashlib.sha256)
