"""What trouble with Telegram means for a channel that listens: how long to wait, what to tell the operator, when a
person is needed.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from telegram.error import InvalidToken, TelegramError

from adapters.telegram.failures import rejected_token
from adapters.telegram.starting import Starts
from adapters.telegram.transport import FloodError
from gateway.errors import Transient
from gateway.ports import Host

NETWORK_CAP = 30.0


def backoff(failures: int, cap: float, jitter: float) -> float:
    """1, 2, 4 … seconds up to the cap, less up to a quarter."""
    return min(cap, 2.0 ** min(failures - 1, 10)) * (1.0 - 0.25 * jitter)


class Trouble:
    """One channel's failures in a row. `doing` completes the sentence "cannot … Telegram"."""

    def __init__(
        self, host: Host, starts: Starts, doing: str, jitter: Callable[[], float] = random.random
    ) -> None:
        self.jitter = jitter
        self._host, self._starts, self._doing = host, starts, doing
        self._failures = 0
        self._refused = False

    def over(self) -> None:
        """It worked."""
        self._failures, self._refused = 0, False

    def judge(self, error: Exception) -> float:
        """Report it and say how long to wait. Raises Misconfigured when the token was refused twice in a row."""
        match error:
            case InvalidToken():
                if self._refused:
                    raise rejected_token() from error
                self._refused = (
                    True  # asked once more, and not told: a bot that failed stays failed meanwhile
                )
                return 1.0
            case FloodError():
                self._starts.refused(self._host.clock.monotonic(), error.seconds)
                self._host.degraded(error.message)
                return error.seconds
            case Transient():
                self._host.degraded(str(error))
                return error.retry_after or 1.0
            case _:
                self._failures += 1
                said = error.message if isinstance(error, TelegramError) else "no answer in time"
                self._host.degraded(f"cannot {self._doing} Telegram: {said}"[:300])
                return backoff(self._failures, NETWORK_CAP, self.jitter())
