"""The contract of what is read: logs, wake-ups, small values, lives and figures."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import Superseded
from gateway.messages import (
    BotCounts,
    Ending,
    Part,
)
from gateway.ports import Bounds, Journal, Retention
from tests.clock import FakeClock
from tests.contracts.journal_kit import (
    ANSWER,
    CHANNEL,
    Desk,
    intake,
    key,
    purge_all,
    said,
    spend,
    take,
)


class LogContract:
    async def test_a_log_reads_as_the_conversation_went(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1", said("hi")))
        await desk.answer("m1", "one", "two")
        await take(journal, intake("m2", said("thanks")))

        log = await journal.log(key())
        assert [1, 2, 3, 4] == [entry.seq for entry in log.entries]
        assert [
            ("m1", "user", "hi", "m1", 0, 1, None),
            ("t-m1.answer.0", "assistant", "one", "t-m1", 0, 2, "m1"),
            ("t-m1.answer.1", "assistant", "two", "t-m1", 1, 2, "m1"),
            ("m2", "user", "thanks", "m2", 0, 1, None),
        ] == [(e.id, e.role, e.part.text, e.owner, e.index, e.count, e.in_reply_to) for e in log.entries]
        assert (log.trimmed, log.more) == (False, False)

    async def test_a_log_pages_forwards_and_backwards(self, journal: Journal) -> None:
        await take(journal, *(intake(f"m{n}", said(str(n))) for n in range(1, 8)))

        async def page(**asked: Any) -> tuple[str, bool]:
            log = await journal.log(key(), limit=3, **asked)
            return "".join(entry.part.text for entry in log.entries), log.more

        assert ("123", True) == await page()
        assert ("456", True) == await page(after=3)
        assert ("567", False) == await page(after=4)
        assert ("", False) == await page(after=7)
        assert ("567", True) == await page(before=8)
        assert ("123", False) == await page(before=4)
        assert ("34", False) == await page(after=2, before=5)

    async def test_an_unknown_cursor_begins_anew(self, journal: Journal) -> None:
        await take(journal, intake("m1", said("hi")))

        log = await journal.log(key(), after=5)
        assert (True, ["hi"]) == (log.trimmed, [entry.part.text for entry in log.entries])
        assert (await journal.log(key("nowhere"), after=1)).trimmed
        assert not (await journal.log(key("nowhere"))).trimmed

    async def test_a_cursor_older_than_what_is_kept_begins_anew(
        self, journal: Journal, clock: FakeClock
    ) -> None:
        bounds = Bounds(per_conversation=1, user_limit=None)
        await take(journal, *(intake(f"m{n}", said(str(n)), bounds=bounds) for n in range(1, 4)))
        await clock.advance(86_400.0)
        await take(journal, intake("m4", said("4"), bounds=bounds))
        await purge_all(journal, Retention())

        old, fresh = await journal.log(key(), after=2), await journal.log(key(), after=3)
        assert (True, ["1", "4"]) == (old.trimmed, [entry.part.text for entry in old.entries])
        assert (False, ["4"]) == (fresh.trimmed, [entry.part.text for entry in fresh.entries])
        assert not (await journal.log(key())).trimmed

    async def test_concurrent_acceptance_leaves_no_gap(self, journal: Journal) -> None:
        bounds = Bounds(per_conversation=1000, user_limit=None)
        await asyncio.gather(*(take(journal, intake(f"m{n}", bounds=bounds)) for n in range(300)))

        log = await journal.log(key(), limit=1000)
        assert list(range(1, 301)) == [entry.seq for entry in log.entries]
        assert 300 == len({head.seq for head in await journal.waiting("acme")})


class WakeUpContract:
    async def test_a_message_wakes_inbox_and_conversation(self, journal: Journal) -> None:
        async with journal.watch("inbox/acme") as inbox, journal.watch(f"conversation/{key()}") as log:
            await take(journal, intake("m1"))
            await take(journal, intake("m2"))

            assert {} == await asyncio.wait_for(inbox.next(), 5)
            assert [] == inbox.drain()  # two messages, one wake-up
            assert [{}] == log.drain()

    async def test_an_ending_wakes_outbox_message_and_conversation(
        self, journal: Journal, desk: Desk
    ) -> None:
        await take(journal, intake("m1"), intake("m2"))
        topics = (f"outbox/{CHANNEL}", "message/m1", "message/m2", f"conversation/{key()}")
        async with (
            journal.watch(topics[0]) as a,
            journal.watch(topics[1]) as b,
            journal.watch(topics[2]) as c,
            journal.watch(topics[3]) as d,
        ):
            await desk.claim("t1", "m1", "m2")
            assert [[]] * 4 == [watch.drain() for watch in (a, b, c, d)]
            await journal.finish("t1", desk.turns, ANSWER)

            assert [[{}]] * 4 == [watch.drain() for watch in (a, b, c, d)]

    async def test_a_fixed_ending_wakes_whoever_waits_for_the_message(self, journal: Journal) -> None:
        async with journal.watch("message/m1") as ended:
            await take(journal, intake("m1", verdict="answer"))

            assert [{}] == ended.drain()

    async def test_the_outbox_is_woken_when_a_lane_gets_free_for_its_next_part(
        self, journal: Journal, desk: Desk
    ) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one", "two")
        [first] = await desk.outgoing()
        async with journal.watch(f"outbox/{CHANNEL}") as outbox:
            await desk.sent(first)
            assert [{}] == outbox.drain()
            [second] = await desk.outgoing()
            await desk.sent(second)

            assert [] == outbox.drain()

    async def test_a_refused_write_wakes_nobody(self, journal: Journal) -> None:
        async with journal.hold("x") as old, journal.watch("inbox/acme") as inbox:
            pass
        await take(journal, intake("m1"))
        async with journal.hold("x"), journal.watch("inbox/acme") as inbox:
            with pytest.raises(Superseded):
                await journal.claim("t1", ["m1"], old)

            assert [] == inbox.drain()

    async def test_facts_reach_every_watcher_of_their_topic_from_then_on(self, journal: Journal) -> None:
        await journal.publish("a", {"n": 0})
        async with journal.watch("a") as one, journal.watch("a") as two, journal.watch("b") as other:
            await journal.publish("a", {"n": 1})
            await journal.publish("a", {"n": 2})

            assert {"n": 1} == await asyncio.wait_for(one.next(), 5)
            assert [{"n": 2}] == one.drain()
            assert [{"n": 1}, {"n": 2}] == two.drain()
            assert [] == other.drain()

    async def test_a_watch_waits_for_what_comes(self, journal: Journal) -> None:
        async with journal.watch("a") as watch:
            fact = asyncio.ensure_future(watch.next())
            await asyncio.sleep(0)
            await journal.publish("a", {"n": 1})

            assert {"n": 1} == await asyncio.wait_for(fact, 5)

    async def test_a_watch_that_was_left_hears_nothing(self, journal: Journal) -> None:
        async with journal.watch("a"):
            async with journal.watch("a") as watch:
                pass
            await journal.publish("a", {"n": 1})

        assert [] == watch.drain()

    async def test_a_slow_watcher_keeps_the_newest_facts(self, journal: Journal) -> None:
        async with journal.watch("a") as watch:
            for n in range(1000):
                await journal.publish("a", {"n": n})

            assert [{"n": n} for n in range(1000 - 256, 1000)] == watch.drain()


class MemoryContract:
    async def test_a_remembered_value_is_recalled_until_it_is_forgotten(self, journal: Journal) -> None:
        await journal.remember("bot", "me", b"1")
        await journal.remember("bot", "me", b"2")

        assert (b"2", None) == (await journal.recall("bot", "me"), await journal.recall("other", "me"))
        await journal.remember("bot", "me", None)
        assert None is await journal.recall("bot", "me")

    async def test_a_value_with_a_time_to_live_ends(self, journal: Journal, clock: FakeClock) -> None:
        await journal.remember("bot", "me", b"1", ttl=10.0)
        await clock.advance(9.0)
        assert b"1" == await journal.recall("bot", "me")
        await clock.advance(1.0)

        assert None is await journal.recall("bot", "me")

    async def test_a_secret_is_made_once(self, journal: Journal) -> None:
        made = await asyncio.gather(*(journal.secret("web") for _ in range(5)))

        assert {await journal.secret("web")} == set(made)
        assert (32, True) == (len(made[0]), made[0] != await journal.secret("hook"))


class LookingContract:
    async def test_a_life_is_found_by_every_id_that_belongs_to_it(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        start = clock.now()
        await take(journal, intake("m1", said("hi")))
        await clock.advance(1.0)
        await desk.claim("t1", "m1")
        await clock.advance(1.0)
        await journal.asked("t1", desk.turns, spend("s1"))
        await clock.advance(1.0)
        ending = Ending(outcome="answered", parts=(Part(text="yo"),), request_id="r-1")
        await journal.finish("t1", desk.turns, ending)
        await clock.advance(1.0)
        [delivery] = await desk.outgoing()
        await clock.advance(1.0)
        await desk.sent(delivery)

        life = await journal.message("m1")
        assert life is not None
        assert life == await journal.message("t1") == await journal.message(delivery.id)
        assert (
            life.id,
            life.turn,
            life.sender,
            life.text,
            life.status,
            life.attempts,
            life.request_id,
        ) == ("m1", "t1", "ann", "hi", "answered", 1, "r-1")
        [part] = life.parts
        times = (life.accepted_at, life.claimed_at, life.asked_at, life.ended_at)
        times += (part.created_at, part.sending_at, part.ended_at)
        assert (0, 1, 2, 3, 3, 4, 5) == tuple(round((at or 0) - start) for at in times)
        assert (part.state, part.text, part.attempt, part.platform_ids) == ("sent", "yo", 1, ("p1",))

    async def test_a_turns_life_is_that_of_its_last_message(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("m2"))
        await desk.claim("t1", "m1", "m2")

        lives = [await journal.message(id_) for id_ in ("t1", "m1")]
        assert [("m2", "t1"), ("m1", "t1")] == [(life.id, life.turn) for life in lives if life]

    async def test_an_open_life_says_how_far_it_is(self, journal: Journal, desk: Desk) -> None:
        async def status() -> str | None:
            life = await journal.message("m1")
            return life and life.status

        assert None is await status()
        await take(journal, intake("m1"))
        assert "queued" == await status()
        await desk.claim("t1", "m1")
        assert "queued" == await status()
        await journal.asked("t1", desk.turns, spend("s1"))
        assert "asking" == await status()
        await journal.finish("t1", desk.turns, Ending(outcome="expired", cause="too late"))
        assert "expired" == await status()

    async def test_a_dedupe_key_stands_for_its_message(self, journal: Journal) -> None:
        await take(journal, intake("m1", said(dedupe=("a", "b"))))

        assert ["m1", "m1", None] == [await journal.find(CHANNEL, k) for k in ("a", "b", "c")]

    async def test_counts_are_by_bot(self, journal: Journal, desk: Desk, clock: FakeClock) -> None:
        assert {} == await journal.counts()
        await take(journal, *(intake(f"m{n}") for n in range(3)), intake("r1", verdict="record"))
        await clock.advance(5.0)
        await take(journal, intake("m3"), intake("x1", said(key=key(bot="support"))))
        outcomes: list[Any] = ["answered", "failed"]
        for n, outcome in enumerate(outcomes):
            await desk.claim(f"t{n}", f"m{n}")
            await journal.finish(f"t{n}", desk.turns, Ending(outcome=outcome))

        assert {
            "shop": BotCounts(waiting=2, oldest=clock.now() - 5.0, answered=1, failed=1, dead_letters=1),
            "support": BotCounts(waiting=1, oldest=clock.now()),
        } == await journal.counts()
        assert (3, 0) == (await journal.queue("acme"), await journal.queue("umbrella"))
