"""What a lost session did not bring: read from the channels' histories.

Discord keeps a session for a few minutes and what happens meanwhile comes with a resume. After a longer outage a new
session begins now. The message ids tell the time, so one number, the newest message that was journaled, says from where
each channel has to be read: those that Discord lists with something newer, and direct messages, which it does not list.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import discord
import structlog

from adapters.discord.convert import EPOCH_MS, THREADS, Me, may_concern
from adapters.discord.gate import Gate
from adapters.discord.inbox import Inbox
from gateway.errors import RateLimited
from gateway.messages import Facts
from gateway.ports import Clock

_log = structlog.get_logger()

LONGEST = 24 * 3600.0
"""Nobody waits longer, and what was journaled before is still recognised."""
PAGE, PAGES = 100, 5
SERVERS = 200
REFUSALS = 10
"""Channels of a server that may refuse before the rest is left alone: each refusal counts against the address."""
TIMEOUT = 30.0
_READABLE = (0, 5, *THREADS)


class CatchUp:
    """One bot's."""

    def __init__(
        self, client: discord.Client, clock: Clock, gate: Gate, me: Me, *, shards: int, listening: bool
    ) -> None:
        self._http = client.http
        self._clock, self._gate, self._me = clock, gate, me
        self._shards, self._listening = shards, listening
        self._closed: Counter[str | None] = Counter()

    async def run(self, shard: int, inbox: Inbox, since: int) -> int:
        """Journal what was missed, channel by channel and oldest first; returns how many messages there were. Never
        raises: it is a second chance.
        """
        earliest = int((self._clock.now() - LONGEST) * 1000 - EPOCH_MS) << 22
        since, found = max(since, earliest), 0
        try:
            async for channel, guild in self._places(shard, inbox, since):
                messages = [("MESSAGE_CREATE", m) for m in await self._messages(channel, guild, since)]
                found += len(messages)
                await inbox.missed(messages)
        except _FAILURES as error:
            _log.warning("history.unread", bot=self._me.bot, platform="discord", error=type(error).__name__)
        _log.info("history.read", bot=self._me.bot, platform="discord", messages=found)
        return found

    async def _places(self, shard: int, inbox: Inbox, since: int) -> AsyncIterator[tuple[str, str | None]]:
        if shard == 0:
            for channel in reversed(await inbox.directs()):
                yield channel, None
        for guild in await self._ask(self._http.get_guilds, SERVERS, with_counts=False):
            if (int(guild["id"]) >> 22) % self._shards != shard:
                continue
            for channel in await self._changed(guild["id"], since):
                if self._closed[guild["id"]] >= REFUSALS:
                    break
                yield channel, str(guild["id"])

    async def _changed(self, guild: str, since: int) -> list[str]:
        """Channels and threads with something newer, which Discord lists to every member."""
        channels: list[Any] = [*await self._ask(self._http.get_all_guild_channels, int(guild))]
        threads: Any = await self._ask(self._http.get_active_threads, int(guild))
        newer = (
            channel
            for channel in [*channels, *threads["threads"]]
            if channel["type"] in _READABLE and int(channel.get("last_message_id") or 0) > since
        )
        return [str(channel["id"]) for channel in newer]

    async def _messages(self, channel: str, guild: str | None, since: int) -> list[Facts]:
        """What came after, as the gateway would have said it."""
        messages: list[Facts] = []
        for _ in range(PAGES):
            try:
                page: Any = await self._ask(self._http.logs_from, int(channel), PAGE, after=since)
            except (discord.Forbidden, discord.NotFound):
                self._closed[guild] += 1
                break
            page = sorted(page, key=lambda message: int(message["id"]))
            messages += [await self._whole(message, guild) for message in page]
            if len(page) < PAGE:
                break
            since = int(page[-1]["id"])
        return messages

    async def _whole(self, message: Facts, guild: str | None) -> Facts:
        """Histories leave out the server, and the roles of who wrote."""
        if guild is None:
            return message
        message = {**message, "guild_id": guild}
        if not may_concern(message, self._me, listening=self._listening):
            return message
        try:
            author = int(message["author"]["id"])
            member: Any = await self._ask(self._http.get_member, int(guild), author)
        except (discord.Forbidden, discord.NotFound):
            return message
        return {**message, "member": {"roles": member["roles"], "nick": member.get("nick")}}

    async def _ask(self, request: Callable[..., Awaitable[Any]], *args: object, **more: object) -> Any:
        await self._gate.enter("other")
        async with asyncio.timeout(TIMEOUT):
            return await request(*args, **more)


_FAILURES = (discord.DiscordException, OSError, KeyError, TypeError, ValueError, RateLimited)
