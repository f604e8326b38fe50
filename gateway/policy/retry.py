"""One table: what an error means for what was being done. Nothing is repeated blindly.

| error            | a question to Sensay                               | a part to a platform                     |
|------------------|----------------------------------------------------|------------------------------------------|
| RateLimited      | ask again when the quota lets it, not counted      | hold back its lane (or the channel)      |
| Transient        | ask again, up to `ATTEMPTS`                        | again by `SCHEDULES`, its lane waits     |
| Ambiguous        | look in the history, then ask once more            | unknown: `drop`, or once more if allowed |
| Permanent        | give up                                            | bury it (or its whole lane)              |
| QuotaExhausted   | give up with the text of its own                   | -                                        |
| Misconfigured    | give up, tell the operator                         | hold it, the channel is judged           |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.errors import (
    Ambiguous,
    GatewayError,
    Misconfigured,
    Permanent,
    QuotaExhausted,
    RateLimited,
    Scope,
    Transient,
)
from gateway.messages import PlatformName, TextName

ATTEMPTS = 3
"""Requests to Sensay for one turn, look-ups of a question that is still being answered aside."""


@dataclass(frozen=True)
class Schedule:
    """How often a part is tried: `waits` lie between the attempts, after the last one it is given up.

    A wait is multiplied by something between the two numbers of `spread`, so that many do not come at once. What
    the receiver asks for takes its place; of a `firm` one, only if it is longer.
    """

    waits: tuple[float, ...]
    spread: tuple[float, float]
    firm: bool = False

    @property
    def attempts(self) -> int:
        return len(self.waits) + 1

    def wait(self, attempt: int, jitter: float) -> float:
        """Seconds after a failed attempt; beyond the last one as long as before it."""
        least, most = self.spread
        return self.waits[min(attempt, len(self.waits)) - 1] * (least + (most - least) * jitter)


BRISK = Schedule((1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0), spread=(0.5, 1.0))
"""For a chat, where an answer is of use for some minutes."""
PUBLISHED = Schedule(
    (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0),
    spread=(1.0, 1.1),
    firm=True,
)
"""For callbacks, whose receivers are promised it (docs/webhook.md); a little late, never early."""
SCHEDULES: Mapping[PlatformName, Schedule] = {
    "telegram": BRISK,
    "discord": BRISK,
    "web": BRISK,
    "webhook": PUBLISHED,
}
SEND_ATTEMPTS = BRISK.attempts
CHANNEL_PAUSE = 30.0
"""Longest that one part's trouble holds back a whole channel, unless the platform says how long."""


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
    """End it; the user is told `text`. `person`: an operator has to act before anything of this organisation works."""

    text: TextName
    cause: str
    person: bool = field(default=False, compare=False)


def after_question(error: GatewayError, requests: int, jitter: float) -> Again | LookUp | GiveUp:
    """Judge a failed question. `requests` is how many this turn has sent so far, `jitter` in 0..1."""
    cause = _why(error)
    if isinstance(error, RateLimited):
        return Again(error.retry_after or 1.0 + jitter, counted=False)
    if isinstance(error, QuotaExhausted):
        return GiveUp("quota", cause, person=True)
    if requests >= ATTEMPTS or isinstance(error, Permanent | Misconfigured):
        return GiveUp("failed", cause, person=isinstance(error, Misconfigured))
    if isinstance(error, Ambiguous):
        return LookUp(1.0 + jitter)
    wait = error.retry_after if isinstance(error, Transient) and error.retry_after is not None else 0.0
    return Again(max(wait, 0.5 * 2**requests * (0.5 + 0.5 * jitter)))


def _why(error: GatewayError) -> str:
    """For the operator: what went wrong and, where it is known, what to do about it."""
    remedy = error.remedy if isinstance(error, Misconfigured) else error.context.get("remedy")
    return f"{error}: {remedy}" if remedy else str(error)


@dataclass(frozen=True)
class Postpone:
    """Send it later; `scope` says what waits with it. A channel waits for `pause` seconds, if that is given."""

    wait: float
    scope: Literal["part", "lane", "channel"]
    pause: float | None = None


@dataclass(frozen=True)
class Bury:
    """It will not be sent; `unknown` if it may have been. With `lane` nothing more goes to this chat."""

    cause: str
    unknown: bool = False
    lane: bool = False


def after_send(
    error: GatewayError,
    attempt: int,
    jitter: float,
    *,
    repeat_unknown: bool = False,
    schedule: Schedule = BRISK,
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
    away = (
        error.scope == "channel" and not schedule.firm
    )  # a platform that is away is waited for, however long
    if attempt >= schedule.attempts and not away:
        return Bury(cause)
    asked = error.retry_after if isinstance(error, Transient) else None
    return _later(schedule, schedule.wait(attempt, jitter), asked, error.scope)


def _later(schedule: Schedule, wait: float, asked: float | None, scope: Scope) -> Postpone:
    """The part by the schedule; its channel, if that is in trouble, no longer than it was asked for."""
    pause = min(wait, CHANNEL_PAUSE) if asked is None else asked
    if asked is not None:
        wait = max(wait, asked) if schedule.firm else asked
    return Postpone(wait, "channel", pause) if scope == "channel" else Postpone(wait, "lane")
