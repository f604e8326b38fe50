"""The widget's file: compressed once at start, revalidated cheaply, immutable under the address of its hash."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import brotli
from aiohttp import web

from adapters.http import SECURITY_HEADERS

BRIEF = "public, max-age=300"
FOREVER = "public, max-age=31536000, immutable"
_STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True)
class Asset:
    """A script in every encoding that a browser may ask for. `integrity` is for the page's `integrity` attribute."""

    bodies: dict[str, bytes]
    digest: str
    integrity: str

    @classmethod
    def of(cls, body: bytes) -> Asset:
        return cls(
            bodies={
                "br": brotli.compress(body, mode=brotli.MODE_TEXT),
                "gzip": gzip.compress(body, 9, mtime=0),
                "identity": body,
            },
            digest=hashlib.sha256(body).hexdigest()[:16],
            integrity=f"sha384-{base64.b64encode(hashlib.sha384(body).digest()).decode()}",
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
            body=self.bodies[encoding], content_type="text/javascript", charset="utf-8", headers=headers
        )


def widget() -> Asset:
    return Asset.of(slim((_STATIC / "widget.js").read_text("utf-8")).encode())


def slim(source: str) -> str:
    """Leave at home what only its readers need: types, comments on lines of their own, indentation."""
    source = re.sub(r"/\*\* @type [^*]*\*/ ?", "", source)
    source = re.sub(r"(?m)^ *(?:/\*\*(?s:.*?)\*/|// .*)$", "", source)
    return re.sub(r"(?m)^\s+", "", source)


def _encoding(accepted: str) -> str:
    """The smallest encoding that the browser takes."""
    offers = [offer.replace(" ", "").lower().partition(";") for offer in accepted.split(",")]
    taken = {name for name, _, quality in offers if quality not in ("q=0", "q=0.0", "q=0.00", "q=0.000")}
    return next((name for name in ("br", "gzip") if name in taken), "identity")
