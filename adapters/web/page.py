"""The hosted chat: a page with nothing but the widget, which fills it."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader

from adapters.http import NO_STORE, SECURITY_HEADERS

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_pages = Environment(loader=FileSystemLoader(Path(__file__).with_name("static")), autoescape=True)


def hosted_chat(*, bot: str, title: str, theme: str, language: str) -> web.Response:
    """`language` is one of the widget's own; it sets the element's words and the page's direction."""
    return web.Response(
        text=_pages.get_template("chat.html").render(
            bot=bot,
            title=title,
            theme=theme,
            language=language,
            direction="rtl" if language == "ar" else "ltr",
        ),
        content_type="text/html",
        headers={**SECURITY_HEADERS, **NO_STORE, "Content-Security-Policy": POLICY},
    )
