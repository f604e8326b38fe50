"""Which pages may use a bot: the one place where `Origin` is judged for the whole prefix, default deny."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import web

OWN = "self"
"""Stands for the gateway's own pages: browsers leave `Origin` out of their GET requests."""

_PORTS = {"http": 80, "https": 443}


def normal(origin: str) -> str | None:
    """`scheme://host:port` in one spelling; None when it is not an origin (`null`, a path, nonsense)."""
    try:
        parts = urlsplit(origin)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}"


def judge(request: web.Request, allowed: Collection[str], base_url: str | None) -> str | None:
    """Return the origin that a session is bound to, or None for one that may not use this bot."""
    header = request.headers.getall("Origin", [])
    if len(header) > 1:
        return None
    origin = normal(header[0]) if header else None
    if header and origin is None:
        return None
    if request.headers.get("Sec-Fetch-Site") == "same-origin" and (
        origin is None or _own(request, origin, base_url)
    ):
        return OWN
    return origin if origin is not None and origin in {normal(entry) for entry in allowed} else None


def _own(request: web.Request, origin: str, base_url: str | None) -> bool:
    """Whether an origin is where the gateway itself is reached."""
    scheme = origin.partition("://")[0]
    return origin in {normal(f"{scheme}://{request.host}"), normal(base_url or "")}


def cors(request: web.Request) -> dict[str, str]:
    """Headers that let an allowed page read the response."""
    headers = {"Vary": "Origin, Sec-Fetch-Site", "Cross-Origin-Resource-Policy": "cross-origin"}
    if "Origin" in request.headers:
        headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        headers["Access-Control-Expose-Headers"] = "Retry-After"
    return headers


PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID",
    "Access-Control-Max-Age": "7200",
}
