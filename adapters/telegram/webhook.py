"""One bot that Telegram calls: keeps the webhook registered, and takes what comes through `routes.py`.

Nothing is confirmed by mistake: an update is Telegram's until our answer, which comes after the journal has it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any

from telegram.error import BadRequest, TelegramError

from adapters.telegram.convert import ALLOWED_UPDATES
from adapters.telegram.identity import Identity
from adapters.telegram.intake import Intake, as_transient
from adapters.telegram.starting import Starts
from adapters.telegram.transport import Client, decode
from adapters.telegram.trouble import Trouble, backoff
from gateway.errors import Misconfigured, Transient
from gateway.ports import Host

CHECK_EVERY = 300.0
"""Seconds between two looks at whether the webhook is still ours and reaches us."""
CHECK_TROUBLE = 30.0
CONNECTIONS = 40
ROBBED_CAP = 3600.0


class Webhook:
    """`run` keeps it registered until cancelled. Raises Misconfigured when Telegram will not have the address, or
    refused the token twice in a row. `secret` is what Telegram shows us with each call.
    """

    def __init__(
        self,
        client: Client,
        host: Host,
        identity: Identity,
        intake: Intake,
        starts: Starts,
        *,
        url: str,
        secret: str,
    ) -> None:
        self.working = asyncio.Event()
        self._doubted = asyncio.Event()
        self._client, self._host, self._starts = client, host, starts
        self._identity, self._intake = identity, intake
        self._url, self._secret = url, secret
        self._trouble = Trouble(host, starts, "set the webhook at")
        self._was_ours = False
        self._robbed = 0

    async def run(self) -> None:
        while True:
            try:
                wait = await self._look()
            except (TelegramError, Transient) as error:
                self.working.clear()
                wait = self._trouble.judge(error)
            await self._pause(wait)

    def doubt(self) -> None:
        """A send was refused for the token's sake: look now."""
        self._doubted.set()

    async def _pause(self, seconds: float) -> None:
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._host.clock.sleep(seconds))]
        if self.working.is_set():
            waits.append(asyncio.ensure_future(self._doubted.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._doubted.clear()
            for wait in waits:
                wait.cancel()

    # --- what comes in ----------------------------------------------------------------------------------------------

    def admits(self, secret: str) -> bool:
        """Whether this is what we told Telegram to show; takes the same time for every wrong one."""
        return hmac.compare_digest(secret.encode("utf-8", "replace"), self._secret.encode())

    async def receive(self, body: bytes) -> None:
        """Journal one update. Raises Transient: let it come again. What cannot be read is kept, not refused."""
        self._host.beat()
        update = decode(body)
        try:
            await self._intake.take([body.decode("utf-8", "replace") if update is None else update])
        except TelegramError as error:
            raise as_transient(error) from error

    # --- registration -----------------------------------------------------------------------------------------------

    async def _look(self) -> float:
        """Compare what Telegram has with what it should have; returns after how long to look again."""
        if not self.working.is_set() and (wait := self._starts.wait(self._host.clock.monotonic())):
            await self._host.clock.sleep(wait)
        me = await self._identity.known()
        info = await self._client.call("getWebhookInfo")
        self._host.beat()
        info = info if isinstance(info, dict) else {}
        trouble = self._undelivered(info)
        wait = CHECK_TROUBLE if trouble else CHECK_EVERY
        if not await self._is_ours(info):
            if self._was_ours:
                trouble = "another process set a webhook for this token: stop it, or use another bot"
                self._robbed += 1
                wait = backoff(self._robbed, ROBBED_CAP, self._trouble.jitter())
            await self._register()
        self._was_ours = True
        self._trouble.over()
        self.working.set()
        self._host.degraded(trouble) if trouble else self._host.ready(f"@{me.username}")
        return wait

    async def _is_ours(self, info: dict[str, Any]) -> bool:
        """Telegram tells the address and the kinds of updates, not the secret: that is compared with what we sent."""
        return (
            info.get("url") == self._url
            and set(info.get("allowed_updates") or ()) == set(ALLOWED_UPDATES)
            and await self._host.recall("webhook") == self._mark()
        )

    def _mark(self) -> bytes:
        return hashlib.sha256(json.dumps([self._url, self._secret]).encode()).digest()

    async def _register(self) -> None:
        """What waits at Telegram stays there and is delivered."""
        try:
            await self._client.call(
                "setWebhook",
                url=self._url,
                secret_token=self._secret,
                allowed_updates=list(ALLOWED_UPDATES),
                max_connections=CONNECTIONS,
            )
        except BadRequest as error:
            raise Misconfigured(
                f"Telegram refuses the webhook address: {error.message}"[:300],
                remedy="server.public.base_url must be an https address that Telegram reaches, "
                "on port 443, 80, 88 or 8443; or set mode: polling",
                status=400,
            ) from error
        await self._host.remember("webhook", self._mark())

    def _undelivered(self, info: dict[str, Any]) -> str | None:
        """Telegram's own words when it could not reach us lately and something waits there."""
        failed_at = info.get("last_error_date") or 0
        if not info.get("pending_update_count") or failed_at < self._host.clock.now() - CHECK_EVERY:
            return None
        return f"Telegram cannot deliver: {info.get('last_error_message') or 'it does not say why'}"[:300]
