"""The admin listener's route for operators' requests to Sensay."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.errors import Ambiguous, GatewayError, InvalidArguments, NoRoom, RateLimited, Transient
from gateway.web.problem import problem

LARGEST = 8 * 2**20
"""Bytes of a request."""
_KEPT_BACK = {"Cache-Control": "no-store"}


def sensay_routes(answer: Callable[[str, bytes], Awaitable[dict[str, Any]]]) -> list[web.RouteDef]:
    """`POST /-/sensay/{organization}`: `{operation, arguments, user?: {id, type?}}` → `{operation, result, …}`.

    `answer` raises KeyError for an unknown organisation, and GatewayError. An error is a problem with `error` (its
    type), `remedy` and `context`: 422 for what cannot be asked, 429 with `Retry-After` when our budget (`window`) or
    Sensay's is used up, 502 for Sensay's refusal, 503 when it was not reached, 504 when nobody knows.
    """

    async def ask(request: web.Request) -> web.Response:
        body = await _read(request)
        if body is None:
            return problem(413, f"The request is larger than {LARGEST} bytes.")
        try:
            document = await answer(request.match_info["organization"], body)
        except KeyError:
            return problem(404, "There is no such organization.")
        except GatewayError as error:
            return _failed(error)
        return web.json_response(document, headers=_KEPT_BACK)

    return [web.post("/-/sensay/{organization}", ask)]


async def _read(request: web.Request) -> bytes | None:
    """None: too large. A text that a replica is to learn may be longer than what other routes take."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        body += chunk
        if len(body) > LARGEST:
            return None
    return bytes(body)


def _failed(error: GatewayError) -> web.Response:
    context = {key: value for key, value in error.context.items() if key != "remedy"}
    more: dict[str, Any] = {
        "error": next(
            kind.__name__ for kind in type(error).__mro__ if kind.__module__ == GatewayError.__module__
        ),
        "remedy": getattr(error, "remedy", None) or error.context.get("remedy"),
        "retry_after": getattr(error, "retry_after", None),
    }
    headers = dict(_KEPT_BACK)
    if more["retry_after"] is not None:
        headers["Retry-After"] = str(math.ceil(more["retry_after"]))
    known = {key: value for key, value in more.items() if value is not None}
    return problem(_status(error), str(error), headers=headers, context=context, **known)


def _status(error: GatewayError) -> int:
    match error:
        case InvalidArguments():
            return 422
        case NoRoom() | RateLimited():
            return 429
        case Transient():
            return 503
        case Ambiguous():
            return 504
        case _:
            return 502
