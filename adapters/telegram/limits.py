"""How fast Telegram lets a bot write: three sliding windows, strict, so that no burst ever doubles at an edge. Pure.

Messages and edits wait for their place. Typing and drafts count too, and are left out rather than let a message wait:
they get only the first half of each window's places.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Mapping

Window = tuple[int, float]
CHAT: Window = (3, 3.0)
"""One message a second to a chat, short bursts pass."""
GROUP: Window = (20, 60.0)
BOT: Window = (25, 1.0)
FORGET = 1000
"""How many chats are remembered before quiet ones are forgotten."""


class Pacer:
    """When the next message of one bot may go out. Times are the caller's monotonic seconds."""

    def __init__(self) -> None:
        self._bot: list[float] = []
        self._chats: defaultdict[int, list[float]] = defaultdict(list)
        self._paused: dict[int, float] = {}
        self._hushed: dict[int, float] = {}

    def delay(self, chat: int, now: float) -> float:
        """Seconds until a message to this chat fits; groups have negative ids."""
        free = [
            sent[-count] + seconds
            for sent, (count, seconds) in self._windows(chat)
            if len(sent) >= count
        ]  # fmt: skip
        return max(0.0, self._paused.get(chat, 0.0) - now, *(at - now for at in free))

    def spare(self, chat: int, now: float) -> bool:
        """Whether there is room for what is only nice to have."""
        if max(self._paused.get(chat, 0.0), self._hushed.get(chat, 0.0)) > now:
            return False
        return all(
            sum(at > now - seconds for at in sent) + 1 <= (count + 1) // 2
            for sent, (count, seconds) in self._windows(chat)
        )

    def note(self, chat: int, at: float) -> None:
        """Something goes out to this chat at that time."""
        insort(self._bot, at)
        insort(self._chats[chat], at)
        del self._bot[: -BOT[0]], self._chats[chat][: -GROUP[0]]
        if len(self._chats) > FORGET:
            self._forget(at)

    def pause(self, chat: int, until: float) -> None:
        """Telegram asked to leave this chat alone until then."""
        self._paused[chat] = until

    def pauses(self, now: float) -> Mapping[int, float]:
        """The chats to be left alone, and until when."""
        self._paused = {chat: until for chat, until in self._paused.items() if until > now}
        return self._paused

    def hush(self, chat: int, until: float) -> None:
        """Telegram refused typing or a draft: none until then. Messages are another matter."""
        self._hushed[chat] = until

    def _windows(self, chat: int) -> list[tuple[list[float], Window]]:
        sent = self._chats.get(chat, [])
        windows = [(self._bot, BOT), (sent, CHAT)]
        return [*windows, (sent, GROUP)] if chat < 0 else windows

    def _forget(self, now: float) -> None:
        quiet = [chat for chat, sent in self._chats.items() if sent[-1] + GROUP[1] < now]
        for chat in quiet:
            del self._chats[chat]
        self.pauses(now)
        self._hushed = {chat: until for chat, until in self._hushed.items() if until > now}
