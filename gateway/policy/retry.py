"""One table: what an error means for what was being done. Nothing is repeated blindly.

| error            | a question to Sensay                               | a part to a platform                     |
|------------------|----------------------------------------------------|------------------------------------------|
| RateLimited      | ask again when the quota lets it, not counted      | hold back its lane (or the channel)      |
| Transient        | ask again, up to `ATTEMPTS`                        | again with backoff, its lane waits       |
| Ambiguous        | look in the history, then ask once more            | unknown: `drop`, or once more if allowed |
| Permanent        | give up                                            | bury it (or its whole lane)              |
| QuotaExhausted   | give up with the text of its own                   | -                                        |
| Misconfigured    | give up, tell the operator                         | hold it, the channel is judged           |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.errors import (
    Ambiguous,
    GatewayError,
    Misconfigured,
    Permanent,
    QuotaExhausted,
    RateLimited,
    Transient,
)
from gateway.messages import TextName

ATTEMPTS = 3
"""Requests to Sensay for one turn, look-ups of a question that is still being answered aside."""
SEND_ATTEMPTS = 8
SEND_CAP = 300.0


@dataclass(frozen=True)
class Again:
    """Do the same once more, not before `wait` seconds from now. `counted`: it uses up an attempt."""

    wait: float
    counted: bool = True


@dataclass(frozen=True)
class LookUp:
    """It may have happened: look in the history after `wait` seconds."""

    wait: float


@dataclass(frozen=True)
class GiveUp:
    """End it; the user is told `text`."""

    text: TextName
    cause: str


def after_question(error: GatewayError, requests: int, jitter: float) -> Again | LookUp | GiveUp:
    """Judge a failed question. `requests` is how many this turn has sent so far, `jitter` in 0..1."""
    cause = str(error)
    if isinstance(error, RateLimited):
        return Again(error.retry_after or 1.0 + jitter, counted=False)
    if isinstance(error, QuotaExhausted):
        return GiveUp("quota", cause)
    if requests >= ATTEMPTS or isinstance(error, Permanent | Misconfigured):
        return GiveUp("failed", cause)
    if isinstance(error, Ambiguous):
        return LookUp(1.0 + jitter)
    wait = error.retry_after if isinstance(error, Transient) and error.retry_after is not None else 0.0
    return Again(max(wait, 0.5 * 2**requests * (0.5 + 0.5 * jitter)))


@dataclass(frozen=True)
class Postpone:
    """Send it later; `scope` says what waits with it."""

    wait: float
    scope: Literal["part", "lane", "channel"]


@dataclass(frozen=True)
class Bury:
    """It will not be sent; `unknown` if it may have been. With `lane` nothing more goes to this chat."""

    cause: str
    unknown: bool = False
    lane: bool = False


def after_send(
    error: GatewayError, attempt: int, jitter: float, *, repeat_unknown: bool = False
) -> Postpone | Bury:
    """Judge a failed send. `attempt` counts from 1; `repeat_unknown`: an unknown outcome is sent once more."""
    cause = str(error)
    if isinstance(error, RateLimited):
        return Postpone(error.retry_after or 1.0 + jitter, "lane" if error.scope == "part" else error.scope)
    if isinstance(error, Permanent):
        return Bury(cause, lane=error.scope != "part")
    if isinstance(error, Ambiguous):
        return Postpone(1.0 + jitter, "lane") if repeat_unknown and attempt < 2 else Bury(cause, unknown=True)
    if isinstance(error, Misconfigured):
        return Postpone(10.0, "channel")
    if attempt >= SEND_ATTEMPTS:
        return Bury(cause)
    wait = error.retry_after if isinstance(error, Transient) and error.retry_after is not None else None
    if wait is None:
        wait = min(SEND_CAP, 0.5 * 2**attempt) * (0.5 + 0.5 * jitter)
    return Postpone(wait, error.scope if error.scope == "channel" else "lane")
