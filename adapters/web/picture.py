"""The bots' pictures, fetched by the gateway: a page that shows one tells nobody but us who looks at it.

The address comes from the replica's profile, which is to say from anyone who edits it: https to public hosts only
(judged at the socket), no redirects, bounded in time and size, and known to be a picture by its first bytes. Where
Sensay itself is (the operator wrote that address) plain http and a private network are fine, too. SVG is not shown:
it is a document that can carry scripts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from adapters.http import SECURITY_HEADERS
from adapters.ssrf import Guard

LARGEST = 512 * 1024
KEPT = 16 * 1024 * 1024
"""Bytes of pictures that are kept."""
FRESH, FAILED = 3600.0, 60.0
"""Seconds until a picture is fetched again, or a fetch that failed is repeated."""
_PATIENCE = aiohttp.ClientTimeout(total=5.0)
_COST = 1024  # an entry without a picture takes room, too


@dataclass(frozen=True)
class Picture:
    body: bytes
    content_type: str
    etag: str

    def response(self, request: web.Request) -> web.Response:
        headers = {
            **SECURITY_HEADERS,
            "ETag": f'"{self.etag}"',
            "Cache-Control": f"public, max-age={int(FRESH)}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        if any(known.value in (self.etag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=self.body, content_type=self.content_type, headers=headers)


class Pictures:
    """`upstream` is Sensay's own address."""

    def __init__(self, upstream: str | None) -> None:
        self._upstream = _origin(upstream or "")
        self._known: OrderedDict[str, tuple[float, Picture | None]] = OrderedDict()
        self._fetching: dict[str, asyncio.Task[Picture | None]] = {}

    def may_fetch(self, url: str | None) -> bool:
        """Whether an address is worth a try."""
        origin = _origin(url or "")
        return origin is not None and (origin[0] == "https" or origin == self._upstream)

    async def get(self, url: str | None, now: float) -> Picture | None:
        """The picture, from memory or from there; None when there is none to show."""
        if url is None or not self.may_fetch(url):
            return None
        until, picture = self._known.get(url, (now, None))
        if now < until:
            self._known.move_to_end(url)
            return picture
        if url not in self._fetching:
            self._fetching[url] = asyncio.create_task(self._fetch(url, now))
        # one visitor who leaves does not end it for the others
        return await asyncio.shield(self._fetching[url])

    async def close(self) -> None:
        for task in self._fetching.values():
            task.cancel()

    async def _fetch(self, url: str, now: float) -> Picture | None:
        try:
            picture = await self._load(url)
        finally:
            del self._fetching[url]
        self._keep(url, now + (FRESH if picture else FAILED), picture)
        return picture

    async def _load(self, url: str) -> Picture | None:
        trusted = _origin(url) == self._upstream
        connector = aiohttp.TCPConnector(socket_factory=None if trusted else Guard())
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=_PATIENCE, trust_env=False) as session,
                session.get(url, allow_redirects=False, headers={"Accept": "image/*"}) as response,
            ):
                body = await response.content.read(LARGEST + 1) if response.status == 200 else b""
                while 0 < len(body) <= LARGEST and (more := await response.content.read(LARGEST)):
                    body += more
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None
        kind = content_type(body)
        if kind is None or len(body) > LARGEST:
            return None
        return Picture(body, kind, hashlib.sha256(body).hexdigest()[:16])

    def _keep(self, url: str, until: float, picture: Picture | None) -> None:
        self._known[url] = (until, picture)
        self._known.move_to_end(url)
        while sum(_COST + len(one.body if one else b"") for _, one in self._known.values()) > KEPT:
            self._known.popitem(last=False)


def content_type(body: bytes) -> str | None:
    """What a browser shows as a picture, by its first bytes: what its server calls it counts for nothing."""
    if body.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if body.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    if body[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return None


def _origin(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port
