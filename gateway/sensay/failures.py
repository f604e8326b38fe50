"""From what came back to what has to happen next: the one door at which Sensay's errors become ours."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

from gateway.errors import (
    Ambiguous,
    GatewayError,
    Misconfigured,
    Permanent,
    QuotaExhausted,
    RateLimited,
    Transient,
)
from gateway.sensay.dialects import Operation
from gateway.sensay.models import Problem
from gateway.sensay.transport import Answer, Dropped, TimedOut, TransportError, Unreachable

REMEDIES = {
    400: "the request does not fit what Sensay expects: check sensay.dialect and sensay.api_version",
    403: "the replica is private: make it public, or let this user have access to it",
    404: "check that the replica exists in this organisation and is public, and that sensay.dialect is the one served",
    415: "something between here and Sensay drops the Content-Type header",
}
KEY_REMEDY = "check the organisation's secret, and that the organisation is active at Sensay"


class Unauthorized(Misconfigured):
    """A 401: a bad key, a disabled organisation or an unknown user, which the status does not tell apart."""


def failure(operation: Operation[Any], answer: Answer, now: float) -> GatewayError:
    """What an answer that is not a success means. Chained and raised by the caller."""
    problem = Problem.read(answer.body, answer.request_id)
    context: dict[str, Any] = {"operation": operation.name, "status": answer.status}
    context["api_version"] = answer.api_version
    context |= {"code": problem.code, "request_id": problem.request_id, "fingerprint": problem.fingerprint}
    code = f" {problem.code}" if problem.code else ""
    said = f"Sensay answered {operation.name} with {answer.status}{code}"
    match answer.status:
        case 401:
            return Unauthorized(said, remedy=KEY_REMEDY, **context)
        case 429 if "quota" in (problem.code or "").lower():
            return QuotaExhausted(said, **context)
        case 429:
            return RateLimited(said, retry_after=retry_after(answer.retry_after, now), **context)
        case status if status < 300:
            return Transient(said + " but without an answer", **context)
        case status if status >= 500 or status == 408:
            return unknown(operation, said, context)
        case status:
            return Permanent(said, remedy=REMEDIES.get(status), **context)


def malformed(operation: Operation[Any], answer: Answer) -> GatewayError:
    """A success that cannot be read: what was asked has been done."""
    context = {"operation": operation.name, "status": answer.status, "request_id": answer.request_id}
    return unknown(operation, f"Sensay's answer to {operation.name} cannot be read", context)


def unknown(operation: Operation[Any], said: str, context: dict[str, Any]) -> GatewayError:
    """It may or may not have happened, which only matters where doing it twice is not the same as once."""
    return Transient(said, **context) if operation.repeatable else Ambiguous(said, **context)


def unanswered(operation: Operation[Any], error: TransportError) -> GatewayError:
    """No answer came."""
    context: dict[str, Any] = {"operation": operation.name, "cause": str(error) or None}
    match error:
        case Unreachable():
            return Transient("Sensay cannot be reached", **context)
        case TimedOut():
            return unknown(operation, f"Sensay did not answer {operation.name} in time", context)
        case Dropped():
            return unknown(operation, f"the connection to Sensay broke during {operation.name}", context)
        case _:
            return Permanent(f"Sensay's answer to {operation.name} is too large", **context)


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
