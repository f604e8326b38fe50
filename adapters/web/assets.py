"""The widget's files: made and compressed once, revalidated cheaply, immutable under the address of their hash."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import brotli
import msgspec
import rjsmin
from aiohttp import web

from adapters.http import SECURITY_HEADERS

BRIEF = "public, max-age=300"
FOREVER = "public, max-age=31536000, immutable"
BOUND_KEPT = 256
"""Bound files that are kept compressed; another one is made again when it is asked for."""
_STATIC = Path(__file__).with_name("static")
_OWNER = "const OWNER={};"
_NEEDLESS = re.compile(r"(?<=[;,{}])\n")


@dataclass(frozen=True)
class Asset:
    """A file in every encoding that a browser may ask for. `integrity` is for a page's `integrity` attribute."""

    bodies: dict[str, bytes]
    digest: str
    integrity: str
    content_type: str

    @classmethod
    def of(cls, body: bytes, content_type: str = "text/javascript") -> Asset:
        return cls(
            bodies={
                "br": brotli.compress(body, mode=brotli.MODE_TEXT),
                "gzip": gzip.compress(body, 9, mtime=0),
                "identity": body,
            },
            digest=hashlib.sha256(body).hexdigest()[:16],
            integrity=f"sha384-{base64.b64encode(hashlib.sha384(body).digest()).decode()}",
            content_type=content_type,
        )

    def response(self, request: web.Request, caching: str) -> web.Response:
        encoding = _encoding(request.headers.get("Accept-Encoding", ""))
        etag = f"{self.digest}-{encoding}"
        headers = {
            **SECURITY_HEADERS,
            "ETag": f'"{etag}"',
            "Cache-Control": caching,
            "Vary": "Accept-Encoding",
            "Access-Control-Allow-Origin": "*",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        if any(known.value in (etag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        if encoding != "identity":
            headers["Content-Encoding"] = encoding
        return web.Response(
            body=self.bodies[encoding], content_type=self.content_type, charset="utf-8", headers=headers
        )


class Files:
    """The widget as anyone may load it, as files bound to one bot, and its words in other languages than English."""

    def __init__(self) -> None:
        self._source = slim((_STATIC / "widget.js").read_text("utf-8"))
        self.widget = Asset.of(self._source.encode())
        languages: dict[str, dict[str, str]] = msgspec.json.decode((_STATIC / "words.json").read_bytes())
        self.words = {
            language: Asset.of(msgspec.json.encode({"lang": language, **words}), "application/json")
            for language, words in languages.items()
        }
        self._bound: OrderedDict[bytes, Asset] = OrderedDict()

    async def bound(self, owner: Mapping[str, object]) -> Asset:
        """The widget with what a bot's owner configured in it, so that it looks right before it asks for anything."""
        data = msgspec.json.encode(owner)
        if data not in self._bound:
            source = self._source.replace(_OWNER, f"const OWNER={data.decode()};", 1)
            self._bound[data] = await asyncio.to_thread(Asset.of, source.encode())
        self._bound.move_to_end(data)
        while len(self._bound) > BOUND_KEPT:
            self._bound.popitem(last=False)
        return self._bound[data]

    def language(self, locale: str | None) -> str:
        """The language in which the widget serves a visitor."""
        language = (locale or "").partition("-")[0].lower()
        return language if language in self.words else "en"


def slim(source: str) -> str:
    """Leave at home what only its readers need: types, comments, spaces."""
    return _NEEDLESS.sub("", rjsmin.jsmin(source))


def _encoding(accepted: str) -> str:
    """The smallest encoding that the browser takes."""
    offers = [offer.replace(" ", "").lower().partition(";") for offer in accepted.split(",")]
    taken = {name for name, _, quality in offers if quality not in ("q=0", "q=0.0", "q=0.00", "q=0.000")}
    return next((name for name in ("br", "gzip") if name in taken), "identity")
