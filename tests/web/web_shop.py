"""A customer's shop, a page of another origin with the widget on it, in a real browser."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from tests.web.web_site import REPLICA, Site, WebHost, running_site

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STRICT = (
    "default-src 'none'; script-src 'self' {gateway}; connect-src {gateway}; style-src 'self'; img-src data:; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"NO BROWSER TESTS: {CHROMIUM} is missing (apt-get install chromium)"
    ),
]
"""Marks of a module whose tests need the browser."""

GUIDE = """
<!-- Basic chat widget integration -->
<div id="sensay-chat-widget"></div>
<script>
(function() {
  window.SensayWidget = {
    replicaId: 'REPLICA',
    containerId: 'sensay-chat-widget',
    config: {
      theme: 'light',
      position: 'bottom-right',
      greeting: 'Hello! How can I help you today?'
    }
  };
  
  var script = document.createElement('script');
  script.src = 'GATEWAY/widget.js';
  script.async = true;
  document.head.appendChild(script);
})();
</script>
"""  # noqa: W293 - the guide's own words
ONE_TAG = '<script src="GATEWAY/support/embed-script.js" async></script>'
DATA = '<script src="GATEWAY/widget.js" data-bot="support" data-greeting="Ahoy" data-theme="dark" async></script>'
ELEMENT = (
    '<sensay-chat bot="support" greeting="Ahoy" position="inline"></sensay-chat>'
    '<script src="GATEWAY/widget.js" async></script>'
)
HEAD = "<!doctype html><html lang=en><head><meta charset=utf-8><link rel=icon href='data:,'><title>Shop</title></head>"


class Shop:
    """A customer's page on its own origin, with the widget embedded as a test wants it."""

    def __init__(self, site: Site, server: TestServer, browser: Browser) -> None:
        self.site, self.browser, self._server = site, browser, server
        self.gateway = str(site.client.make_url("")).rstrip("/")
        self.snippet, self.policy, self.head = ONE_TAG, "", HEAD
        self.trouble: list[str] = []
        self.requests: list[str] = []

    @property
    def origin(self) -> str:
        return str(self._server.make_url("")).rstrip("/")

    @property
    def host(self) -> WebHost:
        """The bot's side, as the gateway has it."""
        return self.site.bots["support"][1]

    def configure(self, **section: Any) -> WebHost:
        """Give the bot another configuration."""
        return self.site.add("support", **{"allowed_origins": (self.origin,), **section})

    async def serve(self, _: web.Request) -> web.Response:
        headers = (
            {"Content-Security-Policy": self.policy.replace("{gateway}", self.gateway)} if self.policy else {}
        )
        body = self.snippet.replace("GATEWAY", self.gateway).replace("REPLICA", REPLICA)
        return web.Response(
            text=f"{self.head}<body><main><h1>Shop</h1>{body}</main></body></html>",
            content_type="text/html",
            headers=headers,
        )

    async def visit(self, snippet: str | None = None, url: str | None = None, **options: Any) -> Page:
        self.snippet = snippet or self.snippet
        page = await (await self.browser.new_context(**options)).new_page()
        page.set_default_timeout(10_000)
        page.on(
            "console",
            lambda said: self.trouble.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("request", lambda request: self.requests.append(f"{request.method} {request.url}"))
        await page.goto(url or self.origin)
        return page


@asynccontextmanager
async def open_shop(**options: Any) -> AsyncIterator[Shop]:
    """A site, a browser and a shop whose pages may use the site's bot."""
    async with running_site(now=time.time(), **options) as site, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        app = web.Application()
        server = TestServer(app)
        made = Shop(site, server, browser)
        app.router.add_get("/", made.serve)
        await server.start_server()
        made.configure()
        yield made
        await browser.close()
        await site.platform.close()
        await server.close()


async def until(condition: Callable[[], object], within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


def box(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Write a message")


def launcher(page: Page) -> Locator:
    return page.locator(".launcher")


async def converse(shop: Shop, page: Page, question: str, answer: str) -> None:
    """Ask in the open widget and be answered."""
    host, theirs = shop.host, page.locator(".theirs")
    await expect(theirs.first).to_be_visible()
    said, shown = len(host.said), await theirs.count()
    await box(page).fill(question)
    await page.keyboard.press("Enter")
    await until(lambda: len(host.said) > said)
    await shop.site.answer(answer)
    await expect(theirs).to_have_count(shown + 1)


def one_of(*texts: str) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, texts)))


async def say(page: Page, text: str) -> None:
    """Write into the open widget and send it."""
    await box(page).fill(text)
    await page.keyboard.press("Enter")
