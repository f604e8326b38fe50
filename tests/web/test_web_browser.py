"""The widget in a real browser, on a shop's page of another origin, against the real routes and journal."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from gateway.errors import Transient
from gateway.messages import Address
from tests.web.web_shop import (
    DATA,
    ELEMENT,
    GUIDE,
    ONE_TAG,
    STRICT,
    Shop,
    box,
    converse,
    launcher,
    needs_chromium,
    one_of,
    until,
)
from tests.web.web_site import WebHost

pytestmark = needs_chromium


async def test_the_guides_snippet_works_verbatim(shop: Shop) -> None:
    page = await shop.visit(GUIDE)
    await launcher(page).click()
    await expect(page.locator(".theirs")).to_contain_text("Hello! How can I help you today?")

    await converse(shop, page, "Do you ship to Austria?", "Yes, **every Monday**.")

    assert await page.locator("#sensay-chat-widget sensay-chat").count() == 1
    await expect(page.locator(".theirs strong")).to_have_text("every Monday")
    await expect(page.locator(".mine")).to_have_count(1)
    assert shop.trouble == []


@pytest.mark.parametrize("snippet", [ONE_TAG, DATA])
async def test_one_tag_is_enough(shop: Shop, snippet: str) -> None:
    page = await shop.visit(snippet)
    await launcher(page).click()

    await converse(shop, page, "Hello?", "Good day.")

    await expect(page.locator(".theirs").first).to_contain_text(
        "Ahoy" if snippet == DATA else "How can I help you"
    )


async def test_the_element_itself_can_be_part_of_the_page(shop: Shop) -> None:
    page = await shop.visit(ELEMENT)
    await expect(page.locator(".theirs").first).to_contain_text("Ahoy")

    await converse(shop, page, "Hello?", "Good day.")

    await expect(launcher(page)).to_be_hidden()


async def test_nothing_is_asked_for_before_it_is_opened(shop: Shop) -> None:
    page = await shop.visit()
    await expect(launcher(page)).to_be_visible()

    assert [f"GET {shop.origin}/", f"GET {shop.gateway}/support/embed-script.js"] == shop.requests


async def test_a_reload_keeps_the_conversation(shop: Shop) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Remember me?", "I do.")

    await page.reload()
    await launcher(page).click()

    await expect(page.get_by_role("log")).to_contain_text("I do.")
    await expect(page.locator(".mine")).to_have_count(1)
    await converse(shop, page, "Still?", "Of course.")


async def test_a_suggestion_is_a_question(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await page.get_by_role("button", name="Opening hours?").click()
    await until(lambda: host.said)

    assert host.said[0].text == "Opening hours?"
    await expect(page.locator(".chips")).to_be_hidden()


@pytest.mark.parametrize("hosted", [False, True])
async def test_the_whole_chat_works_under_a_strict_policy_with_trusted_types(
    shop: Shop, hosted: bool
) -> None:
    shop.policy = STRICT
    page = await shop.visit(url=f"{shop.gateway}/chat/support" if hosted else None)
    if not hosted:
        await launcher(page).click()

    await converse(
        shop, page, "Hello?", "# Yes\n\n- [a](https://a.example)\n\n|x|\n|-|\n|1|\n\n```\ncode\n```"
    )

    assert shop.trouble == []
    assert await page.locator(".theirs table, .theirs pre, .theirs li a").count() == 3


async def test_an_answer_cannot_bring_its_own_markup(shop: Shop) -> None:
    page = await shop.visit()
    await launcher(page).click()
    evil = "<img src=x onerror=alert(1)> [x](javascript:alert(1))"

    await converse(shop, page, "<b>bold?</b>", evil)

    await expect(page.locator(".mine .text")).to_have_text("<b>bold?</b>")
    assert await page.locator("sensay-chat img, sensay-chat a").count() == 0


async def test_a_message_is_sent_once_however_often_it_is_tried(shop: Shop, host: WebHost) -> None:
    host.refusal = Transient("no journal", retry_after=0.1)
    page = await shop.visit()
    await launcher(page).click()
    await box(page).fill("Are you there?")
    await page.keyboard.press("Enter")
    await until(lambda: sum("POST" in request and "messages" in request for request in shop.requests) >= 2)
    host.refusal = None
    await until(lambda: host.said)
    await shop.site.answer("I am.")

    await expect(page.get_by_role("log")).to_contain_text("I am.")
    await expect(page.locator(".mine")).to_have_count(1)
    assert len(host.said) == 1


async def test_an_unsent_message_survives_a_reload(shop: Shop, host: WebHost) -> None:
    host.refusal = Transient("no journal", retry_after=30)
    page = await shop.visit()
    await launcher(page).click()
    await box(page).fill("Do not lose me")
    async with page.expect_response(lambda response: response.status == 503):
        await page.keyboard.press("Enter")
    host.refusal = None
    await page.reload()
    await until(lambda: host.said)

    assert [said.text for said in host.said] == ["Do not lose me"]
    await launcher(page).click()
    await expect(page.locator(".mine")).to_have_count(1)


async def test_a_refused_message_is_shown_and_can_be_tried_again(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await expect(page.locator(".chips")).to_be_visible()
    await page.route(
        "**/messages", lambda route: route.fulfill(status=400, headers={"Access-Control-Allow-Origin": "*"})
    )
    await box(page).fill("Hello?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".mine.failed")).to_be_visible()
    await page.unroute("**/messages")

    await page.get_by_role("button", name="Try again").click()
    await until(lambda: host.said)

    await expect(page.locator(".failed")).to_have_count(0)


async def test_a_cut_stream_is_resumed_where_it_was(shop: Shop) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "One?", "First.")
    shop.site.platform.streams.end_all()
    await until(lambda: not len(shop.site.platform.streams))

    await converse(shop, page, "Two?", "Second.")

    await expect(page.locator(".mine")).to_have_count(2)
    await expect(page.get_by_text("First.")).to_have_count(1)


async def test_typing_is_shown_until_the_answer_is_here(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await box(page).fill("Hello?")
    await page.keyboard.press("Enter")
    await until(lambda: host.said)
    await shop.site.bots["support"][0].typing(Address(to=host.said[0].key.chat))
    await expect(page.locator(".typing")).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("Writing an answer")

    await shop.site.answer("Hi.")

    await expect(page.locator(".typing")).to_be_hidden()


async def test_an_answer_to_a_closed_widget_is_counted_until_it_is_opened(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await page.evaluate("SensayWidget.send('Hello?')")
    await until(lambda: host.said)
    await shop.site.answer("Hi.")

    await expect(page.locator(".badge")).to_have_text("1")
    await launcher(page).click()
    await expect(page.locator(".badge")).to_be_hidden()


async def test_the_keyboard_is_enough(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(box(page)).to_be_focused()
    await page.keyboard.type("line one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("line two")
    await box(page).dispatch_event("keydown", {"key": "Enter", "isComposing": True})  # an IME takes its word
    await page.keyboard.press("Enter")
    await until(lambda: host.said)
    await page.keyboard.press("Escape")

    assert [said.text for said in host.said] == ["line one\nline two"]
    await expect(page.locator(".panel")).to_be_hidden()
    await expect(launcher(page)).to_be_focused()


async def test_starting_over_forgets_the_conversation(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "My secret", "Noted.")
    first = host.said[0].key
    await page.get_by_role("button", name="Start over").click()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.locator(".mine")).to_have_count(0)

    await converse(shop, page, "Hello again", "Who are you?")

    assert (await shop.site.journal.log(first)).entries == ()
    assert host.said[0].sender.id != host.said[1].sender.id


async def test_the_page_can_drive_the_widget_and_hear_it(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await page.evaluate("""() => { window.heard = [];
      for (const name of ['open', 'send', 'close']) SensayWidget.on(name, () => heard.push(name)) }""")
    await page.evaluate("SensayWidget.open(); SensayWidget.send('From the page'); SensayWidget.toggle()")
    await until(lambda: host.said)

    assert ["open", "send", "close"] == await page.evaluate("heard")


async def test_a_page_that_may_not_use_the_bot_says_so(shop: Shop) -> None:
    shop.site.add("support", allowed_origins=("https://elsewhere.example",))
    page = await shop.visit()
    await launcher(page).click()

    await expect(page.locator(".state")).to_have_text(one_of("Connecting…", "Not available on this page"))


async def test_a_phone_has_the_whole_screen_for_it(shop: Shop) -> None:
    page = await shop.visit(viewport={"width": 390, "height": 700}, has_touch=True)
    await launcher(page).click()
    await expect(page.locator(".panel")).to_have_css("animation-name", "open")
    await page.locator(".panel").evaluate(
        "panel => Promise.all(panel.getAnimations().map(one => one.finished))"
    )

    panel = await page.locator(".panel").bounding_box()
    assert panel == {"x": 0, "y": 0, "width": 390, "height": 700}
    await expect(launcher(page)).to_be_hidden()
