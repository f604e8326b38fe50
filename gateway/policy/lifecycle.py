"""How a channel lives: its states, and when to try again after trouble. There is no terminal state."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import GatewayError, Misconfigured, Transient
from gateway.messages import BotState

FIRST, CAP = 1.0, 60.0
"""Backoff of ordinary trouble, seconds."""
PERSON_EVERY, PERSON_FAST, PERSON_CAP = 10.0, 300.0, 900.0
"""What needs a person is tried every 10 s for 5 minutes, then ever more slowly, every 15 minutes at the least."""


@dataclass(frozen=True)
class Trouble:
    """A channel ended. `state` is what it is in until the next try after `wait` seconds."""

    state: BotState
    wait: float
    error: str
    remedy: str | None = None


def after_error(error: BaseException, failures: int, failing_for: float, jitter: float) -> Trouble:
    """Judge a channel's error. `failures` counts from 1, `failing_for` is in seconds, `jitter` in 0..1."""
    if isinstance(error, Misconfigured):
        wait = PERSON_EVERY if failing_for < PERSON_FAST else min(PERSON_CAP, failing_for / 10)
        return Trouble("failed", wait * (0.75 + 0.25 * jitter), str(error), error.remedy)
    wait = min(CAP, FIRST * 2 ** min(failures - 1, 10)) * (0.5 + 0.5 * jitter)
    if isinstance(error, Transient) and error.retry_after is not None:
        wait = max(wait, error.retry_after)
    return Trouble("degraded", wait, str(error) if isinstance(error, GatewayError) else repr(error))
