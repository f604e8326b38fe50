"""The one way to Discord's REST API for one bot: paced, and closed while asking would do harm."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import structlog

from adapters.discord.breaker import Breaker, Purpose, retry_after
from adapters.discord.health import Health
from adapters.discord.limits import Pacer, sends
from gateway.errors import GatewayError, RateLimited
from gateway.ports import Clock

_log = structlog.get_logger()

REFUSALS = 2
"""Answers of 401 in a row after which the token is taken for bad."""


class Gate:
    """Ask `enter` before each request; `trace` hears every answer, also those that the library repeats by itself."""

    def __init__(self, clock: Clock, breaker: Breaker, health: Health) -> None:
        self._clock, self._breaker, self._health = clock, breaker, health
        self._pace: Pacer = sends()
        self._global_until = float("-inf")
        self._alarmed = False
        self._refusals = 0
        self.refused = asyncio.Event()
        """The bot token is good for nothing any more."""

    async def enter(self, purpose: Purpose) -> None:
        """Wait for the bot's own pace. Raises RateLimited, for the whole channel, while nothing may be asked."""
        now = self._clock.monotonic()
        wait = max(self._breaker.wait(purpose, now), self._global_until - now)
        if wait > 0:
            raise RateLimited(
                self._breaker.trouble(now) or "Discord asks this bot to wait",
                retry_after=wait,
                scope="channel",
            )
        pause = self._pace.reserve(now)
        if pause > 0:
            await self._clock.sleep(pause)

    def judged(self, error: GatewayError) -> GatewayError:
        """A limit on the whole bot reaches us as one on a single request."""
        wait = self._global_until - self._clock.monotonic()
        if isinstance(error, RateLimited) and error.scope != "channel" and wait > 0:
            return RateLimited(str(error), retry_after=wait, scope="channel", **error.context)
        return error

    def trace(self) -> aiohttp.TraceConfig:
        """For the library's session."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._ended)
        return config

    async def _ended(self, _session: Any, _context: Any, ended: aiohttp.TraceRequestEndParams) -> None:
        status = ended.response.status
        self._refusals = self._refusals + 1 if status == 401 else 0
        if self._refusals >= REFUSALS:
            self.refused.set()
        self.answered(ended.response)

    def answered(self, response: aiohttp.ClientResponse) -> None:
        """Hear an answer."""
        now = self._clock.monotonic()
        self._breaker.answered(response.status, response.headers, now)
        if response.status == 429 and response.headers.get("X-RateLimit-Scope") == "global":
            self._global_until = now + retry_after(response.headers, 5.0)
        if response.status >= 400 or self._alarmed:
            self._report(self._breaker.trouble(now))

    def _report(self, trouble: str | None) -> None:
        if trouble is not None and not self._alarmed:
            _log.error("address.endangered", platform="discord", cause=trouble)
            self._health.trouble("address", trouble)
        elif trouble is None and self._alarmed:
            self._health.well("address")
        self._alarmed = trouble is not None
