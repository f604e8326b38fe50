"""The contract of forgetting: on request, and when the retention is over."""

from __future__ import annotations

from gateway.journal.sqlite import SqliteJournal
from gateway.messages import (
    Channel,
    Receipt,
)
from gateway.ports import Journal, Retention
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
    texts,
    waiting,
)


class HousekeepingContract:
    async def test_a_forgotten_conversation_leaves_nothing_to_read_ask_or_send(
        self, journal: Journal, desk: Desk
    ) -> None:
        await take(journal, intake("m1", said(dedupe=("1",))), intake("m2"), intake("o1", said(chat="c2")))
        await desk.answer("m1", "one")
        await journal.forget(key())

        assert ["o1"] == await waiting(journal)
        assert ([], []) == (await desk.outgoing(), await texts(journal))
        assert [None] * 3 == [await journal.message(id_) for id_ in ("m1", "t-m1", "m2")]
        assert (await journal.log(key(), after=1)).trimmed
        assert ["duplicate"] == await take(journal, intake("m3", said(dedupe=("1",))))

    async def test_a_turn_in_flight_that_was_forgotten_ends_in_nothing(
        self, journal: Journal, desk: Desk
    ) -> None:
        await take(journal, intake("m1"), intake("m2", said(chat="c2")))
        await desk.claim("t1", "m1")
        await desk.answer("m2", "other")
        await journal.forget(key())
        await journal.finish("t1", desk.turns, ANSWER)

        assert ["other"] == [delivery.part.text for delivery in await desk.outgoing()]

    async def test_a_forgotten_part_on_its_way_does_not_stop_its_lane(
        self, journal: Journal, desk: Desk
    ) -> None:
        await take(journal, intake("m1"))
        await desk.answer("m1", "one")
        [part] = await desk.outgoing()
        await journal.forget(key())
        await take(journal, intake("m2"))
        await desk.answer("m2", "two")

        assert ["two"] == [delivery.part.text for delivery in await desk.outgoing()]
        await desk.sent(part)

    async def test_a_forgotten_conversation_goes_on_with_higher_numbers(self, journal: Journal) -> None:
        await take(journal, intake("m1"), intake("m2"))
        await journal.forget(key())
        await purge_all(journal, Retention())
        await take(journal, intake("m3"))

        assert [3] == [entry.seq for entry in (await journal.log(key())).entries]

    async def test_texts_go_a_day_after_their_turn_and_web_transcripts_later(
        self, journal: Journal, desk: Desk, clock: FakeClock
    ) -> None:
        web = key("w1", platform="web")
        await take(journal, intake("m1"), intake("w1", said(key=web)), intake("m2", said("open", "c2")))
        for message in ("m1", "w1"):
            await desk.answer(message, "answer")
        [part] = await desk.outgoing()
        await desk.sent(part)
        async with journal.hold("channel/shop/web") as lease:
            [part] = await journal.claim_deliveries(Channel(bot="shop", platform="web"), lease, 1)
            await journal.delivered(part, lease, Receipt())

        await clock.advance(86_399.0)
        await purge_all(journal, Retention())
        assert ["hi", "answer"] == await texts(journal)
        await clock.advance(1.0)
        await purge_all(journal, Retention())
        life = await journal.message("m1")
        assert life is not None
        assert (None, [""], "answered") == (life.text, [part.text for part in life.parts], life.status)
        assert ([], ["open"]) == (await texts(journal), await texts(journal, "c2"))
        assert 2 == len((await journal.log(web)).entries)
        await clock.advance(6 * 86_400.0)
        await purge_all(journal, Retention())
        assert () == (await journal.log(web)).entries

    async def test_what_waits_is_never_purged(self, journal: Journal, desk: Desk, clock: FakeClock) -> None:
        await take(journal, intake("m1"), intake("m2", said(chat="c2")), intake("m3", said(chat="c3")))
        await desk.claim("t1", "m1")
        await desk.answer("m2", "unsent")
        await clock.advance(100 * 86_400.0)
        await purge_all(journal, Retention())

        assert ["m3"] == await waiting(journal)
        assert None is not await desk.claim("t1", "m1")
        assert ["unsent"] == [delivery.part.text for delivery in await desk.outgoing()]

    async def test_traces_and_keys_go_after_their_retention(self, journal: Journal, clock: FakeClock) -> None:
        gone = intake("m1", said(dedupe=("1",)), verdict="answer")
        await take(journal, gone)
        await journal.spend(spend("s1"))
        await journal.remember("bot", "me", b"1", ttl=5.0)
        await clock.advance(172_799.0)
        await purge_all(journal, Retention())
        assert "m1" == await journal.find(CHANNEL, "1")
        assert [] == await journal.spent_since("acme", 0.0)
        await clock.advance(1.0)
        await purge_all(journal, Retention())
        assert None is await journal.find(CHANNEL, "1")
        assert None is not await journal.message("m1")
        await clock.advance(5 * 86_400.0)
        await purge_all(journal, Retention())

        assert None is await journal.message("m1")
        assert 0 == await journal.purge(Retention())

    async def test_spends_outlive_the_longest_window(self, journal: Journal, clock: FakeClock) -> None:
        await journal.spend(spend("s1"))
        await clock.advance(7200.0)
        await purge_all(journal, Retention())

        assert ["s1"] == [s.id for s in await journal.spent_since("acme", 0.0)]

    async def test_a_purge_does_a_bounded_piece_of_work(self, journal: Journal, clock: FakeClock) -> None:
        await journal.accept([intake(f"m{n}", said(chat=f"c{n}"), verdict="answer") for n in range(1200)])
        await clock.advance(30 * 86_400.0)

        pieces = []
        while dropped := await journal.purge(Retention()):
            pieces.append(dropped)
        assert len(pieces) > 2

    async def test_a_healthy_journal_is_writable(self, journal: Journal) -> None:
        assert await journal.writable()

    async def test_a_backup_is_a_journal_with_everything_in_it(self, journal: Journal, desk: Desk) -> None:
        await take(journal, intake("m1"), intake("m2", said(chat="c2")))
        await desk.answer("m1", "one")
        async with journal.backup() as copy:
            await take(journal, intake("m3", said(chat="c3")))
            restored = copy.with_name("restored.db")
            restored.write_bytes(copy.read_bytes())
            private = copy.stat().st_mode & 0o077
        again = SqliteJournal(restored, FakeClock())
        await again.open()
        try:
            life = await again.message("m1")

            assert life is not None
            assert ("answered", ["m2"]) == (life.status, await waiting(again))
            assert (False, 0) == (copy.exists(), private)
        finally:
            await again.close()
            for file in restored.parent.glob("restored.db*"):
                file.unlink()
