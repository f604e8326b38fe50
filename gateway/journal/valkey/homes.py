"""Which organisation a bot's or an id's rows are kept with: the little that has to be known across organisations.

A bot is entered before its first message is taken, so that whatever is in an organisation can be found through its bot.
What was read here is good for a while: a bot changes its organisation by a new configuration only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from gateway.journal.valkey.store import Store

ORGANIZATIONS = "gw:{homes}:organizations"
KEPT = 10.0
"""Seconds."""


def _bot(name: str) -> str:
    return f"gw:{{homes}}:bot:{name}"


def _sorted(members: Iterable[bytes | str]) -> list[str]:
    return sorted(member.decode() if isinstance(member, bytes) else member for member in members)


class Homes:
    """The directory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._settled: set[tuple[str, str]] = set()
        self._bots: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def settle(self, organization: str, bots: Collection[str]) -> None:
        """Enter the bots of an organisation, as far as this process has not done so."""
        new = [bot for bot in bots if (organization, bot) not in self._settled]
        if not new and bots:
            return
        async with self._store.connected() as client:
            pipeline = client.pipeline(transaction=False)
            for key in (ORGANIZATIONS, *map(_bot, new)):
                pipeline.execute_command("SADD", key, organization)
            await pipeline.execute()
        self._settled.update((organization, bot) for bot in new)
        for bot in new:
            self._bots.pop(bot, None)

    async def all(self) -> list[str]:
        """Every organisation that has ever had a dispatcher or a message."""
        async with self._store.connected() as client:
            return _sorted(await client.smembers(ORGANIZATIONS))

    async def of(self, bot: str, *, fresh: bool = False) -> tuple[str, ...]:
        """The organisations that have rows of this bot: one, or more where it was moved; none before its first
        message, so that a start of thousands of bots does not ask hundreds of organisations for each.
        """
        now = asyncio.get_running_loop().time()
        read_at, known = self._bots.get(bot, (float("-inf"), ()))
        if now - read_at < KEPT and known and not fresh:
            return known
        async with self._store.connected() as client:
            found = tuple(_sorted(await client.smembers(_bot(bot))))
        self._bots[bot] = (now, found)
        return found

    async def anywhere(self, bot: str) -> None:
        """Enter a bot without rows with all organisations: it may get them in any."""
        if not await self.of(bot, fresh=True):
            for organization in await self.all():
                await self.settle(organization, [bot])

    async def holding(self, id_: str) -> str | None:
        """The organisation that has a message, turn, part or letter of this id."""
        organizations = await self.all()
        if len(organizations) == 1:
            return organizations[0]
        replies = await asyncio.gather(
            *(self._store.read(organization, "knows", id=id_) for organization in organizations)
        )
        knowing = zip(organizations, replies, strict=True)
        return next((name for name, reply in knowing if reply.one(bool)), None)
