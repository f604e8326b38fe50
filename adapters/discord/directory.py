"""Names and parents of channels and servers, asked for once and kept for a while.

The gateway's own lists are not used: they come with a new session only, not with a resumed one, and cost most of a
connection's memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable

import discord

from adapters.discord.convert import Around, Me, around
from adapters.discord.gate import Gate
from gateway.errors import RateLimited, Transient
from gateway.messages import Facts
from gateway.ports import Clock

KEPT = 3600.0
KEPT_UNKNOWN = 60.0
ENTRIES = 1000
ASK_TIMEOUT = 5.0
TRIES = 4


class Directory:
    """One bot's. What Discord does not tell is unknown, and a message is worth more than a name.

    No answer at all is worth a few more tries: where something was said decides who may say it.
    """

    def __init__(self, client: discord.Client, clock: Clock, gate: Gate) -> None:
        self._http = client.http
        self._clock, self._gate = clock, gate
        self._tries: Counter[str] = Counter()
        self._known: OrderedDict[str, tuple[float, Facts | None]] = OrderedDict()

    async def around(self, data: Facts, me: Me) -> Around:
        """Where a message was said. Raises Transient while Discord does not answer, and then no more."""
        channel = await self._ask(f"channel {data['channel_id']}", self._channel, data["channel_id"])
        guild = await self._ask(f"guild {data['guild_id']}", self._guild, data["guild_id"])
        return around(channel, guild, me)

    async def _channel(self, identity: str) -> Facts:
        found = dict(await self._http.get_channel(identity))
        return {key: found.get(key) for key in ("name", "type", "parent_id", "owner_id")}

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
            await self._gate.enter("other")
            async with asyncio.timeout(ASK_TIMEOUT):
                known = await question(str(identity))
        except (discord.Forbidden, discord.NotFound, KeyError, TypeError):
            known = None
        except (discord.DiscordException, OSError, RateLimited) as error:
            self._tries[key] += 1
            if self._tries[key] < TRIES:
                raise Transient(f"Discord does not say where {key} is", operation="directory") from error
            known = None
        self._tries.pop(key, None)
        self._known[key] = (now + (KEPT if known else KEPT_UNKNOWN), known)
        self._known.move_to_end(key)
        while len(self._known) > ENTRIES:
            self._known.popitem(last=False)
        return known
