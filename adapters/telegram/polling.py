"""The poll loop of one bot: fetch, journal, and only then confirm; whatever goes wrong, slow down, say so, go on.

Updates are confirmed by the next request's offset, which moves after `Intake.take` has returned. The offset is
not kept: a restart asks from the start of Telegram's queue and what was journaled before is recognised there.
"""

from __future__ import annotations

import asyncio
from typing import Any

from telegram.error import Conflict, TelegramError

from adapters.telegram.addressing import Me
from adapters.telegram.convert import ALLOWED_UPDATES
from adapters.telegram.deafness import Deafness
from adapters.telegram.identity import Identity
from adapters.telegram.intake import Intake
from adapters.telegram.starting import Starts
from adapters.telegram.transport import Client
from adapters.telegram.trouble import Trouble, backoff
from gateway.errors import Transient
from gateway.ports import Host

POLL = 50.0
"""Seconds that Telegram holds a poll at most."""
GRACE = 15.0
"""How much longer an answer may take before the connection counts as stuck and is thrown away."""
CONFLICT_CAP = 60.0
CALM = 120.0
"""Two processes that take turns at polling succeed now and then; only a longer peace ends a conflict."""


class Poller:
    """`run` polls until cancelled. Raises Misconfigured when the token was refused twice in a row."""

    def __init__(
        self,
        client: Client,
        host: Host,
        identity: Identity,
        intake: Intake,
        starts: Starts,
        *,
        poll: float = POLL,
    ) -> None:
        self.working = asyncio.Event()
        self._client, self._host, self._poll = client, host, poll
        self._identity, self._intake, self._starts = identity, intake, starts
        self._trouble = Trouble(host, starts, "poll")
        self._deafness = Deafness(client, host)
        self._offset: int | None = None
        self._conflicts = 0
        self._conflict_at = 0.0
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
        if not self.working.is_set() and (wait := self._starts.wait(self._host.clock.monotonic())):
            await self._host.clock.sleep(wait)
        me = await self._identity.known()
        # Until it works, ask without waiting, so that readiness shows at once. In a conflict only an undisturbed
        # long poll proves anything.
        long = self.working.is_set() or self._conflicts > 0 or self._deafness.deaf
        updates = await self._fetch(self._poll if long else 0.0) or await self._held_back()
        self._host.beat()
        ids = [update["update_id"] for update in updates if isinstance(update.get("update_id"), int)]
        if updates and not ids:  # nothing could be confirmed, and the same would come again at once
            raise Transient("getUpdates: the updates have no numbers", retry_after=CONFLICT_CAP)
        await self._intake.take(updates)
        if ids:
            self._offset = max(ids) + 1
        if updates:
            self._deafness.heard()
        if self._deafness.deaf:
            self.working.clear()
        else:
            self._succeeded(me)

    async def _held_back(self) -> list[dict[str, Any]]:
        """After a long quiet: what waits at Telegram nevertheless. A number beyond its queue would hide all of it, so
        the queue is read from its beginning; what was journaled before is recognised.
        """
        if not self._deafness.due:
            return []
        updates: list[dict[str, Any]] = []
        if waiting := await self._deafness.waiting():
            self._offset = None
            updates = await self._fetch(0.0)
            waiting = 0 if updates else await self._deafness.waiting()
        self._deafness.found(waiting)
        return updates

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
        self._trouble.over()
        if self._conflicts and self._host.clock.monotonic() - self._conflict_at > CALM:
            self._conflicts = 0
        if not self.working.is_set():
            self.working.set()
            self._host.ready(f"@{me.username}")

    # --- trouble ----------------------------------------------------------------------------------------------------

    async def _judged(self, error: Exception) -> float:
        """Report the trouble and say how long to wait."""
        if isinstance(error, Conflict):
            return await self._conflicting(error)
        return self._trouble.judge(error)

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
        return backoff(self._conflicts, CONFLICT_CAP, self._trouble.jitter())

    async def _remove_webhook(self) -> None:
        """Pending updates stay. A failure shows at the next poll."""
        try:
            await self._client.call("deleteWebhook")
        except TelegramError:
            self._webhook_removed = False
