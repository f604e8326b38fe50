"""What keeps one bot's errors from costing all bots their address. Pure: time is an argument.

Discord bans an address for 10,000 answers of 401, 403 or 429 in ten minutes, whoever's they were, and the shield before
it may do so for less. So all bots of a process count together; the more there are, the less may still be asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Purpose = Literal["reply", "other"]
"""`other` is what people can do without for a while: typing, names of channels, commands, history."""

WINDOW = 600.0
STEP = 10.0
ALARM, NO_OTHER, NOTHING = 1000, 3000, 8000
"""From so many bad answers in a window: tell the operator, answer people only, send nothing."""
SHIELD_WAIT = 900.0
"""A ban by the shield says little about its length; it lasts about this long."""
BAD = (401, 403, 429)
MUTED, MUTED_UP_TO = 60.0, 3600.0
TOKEN_TRIES, TOKEN_WAIT = 3, 600.0
REMEMBERED = 1000


@dataclass
class Breaker:
    """One for a process."""

    _bad: deque[tuple[float, int]] = field(default_factory=deque)
    _count: int = 0
    _shielded_until: float = float("-inf")

    def answered(self, status: int, headers: Mapping[str, str], now: float) -> None:
        """Count an answer. A 429 that several applications share is nobody's fault and counts for nothing."""
        if status not in BAD or headers.get("X-RateLimit-Scope") == "shared":
            return
        self.bad(now)
        if status == 429 and "Via" not in headers:
            self._shielded_until = max(self._shielded_until, now + retry_after(headers, SHIELD_WAIT))
        if self._bad and now - self._bad[-1][0] < STEP:
            self._bad[-1] = (self._bad[-1][0], self._bad[-1][1] + 1)
        else:
            self._bad.append((now, 1))
        self._count += 1

    def wait(self, purpose: Purpose, now: float) -> float:
        """How long nothing may be asked for this purpose; 0: go ahead."""
        bound = NOTHING if purpose == "reply" else NO_OTHER
        crowded = self._bad[0][0] + WINDOW - now if self.bad(now) >= bound else 0.0
        return max(crowded, self._shielded_until - now, 0.0)

    def bad(self, now: float) -> int:
        """Bad answers in the window that ends now."""
        while self._bad and self._bad[0][0] <= now - WINDOW:
            self._count -= self._bad.popleft()[1]
        return self._count

    def trouble(self, now: float) -> str | None:
        """What an operator should know."""
        if self._shielded_until > now:
            return f"Discord's shield blocks this address for {self._shielded_until - now:.0f} s"
        if self.bad(now) >= ALARM:
            return f"{self._count} requests were refused in ten minutes; Discord bans an address at 10,000"
        return None


@dataclass
class Muted:
    """Where a bot was told that it may not speak: not asked again for a while, longer each time."""

    _until: dict[str, tuple[float, float]] = field(default_factory=dict)

    def refused(self, channel: str, now: float) -> None:
        _, before = self._until.pop(channel, (0.0, MUTED / 2))
        length = min(MUTED_UP_TO, before * 2)
        self._until[channel] = (now + length, length)
        while len(self._until) > REMEMBERED:
            del self._until[next(iter(self._until))]

    def accepted(self, channel: str) -> None:
        self._until.pop(channel, None)

    def wait(self, channel: str, now: float) -> float:
        until, _ = self._until.get(channel, (now, 0.0))
        return max(0.0, until - now)


@dataclass
class Tokens:
    """Tokens that Discord refused. A refused token never works again, and each try counts against the address."""

    _refused: dict[str, tuple[int, float]] = field(default_factory=dict)

    def refused(self, token: str, now: float) -> None:
        tries, _ = self._refused.get(token, (0, now))
        self._refused[token] = (tries + 1, now)

    def may_try(self, token: str, now: float) -> bool:
        tries, last = self._refused.get(token, (0, now))
        return tries < TOKEN_TRIES or now - last >= TOKEN_WAIT

    def accepted(self, token: str) -> None:
        self._refused.pop(token, None)


def retry_after(headers: Mapping[str, str], otherwise: float) -> float:
    """The header of that name, in seconds."""
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (KeyError, ValueError):
        return otherwise
