"""What a server can do to a journal: be away, full, slow, no primary any more, or not fit for it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.app import SystemClock
from gateway.errors import Misconfigured, Superseded, Transient
from gateway.journal.sqlite import SqliteJournal
from gateway.journal.valkey import ValkeyJournal
from gateway.journal.valkey.place import Place, place
from gateway.messages import Channel
from gateway.ports import Journal
from tests.contracts.journal_kit import ANSWER, CHANNEL, Desk, intake, said, spend, take, waiting
from tests.valkey import Server, free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "server", "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@asynccontextmanager
async def opened(url: str, lease: float = 10.0) -> AsyncIterator[ValkeyJournal]:
    journal = ValkeyJournal(url, SystemClock(), lease=lease)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


@asynccontextmanager
async def at_work(url: str) -> AsyncIterator[Desk]:
    async with (
        opened(url) as journal,
        journal.hold("dispatcher/acme") as turns,
        journal.hold(f"channel/{CHANNEL}") as parts,
    ):
        yield Desk(journal, turns, parts)


async def until_taken(journal: Journal, id_: str, seconds: float = 20.0) -> str:
    """Offer the same message again and again, as a platform does, until it is taken."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                [outcome] = await take(journal, intake(id_, said(chat=id_, dedupe=(id_,))))
            except Transient:
                await asyncio.sleep(0.05)
            else:
                return outcome


# --- many organisations ---


async def test_a_bot_that_nobody_wrote_to_costs_the_same_whatever_number_of_organisations(
    server: Server,
) -> None:
    spent = []
    async with opened(server.url) as journal:
        for number in range(40):
            async with journal.hold(f"dispatcher/o{number}"):
                pass
            if number in (0, 39):
                spent.append(await calls_of_a_start(journal, server, f"bot{number}"))

    assert spent[0] == spent[1]


async def calls_of_a_start(journal: Journal, server: Server, bot: str) -> int:
    """Commands to the server until a new channel waits for something to send."""
    channel = Channel(bot=bot, platform="telegram")
    before = scripts(server)
    async with journal.hold(f"channel/{channel}") as lease:
        await journal.inherit_deliveries(channel, lease)
        await journal.claim_deliveries(channel, lease, 32)
        await journal.next_due(channel)
    return scripts(server) - before


def scripts(server: Server) -> int:
    with server.client() as client:
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


# --- not fit for it ---


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_evicts_is_refused_in_words(tmp_path: Path, policy: str) -> None:
    with (
        Server(tmp_path, "--maxmemory", "64mb", "--maxmemory-policy", policy) as server,
        pytest.raises(Misconfigured, match="it would drop messages") as refused,
    ):
        await ValkeyJournal(server.url, SystemClock()).open()

    assert "set maxmemory-policy to noeviction on the server" == refused.value.remedy


@pytest.mark.parametrize("credentials", ["", ":wrong-secret@", "nobody:wrong-secret@"])
async def test_a_wrong_password_is_for_a_person_and_is_not_repeated(tmp_path: Path, credentials: str) -> None:
    with Server(tmp_path, "--requirepass", "right-secret") as server:
        url = server.url.replace("://", f"://{credentials}")
        with pytest.raises(Misconfigured, match="refused the gateway's name or password") as refused:
            await ValkeyJournal(url, SystemClock()).open()
        async with opened(server.url.replace("://", "://:right-secret@")) as journal:
            assert ["accepted"] == await take(journal, intake("m1"))

    assert "secret" not in f"{refused.value} {refused.value.remedy} {refused.value.context}"


async def test_a_journal_of_a_newer_version_is_not_touched(server: Server) -> None:
    with server.client() as client:
        client.set("gw:{version}", 99)
    with pytest.raises(Misconfigured, match="newer version"):
        await ValkeyJournal(server.url, SystemClock()).open()


async def test_a_database_that_the_server_has_not_is_for_a_person(server: Server) -> None:
    with pytest.raises(Misconfigured, match="has no database 99"):
        await ValkeyJournal(server.url.replace("/0", "/99"), SystemClock()).open()


async def test_a_replica_is_not_written_to(server: Server, tmp_path: Path) -> None:
    with (
        Server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(server.port)) as replica,
        pytest.raises(Transient, match="replica"),
    ):
        await ValkeyJournal(replica.url, SystemClock()).open()


# --- away ---


