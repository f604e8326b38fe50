"""The widget when lines break, tabs multiply and people wait."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, Route, expect

from gateway.messages import Address, ConversationKey
from tests.web.web_shop import ONE_TAG, Shop, box, converse, launcher, needs_chromium, say, until
from tests.web.web_site import WebHost

pytestmark = needs_chromium

UNBOUND = '<script src="GATEWAY/widget.js" data-bot="support" async></script>'


async def another_tab(shop: Shop, page: Page) -> Page:
    tab = await page.context.new_page()
    tab.on("pageerror", lambda error: shop.trouble.append(str(error)))
    await tab.goto(shop.origin)
    return tab


async def kill(shop: Shop) -> None:
    """Cut every connection and listen no more."""
    server = shop.site.client.server
    for connection in server.runner.server.connections:
        connection.transport.abort()
    shop.site.platform.streams.end_all()
    await server.close()


def conversations(host: WebHost) -> set[ConversationKey]:
    return {said.key for said in host.said}


@pytest.mark.parametrize("snippet", [ONE_TAG, UNBOUND])
async def test_two_tabs_are_one_conversation(shop: Shop, host: WebHost, snippet: str) -> None:
    one = await shop.visit(snippet)
    other = await another_tab(shop, one)
    await launcher(one).click()
    await launcher(other).click()
    await converse(shop, one, "From one tab", "Heard.")
    await expect(other.get_by_role("log")).to_contain_text("Heard.")

    await converse(shop, other, "From the other", "Heard, too.")

    await expect(one.get_by_role("log")).to_contain_text("Heard, too.")
    for tab in (one, other):
        await expect(tab.locator(".mine")).to_have_count(2)
        await expect(tab.locator(".theirs")).to_have_count(3)
    assert len(conversations(host)) == 1
    assert shop.trouble == []


async def test_a_closed_widget_in_another_tab_counts_what_it_missed_until_it_was_seen(shop: Shop) -> None:
    one = await shop.visit()
    await launcher(one).click()
    await converse(shop, one, "Hello?", "Hi.")
    other = await another_tab(shop, one)
    await expect(launcher(other)).to_be_visible()

    await converse(shop, one, "And?", "Well.")
    await expect(other.locator(".badge")).to_have_text("1")
    await one.keyboard.press("Escape")
    await launcher(one).click()

    await expect(other.locator(".badge")).to_be_hidden()


async def test_starting_over_in_one_tab_starts_over_in_all(shop: Shop, host: WebHost) -> None:
    one = await shop.visit()
    other = await another_tab(shop, one)
    await launcher(one).click()
    await launcher(other).click()
    await converse(shop, one, "My secret", "Noted.")
    await expect(other.get_by_role("log")).to_contain_text("Noted.")

    await one.get_by_role("button", name="Start over").click()
    await one.get_by_role("button", name="Delete").click()
    await expect(one.locator(".mine")).to_have_count(0)
    await expect(other.locator(".mine")).to_have_count(0)
    await converse(shop, other, "Anew", "Hello.")
    await expect(one.get_by_role("log")).to_contain_text("Hello.")

    assert len(conversations(host)) == 2
    assert shop.trouble == []


async def test_what_is_written_offline_is_sent_when_the_line_is_back(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Hi.")
    await page.context.set_offline(True)
    await expect(page.locator(".state")).to_have_text("You are offline")
    await say(page, "First")
    await say(page, "Second")
    await expect(page.locator(".waiting")).to_have_count(2)
    assert len(host.said) == 1

    await page.context.set_offline(False)
    await until(lambda: len(host.said) == 3)

    assert ["Hello?", "First", "Second"] == [said.text for said in host.said]
    await expect(page.locator(".waiting")).to_have_count(0)
    await shop.site.answer("Both.")
    await expect(page.get_by_role("log")).to_contain_text("Both.")


async def test_a_server_that_dies_in_the_middle_of_an_answer_loses_nothing(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Hi.")
    await say(page, "Are you still there?")
    await until(lambda: len(host.said) == 2)
    port = shop.site.client.port
    await kill(shop)
    await expect(page.locator(".state")).to_have_text("Connecting…")

    await shop.site.answer("I am.")
    app = web.Application()
    app.add_routes(shop.site.platform.routes(shop.site))
    async with TestServer(app, port=port):
        await expect(page.get_by_role("log")).to_contain_text("I am.", timeout=20_000)
        await expect(page.locator(".mine")).to_have_count(2)
        await expect(page.get_by_text("I am.")).to_have_count(1)
        await expect(page.locator(".state")).to_have_text("Usually answers in seconds")
        await page.close()
        await shop.site.platform.close()


HEARD = """new MutationObserver(all => { for (const one of all) for (const node of [...one.addedNodes, one.target])
    if (!(node.closest ? node : node.parentNode)?.closest('[aria-hidden=true]')) window.heard.push(node.textContent); })
  .observe(document.querySelector('sensay-chat').shadowRoot.querySelector('[role=log]'),
    { childList: true, subtree: true, characterData: true })"""


async def test_an_answer_is_seen_to_grow_and_heard_once(shop: Shop, host: WebHost) -> None:
    """What is being written is plain text, hidden from screen readers; its message takes its place, with its markup."""
    page = await shop.visit()
    await launcher(page).click()
    await expect(page.locator(".theirs")).to_have_count(1)
    await say(page, "When do you open?")
    await until(lambda: host.said)
    adapter, address = shop.site.bots["support"][0], Address(to=host.said[0].key.chat)
    await expect(page.locator(".mine:not(.waiting)")).to_be_visible()
    await page.evaluate(f"window.heard = []; {HEARD}")
    await adapter.draft(address, "At **ni", "turn-1.answer.0")
    await expect(page.locator(".draft")).to_have_text("At **ni")
    spoken = await page.get_by_role("status").text_content()
    shop.site.platform.streams.end_all()  # the line breaks in the middle
    await until(lambda: len(shop.site.platform.streams) == 0)
    await until(lambda: len(shop.site.platform.streams) == 1)
    await expect(page.locator(".draft")).to_have_text("At **ni")
    await adapter.draft(address, "At **nine** or", "turn-1.answer.0")
    await expect(page.locator(".draft")).to_have_text("At **nine** or")

    await shop.site.answer("At **nine** or so.")
    await expect(page.locator(".theirs strong")).to_have_text("nine")
    await adapter.draft(address, "At **nine** or", "turn-1.answer.0")
    await say(page, "Thanks")

    await expect(page.locator(".mine:not(.waiting)")).to_have_count(2)
    await expect(page.locator(".draft")).to_have_text("")
    await expect(page.locator(".theirs")).to_have_count(2)
    assert spoken == "Writing an answer"
    heard = [text for text in await page.evaluate("window.heard") if "nine" in text]
    assert heard
    assert all("At nine or so." in text for text in heard), "no piece of it"
    assert shop.trouble == []


async def test_who_waits_in_line_is_told_for_how_long(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await page.evaluate("() => SensayWidget.on('error', () => { window.seen = true; })")
    await launcher(page).click()
    await say(page, "Hello?")
    await until(lambda: len(shop.site.platform.streams) > 0 and host.said)
    topic = f"conversation/{host.said[0].key}"
    await host.publish(topic, {"type": "queued", "position": 3, "seconds": 41.2})

    await expect(page.locator(".typing")).to_have_text("Waiting in line · 42 s")
    await shop.site.bots["support"][0].typing(Address(to=host.said[0].key.chat))
    await expect(page.locator(".mine.waiting")).to_have_count(0)
    await host.publish(topic, {"type": "error", "code": "seen"})
    await until_true(page, "window.seen")
    await expect(page.locator(".typing")).to_have_text("Waiting in line · 42 s")
    await shop.site.answer("At last.")
    await expect(page.locator(".typing")).to_be_hidden()


async def test_who_reads_further_up_is_not_torn_away(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Tell me everything", "\n\n".join(["A long answer."] * 40))
    log = page.get_by_role("log")
    await log.evaluate("log => { log.scrollTop = 0; }")
    await until_true(page, "document.querySelector('sensay-chat').atEnd === false")

    await page.evaluate("SensayWidget.send('And more?')")
    await until(lambda: len(host.said) == 2)
    await log.evaluate("log => { log.scrollTop = 0; }")
    await until_true(page, "document.querySelector('sensay-chat').atEnd === false")
    await shop.site.answer("Even more.")
    more = page.get_by_role("button", name="New messages")
    await expect(more).to_be_visible()
    assert await log.evaluate("log => log.scrollTop") == 0

    await more.click()
    await expect(more).to_be_hidden()
    assert await log.evaluate("log => log.scrollTop > 0")


async def until_true(page: Page, expression: str) -> None:
    await page.wait_for_function(expression)


async def test_a_hidden_tab_needs_no_stream(shop: Shop) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await until(lambda: len(shop.site.platform.streams) == 1)
    hide = """hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
      document.dispatchEvent(new Event('visibilitychange')); }"""

    await page.evaluate(hide, True)  # noqa: FBT003 - the argument of the page's function
    await until(lambda: len(shop.site.platform.streams) == 0)
    await page.evaluate(hide, False)  # noqa: FBT003 - the argument of the page's function
    await until(lambda: len(shop.site.platform.streams) == 1)


async def test_a_page_left_open_longer_than_a_session_begins_another_one(shop: Shop, host: WebHost) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Hi.")
    await shop.site.clock.advance(8 * 86_400)
    shop.site.platform.streams.end_all()

    await expect(page.locator(".mine")).to_have_count(0)
    await asyncio.wait_for(converse(shop, page, "Still there?", "Always."), 20)

    assert len(conversations(host)) == 2
    await expect(box(page)).to_be_focused()


async def test_a_stream_faster_than_the_answer_to_the_post_shows_a_message_once(
    shop: Shop, host: WebHost
) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Hi.")
    held = asyncio.Event()

    async def late(route: Route) -> None:
        response = await route.fetch()
        await held.wait()
        await route.fulfill(response=response)

    await page.route("**/messages", late)
    await say(page, "Quick!")
    await until(lambda: len(host.said) == 2)
    await shop.site.answer("Done.")
    await expect(page.get_by_role("log")).to_contain_text("Done.")
    await expect(page.locator(".mine")).to_have_count(2)
    held.set()
    await until_true(
        page, "localStorage.getItem(Object.keys(localStorage).find(n => n.endsWith(':out'))) === '[]'"
    )

    await expect(page.locator(".mine")).to_have_count(2)
    await expect(page.locator(".waiting, .typing:not([hidden])")).to_have_count(0)
