"""A bot that polls and hears nothing: whether nothing was said, or Telegram holds updates back from us.

Telegram tells how many updates wait without handing them out, so asking costs nobody anything.
"""

from __future__ import annotations

from adapters.telegram.transport import Client
from gateway.ports import Host

QUIET = 300.0
"""Seconds of empty polls after which Telegram is asked, and then again."""
DEAF = (
    "deaf: Telegram says that {count} updates wait for this bot, but gives none when polled; "
    "see whether another program reads this token, else revoke it with @BotFather and set the new one"
)


class Deafness:
    """One bot's. `deaf` stays until something was heard or nothing waits any more."""

    def __init__(self, client: Client, host: Host) -> None:
        self.deaf = False
        self._client, self._host = client, host
        self._asked_at = host.clock.monotonic()

    def heard(self) -> None:
        """Updates came."""
        self.deaf, self._asked_at = False, self._host.clock.monotonic()

    @property
    def due(self) -> bool:
        return self._host.clock.monotonic() - self._asked_at >= QUIET

    async def waiting(self) -> int:
        """How many updates Telegram has for us. Raises TelegramError."""
        info = await self._client.call("getWebhookInfo")
        self._asked_at = self._host.clock.monotonic()
        count = info.get("pending_update_count") if isinstance(info, dict) else 0
        return count if isinstance(count, int) else 0

    def found(self, count: int) -> None:
        """So many wait although a poll from the beginning of the queue brought none."""
        self.deaf = count > 0
        if self.deaf:
            self._host.degraded(DEAF.format(count=count))
