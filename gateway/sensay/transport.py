"""One HTTP request and its answer, read to the end within a bound of time and size. Knows nothing of Sensay's rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache

import httpx

from gateway.sensay.wire import AiohttpTransport

CONNECT_TIMEOUT = 5.0
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
    """A complete HTTP response."""

    status: int
    headers: httpx.Headers
    body: bytes

    def _header(self, name: str) -> str | None:
        value: str | None = self.headers.get(name)
        return value

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
    """One pool of kept-alive connections. It never queues: how much is in flight is decided before.

    Requests go straight to httpx's transport: what a client adds to them (cookies, redirects, authentication) is not
    wanted here, and costs as much as the request itself.
    """

    def __init__(self) -> None:
        self._wire = AiohttpTransport()

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
        patience = {"connect": CONNECT_TIMEOUT, "read": timeout}
        try:
            request = httpx.Request(
                method,
                _parsed(url),
                headers=headers,
                content=content,
                extensions={"timeout": patience, "left": left},
            )
            # The wire's own timeout starts anew with each byte; this one does not.
            async with asyncio.timeout(timeout):
                response = await self._wire.handle_async_request(request)
                try:
                    body = await _read(response, piece if response.is_success else None)
                finally:
                    await response.aclose()
                return Answer(response.status_code, response.headers, body)
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.UnsupportedProtocol,
            httpx.InvalidURL,
        ) as error:
            raise Unreachable(type(error).__name__) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise TimedOut(type(error).__name__) from error
        except httpx.HTTPError as error:
            raise Dropped(type(error).__name__) from error

    async def close(self) -> None:
        await self._wire.aclose()


@lru_cache(256)
def _parsed(url: str) -> httpx.URL:
    """There are as many as replicas and operations."""
    return httpx.URL(url)


async def _read(response: httpx.Response, piece: Callable[[bytes], None] | None) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if piece is not None:
            piece(chunk)
        if len(body) > LARGEST_ANSWER:
            raise TooLarge
    return bytes(body)
