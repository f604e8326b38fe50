"""New sessions of one bot: rationed by Discord, 1,000 a day, and the token is reset for one more.

Resumes are free, so a new session is the exception. What Discord says of the ration is asked for before one is opened,
and remembered: a process that dies and starts over and over must not spend in an hour what is meant for a day.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Protocol

import discord
import msgspec
import structlog

from adapters.discord.gate import Gate
from adapters.discord.health import Health
from adapters.discord.limits import Pacer
from gateway.errors import GatewayError, RateLimited
from gateway.messages import Value
from gateway.ports import Host

_log = structlog.get_logger()

SPACING = 5.0
"""Between new sessions of one token that fall into the same of its `concurrency` lanes."""
RESERVE = 50
"""The last ones are spread evenly over the time until there are new ones."""
FRESH = 300.0
LOOK_AGAIN = 300.0
MANY, LATELY = 10, 3600.0
ASK_TIMEOUT = 10.0
_KEY = "starts"


class Ration(Value, frozen=True):
    """What is known: as Discord said it, less what was used since."""

    remaining: int = 1000
    resets_at: float = 0.0
    concurrency: int = 1
    shards: int = 1
    asked_at: float = 0.0
    used: tuple[tuple[float, int], ...] = ()
    """(when, lane) of the sessions opened in the last hour."""

    def due(self, lane: int) -> float:
        """When the next session of this lane may be opened."""
        last = max((at for at, used in self.used if used == lane), default=float("-inf"))
        if self.remaining > RESERVE or not self.resets_at:
            return last + SPACING
        newest = max((at for at, _ in self.used), default=self.asked_at)
        spread = max(0.0, self.resets_at - newest) / (self.remaining + 1)
        return max(last + SPACING, newest + spread if self.remaining else self.resets_at)

    def after(self, lane: int, now: float) -> Ration:
        """One more was used."""
        lately = tuple((at, used) for at, used in self.used if now - LATELY < at <= now)
        if now >= self.resets_at:
            return msgspec.structs.replace(self, resets_at=0.0, used=(*lately, (now, lane)))
        left = max(0, self.remaining - 1)
        return msgspec.structs.replace(self, remaining=left, used=(*lately, (now, lane)))


class Asks(Protocol):
    """What is needed of the library's REST client."""

    async def get_bot_gateway(self) -> tuple[int, str, discord.types.gateway.SessionStartLimit]: ...


class Starts:
    """One bot's: lets its shards open sessions one after the other, in the pace of the whole process."""

    def __init__(self, http: Asks, host: Host, gate: Gate, health: Health, pace: Pacer) -> None:
        self._http, self._host, self._gate, self._health = http, host, gate, health
        self.pace = pace
        self._lock = asyncio.Lock()
        self._ration: Ration | None = None

    async def shards(self) -> int:
        """How many connections Discord recommends."""
        return (await self._known()).shards

    async def doubt(self) -> None:
        """What is known does not hold any more (too few shards): ask again next time."""
        known = await self._known()
        await self._note(msgspec.structs.replace(known, asked_at=0.0))

    async def take(self, shard: int) -> None:
        """Wait until a new session may be opened, and note that it is."""
        async with self._lock:
            while True:
                ration = await self._known()
                lane, now = shard % ration.concurrency, self._host.clock.now()
                if (wait := ration.due(lane) - now) <= 0:
                    break
                if wait > SPACING:
                    why = f"{ration.remaining} new sessions are left for today: the next one in {wait:.0f} s"
                    self._health.trouble(f"shard {shard}", why)
                await self._host.clock.sleep(min(wait, LOOK_AGAIN))
            await self._note(ration.after(lane, now))
        clock = self._host.clock
        await clock.sleep(self.pace.reserve(clock.monotonic(), random.random()))

    async def _note(self, ration: Ration) -> None:
        self._ration = ration
        if len(ration.used) >= MANY:
            _log.warning(
                "sessions.many",
                bot=self._host.bot,
                platform="discord",
                hour=len(ration.used),
                left=ration.remaining,
            )
        with contextlib.suppress(GatewayError):
            await self._host.remember(_KEY, msgspec.json.encode(ration))

    async def _known(self) -> Ration:
        if self._ration is None:
            self._ration = _read(await self._host.recall(_KEY))
        if self._host.clock.now() - self._ration.asked_at >= FRESH:
            self._ration = await self._asked(self._ration)
        return self._ration

    async def _asked(self, known: Ration) -> Ration:
        """Without an answer, what is known has to do."""
        now = self._host.clock.now()
        try:
            await self._gate.enter("reply")
            async with asyncio.timeout(ASK_TIMEOUT):
                shards, _, limit = await self._http.get_bot_gateway()
        except (discord.DiscordException, OSError, KeyError, TypeError, RateLimited) as error:
            _log.warning(
                "sessions.not_counted", bot=self._host.bot, platform="discord", cause=type(error).__name__
            )
            return known
        return Ration(
            remaining=limit["remaining"],
            resets_at=now + limit["reset_after"] / 1000,
            concurrency=max(1, limit["max_concurrency"]),
            shards=max(1, shards),
            asked_at=now,
            used=known.used,
        )


def _read(kept: bytes | None) -> Ration:
    try:
        return Ration() if kept is None else msgspec.json.decode(kept, type=Ration)
    except msgspec.MsgspecError:
        return Ration()
