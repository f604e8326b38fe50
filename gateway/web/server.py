"""The two listeners: public (widget, webhooks) and admin (health, status); platforms bring their own routes."""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from gateway.errors import Transient

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LARGEST_BODY = 1024 * 1024
"""Bytes; routes set their own, lower limits."""
DETAILS = {404: "There is nothing at this address.", 405: "This address does not take this method."}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What no route answers (404, 405, …) is a problem document like everything else."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        body = {
            "type": "about:blank",
            "title": error.reason,
            "status": error.status,
            "detail": DETAILS.get(error.status, error.reason),
            "reference": secrets.token_hex(6),
        }
        return web.json_response(
            body, status=error.status, headers=headers, content_type="application/problem+json"
        )


def guarded(token: Callable[[], str | None]) -> Any:
    """Everything but the probes needs the token, as Bearer or as the password of Basic; compared in constant time."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        expected = token()
        if expected is None or request.path in {"/livez", "/readyz"}:
            return await handler(request)
        given = _given(request).encode(errors="surrogateescape")  # a header may hold any bytes
        if not hmac.compare_digest(given, expected.encode()):
            body = {"type": "about:blank", "title": "Unauthorized", "status": 401}
            headers = {"WWW-Authenticate": 'Basic realm="gateway"'}
            return web.json_response(
                body, status=401, headers=headers, content_type="application/problem+json"
            )
        return await handler(request)

    return guard


def _given(request: web.Request) -> str:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return ""


class Listener:
    """One aiohttp application on one address."""

    def __init__(self, host: str, port: int, routes: Sequence[Any], middlewares: Sequence[Any] = ()) -> None:
        app = web.Application(middlewares=[problems, *middlewares], client_max_size=LARGEST_BODY)
        app.add_routes(routes)
        self._host, self.port = host, port
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5.0)
        self.up = False

    async def start(self) -> None:
        """Listen; `port` is the real one afterwards. Raises Transient when the port is in use."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            why = os.strerror(error.errno) if error.errno else str(error)
            raise Transient(f"cannot listen on {self._host}:{self.port}: {why}") from error
        self.port = self._runner.addresses[0][1]
        self.up = True

    async def stop(self) -> None:
        self.up = False
        await self._runner.cleanup()
