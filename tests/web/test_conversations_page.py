"""A bot's conversations on the admin port: what the gateway serves, against the pretended Sensay."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.sandbox.sensay import SUPPORT, Canned
from tests.web.talks_gateway import TOKEN, Office, office

ALL = "?sort=replies"


@pytest.fixture
async def made() -> AsyncIterator[Office]:
    async with office() as world:
        yield world


class Reader:
    """Somebody with a browser that runs nothing."""

    def __init__(self, http: ClientSession) -> None:
        self._http = http
        self.status, self.text = 0, ""
        self.headers: dict[str, str] = {}

    async def get(self, url: str) -> str:
        async with self._http.get(url) as answer:
            self.status, self.text, self.headers = answer.status, await answer.text(), dict(answer.headers)
        return self.text

    def hrefs(self, pattern: str) -> list[str]:
        return [
            unescape(href) for href in re.findall(r'href="([^"]+)"', self.text) if re.search(pattern, href)
        ]

    @property
    def ids(self) -> list[str]:
        """Of conversations or messages, in the order of the page."""
        return re.findall(r'data-id="([^"]+)"', self.text)

    @property
    def gaps(self) -> list[tuple[str, int]]:
        """Key and count of what is left out."""
        found = re.findall(r'data-gap="([^"]+)">\s*<a[^>]*><b>([0-9,]*)', self.text)
        return [(key, int(count or 0)) for key, count in found]


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    async with ClientSession() as http:
        yield Reader(http)


async def group_talk(made: Office, reader: Reader) -> str:
    """The address of a conversation in which much is left out."""
    await reader.get(f"{made.bot}/conversations{ALL}")
    entries = re.findall(r'<li data-id="([^"]+)">(.*?)</li>', reader.text, re.DOTALL)
    groups = [id_ for id_, html in entries if ">group<" in html]
    return f"{made.bot}/conversations/{groups[0]}"


async def everything(made: Office, talk: str) -> list[str]:
    """All messages of a conversation as Sensay has them, oldest first."""
    url = f"{made.box.url}/v1/replicas/{SUPPORT}/conversations/{talk.rsplit('/', 1)[1]}/messages?limit=100"
    headers = {"X-ORGANIZATION-SECRET": "acme-secret", "Content-Type": "application/json"}
    async with ClientSession(headers=headers) as http, http.get(url) as answer:
        return [item["uuid"] for item in (await answer.json())["items"]]


# --- the list ---


async def test_all_pages_together_have_every_conversation_once(made: Office, reader: Reader):
    await reader.get(f"{made.bot}/conversations")
    seen = reader.ids
    while more := reader.hrefs(r"\?page=\d+$")[-1:]:
        if f"page={len(seen) // 24 + 1}" not in more[0] or "Show more" not in reader.text:
            break
        await reader.get(made.url + more[0])
        seen += reader.ids

    assert len(seen) == len(set(seen)) == 53
    assert "Page 3 of 3" in reader.text


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("?page=99", 200, "There is no page 99"),
        ("?page=0", 422, "the first one is 1"),
        ("?page=-1", 422, "the first one is 1"),
        ("?page=two", 422, "the first one is 1"),
        ("?page=9999999999999", 422, "the first one is 1"),
        ("?sort=nonsense", 200, "53"),
    ],
)
async def test_a_page_that_there_is_not_is_explained(
    made: Office, reader: Reader, query: str, status: int, words: str
):
    await reader.get(f"{made.bot}/conversations{query}")

    assert reader.status == status
    assert words in reader.text


async def test_a_replica_nobody_talked_to_has_an_empty_list(made: Office, reader: Reader):
    made.box.sensay.canned.append(Canned("conversations", body='{"success": true, "items": [], "total": 0}'))
    await reader.get(f"{made.bot}/conversations")

    assert reader.status == 200
    assert "No conversations yet" in reader.text


async def test_an_unknown_bot_is_a_page_that_says_so(made: Office, reader: Reader):
    for path in ("", "/conversations", "/conversations/x", "/conversations/x/part?key=all"):
        await reader.get(f"{made.url}/status/bots/nobody{path}")

        assert reader.status == 404
        assert "There is no such bot" in reader.text


# --- one conversation ---


async def test_gaps_open_in_their_place_and_nothing_is_missing_or_doubled(made: Office, reader: Reader):
    talk = await group_talk(made, reader)
    await reader.get(talk)
    closed = len(reader.ids)
    while opening := reader.hrefs("open="):
        await reader.get(made.url + opening[-1])
        assert reader.status == 200

    assert closed < len(reader.ids)
    assert await everything(made, talk) == reader.ids


async def test_a_long_gap_opens_bit_by_bit(made: Office, reader: Reader):
    await made.say("Hello replica", answered=True)
    for number in range(130):
        await made.say(f"number {number}", answered=False)
    await made.say("And you?", answered=True)
    await reader.get(f"{made.bot}/conversations")
    talk = f"{made.bot}/conversations/{reader.ids[0]}"
    await reader.get(talk)
    gaps = [reader.gaps]
    await reader.get(made.url + reader.hrefs("open=")[0])
    gaps.append(reader.gaps)
    await reader.get(made.url + reader.hrefs("open=")[0])

    assert [[130], [30]] == [[count for _, count in found] for found in gaps]
    assert [f"number {number}" for number in range(130)] == re.findall(r">(number \d+)<", reader.text)


async def test_pages_back_in_time_meet(made: Office, reader: Reader):
    for number in range(50):
        await made.say(f"question {number}", answered=True)
        await made.say(f"aside {number}", answered=False)
    await reader.get(f"{made.bot}/conversations")
    talk = f"{made.bot}/conversations/{reader.ids[0]}"
    whole: list[str] = []
    await reader.get(talk)
    whole[:0] = reader.ids
    while earlier := [href for href in reader.hrefs("before=") if "open=" not in href]:
        await reader.get(made.url + earlier[0])
        whole[:0] = reader.ids

    assert len(whole) == len(set(whole))
    assert 50 == sum(id_ in whole for id_ in await _questions(made, talk))
    assert "The conversation begins here" in reader.text


async def _questions(made: Office, talk: str) -> set[str]:
    headers = {"X-ORGANIZATION-SECRET": "acme-secret", "Content-Type": "application/json"}
    found: set[str] = set()
    url = f"{made.box.url}/v1/replicas/{SUPPORT}/conversations/{talk.rsplit('/', 1)[1]}/messages?limit=100"
    async with ClientSession(headers=headers) as http:
        before = ""
        while True:
            async with http.get(url + before) as answer:
                items = (await answer.json())["items"]
            if not items:
                return found
            found |= {item["uuid"] for item in items if item["role"] == "assistant"}
            before = f"&beforeUUID={items[0]['uuid']}"


async def test_a_page_as_the_guide_has_it_is_understood(made: Office, reader: Reader):
    """A placeholder at its old end, which the next page may begin with again; no word on whether there is more."""
    first, second = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"
    said = [
        {
            "uuid": first,
            "content": "Good day",
            "role": "user",
            "createdAt": "2026-01-01T09:09:55.66709+00:00",
        },
        {
            "uuid": second,
            "content": "And to you",
            "role": "assistant",
            "createdAt": "2026-01-01T09:10:15+00:00",
        },
    ]
    items = [{"type": "mention", "messages": said}, {"type": "placeholder", "count": 15}]
    body = json.dumps({"success": True, "items": items, "count": 2})
    made.box.sensay.canned.append(Canned("mentions", body=body))
    await reader.get(f"{made.bot}/conversations/{first}")

    assert [first, second] == reader.ids
    assert [(f"before-{first}", 15)] == reader.gaps
    assert reader.text.index("15 earlier messages") < reader.text.index("Good day")
    assert [f"/status/bots/support/conversations/{first}?before={first}#latest"] == reader.hrefs(
        r"\?before=.*latest$"
    )


async def test_what_is_new_is_found_by_looking_for_newer(made: Office, reader: Reader):
    await made.say("first", answered=True)
    await reader.get(f"{made.bot}/conversations")
    await reader.get(f"{made.bot}/conversations/{reader.ids[0]}")
    later = reader.hrefs("after=")[0]
    await made.say("aside", answered=False)
    await made.say("second", answered=True)
    await reader.get(made.url + later)

    assert "second" in reader.text
    assert [1] == [count for _, count in reader.gaps]


async def test_nothing_new_is_said_as_such(made: Office, reader: Reader):
    await made.say("first", answered=True)
    await reader.get(f"{made.bot}/conversations")
    await reader.get(f"{made.bot}/conversations/{reader.ids[0]}")
    await reader.get(made.url + reader.hrefs("after=")[0])

    assert "Nothing new" in reader.text


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_cursor_that_is_gone_falls_back_to_the_latest_page(made: Office, reader: Reader, side: str):
    talk = await group_talk(made, reader)
    await reader.get(talk)
    latest = reader.ids
    await reader.get(f"{talk}?{side}=00000000-0000-4000-8000-000000000000")

    assert reader.status == 200
    assert latest == reader.ids
    assert "no longer in this conversation" in reader.text


@pytest.mark.parametrize(
    "path",
    ["?before=nonsense", "?after=%3Cscript%3E", "/part?key=nonsense", "/part?key=before-x&count=1", "/part"],
)
async def test_a_cursor_that_is_none_is_refused_before_anything_is_asked(
    made: Office, reader: Reader, path: str
):
    talk = await group_talk(made, reader)
    asked = len(made.asked)
    await reader.get(talk + path)

    assert reader.status == 422
    assert "This cannot be asked" in reader.text
    assert asked == len(made.asked)


async def test_a_conversation_that_there_is_not_says_what_to_check(made: Office, reader: Reader):
    await reader.get(f"{made.bot}/conversations/00000000-0000-4000-8000-000000000000")

    assert reader.status == 404
    assert "Sensay does not have this" in reader.text
    assert "may have been deleted" in reader.text


# --- trouble ---


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ({"kind": "status", "status": 403}, 502, "private or belongs to somebody else"),
        ({"kind": "status", "status": 401}, 502, "check the organisation&#39;s secret"),
        ({"kind": "status", "status": 404}, 404, "Check the bot&#39;s replica"),
        ({"kind": "status", "status": 500}, 503, "Try again later"),
        ({"kind": "status", "status": 429, "retry_after": 7.0}, 429, "Sensay asks to wait"),
        ({"kind": "html", "status": 504}, 503, "Try again"),
        ({"kind": "malformed"}, 503, "cannot be read"),
        ({"kind": "drop_before"}, 503, "Sensay was not reached"),
    ],
)
async def test_every_failure_is_explained_and_may_be_tried_again(
    made: Office, reader: Reader, fault: dict[str, Any], status: int, words: str
):
    made.fault("conversations", times=2, **fault)
    await reader.get(f"{made.bot}/conversations?page=2")

    assert reader.status == status
    assert words.lower() in reader.text.lower()
    assert ["/status/bots/support/conversations?page=2"] == reader.hrefs(r"page=2$")


async def test_what_failed_is_asked_again(made: Office, reader: Reader):
    made.fault("conversations", "status", status=500)
    await reader.get(f"{made.bot}/conversations")
    first = reader.status
    await reader.get(made.url + reader.hrefs("conversations$")[-1])

    assert first == 503
    assert reader.status == 200
    assert len(reader.ids) == 24


async def test_a_quota_that_is_used_up_says_when_there_is_room():
    async with office(requests_per_minute=1) as made, ClientSession() as http:
        reader = Reader(http)
        await reader.get(f"{made.bot}/conversations")
        await reader.get(f"{made.bot}/conversations?page=2")

        assert reader.status == 429
        assert "requests for this minute are used up" in reader.text
        assert 10 < int(reader.headers["Retry-After"]) <= 61
        assert re.search(r"at \d\d:\d\d:\d\d UTC", reader.text)
        assert 1 == len(made.asked)


async def test_a_gap_that_does_not_open_leaves_the_page_as_it_is(made: Office, reader: Reader):
    talk = await group_talk(made, reader)
    await reader.get(talk)
    lines, opening = reader.ids, reader.hrefs("open=")[-1]
    made.fault("messages", "status", status=500, times=1)
    await reader.get(made.url + opening)

    assert reader.status == 200
    assert lines == reader.ids
    assert "try again" in reader.text

    await reader.get(made.url + opening)

    assert len(lines) < len(reader.ids)


# --- not twice, not in the way ---


async def test_pages_that_were_read_are_not_asked_for_again(made: Office, reader: Reader):
    talk = await group_talk(made, reader)
    for _ in range(5):
        await reader.get(talk)
        await reader.get(f"{made.bot}/conversations{ALL}")

    assert 2 == len(made.asked)


async def test_a_crowd_that_looks_at_once_costs_one_request(made: Office):
    async with ClientSession() as http:
        readers = [Reader(http) for _ in range(12)]
        await asyncio.gather(*(one.get(f"{made.bot}/conversations") for one in readers))

    assert [200] * 12 == [one.status for one in readers]
    assert 1 == len(made.asked)


async def test_requests_count_in_the_organisations_quota(made: Office, reader: Reader):
    before = (await made.gateway.status())["organizations"]["acme"]["quota"]["minute"]["used"]
    await reader.get(f"{made.bot}/conversations")
    after = (await made.gateway.status())["organizations"]["acme"]["quota"]["minute"]["used"]

    assert 1 == after - before


async def test_every_page_needs_the_token():
    async with office(token=TOKEN) as made, ClientSession() as http:
        reader = Reader(http)
        for path in ("", "/conversations", "/conversations/x", "/conversations/x/part?key=all"):
            await reader.get(made.bot + path)
            assert reader.status == 401
        async with http.get(
            f"{made.bot}/conversations", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as answer:
            assert answer.status == 200

        assert 1 == len(made.asked)


# --- hostile words ---


async def test_what_people_say_is_text_and_nothing_else(made: Office, reader: Reader):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}\u202e\x07'\""
    await made.say(evil, answered=True, who="<b>Eve</b>")
    await reader.get(f"{made.bot}/conversations")
    await reader.get(f"{made.bot}/conversations/{reader.ids[0]}")

    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;{{ 7 * 7 }}" in reader.text
    assert "&lt;b&gt;Eve&lt;/b&gt;" in reader.text
    assert not re.search(r"<(img|b>Eve|script>)", reader.text)
    assert "unsafe" not in reader.headers["Content-Security-Policy"]


async def test_a_very_long_message_is_folded(made: Office, reader: Reader):
    await made.say("word " * 5_000, answered=True)
    await reader.get(f"{made.bot}/conversations")
    await reader.get(f"{made.bot}/conversations/{reader.ids[0]}")

    assert re.search(r"Show all 2[45],\d{3} characters", reader.text)
