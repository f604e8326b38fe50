"""The widget on all kinds of pages: languages, consent, identity, storage, work, pictures, hostile styles."""

from __future__ import annotations

import re
import time
from base64 import b64decode

import jwt
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect
from pydantic import SecretStr

from adapters.web import sessions
from tests.web.web_shop import (
    ONE_TAG,
    STRICT,
    Shop,
    converse,
    launcher,
    needs_chromium,
    open_shop,
    until,
)
from tests.web.web_site import WebHost

pytestmark = needs_chromium

SECRET = "a-secret-of-the-shop-that-is-long-enough"
UNBOUND = '<script src="GATEWAY/widget.js" data-bot="support" async></script>'
PNG = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def identity(user: str) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 600}, SECRET, algorithm="HS256")


async def stored(page: Page) -> list[str]:
    """What the widget left in the browser."""
    return await page.evaluate("""() => [...Object.keys(localStorage), ...Object.keys(sessionStorage)]
      .filter(name => name.startsWith('sensay:'))""")


# --- languages


@pytest.mark.parametrize(
    ("lang", "label", "direction"),
    [
        ("de-AT", "Chat öffnen", "ltr"),
        ("ar", "فتح المحادثة", "rtl"),
        ("ja", "チャットを開く", "ltr"),
        ("pl", "Open chat", "ltr"),
    ],
)
async def test_the_widget_speaks_the_pages_language(
    shop: Shop, lang: str, label: str, direction: str
) -> None:
    shop.head = shop.head.replace("lang=en", f"lang={lang} dir={direction}")
    page = await shop.visit()
    await expect(launcher(page)).to_have_accessible_name(label)

    assert direction == await page.locator(".root").evaluate("root => getComputedStyle(root).direction")
    await launcher(page).click()
    await page.locator("textarea").fill("…")
    await page.keyboard.press("Enter")
    await until(lambda: shop.host.said)
    assert shop.host.said[0].sender.locale == lang  # so fixed texts come in the same language


async def test_an_english_answer_stays_english_on_an_arabic_page(shop: Shop) -> None:
    """The direction is the text's own, not that of the translated words that precede it for screen readers."""
    shop.head = shop.head.replace("lang=en", "lang=ar dir=rtl")
    page = await shop.visit()
    await launcher(page).click()
    await page.locator("textarea").fill("How much?")
    await page.keyboard.press("Enter")
    await until(lambda: shop.host.said)
    await shop.site.answer("It costs 5 EUR.")

    answer = page.locator(".theirs .text", has_text="It costs")
    await expect(answer).to_be_visible()
    assert await answer.evaluate("one => getComputedStyle(one).direction") == "ltr"
    bubbles = [await page.locator(kind).last.bounding_box() for kind in (".mine .bubble", ".theirs .bubble")]
    assert bubbles[0]["x"] < bubbles[1]["x"]  # mirrored: one's own are on the left


@pytest.mark.parametrize(
    ("lang", "browser", "hour"),
    [("de", "en-US", r"\d\d:\d\d"), ("en", "de-DE", r"\d?\d:\d\d\s[AP]M"), ("en", "en-GB", r"\d\d:\d\d")],
)
async def test_times_are_in_the_language_of_the_words(shop: Shop, lang: str, browser: str, hour: str) -> None:
    shop.head = shop.head.replace("lang=en", f"lang={lang}")
    page = await shop.visit(locale=browser)
    await launcher(page).click()
    await page.locator("textarea").fill("How much?")
    await page.keyboard.press("Enter")

    await expect(page.locator(".mine .meta")).to_have_text(re.compile(f"^{hour}$"))


async def test_one_language_is_one_small_file_more(shop: Shop) -> None:
    shop.head = shop.head.replace("lang=en", "lang=fr")
    page = await shop.visit()
    await expect(launcher(page)).to_have_accessible_name("Ouvrir la discussion")

    assert [
        f"GET {shop.origin}/",
        f"GET {shop.gateway}/support/embed-script.js",
        f"GET {shop.gateway}/widget/fr.json",
    ] == shop.requests


# --- before it is opened


async def test_the_launcher_looks_as_the_owner_wants_before_anything_is_asked_for(shop: Shop) -> None:
    shop.configure(color="#0a84ff", theme="dark", position="top-left")
    page = await shop.visit()

    paint = await launcher(page).evaluate("one => getComputedStyle(one).backgroundColor")
    assert paint == "rgb(10, 132, 255)"
    assert (await launcher(page).bounding_box())["x"] < 100
    assert (await launcher(page).bounding_box())["y"] < 100
    assert await page.locator(".root").get_attribute("data-dark") is not None
    assert len(shop.requests) == 2


@pytest.mark.parametrize("position", ["bottom-right", "bottom-left", "top-right", "top-left"])
async def test_the_panel_opens_beside_its_launcher_within_the_window(shop: Shop, position: str) -> None:
    shop.configure(position=position)
    page = await shop.visit(viewport={"width": 1000, "height": 700})
    await launcher(page).click()
    await page.locator(".panel").evaluate(
        "one => Promise.all(one.getAnimations().map(each => each.finished))"
    )

    panel, button = await page.locator(".panel").bounding_box(), await launcher(page).bounding_box()
    assert ("left" in position) == (panel["x"] < 300)
    assert (panel["y"] > button["y"]) == ("top" in position)
    assert panel["y"] >= 0
    assert panel["y"] + panel["height"] <= 700


