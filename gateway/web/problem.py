"""Refusals of the listeners' own routes: RFC 9457 problem details, with a reference to quote."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web


def problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> web.Response:
    """Make a problem document; `more` are further members of it, a `reference` of one's own among them."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reference": secrets.token_hex(6),
        **more,
    }
    return web.json_response(
        body,
        status=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        content_type="application/problem+json",
    )
