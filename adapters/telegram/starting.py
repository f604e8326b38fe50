"""When the next bot may introduce itself to the server. Pure.

A Bot API server may allow an address only so many new bots a minute (the open one: 20, and 600 an hour). Nobody knows
whether the hosted one does, so all bots start at once until a 429 says otherwise; from then on they queue here, one
after the other, at the rate that the open server allows.
"""

from __future__ import annotations

EVERY = 3.0
"""Seconds between two starts once the server has refused one: 20 a minute."""
MEMORY = 600.0
"""Seconds without a refusal after which starts are free again."""


class Starts:
    """Shared by all bots of the process. Times are the caller's monotonic seconds."""

    def __init__(self) -> None:
        self._refused_at: float | None = None
        self._next = 0.0

    def refused(self, now: float, retry_after: float) -> None:
        """The server said 429 to a bot; the others need not hear it too."""
        self._refused_at = now
        self._next = max(self._next, now + retry_after)

    def wait(self, now: float) -> float:
        """Seconds until this bot may start; asking takes the place in the queue."""
        if self._refused_at is None or now - self._refused_at > MEMORY:
            return 0.0
        at = max(now, self._next)
        self._next = at + EVERY
        return at - now
