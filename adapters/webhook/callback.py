"""Where answers are sent: one POST, signed, to an address that was configured and may lead nowhere else.

Pure but for `Endpoint`. Whether a callback is tried again, and when, is decided by `policy/retry.py` alone.
"""

from __future__ import annotations

import email.utils
import ssl
from collections.abc import Callable, Sequence
from typing import Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from adapters.http import timestamp
from adapters.ssrf import Guard
from adapters.webhook import render, signing
from gateway.errors import Ambiguous, GatewayError, Permanent, Transient
from gateway.messages import Delivery, Life, TextName

TIMEOUT = 15.0
"""Seconds for all of it: name, connection, TLS, request, and the status in return."""
BUFFER = 32 * 1024
"""Bytes of an answer after which no more are read, twice as many at most: its status is all that counts."""
LONGEST_PAUSE = 3600.0
"""Seconds that an endpoint may ask us to leave it alone at a time."""
GONE = 410
UNDER_LOAD = frozenset({429, 502, 503, 504})


class Gone(Permanent):
    """The endpoint answered 410: it wants no callbacks any more."""


def event(delivery: Delivery, life: Life, status_url: str, fixed: Callable[[TextName], str]) -> bytes:
    """Make the body, the same bytes at each attempt."""
    answered = life.status == "answered"
    return msgspec.json.encode(
        {
            "type": "message.created" if answered else "message.failed",
            "timestamp": timestamp(delivery.created_at),
            "data": render.answer(life, status_url, fixed),
        }
    )


def headers(keys: Sequence[bytes], delivery_id: str, body: bytes, now: float) -> dict[str, str]:
    """Sign this attempt, with every key while they are rotated: the receiver may know the old one or the new one."""
    stamp = str(int(now))
    signatures = [signing.sign(key, delivery_id.encode(), stamp.encode(), body).decode() for key in keys]
    return {
        "Content-Type": "application/json",
        signing.ID: delivery_id,
        signing.TIMESTAMP: stamp,
        signing.SIGNATURE: " ".join(signatures),
    }


def judge(status: int, retry_after: str | None, now: float) -> GatewayError | None:
    """What a status means; None for one that says that the callback was taken."""
    if 200 <= status < 300:
        return None
    said = f"the callback endpoint answered {status}"
    if status == GONE:
        return Gone(said, status=status)
    if status in UNDER_LOAD or retry_after is not None:
        return Transient(said, retry_after=_seconds(retry_after, now), scope="channel", status=status)
    return Transient(said, status=status)


def _seconds(retry_after: str | None, now: float) -> float | None:
    """Read `Retry-After` in seconds or as a date; what cannot be read was not said."""
    if retry_after is None:
        return None
    try:
        seconds = (
            float(retry_after)
            if retry_after.isascii() and retry_after.isdigit()
            else email.utils.parsedate_to_datetime(retry_after).timestamp() - now
        )
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_PAUSE)


def guard(url: str, allow: Sequence[str]) -> Guard:
    """Where a callback may lead: to public addresses over TLS, and into the networks in `allow`."""
    return Guard(allow, public=urlsplit(url).scheme == "https")


class Endpoint:
    """The configured URL, open while the channel runs. `tls` says whom to trust; None: whom the system trusts."""

    def __init__(self, url: str, allow: Sequence[str], tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=guard(url, allow), limit=0, ssl=tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "Sensay-Gateway"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            auto_decompress=False,
            read_bufsize=BUFFER,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str | None]:
        """Return status and `Retry-After`. Raises Transient (did not leave) and Ambiguous.

        No error holds the URL: it may carry a token.
        """
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return response.status, response.headers.get("Retry-After")
        except aiohttp.ClientConnectorError as error:
            raise Transient(f"the callback endpoint cannot be reached: {error.os_error}") from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Ambiguous(f"no answer from the callback endpoint: {type(error).__name__}") from None