async def test_a_server_that_is_not_there_takes_nothing_and_is_found_when_it_is(tmp_path: Path) -> None:
    journal = ValkeyJournal(f"valkey://127.0.0.1:{(port := free_port())}/0", SystemClock())
    with pytest.raises(Transient):
        await journal.open()
    with pytest.raises(Transient):
        await journal.accept([intake("m1")])
    with Server(tmp_path, port=port):
        await journal.open()
        assert ["accepted"] == await take(journal, intake("m1"))
        await journal.close()


async def test_a_server_that_was_killed_has_everything_that_was_taken(server: Server) -> None:
    async with opened(server.url) as journal, journal.watch("inbox/acme") as inbox:
        assert ["accepted"] == await take(journal, intake("m1"))
        server.stop()
        with pytest.raises(Transient):
            await take(journal, intake("m2"))
        assert not await journal.writable()
        server.start()
        assert "accepted" == await until_taken(journal, "m3")
        inbox.drain()

        assert ["m1", "m3"] == await waiting(journal)
        assert await journal.writable()
        with server.client() as another:  # what others tell is heard again
            async with asyncio.timeout(10):
                while not inbox.drain():
                    another.publish("gw:inbox/acme", "somebody {}")
                    await asyncio.sleep(0.05)


async def test_a_server_that_forgot_its_scripts_is_told_them_again(server: Server) -> None:
    async with opened(server.url) as journal:
        await take(journal, intake("m1"))
        with server.client() as client:
            client.script_flush()

        assert ["m1"] == await waiting(journal)


async def test_a_server_that_stands_still_is_given_up_in_time_and_nothing_happens_twice(
    server: Server,
) -> None:
    async with opened(server.url) as journal:
        await take(journal, intake("m1"))
        server.signal(signal.SIGSTOP)
        try:
            assert not await journal.writable()
            asking = asyncio.ensure_future(until_taken(journal, "m2"))
            with pytest.raises(Transient):
                await asyncio.wait_for(journal.spend(spend("s1")), 8)
        finally:
            server.signal(signal.SIGCONT)
        await asking
        await journal.spend(spend("s1"))

        assert ["m1", "m2"] == await waiting(journal)
        assert 1 == len(await journal.spent_since("acme", 0.0))


# --- full ---


async def test_a_full_server_takes_nothing_in_but_lets_what_is_in_be_finished(server: Server) -> None:
    late = intake("m2", said(chat="c2", dedupe=("2",)))
    async with at_work(server.url) as desk:
        await take(desk.journal, intake("m1"))
        with server.client() as client:
            client.config_set("maxmemory", "1mb")
            with pytest.raises(Transient):
                await take(desk.journal, late)
            assert not await desk.journal.writable()
            await desk.answer("m1", "one")
            [part] = await desk.outgoing()
            await desk.sent(part)
            client.config_set("maxmemory", "0")

        assert ["accepted"] == await take(desk.journal, late)
        assert ["m2"] == await waiting(desk.journal)


# --- replicas ---


async def test_what_no_replica_has_is_not_taken_until_one_has_it(server: Server, tmp_path: Path) -> None:
    with Server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(server.port)) as replica:
        await _in_step(replica)
        async with opened(server.url) as journal:
            assert ["accepted"] == await take(journal, intake("m1"))
            with replica.client() as client:
                assert 1 == client.zcard("gw:{acme}:inbox")
            replica.signal(signal.SIGSTOP)
            with pytest.raises(Transient):
                await take(journal, intake("m2", said(chat="c2", dedupe=("2",))))
            replica.signal(signal.SIGCONT)

            assert "duplicate" == await until_taken(journal, "2")
            with replica.client() as client:
                assert 2 == client.zcard("gw:{acme}:inbox")


async def _in_step(replica: Server) -> None:
    with replica.client() as client:
        async with asyncio.timeout(20):
            while client.info("replication").get("master_link_status") != "up":
                await asyncio.sleep(0.02)


# --- replies that were lost ---


async def test_parts_whose_claim_was_not_heard_of_are_handed_out_by_the_next_one(server: Server) -> None:
    async with at_work(server.url) as desk:
        await take(desk.journal, intake("m1"), intake("m2", said(chat="c2")))
        await desk.answer("m1", "one")
        lost = await desk.outgoing()
        desk.journal._claims._numbers.clear()  # type: ignore[attr-defined]  # as if its answer had never come
        await desk.answer("m2", "two")

        assert lost == await desk.outgoing()
        assert ["two"] == [delivery.part.text for delivery in await desk.outgoing()]


