"""What a visitor says: taken once, in the journal before the answer, refused in plain words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from gateway.errors import Transient
from gateway.messages import ConversationKey, Part
from gateway.settings.models import Rate, WebLimits
from tests.web.web_site import SHOP, Site, Visitor, WebHost, running_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


@pytest.fixture
def host(site: Site) -> WebHost:
    return site.bots["support"][1]


@pytest.fixture
async def visitor(site: Site) -> Visitor:
    visitor = Visitor(site)
    await visitor.begin()
    return visitor


async def test_a_message_is_accepted_and_becomes_an_arrival(visitor: Visitor, host: WebHost) -> None:
    response = await visitor.say("Hello 👋", **{"Accept-Language": "de-AT,de;q=0.9,en;q=0.8"})

    assert (202, {"id": "acme-support1", "status": "queued"}) == (response.status, await response.json())
    (said,) = host.said
    assert said.key == ConversationKey(bot="support", platform="web", chat=visitor.conversation)
    assert (said.address.to, said.text, said.sender.locale) == (visitor.conversation, "Hello 👋", "de-AT")
    assert said.sender.id.startswith("visitor-")
    assert host.beats > 0


async def test_a_repeated_message_is_accepted_once_and_gets_the_first_answer(
    visitor: Visitor, site: Site
) -> None:
    first = await (await visitor.say("Hello", key="k")).json()
    await site.answer("Hi!")

    second = await visitor.say("Hello", key="k")

    assert (202, first) == (second.status, await second.json())
    assert [item["role"] for item in (await visitor.history())["items"]] == ["user", "assistant"]


async def test_a_key_used_for_another_text_is_refused(visitor: Visitor) -> None:
    await visitor.say("Hello", key="k")

    assert (await visitor.say("Goodbye", key="k")).status == 422


async def test_a_key_belongs_to_its_session(site: Site, visitor: Visitor) -> None:
    other = Visitor(site)
    await other.begin()
    await visitor.say("Hello", key="k")

    response = await other.say("Something else", key="k")

    assert response.status == 202
    assert (await response.json())["id"] == "acme-support2"


@pytest.mark.parametrize("key", ["", "two words", "k" * 201, "schlüssel"])
async def test_a_message_needs_a_usable_key(visitor: Visitor, host: WebHost, key: str) -> None:
    response = await visitor.http.post(
        visitor.url("messages"), json={"text": "x"}, headers={**visitor.headers, "Idempotency-Key": key}
    )

    assert (400, []) == (response.status, host.said)


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u00a0\ufe0f\x00", "x" * 4001, 5, None, ["x"], {}])
async def test_a_text_that_nobody_could_answer_is_refused(
    visitor: Visitor, host: WebHost, text: object
) -> None:
    assert (422, []) == ((await visitor.say(text)).status, host.said)


async def test_a_text_of_4000_characters_is_taken(visitor: Visitor, host: WebHost) -> None:
    response = await visitor.http.post(
        visitor.url("messages"),
        data=json.dumps({"text": "👋" * 4000}, ensure_ascii=False).encode(),
        headers={**visitor.headers, "Idempotency-Key": "k"},
    )

    assert (202, ["👋" * 4000]) == (response.status, [said.text for said in host.said])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x" * (16 * 1024 + 1), 413),
        (b"", 400),
        (b"not json", 400),
        (b'{"text": "\xff"}', 400),
        (b'{"text": "\\ud800 alone"}', 400),
        (b'{"a":' * 3000, 400),
        (b"[" * 10_000, 400),
        (b'{"text": NaN}', 400),
        (b'["text"]', 422),
        (b'{"text": "x", "conversation": "y"}', 422),
        (b"{}", 422),
    ],
)
async def test_a_bad_body_writes_nothing(visitor: Visitor, host: WebHost, body: bytes, status: int) -> None:
    response = await visitor.http.post(
        visitor.url("messages"), data=body, headers={**visitor.headers, "Idempotency-Key": "k"}
    )

    assert (status, []) == (response.status, host.said)
    assert response.content_type == "application/problem+json"


async def test_a_body_without_a_length_is_bounded_too(visitor: Visitor, host: WebHost) -> None:
    async def endless():
        for _ in range(64):
            yield b" " * 1024

    response = await visitor.http.post(
        visitor.url("messages"), data=endless(), headers={**visitor.headers, "Idempotency-Key": "k"}
    )

    assert (413, []) == (response.status, host.said)


async def test_a_compressed_body_is_not_unpacked(visitor: Visitor) -> None:
    response = await visitor.say("x", **{"Content-Encoding": "gzip"})

    assert response.status in (400, 415)  # the parser may see first that it is no gzip


async def test_a_journal_that_cannot_write_is_said_so(visitor: Visitor, host: WebHost) -> None:
    host.refusal = Transient("disk full", retry_after=2.5)
    response = await visitor.say("Hello", key="k")

    assert (503, "3") == (response.status, response.headers["Retry-After"])
    assert response.headers["Access-Control-Allow-Origin"] == SHOP
    host.refusal = None
    assert (await visitor.say("Hello", key="k")).status == 202


async def test_a_fault_of_ours_is_a_problem_with_a_reference(visitor: Visitor, host: WebHost) -> None:
    host.refusal = RuntimeError("secret detail")
    response = await visitor.say("Hello")

    body = await response.json()
    assert 500 == response.status
    assert body["reference"]
    assert "secret detail" not in str(body)


async def test_a_denied_visitor_is_told_so_and_repeats_say_the_same(visitor: Visitor, host: WebHost) -> None:
    host.endings = {"denied": (Part(text="Not here.", purpose="notice", notice="denied"),)}
    host.verdict = "deny"
    first = await visitor.say("Hello", key="k")
    again = await visitor.say("Hello", key="k")

    assert (202, "denied") == (first.status, (await first.json())["status"])
    assert await first.json() == await again.json()


async def test_a_session_may_say_so_much_and_repeats_are_free(site: Site) -> None:
    site.add("small", limits=WebLimits(messages_per_session=Rate(count=1, seconds=60)))
    visitor = Visitor(site, bot="small")
    await visitor.begin()
    await visitor.say("one", key="k")

    refused = await visitor.say("two")

    assert (429, "60") == (refused.status, refused.headers["Retry-After"])
    assert (await visitor.say("one", key="k")).status == 202
    await site.clock.advance(60)
    assert (await visitor.say("two")).status == 202


async def test_a_bot_hears_so_many_messages_a_day_from_everybody(site: Site) -> None:
    site.add("small", limits=WebLimits(messages_per_day=2))
    for n in range(2):
        visitor = Visitor(site, bot="small")
        await visitor.begin()
        assert (await visitor.say(f"number {n}")).status == 202

    assert (await visitor.say("one too many")).status == 429


# --- history


async def test_history_is_what_both_said_oldest_first(visitor: Visitor, site: Site) -> None:
    await visitor.say("**Which** one?")
    await site.answer("The **red** one, see [this](https://shop.example.com).")

    history = await visitor.history()

    user, assistant = history["items"]
    assert history["cursor"] is None
    assert ("user", "**Which** one?") == (user["role"], user["text"])
    assert user["content"] == [{"tag": "p", "children": ["**Which** one?"]}]
    assert assistant["text"] == "The **red** one, see [this](https://shop.example.com)."
    assert {"tag": "strong", "children": ["red"]} in assistant["content"][0]["children"]
    assert assistant["created_at"].endswith("Z")
    assert assistant["in_reply_to"] == user["id"]


async def test_history_goes_back_in_pages(visitor: Visitor, site: Site) -> None:
    for n in range(5):
        await visitor.say(f"question {n}")
        await site.answer(f"answer {n}")

    pages, cursor = [], {}
    while True:
        page = await visitor.history(limit=4, **cursor)
        pages.append([item["text"] for item in page["items"]])
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}

    assert [4, 4, 2] == [len(page) for page in pages]
    assert [text for page in reversed(pages) for text in page] == [
        text for n in range(5) for text in (f"question {n}", f"answer {n}")
    ]


async def test_an_answer_of_several_parts_is_one_message(visitor: Visitor, site: Site) -> None:
    await visitor.say("tell me")
    await site.answer(parts=(Part(text="First."), Part(text="Second.")))

    _, answer = (await visitor.history())["items"]

    assert answer["text"] == "First.\n\nSecond."
    assert [{"tag": "p", "children": [text]} for text in ("First.", "Second.")] == answer["content"]


async def test_a_fixed_text_says_what_it_is(visitor: Visitor, site: Site) -> None:
    await visitor.say("tell me")
    await site.answer(parts=(Part(text="Not now.", purpose="error", notice="failed"),))

    assert (await visitor.history())["items"][1]["notice"] == "failed"


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"cursor": "-1"}, {"cursor": "٣"}]
)
async def test_a_bad_page_is_refused(visitor: Visitor, query: dict[str, str]) -> None:
    response = await visitor.http.get(visitor.url("history"), params=query, headers=visitor.headers)

    assert response.status == 422


# --- forgetting


async def test_a_forgotten_conversation_is_gone_and_its_session_too(visitor: Visitor, site: Site) -> None:
    await visitor.say("my secret")
    response = await visitor.http.delete(visitor.url("conversation"), headers=visitor.headers)

    assert response.status == 204
    assert (await visitor.say("still me?")).status == 401
    assert (await site.journal.log(visitor.key)).entries == ()
