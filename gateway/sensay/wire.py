"""httpx's transport on aiohttp's connections.

httpx's own pool looks at every connection for every request: with a thousand questions in flight that alone is more
work than all the rest of the gateway. aiohttp's finds a free connection at once, and its parser is compiled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx

IDLE = 30.0
"""Seconds that a connection is kept for the next request."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends what httpx has put together. The pool has no bound: how much is in flight is decided before.

    Of a request's extensions it takes `timeout` (`connect` and `read`, as httpx has them) and `left`, which is called
    when the last of it is being written.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        patience = request.extensions["timeout"]
        await asyncio.sleep(0)  # have the loop see which connections the server has closed meanwhile
        with _errors_of_httpx(request):
            response = await self._open().request(
                request.method,
                str(request.url),
                headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
                data=request.content or None,
                timeout=aiohttp.ClientTimeout(connect=patience["connect"], sock_read=patience["read"]),
                allow_redirects=False,
                trace_request_ctx=request,
            )
        # decompressed already
        headers = [
            (name, value) for name, value in response.raw_headers if name.lower() != b"content-encoding"
        ]
        return httpx.Response(
            response.status, headers=headers, stream=_Body(response, request), request=request
        )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[_tracing()],
            )
            # a GET whose connection broke would be sent again behind our back, and nobody would count it
            self._session._retry_connection = False  # noqa: SLF001 - there is no public way
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Body(httpx.AsyncByteStream):
    """An answer's body, piece by piece as it arrives."""

    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._response, self._request = response, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx(self._request):
            async for piece in self._response.content.iter_any():
                yield piece

    async def aclose(self) -> None:
        """Give the connection back if all was read, otherwise end it."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


def _tracing() -> aiohttp.TraceConfig:
    async def headers_sent(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
        request: httpx.Request = context.trace_request_ctx
        if not request.content:
            request.extensions["left"]()

    async def body_sent(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
        context.trace_request_ctx.extensions["left"]()

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(headers_sent)
    tracing.on_request_chunk_sent.append(body_sent)
    return tracing


@contextmanager
def _errors_of_httpx(request: httpx.Request) -> Iterator[None]:
    """Raise what httpx would have raised."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout("no connection in time", request=request) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout("no answer in time", request=request) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise httpx.UnsupportedProtocol("not an address", request=request) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError("no connection", request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError("the connection broke", request=request) from error
