"""The Discord adapter: a client per bot and run, journal first, one message a part."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import aiohttp
import discord
import structlog
from discord.http import Route

from adapters.discord import limits
from adapters.discord.breaker import Breaker, Muted, Tokens
from adapters.discord.catchup import CatchUp
from adapters.discord.commands import register
from adapters.discord.connection import CLOSE_TIMEOUT, Bot, Connection
from adapters.discord.convert import Me
from adapters.discord.deafness import Deafness
from adapters.discord.directory import Directory
from adapters.discord.drafts import EVERY, Drafts
from adapters.discord.errors import refused_token, translate
from adapters.discord.gate import Gate
from adapters.discord.health import Health
from adapters.discord.inbox import Inbox
from adapters.discord.interactions import Interactions
from adapters.discord.outgoing import Outgoing
from adapters.discord.pastes import Pastes
from adapters.discord.responses import Responses
from adapters.discord.starts import Starts
from gateway.errors import Misconfigured, Transient
from gateway.messages import Address, Delivery, Facts, Receipt
from gateway.ports import Host
from gateway.settings.models import DiscordSettings

_log = structlog.get_logger()

LOGIN_TIMEOUT = 30.0
HEARTBEAT_TIMEOUT = 60.0
DEAF_REMEDY = "answers without a mention in its threads need message_content: true"
MAX_RATELIMIT_WAIT = 30.0
"""A longer wait is handed back, so that it survives a restart."""


@dataclass
class Shared:
    """What the bots of a process have in common: one address, one pace of new sessions, one session for callbacks."""

    identifies: limits.Pacer = field(default_factory=limits.identifies)
    breaker: Breaker = field(default_factory=Breaker)
    tokens: Tokens = field(default_factory=Tokens)
    _http: aiohttp.ClientSession | None = None

    def http(self) -> aiohttp.ClientSession:
        if self._http is None or self._http.closed:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._http

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()


class DiscordAdapter:
    """One bot on Discord. `run` may be called again after it has ended; `send` and `typing` need it running.

    A repeated part shows once: a message carries a nonce that Discord knows for minutes, an edit is an edit, and a
    follow-up is looked for first. Only where the bot is no member may a follow-up whose fate is unknown show twice.
    """

    idempotent = True
    typing_every = 8.0
    draft_every = EVERY

    def __init__(self, bot: str, section: DiscordSettings, shared: Shared) -> None:
        self.bot = bot
        self._section = section
        self._shared = shared
        self._muted = Muted()
        self._outgoing: Outgoing | None = None

    async def run(self, host: Host) -> None:
        """Serve until cancelled. Raises Misconfigured (token, intent) or Transient (no answer to the login)."""
        health = Health(host)
        gate = Gate(host.clock, self._shared.breaker, health)
        client = _client(self._section, gate)
        try:
            await self._login(client, host, gate)
            await _Run(self, client, host, gate, health).serve()
        except BaseExceptionGroup as errors:
            first = errors.exceptions[0]
            raise first from first.__cause__
        finally:
            self._outgoing = None
            await client.close()

    async def _login(self, client: discord.Client, host: Host, gate: Gate) -> None:
        token, now = self._section.token.get_secret_value(), host.clock.monotonic()
        if not self._shared.tokens.may_try(token, now):
            raise refused_token("login")
        await gate.enter("reply")
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT):
                await client.login(token)
        except Exception as error:
            judged = translate(error, "login")
            if isinstance(judged, Misconfigured):
                self._shared.tokens.refused(token, now)
            raise gate.judged(judged) from error
        self._shared.tokens.accepted(token)

    async def send(self, delivery: Delivery) -> Receipt:
        """Send one part."""
        return await self._running().send(delivery)

    async def typing(self, address: Address) -> None:
        """Show for about ten seconds that an answer is coming."""
        await self._running().typing(address)

    async def draft(self, address: Address, text: str, part_id: str) -> None:
        """Show an answer while it is written, in the message that its first part will be."""
        await self._running().draft(address, text, part_id)

    def _running(self) -> Outgoing:
        if self._outgoing is None:
            raise Transient("the bot is not connected", retry_after=1.0, scope="channel")
        return self._outgoing


class _Run:
    """One run: everything that begins with a login and ends with it. Implements `connection.Reader`."""

    def __init__(
        self, adapter: DiscordAdapter, client: discord.Client, host: Host, gate: Gate, health: Health
    ) -> None:
        assert client.user is not None
        self._adapter, self._client, self._host = adapter, client, host
        self._gate, self._health = gate, health
        section, shared = adapter._section, adapter._shared  # noqa: SLF001 - a part of the adapter
        self._section = section
        self._me = Me(
            bot=adapter.bot,
            id=str(client.user.id),
            name=client.user.name,
            threads=section.threads == "auto",
        )
        self._listening = section.groups.mode in ("listen", "open") or self._me.threads
        responses = Responses(shared.http, Route.BASE, client.http.user_agent, gate)
        self._pastes = Pastes(shared.http, Route.BASE, adapter.bot)
        self._interactions = Interactions(host, self._me, responses, self._pastes)
        self._drafts = Drafts(host, on=section.stream == "on")
        self._outgoing = Outgoing(
            client,
            host.clock,
            gate,
            responses,
            self._interactions,
            adapter._muted,  # noqa: SLF001 - as above
            self._drafts,
        )
        self._starts = Starts(client.http, host, gate, health, shared.identifies)
        self._group = asyncio.TaskGroup()
        self._catch_up: CatchUp | None = None

    async def serve(self) -> None:
        """Until cancelled."""
        if self._me.threads and not self._section.message_content:
            _log.warning("threads.deaf", bot=self._me.bot, platform="discord", remedy=DEAF_REMEDY)
        shards = await self._shards()
        self._health.expect(str(self._client.user), [f"shard {shard}" for shard in range(shards)])
        directory = Directory(self._client, self._host.clock, self._gate)
        self._catch_up = CatchUp(
            self._client, self._host.clock, self._gate, self._me, shards=shards, listening=self._listening
        )
        bot = Bot(self._client, self._host, self._health, self._starts, shards)
        inboxes = [
            Inbox(
                self._host,
                self._me,
                directory,
                self._pastes,
                listening=self._listening,
                name=_session_name(shard, shards),
            )
            for shard in range(shards)
        ]
        self._adapter._outgoing = self._outgoing  # noqa: SLF001 - from here on it can send
        try:
            async with self._group as group:
                group.create_task(
                    register(self._client, self._host, self._gate, wanted=self._section.commands)
                )
                group.create_task(self._until_refused())
                for shard, inbox in enumerate(inboxes):
                    group.create_task(inbox.run())
                    connection = Connection(bot, inbox, self, shard)
                    group.create_task(connection.serve())
                    deafness = Deafness(self._host, connection, inbox, self._catch_up, shard)
                    group.create_task(deafness.watch())
        finally:
            await self._drafts.close()
            await self._interactions.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    for inbox in inboxes:
                        await inbox.over()

    async def _until_refused(self) -> None:
        """A token that was reset may keep its connection for a while, and no answer gets out. Raises Misconfigured."""
        await self._gate.refused.wait()
        raise refused_token("send")

    async def _shards(self) -> int:
        """As configured, or as Discord recommends; more than one are told the library, too."""
        shards = self._section.shards or await self._starts.shards()
        if shards > 1:
            self._client.shard_count = self._client._connection.shard_count = shards  # noqa: SLF001 - no other way
        return shards

    def interaction(self, data: Facts) -> None:
        self._interactions.take(data)

    def renewed(self, shard: int, inbox: Inbox, since: int) -> None:
        assert self._catch_up is not None
        self._group.create_task(self._catch_up.run(shard, inbox, since))


def _client(section: DiscordSettings, gate: Gate) -> discord.Client:
    return discord.Client(
        intents=_intents(section),
        allowed_mentions=discord.AllowedMentions.none(),
        max_messages=None,
        member_cache_flags=discord.MemberCacheFlags.none(),
        chunk_guilds_at_startup=False,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        max_ratelimit_timeout=MAX_RATELIMIT_WAIT,
        http_trace=gate.trace(),
    )


def _intents(section: DiscordSettings) -> discord.Intents:
    """Messages only. Without the privileged intent direct messages and mentions still carry their text."""
    return discord.Intents(guild_messages=True, dm_messages=True, message_content=section.message_content)


def _session_name(shard: int, shards: int) -> str:
    return "session" if shards == 1 else f"session/{shard}of{shards}"
