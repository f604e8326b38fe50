"""`/schema`, and `/ui`: a page that lists its operations and tries them out."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

import msgspec
from aiohttp import web

from gateway.sandbox.sensay.routes import Route
from gateway.sandbox.sensay.schema import document
from gateway.sandbox.sensay.wire import ErrorShape

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_FILES = {"ui.css": "text/css", "ui.js": "text/javascript"}


def page_routes(routes: list[Route], shape: Callable[[], ErrorShape]) -> list[web.RouteDef]:
    """`shape` is that of the errors at this moment."""

    async def schema(_: web.Request) -> web.Response:
        body = msgspec.json.format(msgspec.json.encode(document(routes, shape())), indent=2)
        headers = {"Access-Control-Allow-Origin": "*"}
        return web.Response(body=body, content_type="application/json", headers=headers)

    async def page(_: web.Request) -> web.Response:
        return _file("ui.html", "text/html")

    async def asset(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _FILES:
            raise web.HTTPNotFound
        return _file(name, _FILES[name])

    return [web.get("/schema", schema), web.get("/ui", page), web.get("/ui/{name}", asset)]


def _file(name: str, kind: str) -> web.Response:
    text = (files("gateway.sandbox.sensay") / "ui" / name).read_text(encoding="utf-8")
    return web.Response(text=text, content_type=kind, headers=_HEADERS)