# --- leases ---


async def test_what_a_dead_process_held_is_taken_over_when_its_session_ends(server: Server) -> None:
    async with opened(server.url, lease=1.0) as dead, opened(server.url, lease=1.0) as next_one:
        holding = dead.hold("dispatcher/acme")
        old = await holding.__aenter__()
        await take(dead, intake("m1"))
        await dead.claim("t1", ["m1"], old)
        for task in (dead._leases._keeping, dead._leases._looking):
            assert task is not None
            task.cancel()
        async with asyncio.timeout(10), next_one.hold("dispatcher/acme") as new:
            assert old.lost
            with pytest.raises(Superseded):
                await dead.finish("t1", old, ANSWER)

            assert [] == await next_one.inherit_turns(new)
            assert ["m1"] == await waiting(next_one)
        await holding.__aexit__(None, None, None)


async def test_a_lease_is_handed_over_at_once_when_it_is_let_go(server: Server) -> None:
    async with opened(server.url, lease=60.0) as one, opened(server.url, lease=60.0) as other:
        async with one.hold("channel/shop/telegram") as first:
            second = asyncio.ensure_future(_token(other))
            while not other._leases._rivals:
                await asyncio.sleep(0.01)
        token = await asyncio.wait_for(second, 5)

    assert token > first.token


async def test_a_lease_whose_waiting_is_called_off_is_not_kept_from_others(server: Server) -> None:
    """At any moment of it, also while it is being drawn."""
    async with opened(server.url) as one, opened(server.url) as other:
        for rounds in range(40):
            waiting = asyncio.ensure_future(_token(one))
            for _ in range(rounds):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

        assert await asyncio.wait_for(_token(other), 5)


async def test_a_lease_that_could_not_be_given_back_is_given_back_when_the_server_answers(
    server: Server,
) -> None:
    async with opened(server.url, lease=6.0) as one, opened(server.url, lease=6.0) as other:
        async with one.hold("x"):
            server.stop()
        server.start()

        assert await asyncio.wait_for(_token(other), 10)


async def _token(journal: ValkeyJournal) -> int:
    async with journal.hold("channel/shop/telegram") as lease:
        return lease.token


async def test_a_process_that_is_cut_off_stops_before_anybody_can_take_over(server: Server) -> None:
    async with opened(server.url, lease=2.0) as journal, journal.hold("dispatcher/acme") as lease:
        await asyncio.sleep(0)
        with server.client() as client:
            [session] = client.keys("gw:{session/*")  # type: ignore[misc]
            client.persist(session)
            left = 2.0
            server.signal(signal.SIGSTOP)
            began = asyncio.get_running_loop().time()
            await asyncio.wait_for(lease.wait_lost(), 10)
            took = asyncio.get_running_loop().time() - began
            server.signal(signal.SIGCONT)

    assert lease.lost
    assert took < left


async def test_wake_ups_reach_the_other_processes(server: Server) -> None:
    async with (
        opened(server.url) as one,
        opened(server.url) as other,
        other.watch("inbox/acme") as inbox,
        other.watch("draft/7") as draft,
    ):
        await take(one, intake("m1"))
        await one.publish("draft/7", {"text": "He"})

        assert {} == await asyncio.wait_for(inbox.next(), 5)
        assert {"text": "He"} == await asyncio.wait_for(draft.next(), 5)


async def test_two_processes_share_one_journal(server: Server) -> None:
    async with opened(server.url) as one, opened(server.url) as other:
        batches = [one, other] * 20
        outcomes = await asyncio.gather(
            *(
                take(journal, intake(f"m{n}", said(chat="c", dedupe=(f"{n // 2}",))))
                for n, journal in enumerate(batches)
            )
        )

        assert 20 == sum(outcome == ["accepted"] for outcome in outcomes)
        assert await one.secret("web") == await other.secret("web")
        assert 20 == await other.queue("acme")


async def test_rows_have_the_servers_time_whatever_the_process_believes(server: Server) -> None:
    class Wrong(SystemClock):
        def now(self) -> float:
            return super().now() + 3600.0

    journal = ValkeyJournal(server.url, Wrong())
    await journal.open()
    await take(journal, intake("m1"))
    [head] = await journal.waiting("acme")
    await journal.close()
    with server.client() as client:
        seconds, _ = client.time()  # type: ignore[misc]

    assert abs(head.accepted_at - seconds) < 5
    assert abs(journal.time() - seconds) < 5


