"""What goes over the wire besides the operations: refusals in both documented shapes, and the record of requests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from aiohttp import web

from gateway.sandbox.sensay.replies import Error, GuideError, Reply

ErrorShape = Literal["openapi", "guide"]
API_VERSION = "2025-03-25"
_SECRET_HEADERS = frozenset({"x-organization-secret", "authorization", "cookie"})
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RATE_LIMIT_EXCEEDED",
}


class Refusal(Exception):
    """The request is answered with an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        allow: str | None = None,
    ) -> None:
        """`allow`: the methods that a 405 names instead."""
        super().__init__(message)
        self.allow = allow
        self.status, self.message, self.retry_after = status, message, retry_after
        self.code = code or _CODES.get(status, "INTERNAL_ERROR")


def refuse(refusal: Refusal, shape: ErrorShape, request_id: str) -> web.Response:
    """Write an error as the published schema or as the guide has it."""
    fingerprint = hashlib.sha256(f"{refusal.code} {refusal.message}".encode()).hexdigest()[:16]
    code, words = refusal.code, refusal.message
    body: Reply = Error(error=words, error_code=code, fingerprint=fingerprint, request_id=request_id)
    if shape == "guide":
        body = GuideError(
            message=words, code=code, fingerprint=fingerprint, request_id=request_id, details={}
        )
    headers = {} if refusal.retry_after is None else {"Retry-After": str(math.ceil(refusal.retry_after))}
    headers |= {} if refusal.allow is None else {"Allow": refusal.allow}
    return web.Response(
        body=msgspec.json.encode(body),
        status=refusal.status,
        headers=headers,
        content_type="application/json",
    )


def fault_error(shape: ErrorShape, request_id: str) -> Callable[[int, float | None], web.Response]:
    """What a fault makes of a request."""

    def error(status: int, retry_after: float | None) -> web.Response:
        return refuse(Refusal(status, "It went wrong on purpose", retry_after=retry_after), shape, request_id)

    return error


@dataclass
class Received:
    """A request as it came, less its secrets. `status` and `answered_at` stay None when the connection was cut without
    an answer.
    """

    operation: str
    method: str
    path: str
    headers: dict[str, str]
    at: float
    organization: str = ""
    body: Any = None
    status: int | None = None
    answered_at: float | None = None


def received(operation: str, request: web.Request, at: float) -> Received:
    secret = request.headers.get("X-ORGANIZATION-SECRET", "")
    return Received(
        operation=operation,
        method=request.method,
        path=request.path_qs,
        headers={k: v for k, v in request.headers.items() if k.lower() not in _SECRET_HEADERS},
        at=at,
        organization=hashlib.sha256(secret.encode()).hexdigest()[:8] if secret else "",
    )


@dataclass
class Canned:
    """The next `times` requests to `operation` get this answer, whatever they ask (`POST /_control/sensay/canned`)."""

    operation: str
    status: int = 200
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] | None = None
    times: int = 1

    def response(self) -> web.Response:
        return web.Response(
            status=self.status, text=self.body, content_type=self.content_type, headers=self.headers
        )
