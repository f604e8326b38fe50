"""From what came back to what has to happen next: the one door at which Sensay's errors become ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from gateway.errors import (
    Ambiguous,
    GatewayError,
    Misconfigured,
    Permanent,
    QuotaExhausted,
    RateLimited,
    Transient,
)
from gateway.sensay.models import Problem
from gateway.sensay.transport import Answer, Dropped, TimedOut, TransportError, Unreachable

TIME_REMEDY = "make the request smaller; Sensay gives up after 90 seconds. If it stays, report it to Sensay"
UNREACHABLE_REMEDY = "check the network and sensay.base_url"
REMEDIES: Mapping[int, str] = {
    400: "the request does not fit what Sensay expects: check sensay.dialect and sensay.api_version",
    403: "the replica is private: make it public, or let this user have access to it",
    404: "check that the replica exists in this organisation and is public, and that sensay.dialect is the one served",
    408: TIME_REMEDY,
    409: "something with this name, slug, address or account is there already",
    415: "something between here and Sensay drops the Content-Type header",
    429: "wait, or lower the organisation's quota to what Sensay grants",
    504: TIME_REMEDY,
}
KEY_REMEDY = (
    "check the organisation's secret, that the organisation is active at Sensay, and that the user exists"
)
SERVER_REMEDY = "try again later; if it stays, report the request id and the fingerprint to Sensay"
QUOTA_REMEDY = "the monthly allowance is used up: raise it, or wait for the next month"


class Asked(Protocol):
    """A request, as far as its failure depends on it.

    `explained`: what Sensay says of it becomes part of the error, less the request's `secrets`. `remedies`: what helps
    in this operation's case, by status.
    """

    @property
    def operation(self) -> str: ...

    @property
    def repeatable(self) -> bool: ...

    @property
    def explained(self) -> bool: ...

    @property
    def secrets(self) -> Sequence[str]: ...

    @property
    def remedies(self) -> Mapping[int, str]: ...


class Unauthorized(Misconfigured):
    """A 401: a bad key, a disabled organisation or an unknown user, which the status does not tell apart."""


def failure(request: Asked, answer: Answer, now: float) -> GatewayError:
    """What an answer that is not a success means. Chained and raised by the caller."""
    problem = Problem.read(answer.body, answer.request_id)
    context: dict[str, Any] = {"operation": request.operation, "status": answer.status}
    context["api_version"] = answer.api_version
    context |= {"code": problem.code, "request_id": problem.request_id, "fingerprint": problem.fingerprint}
    said = _said(request, answer.status, problem)
    context["remedy"] = request.remedies.get(answer.status) or REMEDIES.get(answer.status)
    match answer.status:
        case 401:
            return Unauthorized(said, **context | {"remedy": KEY_REMEDY})
        case 429 if "quota" in (problem.code or "").lower():
            return QuotaExhausted(said, **context | {"remedy": QUOTA_REMEDY})
        case 429:
            return RateLimited(said, retry_after=retry_after(answer.retry_after, now), **context)
        case status if status < 300:
            return Transient(said + " but without an answer", **context)
        case status if status >= 500 or status == 408:
            return unknown(request, said, context | {"remedy": context["remedy"] or SERVER_REMEDY})
        case _:
            return Permanent(said, **context)


def _said(request: Asked, status: int, problem: Problem) -> str:
    said = f"Sensay answered {request.operation} with {status}" + (f" {problem.code}" if problem.code else "")
    if not request.explained or not problem.message:
        return said
    message = problem.message
    for secret in request.secrets:
        message = message.replace(secret, "***")
    return f"{said}: {message}"


def remedy(error: GatewayError) -> str | None:
    """What helps against it, in words."""
    said: str | None = getattr(error, "remedy", None) or error.context.get("remedy")
    return said


def malformed(request: Asked, answer: Answer) -> GatewayError:
    """A success that cannot be read: what was asked has been done."""
    context = {"operation": request.operation, "status": answer.status, "request_id": answer.request_id}
    context |= {"api_version": answer.api_version, "remedy": SERVER_REMEDY}
    return unknown(request, f"Sensay's answer to {request.operation} cannot be read", context)


def unknown(request: Asked, said: str, context: dict[str, Any]) -> GatewayError:
    """It may or may not have happened, which only matters where doing it twice is not the same as once."""
    return Transient(said, **context) if request.repeatable else Ambiguous(said, **context)


def unanswered(request: Asked, error: TransportError) -> GatewayError:
    """No answer came."""
    context: dict[str, Any] = {"operation": request.operation, "cause": str(error) or None}
    match error:
        case Unreachable():
            return Transient("Sensay cannot be reached", **context, remedy=UNREACHABLE_REMEDY)
        case TimedOut():
            context["remedy"] = TIME_REMEDY
            return unknown(request, f"Sensay did not answer {request.operation} in time", context)
        case Dropped():
            context["remedy"] = UNREACHABLE_REMEDY
            return unknown(request, f"the connection to Sensay broke during {request.operation}", context)
        case _:
            return Permanent(f"Sensay's answer to {request.operation} is too large", **context)


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds from a Retry-After header, be it a number or a date; None if it is neither."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return None
