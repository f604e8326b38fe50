"""One HTTP request and its answer, read to the end within a bound of time and size. Knows nothing of Sensay's rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import aiohttp
from yarl import URL

CONNECT_TIMEOUT = 5.0
IDLE = 30.0
"""Seconds that a connection is kept for the next request."""
LARGEST_ANSWER = 16 * 2**20
"""Bytes. A history is not paged and carries its sources; an answer of this size is no answer."""


class TransportError(Exception):
    """There is no answer to look at. The message names no header and no body."""


class Unreachable(TransportError):
    """Nothing was sent."""


class TimedOut(TransportError):
    """Sent, and no answer in time."""


class Dropped(TransportError):
    """Sent, at least in part, and the connection broke."""


class TooLarge(TransportError):
    """More than `LARGEST_ANSWER`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP response. The names of headers are in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def _header(self, name: str) -> str | None:
        """What is no text becomes question marks: it goes into logs and the journal."""
        value = self.headers.get(name)
        return None if value is None else value.encode("utf-8", "replace").decode()

    @property
    def request_id(self) -> str | None:
        return self._header("x-request-id")

    @property
    def api_version(self) -> str | None:
        return self._header("x-api-version")

    @property
    def retry_after(self) -> str | None:
        return self._header("retry-after")

    @property
    def date(self) -> float | None:
        """The server's own time when it answered."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError):
            return None


class Transport:
    """One pool of kept-alive connections. It never queues: how much is in flight is decided before."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def fetch(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float,
        left: Callable[[], None],
        piece: Callable[[bytes], None] | None = None,
    ) -> Answer:
        """Send and read the whole answer within `timeout` seconds. Raises TransportError.

        `left` is called when the request has been written, which a busy machine may do long after it was asked to;
        `piece` with each part of a success's body as soon as it is here.
        """
        try:
            async with asyncio.timeout(timeout):
                await asyncio.sleep(0)  # have the loop see which connections the server has closed meanwhile
                async with self._open().request(
                    method,
                    _parsed(url),
                    headers=headers,
                    data=content,
                    timeout=_PATIENCE,
                    allow_redirects=False,
                    trace_request_ctx=_Leaving(left, bodiless=not content),
                ) as response:
                    body = await _read(response, piece if 200 <= response.status < 300 else None)
                    return Answer(response.status, response.headers, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ValueError) as error:
            raise Unreachable(type(error).__name__) from error
        except TimeoutError as error:
            raise TimedOut(type(error).__name__) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Dropped(type(error).__name__) from error

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

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


_PATIENCE = aiohttp.ClientTimeout(connect=CONNECT_TIMEOUT)
"""All the rest is timed from outside."""


@dataclass(frozen=True, slots=True)
class _Leaving:
    """Told when the last of a request is being written."""

    left: Callable[[], None]
    bodiless: bool


def _tracing() -> aiohttp.TraceConfig:
    async def headers_sent(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
        leaving: _Leaving = context.trace_request_ctx
        if leaving.bodiless:
            leaving.left()

    async def body_sent(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
        context.trace_request_ctx.left()

    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(headers_sent)
    tracing.on_request_chunk_sent.append(body_sent)
    return tracing


@lru_cache(256)
def _parsed(url: str) -> URL:
    """There are as many as replicas and operations."""
    return URL(url)


async def _read(response: aiohttp.ClientResponse, piece: Callable[[bytes], None] | None) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if piece is not None:
            piece(chunk)
        if len(body) > LARGEST_ANSWER:
            raise TooLarge
    return bytes(body)
