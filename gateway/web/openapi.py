"""The description of the public routes, written by hand in `openapi.yaml` and held to what is served by its tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from ruamel.yaml import YAML


def route() -> web.RouteDef:
    return web.get("/openapi.json", _serve)


def document() -> dict[str, Any]:
    """The description as plain data."""
    found: dict[str, Any] = YAML(typ="safe").load(Path(__file__).with_name("openapi.yaml"))
    return found


@cache
def _body() -> bytes:
    return msgspec.json.encode(document())


async def _serve(_: web.Request) -> web.Response:
    headers = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}
    return web.Response(
        body=_body(), content_type="application/json", headers={**headers, "Access-Control-Allow-Origin": "*"}
    )
