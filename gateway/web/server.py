"""The two listeners: public (widget, webhooks) and admin (health, status); platforms bring their own routes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiohttp import web

from gateway.errors import Transient
from gateway.web.problem import problem

_log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SOFTWARE = "sensay-gateway"
LARGEST_BODY = 1024 * 1024
"""Bytes; routes set their own, lower limits."""
BACKLOG = 1024
"""Widgets come back all at once after a restart; one whose first packet is dropped waits a second for the next."""
ANSWERS_WITHIN = 5.0
UNAUTHORIZED = "Unauthorized: the admin token (server.admin.token) is missing or wrong."
DETAILS = {404: "There is nothing at this address.", 405: "This address does not take this method."}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What no route answers (404, 405, …), and what goes wrong in one, is a problem document like everything else."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return problem(error.status, DETAILS.get(error.status, error.reason), headers=headers)
    except Transient as error:
        return problem(503, str(error), headers={"Retry-After": "1"})
    except ConnectionError:
        raise
    except Exception:  # noqa: BLE001 - one request fails, the others go on
        reference = secrets.token_hex(6)
        _log.exception("request.failed", path=_pattern(request), reference=reference)
        return problem(500, "Something went wrong here.", reference=reference)


def _pattern(request: web.Request) -> str:
    """The route's pattern rather than its path: paths hold ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""


def guarded(token: Callable[[], str | None], refused: Callable[[], None] = lambda: None) -> Any:
    """Everything but the probes needs the token, as Bearer or as the password of Basic; compared in constant time.

    `refused` is called for every request without it.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        expected = token()
        if expected is None or request.path in {"/livez", "/readyz"}:
            return await handler(request)
        given = _given(request).encode(errors="surrogateescape")  # a header may hold any bytes
        if not hmac.compare_digest(_digest(given), _digest(expected.encode())):
            refused()
            return problem(401, UNAUTHORIZED, headers={"WWW-Authenticate": 'Basic realm="gateway"'})
        return await handler(request)

    return guard


def _digest(token: bytes) -> bytes:
    """All of one length: the time of a comparison would tell that of the token."""
    return hashlib.sha256(token).digest()


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


class _Protocol(web.RequestHandler):
    """Bytes that are no HTTP request are answered like any other mistake.

    The library would echo them, and write them into the log with a traceback: a header of theirs may be a secret.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        refusal = problem(status, "This is not a valid HTTP request.", headers={"Server": SOFTWARE})
        refusal.force_close()
        return refusal


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server  # an application makes its server itself, and takes no other
        return server


async def _unnamed(_: web.Request, response: web.StreamResponse) -> None:
    """Which libraries serve, in which versions, is nobody's business."""
    response.headers["Server"] = SOFTWARE


class _OpenRouter(web.UrlDispatcher):
    """Takes routes also while it serves: a reload may bring the first bot of a platform."""

    def freeze(self) -> None:
        """Never."""


class Listener:
    """One aiohttp application on one address."""

    def __init__(self, host: str, port: int, routes: Sequence[Any], middlewares: Sequence[Any] = ()) -> None:
        app = web.Application(middlewares=[problems, *middlewares], client_max_size=LARGEST_BODY)
        app._router = self._router = _OpenRouter()  # noqa: SLF001 - its argument is deprecated without another way
        app.on_response_prepare.append(_unnamed)
        self.add(routes)
        self._host, self.port = host, port
        self._runner = _Runner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=5.0,
            auto_decompress=False,  # nothing here takes a compressed body; the library logs those that are not
        )
        self.up = False

    def add(self, routes: Sequence[Any]) -> None:
        """Serve these, too."""
        self._router.add_routes(routes)

    async def start(self) -> None:
        """Listen; `port` is the real one afterwards. Raises Transient when the port is in use."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port, backlog=BACKLOG).start()
        except OSError as error:
            await self._runner.cleanup()
            why = os.strerror(error.errno) if error.errno else str(error)
            raise Transient(f"cannot listen on {self._host}:{self.port}: {why}") from error
        self.port = self._runner.addresses[0][1]
        self.up = True

    async def answers(self) -> bool:
        """Ask ourselves something, as a visitor would: an open socket alone serves nobody."""
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - read, not bound
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                reader, writer = await asyncio.open_connection(here, self.port)
                try:
                    writer.write(b"HEAD /openapi.json HTTP/1.1\r\nHost: self\r\nConnection: close\r\n\r\n")
                    return bool(await reader.readline())
                finally:
                    writer.close()
        except OSError:
            return False

    async def stop(self) -> None:
        self.up = False
        await self._runner.cleanup()
