"""What every platform must do. A subclass gives the `world` to do it in."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Protocol

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import Transient
from gateway.messages import Address, ConversationKey, Delivery, Part, Receipt, Reply, decode, encode
from gateway.ports import Adapter, Platform, Renderer, ShowsTyping
from tests.platforms.fake_host import FakeHost, until

VISIBLE = (
    "We open at nine.",
    "# Opening hours\n\n- Monday: *nine* to **five**\n- Sunday: ~~closed~~ [see here](https://shop.example)",
    "```python\nprint('hello')\n```",
    "```\nnever closed",
    "| day | hours |\n|---|---|\n| Monday | 9 |",
    "1 < 2 & 3 > 2, List<String> and <b>bold</b> <script>alert(1)</script>",
    "a\0b",
    "**",
    "[](https://shop.example)",
    "![a picture](https://shop.example/1.png)",
    "@everyone <@42> @shop_bot",
    "👩‍👩‍👧‍👦🏳️‍🌈 مرحبا שלום 你好 नमस्ते",
    "<think>hm</think>yes",
    "> " * 40 + "deep",
    "word " * 4_000,
    "x" * 20_000,
    "line\n" * 3_000,
)
"""Each of them shows something to somebody."""
HOSTILE = (
    "[" * 3_000,
    "*a" * 2_000,
    "> " * 1_000 + "x",
    "`" * 3_001,
    "<" * 2_000,
    "- " * 500 + "x",
    "_*" * 2_000,
)
"""Short, and dear to a careless parser."""
BLINK = 2.0
"""Seconds of work for one of them: what is rendered in the loop's process may not hold it up for long."""
PLAIN_WORDS = st.lists(st.from_regex(r"[a-z]{1,12}", fullmatch=True), min_size=1, max_size=400)
SOUP = st.text(
    st.sampled_from(list("ab *_`~[]()<>#>|-\\\n!:/@&.1")) | st.characters(codec="utf-8"), max_size=300
)


class AdapterWorld(Protocol):
    """A platform, the settings of a bot on it, and a person who wrote to that bot."""

    platform: Platform
    section: Any
    reachable: bool
    """Whether parts are sent somewhere (or read from the journal)."""

    async def address(self, adapter: Adapter, host: FakeHost) -> Address:
        """Where an answer to that person goes, as the adapter has it; `adapter` is running."""
        ...

    def shown(self) -> list[str]:
        """What that person was sent."""
        ...


def delivery(address: Address, world: AdapterWorld, text: str = "We open at nine.") -> Delivery:
    parts = world.platform.renderer.render(Reply(text=text), address)
    return Delivery(
        id="t1.answer.0",
        organization="acme",
        key=ConversationKey(bot="support", platform=world.platform.name, chat=address.to),
        address=address,
        part=parts[0],
        owner="t1",
        index=0,
        count=len(parts),
        created_at=0.0,
    )


@asynccontextmanager
async def running(world: AdapterWorld) -> AsyncIterator[tuple[Adapter, FakeHost]]:
    """A new adapter at work, as the supervisor starts it each time."""
    adapter = world.platform.adapter("support", world.section)
    host = FakeHost("support", world.platform.name)
    task = asyncio.ensure_future(adapter.run(host))
    try:
        await until(lambda: host.state == "ready" or task.done())
        yield adapter, host
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


_STARTED: ContextVar[list[asyncio.Task[Any]] | None] = ContextVar("started", default=None)


@contextmanager
def started() -> Iterator[list[asyncio.Task[Any]]]:
    """The tasks that are started inside, and by those, however deep; not those of the pretended platform."""
    loop, tasks = asyncio.get_running_loop(), []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        if _STARTED.get() is tasks:
            tasks.append(task)
        return task

    before, token = loop.get_task_factory(), _STARTED.set(tasks)
    loop.set_task_factory(factory)
    try:
        yield tasks
    finally:
        loop.set_task_factory(before)
        _STARTED.reset(token)


