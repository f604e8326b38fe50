"""The Discord adapter: a client per bot and run, journal first, one message a part."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import logging
from collections.abc import Sequence
from typing import Any

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters.discord import limits
from adapters.discord.connection import CLOSE_TIMEOUT, Connection
from adapters.discord.convert import Me
from adapters.discord.directory import Directory
from adapters.discord.errors import refuses_reference, translate
from adapters.discord.inbox import Inbox
from adapters.discord.render import DiscordRenderer
from gateway.errors import Transient
from gateway.messages import Address, Delivery, PlatformName, Receipt
from gateway.ports import Fleet, Host
from gateway.settings.models import DiscordServer, DiscordSettings, Settings

SEND_TIMEOUT = 20.0
TYPING_TIMEOUT = 5.0
LOGIN_TIMEOUT = 30.0
HEARTBEAT_TIMEOUT = 60.0
MAX_RATELIMIT_WAIT = 30.0
"""A longer wait is handed back, so that it survives a restart."""
NONCE_LENGTH = 25


class DiscordAdapter:
    """One bot on Discord. `run` may be called again after it has ended; `send` and `typing` need it running."""

    idempotent = True  # a part carries a nonce that Discord knows for minutes
    typing_every = 8.0

    def __init__(self, bot: str, section: DiscordSettings, identifies: limits.Pacer) -> None:
        self.bot = bot
        self._section = section
        self._identifies = identifies
        self._sends = limits.sends()
        self._client: discord.Client | None = None
        self._host: Host | None = None

    async def run(self, host: Host) -> None:
        """Serve until cancelled. Raises Misconfigured (token, intent) or Transient (no answer to the login)."""
        client = discord.Client(
            intents=_intents(self._section),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            max_ratelimit_timeout=MAX_RATELIMIT_WAIT,
        )
        try:
            await self._login(client)
            self._client, self._host = client, host
            await self._serve(client, host)
        finally:
            self._client = None
            await client.close()

    async def _login(self, client: discord.Client) -> None:
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT):
                await client.login(self._section.token.get_secret_value())
        except Exception as error:
            raise translate(error, "login") from error

    async def _serve(self, client: discord.Client, host: Host) -> None:
        assert client.user is not None
        me = Me(bot=self.bot, id=str(client.user.id), name=client.user.name)
        listening = self._section.groups.mode in ("listen", "open")
        inbox = Inbox(host, me, Directory(client, host.clock), listening=listening)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(inbox.run())
                await Connection(client, host, inbox, self._identifies).serve()
        except BaseExceptionGroup as errors:
            first = errors.exceptions[0]
            raise first from first.__cause__
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await inbox.remember()

    async def send(self, delivery: Delivery) -> Receipt:
        """Send one part. Safe to repeat: its nonce comes from its id, and Discord makes no second message of it."""
        client, host = self._running()
        wait = self._sends.reserve(host.clock.monotonic())
        if wait > 0:
            await host.clock.sleep(wait)
        try:
            message = await self._create(client, delivery, reference=_reference(delivery))
        except Exception as error:
            raise translate(error, "create_message") from error
        return Receipt(platform_ids=(str(message.id),))

    async def _create(
        self, client: discord.Client, delivery: Delivery, reference: discord.MessageReference | None
    ) -> discord.Message:
        """Post it. What cannot be quoted (gone, a notice, no right to read history) is answered without."""
        document = delivery.part.payload.get("document")
        extra: dict[str, Any] = {} if reference is None else {"reference": reference}
        if document is None:
            extra["content"] = delivery.part.text
        else:
            data = io.BytesIO(document["content"].encode())
            extra["file"] = discord.File(data, filename=document["filename"])
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                return await _channel(client, delivery.address).send(
                    nonce=nonce(delivery.id), suppress_embeds=True, **extra
                )
        except discord.HTTPException as error:
            if reference is None or not refuses_reference(error):
                raise
        return await self._create(client, delivery, reference=None)

    async def typing(self, address: Address) -> None:
        """Show for about ten seconds that an answer is coming."""
        client, _ = self._running()
        async with asyncio.timeout(TYPING_TIMEOUT):
            await _channel(client, address).typing()

    def _running(self) -> tuple[discord.Client, Host]:
        if self._client is None or self._host is None:
            raise Transient("the bot is not connected", scope="channel")
        return self._client, self._host


class DiscordPlatform:
    """What the bots of a process share: where Discord is, and the pace of new sessions."""

    name: PlatformName = "discord"

    def __init__(self, server: DiscordServer) -> None:
        # class attributes of the library: there is no setting of a client for them
        Route.BASE = server.api_url.rstrip("/")
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(server.gateway_url)
        _hush()
        self.renderer = DiscordRenderer()
        self._identifies = limits.identifies()

    def adapter(self, bot: str, section: DiscordSettings) -> DiscordAdapter:
        return DiscordAdapter(bot, section, self._identifies)

    def routes(self, fleet: Fleet) -> Sequence[Any]:  # noqa: ARG002 - interactions over HTTP are not offered
        return []

    async def close(self) -> None:
        """Nothing outlives the runs."""


def platform(settings: Settings) -> DiscordPlatform:
    """Make the platform of this process."""
    return DiscordPlatform(settings.platforms.discord)


def nonce(delivery_id: str) -> str:
    """The same for the same part of the same reply, in every process and after every restart."""
    return hashlib.sha256(delivery_id.encode()).hexdigest()[:NONCE_LENGTH]


def _intents(section: DiscordSettings) -> discord.Intents:
    """Messages only. Without the privileged intent direct messages and mentions still carry their text."""
    return discord.Intents(guild_messages=True, dm_messages=True, message_content=section.message_content)


def _channel(client: discord.Client, address: Address) -> discord.PartialMessageable:
    return client.get_partial_messageable(int(address.data["channel_id"]))


def _reference(delivery: Delivery) -> discord.MessageReference | None:
    """Among others the first part quotes what it answers; alone with one person that would be noise."""
    data = delivery.address.data
    if delivery.index or not data.get("guild_id") or not data.get("message_id"):
        return None
    return discord.MessageReference(
        message_id=int(data["message_id"]), channel_id=int(data["channel_id"]), fail_if_not_exists=False
    )


def _hush() -> None:
    """No warnings of each client about voice and the guilds intent: both are left out on purpose."""
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    logging.getLogger("discord.state").addFilter(_about_guilds)
    logging.getLogger("discord").setLevel(logging.INFO)  # below that it writes down what people say


def _about_guilds(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Guilds intent seems to be disabled")
