"""Conversations and figures as people see them: accessible, on a phone, with and without a script, also in trouble."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.web.talks_gateway import BOTS, SHAPES, Office, browsing, group_talk, office
from tests.web.web_shop import needs_chromium

pytestmark = needs_chromium
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as opened:
        yield opened


@pytest.fixture
async def made() -> AsyncIterator[Office]:
    async with office() as world:
        yield world


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """Fails the test if the page complains: of its policy, too."""
    complaints: list[str] = []
    page = await browser.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "status of" not in said.text else None)
    yield page
    assert [] == complaints


async def ids(page: Page) -> list[str]:
    found: list[str] = await page.locator("[data-id]").evaluate_all("all => all.map(one => one.dataset.id)")
    return found


async def known_figures(page: Page, made: Office) -> None:
    await page.goto(made.bot)
    await expect(page.locator(".donut")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
@pytest.mark.parametrize("how", SHAPES.values(), ids=list(SHAPES))
async def test_axe_finds_nothing_and_nothing_is_cut_off(
    browser: Browser, made: Office, how: dict[str, Any], script: bool
):
    context = await browser.new_context(**how, bypass_csp=True)
    page = await context.new_page()
    talk = made.url + await group_talk(page, made.bot)
    await known_figures(page, made)
    if not script:
        context = await browser.new_context(**how, java_script_enabled=False)
        page = await context.new_page()
    made.fault("conversations", "status", status=403)
    wanted = {
        "trouble": f"{made.bot}/conversations?page=2",
        "empty": f"{made.bot}/conversations?page=99",
        "list": f"{made.bot}/conversations",
        "talk": talk,
        "figures": made.bot,
        "status": f"{made.url}/status",
        "none": f"{made.url}/status/bots/lost",
    }
    for name, url in wanted.items():
        await page.goto(url)
        if name == "talk":
            await page.locator(".gap a").last.click()
            await expect(page.locator(".opened").first).to_be_visible()
        if name == "figures":
            await page.locator("summary").click()
        if script:
            found = await Axe().run(page)
            assert [] == [(name, one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]]
            assert 0 == await page.evaluate(OVERFLOW), name


# --- the list ---


async def test_the_list_grows_in_place_without_a_double_while_conversations_arrive(page: Page, made: Office):
    await page.goto(f"{made.bot}/conversations")
    await made.say("I am new here", answered=True)
    more = page.locator("[data-more]")
    await more.click()
    await expect(page.locator(".talks li")).to_have_count(47)
    await more.click()
    await expect(page.get_by_text("That is all there is.")).to_be_visible()
    seen = await ids(page)

    assert len(seen) == len(set(seen)) == 53


async def test_loading_is_shown_and_a_failure_may_be_tried_again(page: Page, made: Office):
    await page.goto(f"{made.bot}/conversations")
    made.fault("conversations", "delay", seconds=0.7)
    await page.locator("[data-more]").click()
    await expect(page.locator("[data-more][aria-busy=true]")).to_be_visible()
    await expect(page.locator("#live")).to_have_text("Loading…")
    await expect(page.locator(".talks li")).to_have_count(48)
    made.fault("conversations", "status", status=500)
    await page.locator("[data-more]").click()
    await expect(page.locator(".trouble.small")).to_contain_text("500")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".talks li")).to_have_count(53)

    assert 0 == await page.locator(".trouble").count()


async def test_scrolling_to_the_end_loads_more(page: Page, made: Office):
    await page.goto(f"{made.bot}/conversations")
    await page.mouse.wheel(0, 200)
    await page.keyboard.press("End")
    await expect(page.locator(".talks li")).to_have_count(48)


# --- one conversation ---


async def test_gaps_open_in_place_until_everything_is_there(page: Page, made: Office):
    await page.goto(made.url + await group_talk(page, made.bot))
    address, gaps = page.url, await page.locator(".gap").count()
    for left in range(gaps, 0, -1):
        await page.locator(".gap a").first.click()
        await expect(page.locator(".gap")).to_have_count(left - 1)
    times = await page.locator(".line time").evaluate_all("all => all.map(one => one.dateTime)")

    assert gaps > 1
    assert address == page.url
    assert sorted(times) == times


async def test_a_gap_on_a_page_that_is_old_opens_all_the_same(page: Page, made: Office):
    for number in range(21):
        await made.say(f"aside {number}", answered=False)
        await made.say(f"question {number}", answered=True)
    await page.goto(f"{made.bot}/conversations")
    await page.locator(".talks a").first.click()
    for number in range(25):
        await made.say(f"later {number}", answered=True)
    await page.locator(".gap a").first.click()
    await expect(page.locator(".opened")).to_contain_text("aside")


async def test_earlier_messages_come_above_and_newer_ones_below(page: Page, made: Office):
    for number in range(45):
        await made.say(f"question {number} ?", answered=True)
        await made.say(f"aside {number}", answered=False)
    await page.goto(f"{made.bot}/conversations")
    await page.locator(".talks a").first.click()
    for _ in range(2):
        before = await page.locator(".mention").count()
        await page.locator("[data-earlier]").click()
        await page.wait_for_function("n => document.querySelectorAll('.mention').length > n", arg=before)
    await expect(page.get_by_text("The conversation begins here")).to_be_visible()
    await made.say("question 45 ?", answered=True)
    await page.locator("[data-later]").click()
    await expect(page.locator(".bubble", has_text="question 45 ?").first).to_be_visible()
    asked = await page.locator(".line:not(.replica) .bubble").all_inner_texts()
    seen = await ids(page)

    assert [f"question {number} ?" for number in range(46)] == asked
    assert len(seen) == len(set(seen))
    assert 45 == await page.locator(".gap").count()


async def test_nothing_new_is_said(page: Page, made: Office):
    await page.goto(made.url + await group_talk(page, made.bot))
    await page.locator("[data-later]").click()
    await expect(page.locator("#live")).to_have_text("Nothing new")


async def test_a_gap_that_fails_says_why_and_opens_the_next_time(page: Page, made: Office):
    await page.goto(made.url + await group_talk(page, made.bot))
    made.fault("messages", "status", status=403)
    await page.locator(".gap a").first.click()
    await expect(page.locator(".trouble.small")).to_contain_text("make it public in Sensay")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".opened").first).to_be_visible()

    assert 0 == await page.locator(".trouble").count()


async def test_a_gap_that_fails_without_a_script_is_tried_again_by_its_link(browser: Browser, made: Office):
    page = await (await browser.new_context(java_script_enabled=False)).new_page()
    await page.goto(made.url + await group_talk(page, made.bot))
    for _ in range(2):
        made.fault("messages", "status", status=500)
        await page.locator(".gap a").first.click()
        await expect(page.locator(".gap-trouble")).to_contain_text("500")
        await expect(page.locator(".gap a").first).to_contain_text("try again")
    await page.locator(".gap a").first.click()
    await expect(page.locator(".opened").first).to_be_visible()


async def test_a_used_up_quota_is_counted_down(browser: Browser):
    async with office(requests_per_minute=1) as made:
        page = await browser.new_page()
        await page.goto(f"{made.bot}/conversations")
        await page.locator("[data-more]").click()
        box = page.locator(".trouble.small")
        await expect(box).to_contain_text("used up")
        first = await box.locator("[data-wait]").inner_text()
        await expect(box.locator("[data-wait]")).not_to_have_text(first)

        assert re.fullmatch(r"\d+ s", first)
        await expect(box).to_contain_text(re.compile(r"at \d\d:\d\d:\d\d UTC"))


async def test_hostile_words_stay_words(page: Page, made: Office):
    evil = "<img src=x onerror=document.title='owned'> **bold** [a](javascript:alert(1)) ![b](http://127.0.0.1/x)"
    await made.say(evil, answered=True, who="<img src=x>")
    await page.goto(f"{made.bot}/conversations")
    await page.locator(".talks a").first.click()
    await expect(page.locator(".line").first).to_contain_text(evil)
    await made.say(evil, answered=False)
    await made.say(evil, answered=True)
    await page.locator("[data-later]").click()
    await expect(page.locator(".gap a")).to_be_visible()
    await page.locator(".gap a").click()
    await expect(page.locator(".opened")).to_contain_text(evil)

    assert 0 == await page.locator("main img, main script, .thread .bubble a").count()
    assert "owned" not in await page.title()


# --- figures ---


async def test_figures_show_by_themselves_when_they_are_there(page: Page, made: Office):
    made.fault("historical", "delay", seconds=1.0)
    await page.goto(made.bot)
    await expect(page.get_by_text("Figures are on their way")).to_be_visible()
    await expect(page.locator(".chart.growth")).to_be_visible()
    await expect(page.locator(".chart.daily")).to_be_visible()
    await page.locator("summary").click()

    assert 30 == await page.locator(".numbers tbody tr").count()
    assert "telegram" in await page.locator(".shares table").inner_text()
    await expect(page.locator("#live")).to_have_text("as of a moment ago")


async def test_the_status_page_has_the_figures_of_every_bot(page: Page, made: Office):
    await known_figures(page, made)
    await page.goto(f"{made.url}/status")
    await expect(page.locator(".analytics .spark")).to_have_count(2, timeout=15_000)
    table = await page.locator(".analytics").inner_text()

    assert all(bot in table for bot in BOTS)
    assert "not available" in table
    assert 2 == await page.locator(".analytics .split").count()
