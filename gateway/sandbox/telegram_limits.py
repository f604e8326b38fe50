"""What the Bot API server lets a bot do in which time. Off until a test or the control API turns it on. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import ceil

from gateway.sandbox.telegram_text import Refused

Window = tuple[int, float]
CHAT: Window = (3, 3.0)
GROUP: Window = (20, 60.0)
BOT: Window = (30, 1.0)
SESSIONS: Window = (20, 60.0)
"""New tokens of one address; as in the open server."""


def too_many(seconds: float) -> Refused:
    """The server's 429, in whole seconds."""
    wait = max(1, ceil(seconds))
    return Refused(f"Too Many Requests: retry after {wait}", 429, retry_after=wait)


@dataclass
class Flood:
    """Flood control of one bot: messages, edits, typing and drafts count alike. The real limits are not published."""

    _sent: defaultdict[int | None, list[float]] = field(default_factory=lambda: defaultdict(list))

    def check(self, chat: int, now: float) -> None:
        """Count one call, or refuse it."""
        windows = [(None, BOT), (chat, CHAT), *([(chat, GROUP)] if chat < 0 else [])]
        waits = [
            times[-count] + seconds - now
            for lane, (count, seconds) in windows
            if len(times := self._sent[lane]) >= count
        ]
        if waits and max(waits) > 1e-6:
            raise too_many(max(waits))
        for lane in (None, chat):
            self._sent[lane] = [*self._sent[lane][-BOT[0] :], now]


@dataclass
class Sessions:
    """How many tokens that the server does not know yet may turn up in a window."""

    limit: Window = SESSIONS
    _known: dict[str, float] = field(default_factory=dict)

    def check(self, token: str, now: float) -> None:
        """Let a token in, or refuse it."""
        count, seconds = self.limit
        if token in self._known:
            return
        recent = sorted(at for at in self._known.values() if at > now - seconds)
        if len(recent) >= count:
            raise too_many(recent[-count] + seconds - now)
        self._known[token] = now