# --- consent and storage


@pytest.mark.parametrize("snippet", [ONE_TAG, UNBOUND.replace("async", "data-consent='true' async")])
async def test_without_consent_there_is_nothing(shop: Shop, snippet: str) -> None:
    shop.configure(consent=True)
    page = await shop.visit(snippet)
    await page.wait_for_function("!!window.SensayWidget?.consent")
    await page.evaluate("SensayWidget.open()")

    await expect(launcher(page)).to_have_count(0)
    assert len(shop.requests) == 2
    assert await stored(page) == []

    await page.evaluate("SensayWidget.consent()")
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Hi.")
    assert await stored(page) != []

    await page.evaluate("SensayWidget.consent(false)")
    await expect(launcher(page)).to_have_count(0)
    assert await stored(page) == []
    await until(lambda: len(shop.site.platform.streams) == 0)
    assert shop.trouble == []


async def test_consent_that_is_withdrawn_takes_along_what_an_earlier_visit_left(shop: Shop) -> None:
    shop.configure(consent=True)
    page = await shop.visit()
    await page.evaluate("SensayWidget.consent()")
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Hi.")
    await page.reload()
    await page.wait_for_function("!!window.SensayWidget?.consent")
    assert await stored(page) != []

    await page.evaluate("SensayWidget.consent(false)")

    assert await stored(page) == []
    assert shop.trouble == []


async def test_a_page_that_did_not_know_of_the_consent_asks_as_soon_as_it_does(shop: Shop) -> None:
    shop.configure(consent=True)
    page = await shop.visit(UNBOUND)
    await page.evaluate("""() => SensayWidget.on('consent', () => { window.wanted = true; })""")
    await launcher(page).click()
    await page.wait_for_function("window.wanted")

    await expect(launcher(page)).to_have_count(0)
    assert await stored(page) == []
    assert shop.host.said == []


async def test_the_hosted_chat_is_itself_the_visitors_wish(shop: Shop) -> None:
    shop.configure(consent=True)
    page = await shop.visit(url=f"{shop.gateway}/chat/support")

    await converse(shop, page, "Hello?", "Hi.")


@pytest.mark.parametrize("snippet", [ONE_TAG, UNBOUND])
@pytest.mark.parametrize(("storage", "kept"), [("none", False), ("session", True), ("local", True)])
async def test_a_conversation_is_kept_where_the_owner_wants(
    shop: Shop, snippet: str, storage: str, *, kept: bool
) -> None:
    shop.configure(storage=storage)
    page = await shop.visit(snippet)
    await launcher(page).click()
    await converse(shop, page, "Remember me?", "I do.")
    places = {"local": "localStorage", "session": "sessionStorage"}
    for name, place in places.items():
        held = await page.evaluate(f"Object.keys({place}).filter(name => name.startsWith('sensay:')).length")
        assert bool(held) == (name == storage), place

    await page.reload()
    await launcher(page).click()
    await expect(page.locator(".theirs").first).to_be_visible()
    if kept:
        await expect(page.get_by_role("log")).to_contain_text("I do.")
    else:
        await converse(shop, page, "Who am I?", "Somebody new.")
        await expect(page.locator(".mine")).to_have_count(1)
    assert await page.context.cookies() == []


# --- identity


async def test_a_visitor_can_be_who_the_site_says(shop: Shop) -> None:
    shop.configure(identity_secret=SecretStr(SECRET))
    page = await shop.visit()
    await page.evaluate("token => SensayWidget.identify(token)", identity("alice"))
    assert len(shop.requests) == 2  # nothing is asked for until it is opened
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Hi Alice.")

    assert shop.host.said[0].sender.id == sessions.verified_visitor("support", "alice")
    await page.reload()
    await launcher(page).click()
    await expect(page.get_by_role("log")).to_contain_text("Hi Alice.")


async def test_logging_in_and_out_changes_the_conversation(shop: Shop) -> None:
    shop.configure(identity_secret=SecretStr(SECRET))
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Anonymous", "Hello stranger.")

    # a function is asked whenever the widget has to say who it is
    await page.evaluate("token => SensayWidget.identify(async () => ({identity: token}))", identity("alice"))
    await expect(page.locator(".mine")).to_have_count(0)
    await converse(shop, page, "It is me", "Hello Alice.")
    await page.evaluate("SensayWidget.identify()")
    await expect(page.locator(".mine")).to_have_count(0)
    await converse(shop, page, "Gone", "Hello stranger.")

    senders = [said.sender.id for said in shop.host.said]
    assert senders[1] == sessions.verified_visitor("support", "alice")
    assert len(set(senders)) == 3
    assert shop.trouble == []


