"""The poll loop of one bot: fetch, journal, and only then confirm; whatever goes wrong, slow down, say so, go on.

Updates are confirmed by the next request's offset, which moves after `Host.accept` has returned. The offset is
not kept: a restart asks from the start of Telegram's queue and what was journaled before is recognised there.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

from telegram.error import Conflict, InvalidToken, TelegramError

from adapters.telegram.addressing import Me
from adapters.telegram.convert import ALLOWED_UPDATES, convert_batch
from adapters.telegram.failures import rejected_token
from adapters.telegram.joining import Pastes
from adapters.telegram.transport import Client, FloodError
from gateway.errors import Transient
from gateway.ports import Host

POLL = 50.0
"""Seconds that Telegram holds a poll at most."""
GRACE = 15.0
"""How much longer an answer may take before the connection counts as stuck and is thrown away."""
NETWORK_CAP = 30.0
CONFLICT_CAP = 60.0
CALM = 120.0
"""Two processes that take turns at polling succeed now and then; only a longer peace ends a conflict."""


def backoff(failures: int, cap: float, jitter: float) -> float:
    """1, 2, 4 … seconds up to the cap, less up to a quarter."""
    return min(cap, 2.0 ** min(failures - 1, 10)) * (1.0 - 0.25 * jitter)


class Poller:
    """`run` polls until cancelled. Raises Misconfigured when the token was refused twice in a row."""

    def __init__(
        self,
        client: Client,
        host: Host,
        *,
        poll: float = POLL,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.me: Me | None = None
        self.working = asyncio.Event()
        self._client, self._host = client, host
        self._poll, self._jitter = poll, jitter
        self._pastes = Pastes()
        self._offset: int | None = None
        self._failures = 0
        self._conflicts = 0
        self._conflict_at = 0.0
        self._refused = False
        self._webhook_removed = False

    async def run(self) -> None:
        while True:
            try:
                await self._round()
            except (TelegramError, TimeoutError, Transient) as error:
                self.working.clear()
                await self._host.clock.sleep(await self._judged(error))

    # --- one round --------------------------------------------------------------------------------------------------

    async def _round(self) -> None:
        if self.me is None:
            self.me = await self._identity()
        # Until it works, ask without waiting, so that readiness shows at once. In a conflict only an undisturbed
        # long poll proves anything.
        long = self.working.is_set() or self._conflicts > 0
        updates = await self._fetch(self._poll if long else 0.0)
        self._host.beat()
        if arrivals := convert_batch(updates, self.me, self._host.bot, self._host.clock.now(), self._pastes):
            await self._host.accept(*arrivals)
        ids = [update["update_id"] for update in updates if isinstance(update.get("update_id"), int)]
        if ids:
            self._offset = max(ids) + 1
        self._succeeded(self.me)

    async def _fetch(self, timeout: float) -> list[dict[str, Any]]:
        async with asyncio.timeout(timeout + GRACE):
            updates = await self._client.call(
                "getUpdates",
                read_timeout=timeout + GRACE,
                offset=self._offset,
                limit=100,
                timeout=int(timeout),
                allowed_updates=list(ALLOWED_UPDATES),
            )
        if not isinstance(updates, list):
            raise Transient("getUpdates: the answer is no list")
        return [update for update in updates if isinstance(update, dict)]

    def _succeeded(self, me: Me) -> None:
        self._failures, self._refused = 0, False
        if self._conflicts and self._host.clock.monotonic() - self._conflict_at > CALM:
            self._conflicts = 0
        if not self.working.is_set():
            self.working.set()
            self._host.ready(f"@{me.username}")

    # --- trouble ----------------------------------------------------------------------------------------------------

    async def _judged(self, error: Exception) -> float:
        """Report the trouble and say how long to wait."""
        match error:
            case InvalidToken():
                if self._refused:
                    raise rejected_token() from error
                self._refused = True
                self._host.degraded("Telegram rejects the bot token; asking once more")
                return 1.0
            case Conflict():
                return await self._conflicting(error)
            case FloodError():
                self._host.degraded(error.message)
                return error.seconds
            case Transient():
                self._host.degraded(str(error))
                return error.retry_after or 1.0
            case _:
                self._failures += 1
                said = error.message if isinstance(error, TelegramError) else "no answer in time"
                self._host.degraded(f"cannot poll Telegram: {said}"[:300])
                return backoff(self._failures, NETWORK_CAP, self._jitter())

    async def _conflicting(self, error: Conflict) -> float:
        if "webhook" in error.message.lower() and not self._webhook_removed:
            self._webhook_removed = True
            self._host.degraded(
                "a webhook was set for this token; removing it, since the bot is to be polled"
            )
            await self._remove_webhook()
            return 0.0
        self._conflicts += 1
        self._conflict_at = self._host.clock.monotonic()
        self._host.degraded(
            "another process polls this token (or sets a webhook for it): stop it, or use another bot"
        )
        return backoff(self._conflicts, CONFLICT_CAP, self._jitter())

    async def _remove_webhook(self) -> None:
        """Pending updates stay. A failure shows at the next poll."""
        try:
            await self._client.call("deleteWebhook")
        except TelegramError:
            self._webhook_removed = False
            self._failures += 1

    # --- who we are -------------------------------------------------------------------------------------------------

    async def _identity(self) -> Me:
        """The account, as last seen if it is the token's: a restart polls at once."""
        if (seen := _read(await self._host.recall("me"))) and str(seen.id) == self._client.token.partition(
            ":"
        )[0]:
            return seen
        return await self.refresh()

    async def refresh(self) -> Me:
        """Ask Telegram who we are (the name may have changed) and remember it. Raises TelegramError."""
        me = _account(await self._client.call("getMe"))
        if me is None:
            raise Transient("getMe: the answer names no bot")
        if me != self.me:
            await self._host.remember("me", json.dumps({"id": me.id, "username": me.username}).encode())
        self.me = me
        return me


def _read(data: bytes | None) -> Me | None:
    try:
        return _account(json.loads(data or b"null"))
    except ValueError:
        return None


def _account(facts: Any) -> Me | None:
    try:
        return Me(id=int(facts["id"]), username=str(facts["username"]))
    except (TypeError, KeyError, ValueError):
        return None
