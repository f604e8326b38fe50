"""Delivery by webhook: per chat in order, chats side by side, again and again until the receiver says 2xx."""

from __future__ import annotations

import asyncio
import re
import time
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from gateway.sandbox.telegram_bot import BotAccount, Json
from gateway.sandbox.telegram_text import Refused

PORTS = {443, 80, 88, 8443}
LONGEST_WAIT = 60.0


def checked_url(url: str) -> str:
    """Raise what the server says to an unusable address. Plain http is taken for loopback only."""
    if not url:
        return url
    parts = urlsplit(url)
    if re.fullmatch(r"127\.\d+\.\d+\.\d+|localhost|::1", parts.hostname or "") and parts.scheme == "http":
        return url
    if parts.scheme != "https":
        raise Refused("Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
    if (parts.port or 443) not in PORTS:
        raise Refused("Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
    return url


class WebhookSender:
    """Pushes queued updates of bots that have a webhook. `pace` scales the waits between attempts."""

    def __init__(self, pace: float = 1.0) -> None:
        self.pace = pace
        self._lanes: dict[tuple[str, Any], asyncio.Task[None]] = {}

    def wake(self, bot: BotAccount) -> None:
        """Something may have to be pushed."""
        if not bot.webhook:
            return
        for update in bot.updates:
            lane = (bot.token, _chat(update))
            running = self._lanes.get(lane)
            if running is None or running.done():  # one that is done has looked before this update came
                task = asyncio.create_task(self._drain(bot, lane[1]))
                self._lanes[lane] = task
                task.add_done_callback(partial(self._ended, lane))

    def _ended(self, lane: tuple[str, Any], task: asyncio.Task[None]) -> None:
        if self._lanes.get(lane) is task:
            del self._lanes[lane]

    def cancel(self) -> None:
        for task in list(self._lanes.values()):
            task.cancel()

    async def _drain(self, bot: BotAccount, chat: Any) -> None:
        attempt = 0
        while bot.webhook and (update := next((u for u in bot.updates if _chat(u) == chat), None)):
            wait = await self._push(bot, update)
            if wait is None:
                bot.updates = [other for other in bot.updates if other is not update]
                attempt = 0
                continue
            await asyncio.sleep(self.pace * max(wait, min(2.0**attempt if attempt else 0.0, LONGEST_WAIT)))
            attempt += 1

    async def _push(self, bot: BotAccount, update: Json) -> float | None:
        """Post once: None when taken, else the wait that the receiver asked for (0: none)."""
        hook = bot.webhook
        headers = {"X-Telegram-Bot-Api-Secret-Token": hook["secret"]} if hook.get("secret") else {}
        try:
            timeout = aiohttp.ClientTimeout(total=LONGEST_WAIT)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(hook["url"], json=update, headers=headers, ssl=False) as response,
            ):
                if 200 <= response.status < 300:
                    return None
                trouble = f"Wrong response from the webhook: {response.status} {response.reason}"
                asked = response.headers.get("Retry-After", "")
                wait = min(float(asked), 3600.0) if asked.isdigit() else 0.0
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            trouble, wait = f"Connection failed: {type(error).__name__}", 0.0
        hook["trouble"] = {"last_error_date": int(time.time()), "last_error_message": trouble}
        return wait


def _chat(update: Json) -> Any:
    kinds = ("message", "edited_message", "business_message", "edited_business_message")
    message: Any = next((update[kind] for kind in kinds if update.get(kind)), {})
    return (message.get("chat") or {}).get("id") if isinstance(message, dict) else None
