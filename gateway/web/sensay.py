"""The admin listener's route for operators' requests to Sensay."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from aiohttp import web

from gateway.errors import Ambiguous, GatewayError, InvalidArguments, NoRoom, RateLimited, Transient
from gateway.web.problem import problem

LARGEST = 8 * 2**20
"""Bytes of a request."""
_KEPT_BACK = {"Cache-Control": "no-store"}


LINES = "application/x-ndjson"


class Answers(Protocol):
    """What `gateway.operators.Operators` does. Raises KeyError for an unknown organisation, and GatewayError."""

    def __call__(
        self, organization: str, body: bytes, on_delta: Callable[[str], None] | None = None, /
    ) -> Awaitable[dict[str, Any]]: ...


def sensay_routes(answer: Answers) -> list[web.RouteDef]:
    """`POST /-/sensay/{organization}`: `{operation, arguments, user?: {id, type?}}` → `{operation, result, …}`.

    An error is a problem with `error` (its type), `remedy` and `context`: 422 for what cannot be asked, 429 with
    `Retry-After` when our budget (`window`) or Sensay's is used up, 502 for Sensay's refusal, 503 when it was not
    reached, 504 when nobody knows.

    With `Accept: application/x-ndjson` an answer may come as lines: `{"delta": "…"}` for each piece that Sensay
    streams, and at last `{"status", "body"}`, which is what there would have been without.
    """

    async def ask(request: web.Request) -> web.StreamResponse:
        body = await _read(request)
        if body is None:
            return problem(413, f"The request is larger than {LARGEST} bytes.")
        organization = request.match_info["organization"]
        if LINES in request.headers.get("Accept", ""):
            return await _in_lines(request, lambda on_delta: answered(organization, body, on_delta))
        return await answered(organization, body)

    async def answered(
        organization: str, body: bytes, on_delta: Callable[[str], None] | None = None
    ) -> web.Response:
        try:
            document = await answer(organization, body, on_delta)
        except KeyError:
            return problem(404, "There is no such organization.")
        except GatewayError as error:
            return _failed(error)
        return web.json_response(document, headers=_KEPT_BACK)

    return [web.post("/-/sensay/{organization}", ask)]


async def _in_lines(
    request: web.Request, ask: Callable[[Callable[[str], None]], Coroutine[Any, Any, web.Response]]
) -> web.StreamResponse:
    """Without a single piece it is an answer like any other."""
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    asking = asyncio.ensure_future(ask(pieces.put_nowait))
    asking.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        piece = await pieces.get()
        if piece is None:
            return await asking
        response = web.StreamResponse(headers={**_KEPT_BACK, "Content-Type": LINES})
        await response.prepare(request)
        while piece is not None:
            await response.write(json.dumps({"delta": piece}).encode() + b"\n")
            piece = await pieces.get()
        whole = await asking
        await response.write(
            json.dumps({"status": whole.status, "body": json.loads(whole.text or "null")}).encode()
        )
        return response
    finally:
        asking.cancel()


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
