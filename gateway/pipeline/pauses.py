"""What an operator has paused: bots, channels and conversations. Messages are taken and kept; nothing is asked or sent.

Kept in the journal, so that a restart does not wake what was put to sleep.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.messages import Channel, ConversationKey, decode, encode
from gateway.ports import Clock, Journal

SCOPE, KEY = "pauses", "all"
FOREVER = float("inf")


class Pauses:
    """By name: `bot`, `bot/platform` or `bot/platform/chat`, each with its end (seconds since the epoch) or none."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock
        self._until: dict[str, float] = {}

    async def open(self) -> None:
        """Read what is paused: another process may have changed it."""
        kept = await self._journal.recall(SCOPE, KEY)
        known = decode(kept, dict[str, float | None]) if kept is not None else {}
        self._until = {name: FOREVER if until is None else until for name, until in known.items()}

    async def pause(self, name: str, seconds: float | None = None) -> None:
        """Pause it, for good or for so long."""
        await self.open()
        self._until[name] = FOREVER if seconds is None else self._clock.now() + seconds
        await self._keep()

    async def resume(self, name: str) -> None:
        """End its pause; resuming a bot resumes its channels too."""
        await self.open()
        for known in [known for known in self._until if known == name or known.startswith(f"{name}/")]:
            # a conversation handed to a person stays there when its bot resumes
            if known == name or known.count("/") < 2:
                del self._until[known]
        await self._keep()

    def channel(self, channel: Channel) -> bool:
        """Whether the bot or this channel of it is paused."""
        return self._any((channel.bot, str(channel)))

    def conversation(self, key: ConversationKey) -> bool:
        """Whether a message there has to wait."""
        return bool(self._until) and self._any((key.bot, f"{key.bot}/{key.platform}", str(key)))

    async def lapse(self) -> list[str]:
        """Forget the pauses that are over; returns their names."""
        now = self._clock.now()
        over = [name for name, until in self._until.items() if until <= now]
        if over:
            await self.open()
            await self._keep()
        return over

    @property
    def next_end(self) -> float | None:
        """When the next pause ends by itself."""
        return min((until for until in self._until.values() if until != FOREVER), default=None)

    def conversations(self) -> dict[str, float | None]:
        """Conversations that a person has, each with the end of its pause; None for good."""
        now = self._clock.now()
        return {
            name: None if until == FOREVER else until
            for name, until in sorted(self._until.items())
            if name.count("/") >= 2 and until > now
        }

    def _any(self, names: Iterable[str]) -> bool:
        return any(self._until.get(name, 0.0) > self._clock.now() for name in names)

    async def _keep(self) -> None:
        now = self._clock.now()
        self._until = {name: until for name, until in self._until.items() if until > now}
        kept = {name: None if until == FOREVER else until for name, until in self._until.items()}
        await self._journal.remember(SCOPE, KEY, encode(kept) if kept else None)
