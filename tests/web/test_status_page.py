"""The status page as people see it: accessible, without JavaScript too, and on a phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, async_playwright

from tests.web.status_fleet import BOTS, NOW, PICTURES, document, listening
from tests.web.web_shop import ARGUMENTS, CHROMIUM, needs_chromium

pytestmark = needs_chromium
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    listener = await listening()
    yield f"http://127.0.0.1:{listener.port}/status"
    await listener.stop()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
@pytest.mark.parametrize("how", PICTURES.values(), ids=list(PICTURES))
async def test_axe_finds_nothing_and_nothing_is_cut_off(
    browser: Browser, url: str, how: dict[str, Any], script: bool
):
    complaints: list[str] = []
    context = await browser.new_context(**how, java_script_enabled=script, bypass_csp=script)
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(url)
    text = await page.inner_text("body")

    assert all(name in text for name in BOTS)
    assert "Needs attention" in text
    assert "room again in 22 s, at 03:13:02 UTC" in text
    assert "comes back in 28 min" in text
    assert [] == complaints
    if script:
        found = await Axe().run(page)
        assert [] == [(one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]]
        assert 0 == await page.evaluate(OVERFLOW)


async def test_the_page_refreshes_itself_under_its_own_policy(browser: Browser, url: str):
    complaints: list[str] = []
    page = await browser.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    await page.clock.install(time=NOW)
    await page.goto(url)
    await page.evaluate("document.getElementById('board').dataset.old = 'yes'")
    await page.clock.run_for(5100)
    await page.wait_for_function("() => !document.getElementById('board').dataset.old")

    assert [] == complaints


async def test_the_policy_allows_nothing_but_the_pages_own_files(url: str):
    async with ClientSession() as http, http.get(url) as answer:
        policy, text = answer.headers["Content-Security-Policy"], await answer.text()

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert " style=" not in text
    assert "<script>" not in text


async def test_names_and_reasons_are_shown_as_text(browser: Browser):
    """Names are checked by the configuration; reasons come from platforms."""
    shown = document()
    shown["bots"]["kite-school"]["platforms"]["telegram"]["error"] = "<img src=x onerror=alert(1)>"
    listener = await listening(shown)
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{listener.port}/status")
    text, images = await page.inner_text("body"), await page.locator("img").count()
    await listener.stop()

    assert "<img src=x onerror=alert(1)>" in text
    assert 0 == images
