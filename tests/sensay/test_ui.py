"""The page at /ui, in a browser: it lists what is served, tries it, and keeps to its own policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, async_playwright, expect

from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.server import Sandbox
from tests.web.web_shop import ARGUMENTS, CHROMIUM, needs_chromium

pytestmark = needs_chromium
REFUSED = "Failed to load resource: the server responded with a status of 4"


@pytest.fixture(params=["light", "dark"])
async def page(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Page]:
    """Loaded, and nothing may go wrong in it: no script error, no refused resource, nobody else asked."""
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        made = await browser.new_page(color_scheme=request.param, viewport={"width": 390, "height": 800})
        troubles: list[str] = []
        made.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        made.on("pageerror", lambda error: troubles.append(str(error)))
        made.on("request", lambda asked: troubles.append(asked.url) if sandbox.url not in asked.url else None)
        await made.goto(f"{sandbox.url}/ui")
        await made.wait_for_selector("details")
        yield made
        await browser.close()
        assert [] == [one for one in troubles if not one.startswith(("data:", REFUSED))]


def operation(page: Page, method: str, path: str) -> Locator:
    exact = page.locator(".path", has_text=re.compile(f"^{re.escape(path)}$"))
    return page.locator("details", has=exact).filter(has=page.locator(f".method.{method}"))


async def test_the_page_lists_every_operation_and_finds_one(page: Page, sandbox: Sandbox):
    assert len(sandbox.sensay.table) == await page.locator("details").count()

    await page.get_by_label("Find").fill("guide delete")
    assert 2 == await page.locator("details:visible").count()


async def test_an_operation_can_be_tried_and_is_shown_as_curl(page: Page, sandbox: Sandbox):
    one = operation(page, "post", "/v1/replicas/{replica}/chat/completions")
    await one.locator("summary").click()
    line = one.get_by_label("As curl")
    await expect(line).to_contain_text(f"{sandbox.url}/v1/replicas/{SUPPORT}/chat/completions")
    await one.get_by_label("Body").fill('{"content": "It\'s <b>me</b>"}')
    await expect(line).to_contain_text("It'\\''s <b>me</b>")
    await one.get_by_role("button").click()

    await expect(one.get_by_role("status")).to_contain_text("200 OK")
    await expect(one.get_by_label("Answer")).to_contain_text('"success": true')
    assert "demo" not in await line.inner_text()


async def test_a_refusal_is_shown_as_it_is(page: Page):
    one = operation(page, "get", "/v1/users/me")
    await one.locator("summary").click()
    await one.get_by_role("button").click()

    await expect(one.get_by_role("status")).to_contain_text("401")


async def test_the_page_is_accessible_and_fits_a_phone(page: Page):
    await operation(page, "post", "/v1/replicas/{replica}/chat/completions").locator("summary").click()
    found = await Axe().run(page)

    assert [] == [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]]
    assert 390 == await page.evaluate("document.documentElement.scrollWidth")
