"""The event stream: complete, resumable, alive, and over at once when it has to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from adapters.web import stream
from adapters.web.render import WebRenderer
from adapters.web.stream import PAGE, PER_SESSION, Pace
from gateway.errors import Transient
from gateway.messages import Address, Channel, Delivery, Part, Reply
from gateway.ports import Retention, ShowsDraft, ShowsTyping
from gateway.settings.models import WebLimits
from tests.web.web_site import Site, Visitor, running_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


@pytest.fixture
async def visitor(site: Site) -> Visitor:
    visitor = Visitor(site)
    await visitor.begin()
    return visitor


async def test_a_stream_tells_what_was_and_then_what_happens(visitor: Visitor, site: Site) -> None:
    posted = await (await visitor.say("Hello")).json()
    async with visitor.events() as events:
        _, name, mine = await events.next()
        assert ("message", "user", posted["id"]) == (name, mine["role"], mine["id"])

        await site.answer("Hi **you**!")
        _, name, theirs = await events.next()

    assert ("message", "assistant", "Hi **you**!") == (name, theirs["role"], theirs["text"])
    assert theirs in (await visitor.history())["items"]


async def test_proxies_and_caches_are_told_to_keep_their_hands_off(visitor: Visitor) -> None:
    async with visitor.events() as events:
        headers = events.response.headers

    assert headers["Content-Type"].startswith("text/event-stream")
    assert headers["X-Accel-Buffering"] == "no"
    assert "no-transform" in headers["Cache-Control"]
    assert headers["Access-Control-Allow-Origin"] == "https://shop.example.com"


async def test_a_stream_resumes_after_any_event_without_loss_or_repetition(
    visitor: Visitor, site: Site
) -> None:
    for n in range(3):
        await visitor.say(f"question {n}")
        await site.answer(f"answer {n}")
    async with visitor.events() as events:
        seen = [await events.next() for _ in range(6)]

    for place, (last, _, _) in enumerate(seen[:-1]):
        async with visitor.events(last) as events:
            assert seen[place + 1 :] == [await events.next() for _ in seen[place + 1 :]]


async def test_more_than_a_page_is_told_completely(site: Site) -> None:
    site.add("chatty", limits=WebLimits(messages_per_session=None))
    visitor = Visitor(site, bot="chatty")
    await visitor.begin()
    for n in range(PAGE + 20):
        await visitor.say(f"message {n}")
    async with visitor.events() as events:
        told = [await events.next() for _ in range(PAGE + 20)]

    assert [f"message {n}" for n in range(PAGE + 20)] == [data["text"] for _, _, data in told]


@pytest.mark.parametrize("bogus", ["999999", "abc", "-1", "9" * 400, "1; DROP", "٣"])
async def test_an_unknown_place_is_reset_and_told_from_the_start(visitor: Visitor, bogus: str) -> None:
    await visitor.say("Hello")
    async with visitor.events(bogus) as events:
        first, second = await events.next(), await events.next()

    assert ("reset", {}) == first[1:]
    assert ("message", "Hello") == (second[1], second[2]["text"])


async def test_a_trimmed_place_is_reset_and_told_from_what_is_kept(visitor: Visitor, site: Site) -> None:
    await visitor.say("long ago")
    await site.answer("indeed")
    async with visitor.events() as events:
        (first, _, _), _ = await events.next(), await events.next()
    adapter, _ = site.bots["support"]
    channel = Channel(bot="support", platform="web")
    async with site.journal.hold(f"channel/{channel}") as lease:
        for delivery in await site.journal.claim_deliveries(channel, lease, 10):
            await site.journal.delivered(delivery, lease, await adapter.send(delivery))
    await site.clock.advance(3600)
    await visitor.say("just now")
    while await site.journal.purge(Retention(text=60, web_history=60)):
        pass

    async with visitor.events(first) as events:
        reset, kept = await events.next(), await events.next()

    assert reset[1] == "reset"
    assert kept[2]["text"] == "just now"


async def test_typing_and_queued_pass_through_at_the_place_where_the_reader_is(
    visitor: Visitor, site: Site
) -> None:
    adapter, host = site.bots["support"]
    await visitor.say("Hello")
    async with visitor.events() as events:
        place, _, _ = await events.next()
        await adapter.typing(Address(to=visitor.conversation))
        assert (place, "typing", {}) == await events.next()
        await host.publish(f"conversation/{visitor.key}", {"type": "queued", "position": 2, "seconds": 9.5})
        assert (place, "queued", {"position": 2, "seconds": 9.5}) == await events.next()
        await host.publish(f"conversation/{visitor.key}", {"type": "internal", "secret": 1})
        await site.answer("Hi!")
        _, name, _ = await events.next()

    assert name == "message"


async def test_an_answer_that_is_being_written_grows_under_its_own_id(visitor: Visitor, site: Site) -> None:
    adapter, _ = site.bots["support"]
    address = Address(to=visitor.conversation)
    await visitor.say("Hello")
    async with visitor.events() as events:
        place, _, _ = await events.next()
        await adapter.draft(address, "We", "turn-1.answer.0")
        await adapter.draft(address, "We open \ud83d", "turn-1.answer.0")
        grown = [await events.next(), await events.next()]
    async with visitor.events(place) as events:
        await adapter.draft(address, "We open at", "turn-1.answer.0")
        grown.append(await events.next())
        await site.answer("We open at **nine**.")
        _, name, answer = await events.next()

    assert isinstance(adapter, ShowsDraft)
    assert [
        (place, "delta", {"id": answer["id"], "text": text}) for text in ("We", "We open ", "We open at")
    ] == grown
    assert ("message", "We open at **nine**.") == (name, answer["text"])


async def test_a_piece_that_comes_together_with_news_may_be_of_what_is_told_now(
    visitor: Visitor, site: Site
) -> None:
    adapter, host = site.bots["support"]
    topic = f"conversation/{visitor.key}"
    await visitor.say("Hello")
    async with visitor.events() as events:
        await events.next()
        await adapter.draft(Address(to=visitor.conversation), "We open", "turn-1.answer.0")
        await host.publish(topic, {})
        await host.publish(topic, {"type": "typing"})

        assert (await events.next())[1] == "typing"


async def test_forgetting_resets_and_ends_the_other_tabs_stream(visitor: Visitor, site: Site) -> None:
    await visitor.say("Hello")
    async with visitor.events() as events:
        await events.next()
        await visitor.http.delete(visitor.url("conversation"), headers=visitor.headers)

        assert (await events.next())[1] == "reset"
        assert await events.next() is None


async def test_a_quiet_stream_shows_that_it_lives() -> None:
    async with running_site(Pace(ping=0.01)) as site:
        visitor = Visitor(site)
        await visitor.begin()
        async with visitor.events() as events:
            assert [": hello", ": ping", ": ping"] == [await events.block() for _ in range(3)]


async def test_an_old_stream_ends_so_that_processes_can_drain() -> None:
    async with running_site(Pace(max_age=0.05)) as site:
        visitor = Visitor(site)
        await visitor.begin()
        async with visitor.events() as events, asyncio.timeout(5):
            assert await events.next() is None


async def test_closing_the_platform_ends_all_streams_at_once(visitor: Visitor, site: Site) -> None:
    async with visitor.events() as one, visitor.events() as two:
        assert [": hello"] * 2 == [await one.block(), await two.block()]
        await site.platform.close()
        async with asyncio.timeout(5):
            assert ["retry: 1000"] * 2 == [await one.block(), await two.block()]
            assert [None, None] == [await one.next(), await two.next()]

    assert len(site.platform.streams) == 0
    async with visitor.events() as late, asyncio.timeout(5):
        assert await late.next() is None


async def test_a_visitor_who_left_leaves_nothing_behind() -> None:
    async with running_site(Pace(ping=0.01)) as site:
        visitor = Visitor(site)
        await visitor.begin()
        async with visitor.events() as events:
            await events.block()
            events.response.close()
        async with asyncio.timeout(5):
            while len(site.platform.streams):
                await asyncio.sleep(0)


async def test_a_journal_that_is_away_is_a_503_before_the_stream_began(visitor: Visitor, site: Site) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Transient("no journal")

    site.bots["support"][1].log = away
    response = await visitor.http.get(visitor.url("events"), headers=visitor.headers)

    assert response.status == 503


async def test_a_journal_that_goes_away_ends_the_stream_with_an_error_and_nothing_is_lost(
    visitor: Visitor, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, host = site.bots["support"]

    async def away(*_: object, **__: object) -> None:
        raise Transient("the disk is full", retry_after=2.0)

    await visitor.say("Hello")
    async with visitor.events() as events:
        place, _, _ = await events.next()
        with monkeypatch.context() as patch:
            patch.setattr(host.journal, "log", away)
            await site.answer("Hi!")
            ended = [await events.next(), await events.next()]
    async with visitor.events(place) as events:
        _, name, answer = await events.next()

    assert [(place, "error", {"code": "unavailable", "retry_after": 2.0}), None] == ended
    assert ("message", "Hi!") == (name, answer["text"])


async def test_an_adapter_is_ready_at_once_and_delivers_by_doing_nothing(site: Site) -> None:
    adapter, host = site.bots["support"]
    running = asyncio.create_task(adapter.run(host))
    async with asyncio.timeout(5):
        while host.identity is None:
            await asyncio.sleep(0)
    delivery = Delivery(
        id="turn-1.answer.0",
        organization="acme",
        key=Visitor(site).key,
        address=Address(to="c"),
        part=Part(text="x"),
        owner="turn-1",
        index=0,
        count=1,
        created_at=0.0,
    )

    assert (await adapter.send(delivery)).platform_ids == ("turn-1.answer.0",)
    assert isinstance(adapter, ShowsTyping)
    assert not running.done()
    running.cancel()


def test_an_answer_is_one_part_however_long() -> None:
    (part,) = WebRenderer().render(Reply(text="word " * 50_000, notice=None), Address(to="c"))

    assert part.text == "word " * 50_000
    assert part.payload["content"]


async def test_a_session_has_so_many_streams_and_the_newest_count(visitor: Visitor, site: Site) -> None:
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(visitor.events()) for _ in range(PER_SESSION)]
        assert [": hello"] * PER_SESSION == [await one.block() for one in opened]
        newest = await stack.enter_async_context(visitor.events())
        assert await newest.block() == ": hello"
        async with asyncio.timeout(5):
            assert await opened[0].next() is None
        await visitor.say("Hello")

        for one in [*opened[1:], newest]:
            assert ("message", "Hello") == ((told := await one.next())[1], told[2]["text"])


async def test_too_many_streams_are_refused_for_now(
    visitor: Visitor, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "TOTAL", 1)
    async with visitor.events() as one:
        await one.block()
        response = await visitor.http.get(visitor.url("events"), headers=visitor.headers)

        assert response.status == 503
        assert "Retry-After" in response.headers
