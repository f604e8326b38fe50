"""Three ways in which a server may count requests, so that a client's own counting is proven against each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

Algorithm = Literal["sliding", "fixed", "bucket"]


_WHOLE = 1 - 1e-6
"""A token, less what adding up fractions loses."""


class Limiter(Protocol):
    """Counts what it lets through; what it refuses costs nothing."""

    def wait(self, now: float) -> float:
        """Seconds until one more would be let through; 0: now."""
        ...

    def take(self, now: float) -> None: ...

    def give_back(self) -> None:
        """Undo the latest `take`."""
        ...


class Sliding:
    """At most `limit` in any stretch of `window` seconds."""

    def __init__(self, limit: int, window: float) -> None:
        self._limit, self._window = limit, window
        self._taken: deque[float] = deque()

    def wait(self, now: float) -> float:
        while self._taken and self._taken[0] <= now - self._window:
            self._taken.popleft()
        return 0.0 if len(self._taken) < self._limit else self._taken[0] + self._window - now

    def take(self, now: float) -> None:
        self._taken.append(now)

    def give_back(self) -> None:
        if self._taken:
            self._taken.pop()


class Fixed:
    """At most `limit` between two strokes of a clock that strikes every `window` seconds."""

    def __init__(self, limit: int, window: float) -> None:
        self._limit, self._window = limit, window
        self._stroke, self._count = 0.0, 0

    def wait(self, now: float) -> float:
        stroke = now - now % self._window
        if stroke != self._stroke:
            self._stroke, self._count = stroke, 0
        return 0.0 if self._count < self._limit else stroke + self._window - now

    def take(self, now: float) -> None:  # noqa: ARG002 - `wait` has moved to this stroke
        self._count += 1

    def give_back(self) -> None:
        self._count = max(0, self._count - 1)


class Bucket:
    """A bucket of `limit` tokens that fills up evenly in `window` seconds."""

    def __init__(self, limit: int, window: float) -> None:
        self._limit, self._rate = limit, limit / window
        self._tokens, self._at = float(limit), 0.0

    def wait(self, now: float) -> float:
        self._tokens = min(float(self._limit), self._tokens + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._tokens >= _WHOLE else (1 - self._tokens) / self._rate

    def take(self, now: float) -> None:  # noqa: ARG002 - `wait` has filled the bucket up to now
        self._tokens -= 1

    def give_back(self) -> None:
        self._tokens += 1


KINDS: dict[Algorithm, Callable[[int, float], Limiter]] = {
    "sliding": Sliding,
    "fixed": Fixed,
    "bucket": Bucket,
}


class Gate:
    """An organisation's limits: all of them or none let a request through."""

    def __init__(self, everything: Limiter | None, completions: Limiter | None) -> None:
        self._everything, self._completions = everything, completions

    def enter(self, now: float, *, completion: bool) -> float:
        """Count a request, or say after how many seconds it may come again."""
        limiters = self._limiters(completion=completion)
        wait = max((limiter.wait(now) for limiter in limiters), default=0.0)
        if wait == 0:
            for limiter in limiters:
                limiter.take(now)
        return wait

    def give_back(self, *, completion: bool) -> None:
        for limiter in self._limiters(completion=completion):
            limiter.give_back()

    def _limiters(self, *, completion: bool) -> list[Limiter]:
        both = [self._everything, self._completions if completion else None]
        return [limiter for limiter in both if limiter is not None]
