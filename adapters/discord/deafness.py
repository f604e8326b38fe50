"""A connection whose heartbeats are answered and that brings nothing: nobody speaks, or Discord does not tell us.

The histories know. Reading them is what is done after an outage anyway, so a look that finds something has journaled it
already, and what was heard is only recognised.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

import structlog

from adapters.discord.catchup import CatchUp
from adapters.discord.connection import Connection
from adapters.discord.inbox import Inbox
from gateway.ports import Host

_log = structlog.get_logger()

LOOK_EVERY = 300.0
QUIET, QUIET_CAP = 1800.0, 6 * 3600.0
"""Seconds without a message before the histories are read; twice as long after each time that a new session did not
help."""


class Deafness:
    """One connection's."""

    def __init__(
        self, host: Host, connection: Connection, inbox: Inbox, catch_up: CatchUp, shard: int
    ) -> None:
        self._host, self._connection, self._inbox = host, connection, inbox
        self._catch_up, self._shard = catch_up, shard
        self._patience = QUIET

    async def watch(self) -> NoReturn:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look()

    async def look(self) -> None:
        """Read the histories if it was quiet for long, and have the session made anew if they had something."""
        heard_at, now = self._connection.heard_at, self._host.clock.monotonic()
        if heard_at is None or now - heard_at < self._patience:
            return
        found = await self._catch_up.run(self._shard, self._inbox, self._inbox.seen or self._connection.since)
        if self._connection.heard_at != heard_at:
            self._patience = QUIET
        elif found:
            self._patience = min(QUIET_CAP, self._patience * 2)
            _log.warning("connection.deaf", bot=self._host.bot, platform="discord", messages=found)
            self._connection.renew(
                f"deaf: {found} messages were said that Discord did not tell of, although it answered; "
                "they were read from the histories, and a new session is opened"
            )
        else:
            self._connection.quiet()
