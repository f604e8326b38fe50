"""How fast Telegram lets a bot write: three sliding windows, strict, so that no burst ever doubles at an edge. Pure."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict

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

    def delay(self, chat: int, now: float) -> float:
        """Seconds until a message to this chat fits; groups have negative ids."""
        windows = [(self._bot, BOT), (self._chats.get(chat, []), CHAT)]
        if chat < 0:
            windows.append((self._chats.get(chat, []), GROUP))
        free = [sent[-count] + seconds for sent, (count, seconds) in windows if len(sent) >= count]
        return max(0.0, self._paused.get(chat, 0.0) - now, *(at - now for at in free))

    def note(self, chat: int, at: float) -> None:
        """A message to this chat goes out at that time."""
        insort(self._bot, at)
        insort(self._chats[chat], at)
        del self._bot[: -BOT[0]], self._chats[chat][: -GROUP[0]]
        if len(self._chats) > FORGET:
            self._forget(at)

    def pause(self, chat: int, until: float) -> None:
        """Telegram asked to leave this chat alone until then."""
        self._paused[chat] = until

    def paused(self, chat: int, now: float) -> bool:
        return self._paused.get(chat, 0.0) > now

    def _forget(self, now: float) -> None:
        quiet = [chat for chat, sent in self._chats.items() if sent[-1] + GROUP[1] < now]
        for chat in quiet:
            del self._chats[chat]
        self._paused = {chat: until for chat, until in self._paused.items() if until > now}
