"""What a person is told when Sensay cannot be read: what happened, what helps, and when to try again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.errors import GatewayError, InvalidArguments, Misconfigured, NoRoom, RateLimited, Transient

_REFUSED = {
    401: "Sensay does not accept the organisation's secret",
    403: "Sensay does not show this",
    404: "Sensay does not have this",
}
_REMEDIES = {
    403: "The replica is private or belongs to somebody else: make it public in Sensay, or give the bot a replica of "
    "its own organisation.",
    404: "Check the bot's replica and its organisation in the configuration; the conversation may have been deleted.",
}
_WINDOWS = {"minute": "this minute", "hour": "this hour", "uploads": "this hour"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """`wait`: seconds until trying again may help; None: whenever somebody wants to. `again`: whether it may at all."""

    title: str
    said: str
    remedy: str | None
    status: int
    wait: int | None
    at: str | None
    again: bool
    reference: str | None

    @property
    def headers(self) -> Mapping[str, str]:
        return {} if self.wait is None else {"Retry-After": str(self.wait)}


def trouble(error: GatewayError, now: float) -> Trouble:
    """Say it in words."""
    upstream = error.context.get("status")
    wait = getattr(error, "retry_after", None)
    seconds = None if wait is None else max(1, math.ceil(wait))
    remedy = _REMEDIES.get(upstream or 0) or getattr(error, "remedy", None) or error.context.get("remedy")
    return Trouble(
        title=_title(error),
        said=str(error),
        remedy=_sentence(remedy) if remedy else None,
        status=_status(error),
        wait=seconds,
        at=None if seconds is None else datetime.fromtimestamp(now + seconds, UTC).strftime("%H:%M:%S UTC"),
        again=not isinstance(error, InvalidArguments),
        reference=error.context.get("request_id"),
    )


def _title(error: GatewayError) -> str:
    match error:
        case InvalidArguments():
            return "This cannot be asked"
        case NoRoom():
            return f"The organisation's requests for {_WINDOWS.get(error.window, 'now')} are used up"
        case RateLimited():
            return "Sensay asks to wait"
        case Transient() if "status" not in error.context:
            return "Sensay was not reached"
        case _:
            return _REFUSED.get(error.context.get("status", 0), "Sensay did not answer as it should")


def _status(error: GatewayError) -> int:
    match error:
        case InvalidArguments():
            return 422
        case NoRoom() | RateLimited():
            return 429
        case Misconfigured():
            return 502
        case Transient():
            return 503
        case _:
            return 404 if error.context.get("status") == 404 else 502


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "."
