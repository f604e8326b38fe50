"""Accessibility: axe finds nothing in any state of the widget, and what axe cannot see."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.web.web_shop import DATA, ONE_TAG, Shop, converse, launcher, needs_chromium, until

pytestmark = needs_chromium

RICH = "# Yes\n\n[a](https://a.example) `c` **b**\n\n|x|\n|-|\n|1|\n\n```\ncode\n```\n> q\n\n1. one\n2. two"
CONTRAST = """one => {
  const lighter = n => n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4;
  const light = text => { const [r, g, b] = text.match(/\\d+/g).map(n => lighter(n / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05; };
  const {color, backgroundColor} = getComputedStyle(one), [a, b] = [light(color), light(backgroundColor)];
  return Math.max(a, b) / Math.min(a, b); }"""
PHONE = {"width": 390, "height": 700}


class Findings:
    """What axe found, by state. The page under it is the shop's: only what the widget is to blame for counts."""

    def __init__(self, page: Page) -> None:
        self.page, self.states, self.found = page, 0, {}

    async def look(self, state: str) -> None:
        await self.page.evaluate(
            """async () => { const root = document.querySelector('sensay-chat').shadowRoot;
              await Promise.all(root.getAnimations().filter(one => one.effect.getTiming().iterations === 1)
                .map(one => one.finished.catch(() => {}))); }"""
        )
        results = await Axe().run(self.page)
        self.states += 1
        if results.violations_count:
            self.found[state] = [
                (one["id"], [node["html"][:200] for node in one["nodes"]])
                for one in results.response["violations"]
            ]


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_in_fifteen_states(shop: Shop, theme: str) -> None:
    page = await shop.visit(DATA.replace('"dark"', f'"{theme}"'))
    axe = Findings(page)
    await expect(launcher(page)).to_be_visible()
    await axe.look("closed")
    await launcher(page).click()
    await expect(page.locator(".chips")).to_be_visible()
    await axe.look("greeting")
    await converse(shop, page, "Hello?", RICH)
    await axe.look("conversation")
    await page.locator("textarea").fill("And?")
    await page.keyboard.press("Enter")
    await until(lambda: len(shop.host.said) == 2)
    await expect(page.locator(".typing")).to_be_visible()
    await axe.look("typing")
    topic = f"conversation/{shop.host.said[0].key}"
    await shop.host.publish(topic, {"type": "queued", "position": 2, "seconds": 9})
    await expect(page.locator(".typing")).to_contain_text("9 s")
    await axe.look("queued")
    await shop.host.publish(topic, {"type": "delta", "id": "turn-2.answer.0", "text": "Well, **as"})
    await expect(page.locator(".draft")).to_have_text("Well, **as")
    await axe.look("being written")
    await shop.site.answer("Well.")
    await expect(page.locator(".typing")).to_be_hidden()
    await refused(page)
    await axe.look("failed message")
    await page.get_by_role("button", name="Start over").click()
    await axe.look("asked whether to delete")
    await page.get_by_role("button", name="Keep").click()
    await page.set_viewport_size(PHONE)
    await axe.look("phone")
    await page.set_viewport_size({"width": 320, "height": 256})
    await axe.look("reflow at 320 pixels")
    await page.set_viewport_size({"width": 1200, "height": 800})
    await page.emulate_media(forced_colors="active")
    await page.wait_for_function("matchMedia('(forced-colors: active)').matches")
    await axe.look("forced colours")
    await page.emulate_media(forced_colors="none", reduced_motion="reduce")
    await axe.look("reduced motion")
    await page.context.set_offline(True)
    await expect(page.locator(".state")).to_have_text("You are offline")
    await axe.look("offline")
    await page.keyboard.press("Escape")
    await page.context.set_offline(False)
    await page.evaluate("SensayWidget.send('Behind closed doors')")
    await until(lambda: len(shop.host.said) == 3)
    await shop.site.answer("Yes?")
    await expect(page.locator(".badge")).to_have_text("1")
    await axe.look("unread")

    shop.head = shop.head.replace("lang=en", "lang=ar dir=rtl")
    rtl = await shop.visit()
    axe.page = rtl
    await launcher(rtl).click()
    await expect(rtl.locator(".chips")).to_be_visible()
    await axe.look("right to left")

    assert axe.states == 15
    assert axe.found == {}


async def refused(page: Page) -> None:
    """Write a message that the gateway does not take."""
    refusal = {"status": 400, "headers": {"Access-Control-Allow-Origin": "*"}}
    await page.route("**/messages", lambda route: route.fulfill(**refusal))
    await page.locator("textarea").fill("Hello?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".mine.failed")).to_be_visible()
    await page.unroute("**/messages")


@pytest.mark.parametrize("url", [False, True])
async def test_the_docked_forms_are_clean_too(shop: Shop, *, url: bool) -> None:
    inline = ONE_TAG.replace("async", "data-position='inline' async")
    page = await shop.visit(inline, url=f"{shop.gateway}/chat/support" if url else None)
    axe = Findings(page)
    await converse(shop, page, "Hello?", RICH)
    await axe.look("docked")

    assert axe.found == {}


@pytest.mark.parametrize("color", ["#0a84ff", "#ffd60a", "#111111", "#ff3b30", "#e5e5ea"])
async def test_any_colour_keeps_its_contrast(shop: Shop, color: str) -> None:
    """Text on the owner's colour is black or white, whichever can be read, and a colour that is too bright to write in
    is not written in.
    """
    shop.configure(color=color)
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Hello?", "[Yes](https://a.example).")
    bubble = await page.locator(".mine .bubble").evaluate(CONTRAST)
    axe = Findings(page)
    await axe.look(color)

    assert bubble >= 4.5
    assert axe.found == {}


async def test_history_is_not_read_out_and_what_comes_is(shop: Shop) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Hi.")
    await page.reload()
    log = page.locator(".log")
    await expect(log).to_have_attribute("aria-live", "off")
    await launcher(page).click()
    await expect(log).to_contain_text("Hi.")

    await expect(log).to_have_attribute("aria-live", "polite")


async def test_focus_moves_into_the_panel_and_back(shop: Shop) -> None:
    page = await shop.visit()
    await launcher(page).focus()
    await page.keyboard.press("Space")
    await expect(page.locator("textarea")).to_be_focused()
    await page.locator("textarea").fill("x")
    await page.keyboard.press("Enter")
    await expect(page.locator("textarea")).to_be_focused()  # Send never takes the focus away
    await page.keyboard.press("Escape")

    await expect(launcher(page)).to_be_focused()


async def test_focus_is_kept_inside_only_while_the_panel_is_all_there_is(shop: Shop) -> None:
    inside = "() => document.activeElement === document.querySelector('sensay-chat')"
    page = await shop.visit(viewport=PHONE)
    await launcher(page).click()
    for _ in range(12):
        await page.keyboard.press("Tab")
        assert await page.evaluate(inside)
    await page.set_viewport_size({"width": 1200, "height": 800})
    left = False
    for _ in range(12):
        await page.keyboard.press("Tab")
        left = left or not await page.evaluate(inside)

    assert left


async def test_nothing_moves_for_those_who_do_not_want_it(shop: Shop) -> None:
    page = await shop.visit(reduced_motion="reduce")
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Hi.")
    running = "() => document.querySelector('sensay-chat').shadowRoot.getAnimations().length"

    assert await page.evaluate(running) == 0