async def test_every_script_stays_within_one_slot(tmp_path: Path) -> None:
    options = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
    with Server(tmp_path, *options) as server, server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        async with asyncio.timeout(10):
            while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
                await asyncio.sleep(0.05)
        async with at_work(server.url) as desk:
            await take(desk.journal, intake("m1"), intake("u1", organization="umbrella"))
            await desk.answer("m1", "one")
            [part] = await desk.outgoing()
            await desk.sent(part)
        keys = client.keys("gw:{acme}:*")
        slots = {client.execute_command("CLUSTER", "KEYSLOT", key) for key in keys}  # type: ignore[union-attr]

    assert len(keys) > 10  # type: ignore[arg-type]
    assert 1 == len(slots)


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("valkey://host", Place(nodes=(("host", 6379),))),
        ("redis://host:7000/3", Place(nodes=(("host", 7000),), database=3)),
        (
            "rediss://me:p%40ss@host/0",
            Place(nodes=(("host", 6379),), username="me", password="p@ss", tls=True),
        ),
        (
            "valkey+sentinel://:pw@a:26380,b/primary/1",
            Place(nodes=(("a", 26380), ("b", 26379)), primary="primary", database=1, password="pw"),
        ),
        ("valkey://[::1]:7000/0", Place(nodes=(("::1", 7000),))),
    ],
)
def test_an_address_is_read(url: str, expected: Place) -> None:
    assert expected == place(url)
    assert "p@ss" not in repr(place(url)) + str(place(url))


@pytest.mark.parametrize(
    "url", ["valkey://", "valkey://a,b/0", "valkey://a/b/0", "valkey+sentinel://a/0", "valkeyx://a"]
)
def test_an_address_that_says_too_little_is_refused_in_words(url: str) -> None:
    with pytest.raises(Misconfigured, match="not understood"):
        place(url)


async def test_a_cancelled_call_is_cancelled_wherever_it_is(server: Server) -> None:
    """A task that goes on after it was cancelled is waited for in vain."""
    async with opened(server.url) as journal:
        for rounds in range(30):
            call = asyncio.ensure_future(_for_ever(journal))
            for _ in range(rounds):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait_for(asyncio.gather(call, return_exceptions=True), 5)

            assert call.cancelled()


async def _for_ever(journal: ValkeyJournal) -> None:
    await journal.queue("acme")
    await asyncio.Event().wait()


async def test_a_copy_is_of_the_moment_when_it_began(server: Server, tmp_path: Path) -> None:
    """What is answered, sent and taken while it is made is in it as it was before."""
    async with at_work(server.url) as desk:
        journal = desk.journal
        await take(journal, intake("m1"), intake("m2", said(chat="c2")), intake("m3", said(chat="c3")))
        await desk.answer("m1", "sent before")
        [part] = await desk.outgoing()
        await desk.sent(part)
        await desk.claim("t2", "m2")
        await journal.asked("t2", desk.turns, spend("s2"))
        now = desk.journal._store.read  # type: ignore[attr-defined]

        async def then_all_goes_on(tag: str, name: str, /, **more: object) -> object:
            reply = await now(tag, name, **more)
            if name == "now":
                await journal.finish("t2", desk.turns, ANSWER)
                for outgoing in await desk.outgoing():
                    await desk.sent(outgoing)
                await desk.answer("m3", "too late")
                await take(journal, intake("m4", said(chat="c4", dedupe=("4",))))
            return reply

        journal._store.read = then_all_goes_on  # type: ignore[attr-defined]
        async with journal.backup() as copied:
            restored = tmp_path / "restored.db"
            restored.write_bytes(copied.read_bytes())
            again = SqliteJournal(restored, SystemClock())
            await again.open()
            try:
                async with again.hold("dispatcher/acme") as lease:
                    asked = [turn.id for turn in await again.inherit_turns(lease)]
                lives = [await again.message(id_) for id_ in ("m1", "m2", "m3", "m4")]

                assert ["answered", "asking", "queued", None] == [life and life.status for life in lives]
                assert (["t2"], ["m3"]) == (asked, await waiting(again))
                assert ["accepted"] == await take(again, intake("m4", said(chat="c4", dedupe=("4",))))
            finally:
                await again.close()
