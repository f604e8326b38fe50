"""How fast a bot may send and a process may log in. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass

SENDS_PER_SECOND = 40.0
"""Discord allows a bot 50 requests a second and says so only after the fact; the library has no cap of its own."""
STARTS_FROM, STARTS_UP_TO = 0.0125, 5.0
"""Seconds between new sessions of different bots while all goes well, and when none does.

Discord's limits are per bot, but many that log in at once from one address have been turned away in practice: so begin
fast, halve the pace at each refusal, and take it up again slowly.
"""
EASING = 0.9


@dataclass
class Pacer:
    """A token bucket (as a virtual schedule): `burst` at once, then one per `interval`."""

    interval: float
    burst: int = 1
    _due: float = float("-inf")

    def reserve(self, now: float, jitter: float = 0.0) -> float:
        """Take the next slot and return how long to wait for it. `jitter` in 0..1 stretches the interval by half."""
        due = max(self._due, now)
        self._due = due + self.interval * (1 + jitter / 2)
        return max(0.0, due - (self.burst - 1) * self.interval - now)

    def refused(self) -> None:
        """The other side had enough."""
        self.interval = min(STARTS_UP_TO, self.interval * 2)

    def welcomed(self) -> None:
        """The other side was content."""
        self.interval = max(STARTS_FROM, self.interval * EASING)


def sends() -> Pacer:
    """One bot's requests."""
    return Pacer(1 / SENDS_PER_SECOND, burst=int(SENDS_PER_SECOND))


def identifies() -> Pacer:
    """New sessions of all bots of a process."""
    return Pacer(STARTS_FROM)
