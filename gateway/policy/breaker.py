"""Whether an upstream that fails is left alone for a while. Pure: time and jitter are arguments.

Theory: an upstream that is down answers nobody, and asking it with every waiting turn costs quota, gives each person a
failure of their own, and meets it with the whole crowd when it comes back. So after `THRESHOLD` completions in a row
without an answer the circuit is open: no new turn is asked. After a pause that doubles with every failure, up to
`CAP`, one turn is let through, alone; the first answer, whatever it says, closes the circuit. Turns that were asked
already are not held: they look after themselves. Look-ups do not count: a history that answers proves nothing about
completions.
"""

from __future__ import annotations

THRESHOLD = 5
"""A single turn has at most three requests: one person's trouble opens nothing."""
FIRST, CAP = 1.0, 30.0
"""Seconds until the first probe, and the longest pause between two."""


class Breaker:
    """One organisation's circuit."""

    def __init__(self) -> None:
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False
        self._probe_at = 0.0
        self._pause = FIRST

    @property
    def is_open(self) -> bool:
        return self._opened_at is not None

    def expected(self, now: float) -> float:
        """About how many seconds it will stay open: what has lasted so long may last as long again."""
        return 0.0 if self._opened_at is None else now - self._opened_at + self._pause

    def ready_at(self, now: float) -> float | None:
        """When a turn may be asked: now, later, or (None) not before the probe under way has ended."""
        if self._opened_at is None:
            return now
        return None if self._probing else max(now, self._probe_at)

    def probe(self) -> bool:
        """A turn is asked now; returns whether it is the probe, whose end has to be told by `probed`."""
        self._probing = self.is_open
        return self._probing

    def probed(self) -> None:
        """The probe's turn is over, whatever came of it."""
        self._probing = False

    def answered(self) -> bool:
        """A completion came back with anything that upstream itself said; returns whether that closed the circuit."""
        was_open = self.is_open
        self._failures, self._opened_at, self._probing, self._pause = 0, None, False, FIRST
        return was_open

    def failed(self, now: float, jitter: float) -> bool:
        """A completion got no answer, or a 5xx. `jitter` in 0..1. Returns whether that opened the circuit."""
        self._failures += 1
        if self._failures < THRESHOLD:
            return False
        opens = self._opened_at is None
        if opens:
            self._opened_at = now
        self._probing = False
        if now >= self._probe_at:
            self._probe_at = now + self._pause * (0.75 + 0.25 * jitter)
            self._pause = min(CAP, self._pause * 2)
        return opens
