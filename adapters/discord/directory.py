"""Names and parents of channels and servers, asked for once and kept for a while.

The gateway's own lists are not used: they come with a new session only, not with a resumed one, and cost most of a
connection's memory.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import discord

from adapters.discord.convert import Around, Me, around
from gateway.messages import Facts
from gateway.ports import Clock

KEPT = 3600.0
KEPT_UNKNOWN = 60.0
ENTRIES = 1000
ASK_TIMEOUT = 5.0


class Directory:
    """One bot's. What cannot be learnt is unknown, never an error: a message is worth more than a name."""

    def __init__(self, client: discord.Client, clock: Clock) -> None:
        self._http = client.http
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Facts | None]] = OrderedDict()

    async def around(self, data: Facts, me: Me) -> Around:
        """Where a message was said."""
        channel = await self._ask(f"channel {data['channel_id']}", self._channel, data["channel_id"])
        guild = await self._ask(f"guild {data['guild_id']}", self._guild, data["guild_id"])
        return around(channel, guild, me)

    async def _channel(self, identity: str) -> Facts:
        found = dict(await self._http.get_channel(identity))
        return {key: found.get(key) for key in ("name", "type", "parent_id")}

    async def _guild(self, identity: str) -> Facts:
        found = await self._http.get_guild(identity, with_counts=False)
        tagged = [{"id": role["id"], "tags": role["tags"]} for role in found["roles"] if "tags" in role]
        return {"name": found["name"], "roles": tagged}

    async def _ask(
        self, key: str, question: Callable[[str], Awaitable[Facts]], identity: str
    ) -> Facts | None:
        now = self._clock.monotonic()
        until, known = self._known.get(key, (now, None))
        if until > now:
            return known
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                known = await question(str(identity))
        except (discord.DiscordException, OSError, KeyError, TypeError):
            known = None
        self._known[key] = (now + (KEPT if known else KEPT_UNKNOWN), known)
        self._known.move_to_end(key)
        while len(self._known) > ENTRIES:
            self._known.popitem(last=False)
        return known
