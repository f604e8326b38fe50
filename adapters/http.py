"""What the platforms that are spoken to over HTTP share: problem details, bounded JSON bodies, headers.

Handlers raise `Problem`; `answering` turns it, and a journal that cannot be written, into RFC 9457 responses.
"""

from __future__ import annotations

import functools
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import web

from gateway.errors import Transient

BODY_LIMIT = 16 * 1024
NO_STORE = {"Cache-Control": "no-store"}
SECURITY_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

_SEEN = re.compile(
    r"[^\s\u0000-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)
"""A character that shows; `openapi.yaml` has the same pattern."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")
_log = structlog.get_logger()


class Problem(Exception):
    """A request that is refused. `detail` is for the caller: it names no secret and, for 401 and 403, no part.

    `retry_after` is in seconds; `headers` are added to the response, `extra` members to its body.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, detail, retry_after
        self.headers, self.extra = dict(headers or {}), dict(extra or {})

    def response(self) -> web.Response:
        return problem(
            self.status, self.detail, retry_after=self.retry_after, headers=self.headers, extra=self.extra
        )


def problem(
    status: int,
    detail: str,
    *,
    title: str | None = None,
    retry_after: float | None = None,
    headers: Mapping[str, str] | None = None,
    reference: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> web.Response:
    """Make an RFC 9457 response; `title` is the status's own name and `reference` a new one unless given."""
    body = {
        "type": "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reference": reference or new_reference(),
        **(extra or {}),
    }
    return answer(
        body,
        status,
        content_type="application/problem+json",
        headers={**(headers or {}), **({} if retry_after is None else wait_hint(retry_after))},
    )


def answer(
    body: Any,
    status: int = 200,
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Make a JSON response that no cache keeps."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type=content_type,
        headers={**SECURITY_HEADERS, **NO_STORE, **(headers or {})},
    )


def wait_hint(seconds: float) -> dict[str, str]:
    """`Retry-After` in whole seconds, rounded up and at least one: never an invitation to come too early."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def new_reference() -> str:
    """An id that a caller can quote and an operator can find in the log."""
    return secrets.token_hex(6)


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def read_body(request: web.Request, limit: int = BODY_LIMIT) -> bytes:
    """Read the raw body, never more than `limit` bytes of it. Raises Problem 413, or 415 if it is compressed."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "Send the body without a content encoding.")
    too_large = Problem(413, f"The body may have at most {limit} bytes.")
    if (request.content_length or 0) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


def is_blank(text: str) -> bool:
    """Whether there is nothing to see: spaces, and characters that only join, mark or steer others."""
    return _SEEN.search(text) is None


def parse(body: bytes, kind: type[T]) -> T:
    """Read a JSON object as a msgspec Struct.

    Raises Problem 400 when it is not JSON in UTF-8, 422 when it is not an object of this shape.
    """
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "The body is not JSON in UTF-8.") from None
    if not isinstance(raw, dict):
        raise Problem(422, "The body must be a JSON object.")
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise Problem(422, f"{error}.") from None


async def read_json(request: web.Request, kind: type[T], limit: int = BODY_LIMIT) -> T:
    """`read_body` and `parse` in one."""
    return parse(await read_body(request, limit), kind)


def answering(handler: Handler) -> Handler:
    """Let a handler raise: Problem is answered as it says, Transient with 503, anything else with 500 and a log."""

    @functools.wraps(handler)
    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as refusal:
            return refusal.response()
        except Transient as error:
            return problem(503, "Try again in a moment.", retry_after=error.retry_after or 1.0)
        except (web.HTTPException, ConnectionResetError):
            raise
        except Exception:  # noqa: BLE001 - one request fails, the others go on
            reference = new_reference()
            _log.exception("request.failed", route=_route(request), reference=reference)
            return problem(500, "Something went wrong here.", reference=reference)

    return answered


def _route(request: web.Request) -> str:
    """The route's pattern rather than its path: paths hold ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
