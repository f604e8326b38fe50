"""The pages' templates, files and headers: all is escaped, nothing runs or loads but the pages' own files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, select_autoescape

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types status"
    ),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
ASSETS = {
    "status.css": "text/css",
    "status.js": "text/javascript",
    "talks.css": "text/css",
    "talks.js": "text/javascript",
}


class Templates:
    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("gateway.web", "pages"),
            autoescape=select_autoescape(),
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def answer(
        self, name: str, view: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        """The page `name`.html with what the view says."""
        text = self._environment.get_template(f"{name}.html").render(view)
        return web.Response(
            text=text, status=status, content_type="text/html", headers={**HEADERS, **(headers or {})}
        )


async def asset(request: web.Request) -> web.Response:
    """`/status/{name}`: a file that the pages use."""
    name = request.match_info["name"]
    if name not in ASSETS:
        raise web.HTTPNotFound
    text = (files("gateway.web") / "pages" / name).read_text(encoding="utf-8")
    return web.Response(text=text, content_type=ASSETS[name], headers=HEADERS)