async def left(tasks: list[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    """Which of them still run after they had their chance to end."""
    with suppress(AssertionError):
        await until(lambda: all(task.done() for task in tasks), 2.0)
    return [task for task in tasks if not task.done()]


def words(parts: list[Part]) -> set[str]:
    """Everything that a reader gets: texts and files."""
    return set(re.findall(r"\w+", "\n".join(f"{part.text} {json.dumps(part.payload)}" for part in parts)))


class AdapterContract:
    """Inherited by a test class with a fixture `world`."""

    @pytest.fixture
    def renderer(self, world: AdapterWorld) -> Renderer:
        return world.platform.renderer

    # --- rendering ---

    def test_a_text_that_shows_something_is_rendered_into_something(self, renderer: Renderer):
        for text in VISIBLE:
            parts = renderer.render(Reply(text=text), Address(to="1"))

            assert parts, text[:40]
            assert all(part.text.strip() for part in parts), text[:40]

    @pytest.mark.parametrize("most", [1, 2, 5])
    def test_there_are_no_more_parts_than_asked_for(self, renderer: Renderer, most: int):
        """Beyond that the whole follows as a file after the first part."""
        for text in VISIBLE:
            parts = renderer.render(Reply(text=text), Address(to="1"), max_parts=most)

            assert len(parts) <= max(most, 2), text[:40]

    def test_rendering_is_pure(self, renderer: Renderer):
        for text in VISIBLE:
            reply = Reply(text=text)

            assert renderer.render(reply, Address(to="1")) == renderer.render(reply, Address(to="1"))
            assert reply == Reply(text=text)

    def test_parts_can_be_written_down_and_read_again(self, renderer: Renderer):
        for text in VISIBLE:
            for part in renderer.render(Reply(text=text), Address(to="1")):
                assert decode(encode(part), Part) == part

    def test_a_renderer_can_work_in_another_process(self, renderer: Renderer):
        copy = pickle.loads(pickle.dumps(renderer))
        reply = Reply(text=VISIBLE[1])

        assert copy.render(reply, Address(to="1")) == renderer.render(reply, Address(to="1"))

    def test_parts_keep_what_the_reply_is_for(self, renderer: Renderer):
        parts = renderer.render(Reply(text="word " * 4_000, purpose="notice", notice="help"), Address(to="1"))

        assert {(part.purpose, part.notice) for part in parts} == {("notice", "help")}

    def test_a_hostile_text_takes_no_longer_than_a_blink(self, renderer: Renderer):
        for text in HOSTILE:
            began = time.process_time()
            parts = renderer.render(Reply(text=text), Address(to="1"))

            assert time.process_time() - began < BLINK, text[:40]
            assert parts, text[:40]

    def test_no_word_of_an_answer_is_lost(self, renderer: Renderer):
        @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(said=PLAIN_WORDS, most=st.integers(1, 12))
        def every_word_arrives(said: list[str], most: int) -> None:
            text = " ".join(f"{word}{number}" for number, word in enumerate(said))
            parts = renderer.render(Reply(text=text), Address(to="1"), max_parts=most)

            assert set(text.split()) <= words(parts)

        every_word_arrives()

    def test_whatever_a_replica_writes_can_be_rendered(self, renderer: Renderer):
        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(text=SOUP)
        def something_arrives(text: str) -> None:
            parts = renderer.render(Reply(text=f"{text}\n\nvisible"), Address(to="1"))

            assert parts
            assert all(part.text.strip() for part in parts)
            assert [decode(encode(part), Part) for part in parts] == parts

        something_arrives()

    # --- running ---

    async def test_an_adapter_says_what_it_is(self, world: AdapterWorld):
        adapter = world.platform.adapter("support", world.section)

        assert adapter.bot == "support"
        assert isinstance(adapter.idempotent, bool)
        if isinstance(adapter, ShowsTyping):
            assert 1.0 <= adapter.typing_every <= 60.0

    async def test_it_reports_that_it_is_ready_and_serves_until_it_is_cancelled(self, world: AdapterWorld):
        async with running(world) as (_, host):
            seen = list(host.states)

        assert [state for state, _ in seen] == ["ready"]
        assert all(identity for _, identity in seen)

    async def test_a_cancelled_run_leaves_nothing_behind(self, world: AdapterWorld):
        with started() as tasks:
            async with running(world) as (_, host):
                state = host.state

        assert state == "ready"
        assert tasks
        assert await left(tasks) == []

    async def test_a_run_that_is_cancelled_at_once_leaves_nothing_behind(self, world: AdapterWorld):
        adapter = world.platform.adapter("support", world.section)
        with started() as tasks:
            run = asyncio.ensure_future(adapter.run(FakeHost("support", world.platform.name)))
            await asyncio.sleep(0)
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run

        assert run.cancelled()
        assert await left(tasks) == []

    async def test_a_channel_can_be_started_again(self, world: AdapterWorld):
        for _ in range(3):
            async with running(world) as (_, host):
                assert host.state == "ready"

    async def test_two_runs_do_not_share_a_host(self, world: AdapterWorld):
        async with running(world) as (_, first):
            told = len(first.states)
        async with running(world):
            pass

        assert len(first.states) == told

    # --- sending ---

    async def test_a_part_is_sent_and_its_receipt_returned(self, world: AdapterWorld):
        async with running(world) as (adapter, host):
            part = delivery(await world.address(adapter, host), world)
            receipt = await adapter.send(part)

        assert isinstance(receipt, Receipt)
        if world.reachable:
            assert receipt.platform_ids
            assert world.shown() == [part.part.text]

    async def test_an_adapter_that_calls_itself_idempotent_is(self, world: AdapterWorld):
        async with running(world) as (adapter, host):
            part = delivery(await world.address(adapter, host), world)
            receipts = [await adapter.send(part), await adapter.send(part)]

        if adapter.idempotent:
            assert receipts[0] == receipts[1]
            assert len(world.shown()) == int(world.reachable)
        else:
            assert len(world.shown()) == 2, "declare it idempotent, then"

    async def test_parts_outlive_the_connection_that_they_were_made_for(self, world: AdapterWorld):
        async with running(world) as (adapter, host):
            part = delivery(await world.address(adapter, host), world)
        written = decode(encode(part), Delivery)
        async with running(world) as (adapter, _):
            await adapter.send(written)

        assert len(world.shown()) == int(world.reachable)

    async def test_nothing_is_half_sent_before_the_channel_runs(self, world: AdapterWorld):
        async with running(world) as (adapter, host):
            part = delivery(await world.address(adapter, host), world)
        idle = world.platform.adapter("support", world.section)

        if world.reachable:
            with pytest.raises(Transient):
                await idle.send(part)
            assert world.shown() == []
        else:
            assert isinstance(await idle.send(part), Receipt)

    async def test_typing_is_harmless(self, world: AdapterWorld):
        async with running(world) as (adapter, host):
            address = await world.address(adapter, host)
            if isinstance(adapter, ShowsTyping):
                async with asyncio.timeout(10.0):
                    await adapter.typing(address)

            assert world.shown() == []
            assert host.state == "ready"

    # --- the platform ---

    async def test_its_routes_are_routes(self, world: AdapterWorld):
        class Nobody:
            def channel(self, bot: str, platform: str) -> None:
                return None

        app = web.Application()
        app.add_routes(world.platform.routes(Nobody()))

        assert all(route.resource is not None for route in app.router.routes())

    async def test_closing_twice_is_harmless(self, world: AdapterWorld):
        async with running(world):
            pass
        await world.platform.close()
        await world.platform.close()