async def test_the_page_can_speak_before_the_widget_is_there(shop: Shop) -> None:
    shop.configure(identity_secret=SecretStr(SECRET), consent=True)
    calls = f"[['consent'], ['identify', '{identity('bob')}'], ['open']]"
    queue = f"<script>window.SensayWidget = {{queue: {calls}}}</script>"
    page = await shop.visit(queue + ONE_TAG)

    await converse(shop, page, "Hello?", "Hi Bob.")

    assert shop.host.said[0].sender.id == sessions.verified_visitor("support", "bob")


# --- work and pictures


async def test_the_widget_works_for_its_session_when_it_has_to(shop: Shop) -> None:
    shop.configure(proof_of_work="always")
    shop.policy = STRICT
    page = await shop.visit()
    await launcher(page).click()

    await converse(shop, page, "Hello?", "Hi.")

    # the refusal that carries the challenge is told by the browser; the policy has nothing to say
    assert all("428" in line for line in shop.trouble)


async def test_the_bots_picture_is_shown_though_the_page_allows_no_pictures() -> None:
    app = web.Application()
    app.router.add_get("/a.png", serve_png)
    async with TestServer(app) as studio, open_shop(upstream=str(studio.make_url("/"))) as shop:
        shop.policy = STRICT.replace("img-src data:; ", "").replace(
            "default-src 'none';", "default-src 'none'; img-src 'none';"
        )
        host = shop.host
        host.shown = msgspec.structs.replace(host.shown, picture=str(studio.make_url("/a.png")))
        page = await shop.visit()
        await launcher(page).click()

        await expect(page.locator(".face canvas")).to_be_visible()
        own = (shop.gateway, shop.origin, "data:")
        assert [] == [request for request in shop.requests if not request.split()[1].startswith(own)]
        assert [] == [line for line in shop.trouble if "icon" not in line and "data:," not in line]


async def serve_png(_: web.Request) -> web.Response:
    return web.Response(body=PNG, content_type="image/png")


# --- pages that are hard to live on

HOSTILE = """* { letter-spacing: 9px !important; text-transform: uppercase !important; font-size: 40px !important }
button, textarea, div { background: red !important; display: inline !important; position: static !important }
sensay-chat { font-size: 99px; direction: rtl; }"""
LOOKS = """one => { const all = getComputedStyle(one);
  return ['letterSpacing', 'textTransform', 'fontSize', 'backgroundColor', 'direction', 'position', 'width'].map(
    name => all[name]); }"""


async def test_a_page_with_hostile_styles_and_a_strict_policy_changes_nothing(shop: Shop) -> None:
    nice = await shop.visit()
    await launcher(nice).click()
    await converse(shop, nice, "Hello?", "A nice answer.")
    shop.policy = STRICT.replace("style-src 'self'", "style-src 'unsafe-inline'")
    shop.head += f"<style>{HOSTILE}</style>"
    page = await shop.visit()
    await launcher(page).click()
    await converse(shop, page, "Hello?", "A nice answer.")

    for part in (".panel", ".theirs .text", "textarea", ".send"):
        assert await nice.locator(part).last.evaluate(LOOKS) == await page.locator(part).last.evaluate(
            LOOKS
        ), part
    assert shop.trouble == []


async def test_a_pinned_widget_runs_and_a_changed_one_does_not(shop: Shop) -> None:
    widget = shop.site.platform.widget
    tag = (
        f'<script src="GATEWAY/widget/{widget.digest}.js" integrity="{widget.integrity}" crossorigin="anonymous"'
        ' data-bot="support" async></script>'
    )
    page = await shop.visit(tag)
    await launcher(page).click()
    await converse(shop, page, "Hello?", "Pinned.")
    trouble = list(shop.trouble)
    other = await shop.visit(tag.replace(widget.integrity, f"sha384-{'A' * 64}"))
    await until(lambda: len(shop.trouble) > len(trouble))

    assert trouble == []
    assert "integrity" in shop.trouble[-1]
    await expect(other.locator("sensay-chat")).to_have_count(0)


async def test_two_bots_on_one_page_keep_apart(shop: Shop) -> None:
    other: WebHost = shop.site.add("sales", allowed_origins=(shop.origin,))
    page = await shop.visit(
        '<sensay-chat bot="support" position="inline"></sensay-chat>'
        '<sensay-chat bot="sales" position="inline"></sensay-chat>'
        '<script src="GATEWAY/widget.js" async></script>'
    )
    for n, text in enumerate(["To support", "To sales"]):
        await page.locator("textarea").nth(n).fill(text)
        await page.keyboard.press("Enter")
    await until(lambda: shop.host.said and other.said)

    assert ["To support"] == [said.text for said in shop.host.said]
    assert ["To sales"] == [said.text for said in other.said]


async def test_an_element_that_the_page_takes_away_leaves_nothing_running(shop: Shop) -> None:
    page = await shop.visit()
    await launcher(page).click()
    await until(lambda: len(shop.site.platform.streams) == 1)

    await page.evaluate("document.querySelector('sensay-chat').remove()")

    await until(lambda: len(shop.site.platform.streams) == 0)
    assert shop.trouble == []
