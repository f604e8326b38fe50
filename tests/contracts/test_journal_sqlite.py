"""What only a journal in a file can get wrong: crashes, full disks, other processes, other versions."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from gateway.errors import Misconfigured, Transient
from gateway.journal.schema import migrations
from gateway.journal.sqlite import SqliteJournal
from gateway.messages import Channel, Ending, Part
from gateway.ports import Retention
from tests.clock import FakeClock
from tests.contracts.journal_kit import intake, said, spend, take, waiting

ROOT = Path(__file__).parents[2]
CHILD = """
import asyncio, os, resource, signal, sys
from gateway.errors import Transient
from gateway.journal import open_journal
from tests.clock import FakeClock
from tests.contracts.journal_kit import intake, said, take

async def opened():
    journal = open_journal("sqlite:///" + sys.argv[1], FakeClock())
    await journal.open()
    return journal

def say(*words):
    print(*words, flush=True)
"""


class Child:
    """A process of its own that runs a few lines and says how far it is."""

    def __init__(self, path: Path, script: str) -> None:
        command = [sys.executable, "-c", f"{CHILD}\n{script}\nasyncio.run(main())", str(path)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> list[str]:
        """End it without warning; returns what it had still said, in whole lines."""
        self.process.send_signal(signal.SIGKILL)
        rest, _ = self.process.communicate(timeout=30)
        return [line.strip() for line in rest.splitlines(keepends=True) if line.endswith("\n")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
def child(path: Path) -> Iterator[Any]:
    children: list[Child] = []

    def start(script: str) -> Child:
        children.append(Child(path, script))
        return children[-1]

    yield start
    for one in children:
        if one.process.poll() is None:
            one.kill()
        assert one.process.stdout is not None
        one.process.stdout.close()


async def opened(path: Path) -> SqliteJournal:
    journal = SqliteJournal(path, FakeClock())
    await journal.open()
    return journal


async def test_a_reopened_journal_goes_on_where_it_was(path: Path) -> None:
    journal = await opened(path)
    await take(journal, *(intake(f"m{n}", said(chat=f"c{n}", dedupe=(f"{n}",))) for n in range(3)))
    async with journal.hold("dispatcher/acme") as lease, journal.hold("channel/shop/telegram") as courier:
        for n in (0, 1):
            await journal.claim(f"t{n}", [f"m{n}"], lease)
            await journal.asked(f"t{n}", lease, spend(f"s{n}"))
        await journal.finish("t1", lease, Ending(outcome="answered", parts=(Part(text="a"), Part(text="b"))))
        [sending] = await journal.claim_deliveries(Channel(bot="shop", platform="telegram"), courier, 1)
    secret = await journal.secret("web")
    await journal.close()

    again = await opened(path)
    async with again.hold("dispatcher/acme") as new, again.hold("channel/shop/telegram") as courier:
        assert new.token > lease.token
        assert ["t0"] == [turn.id for turn in await again.inherit_turns(new)]
        assert [sending] == await again.inherit_deliveries(Channel(bot="shop", platform="telegram"), courier)
    assert ["m2"] == await waiting(again)
    assert ["s0", "s1"] == [s.id for s in await again.spent_since("acme", 0.0)]
    assert secret == await again.secret("web")
    assert ["duplicate"] == await take(again, intake("x", said(dedupe=("0",))))
    await again.close()


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_closed_journal_is_one_file_with_everything_in_it(path: Path) -> None:
    journal = await opened(path)
    await take(journal, intake("m1"))
    await waiting(journal)
    await journal.close()

    assert {"gateway.db", "gateway.db.lock"} == {file.name for file in _files(path.parent)}


async def test_nobody_else_may_read_a_new_journal(path: Path) -> None:
    journal = await opened(path)
    await take(journal, intake("m1"))

    assert {0o600} == {file.stat().st_mode & 0o777 for file in _files(path.parent)}
    await journal.close()


async def test_a_killed_process_loses_no_acknowledged_message(path: Path, child: Any) -> None:
    writer = child("""
async def write(journal, worker):
    for n in range(100_000):
        id_ = f"m-{worker}-{n}"
        await take(journal, intake(id_, said(chat=id_)))
        say(id_)

async def main():
    journal = await opened()
    await asyncio.gather(*(write(journal, worker) for worker in range(16)))
""")
    acknowledged = [await asyncio.to_thread(writer.line) for _ in range(500)]
    acknowledged += writer.kill()

    journal = await opened(path)
    kept = {head.id for head in await journal.waiting("acme", limit=100_000)}
    await journal.close()
    assert "ok" == _integrity(path)
    assert set() == set(acknowledged) - kept


def _integrity(path: Path) -> str:
    with apsw.Connection(str(path)) as db:
        return str(db.pragma("integrity_check"))


async def test_a_second_process_is_refused_while_the_first_one_lives(path: Path, child: Any) -> None:
    first = child("""
async def main():
    await opened()
    say("open")
    await asyncio.Event().wait()
""")
    assert "open" == await asyncio.to_thread(first.line)

    with pytest.raises(Transient, match="held by another process"):
        await opened(path)
    first.kill()
    await (await opened(path)).close()


async def test_a_second_journal_in_one_process_is_refused_too(path: Path) -> None:
    first = await opened(path)

    with pytest.raises(Transient, match="held by another process"):
        await opened(path.parent / "." / path.name)
    assert ["accepted"] == await take(first, intake("m1"))
    await first.close()
    await (await opened(path)).close()


async def test_a_forked_worker_that_survives_its_parent_does_not_hold_the_journal(
    path: Path, child: Any
) -> None:
    parent = child("""
async def main():
    await opened()
    pid = os.fork()
    if not pid:
        os.close(1)
        signal.pause()
    say(pid)
    await asyncio.Event().wait()
""")
    worker = int(await asyncio.to_thread(parent.line))
    parent.kill()
    try:
        await (await opened(path)).close()
    finally:
        os.kill(worker, signal.SIGKILL)


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="missing does not exist"):
        await opened(tmp_path / "missing" / "gateway.db")


async def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "folder.db"
    folder.mkdir()

    with pytest.raises(Misconfigured, match="cannot be opened"):
        await opened(folder)


@pytest.fixture
def letter(path: Path) -> Iterator[Path]:
    """A file that is no database, and still the same at the end."""
    text = "something else entirely, " * 100
    path.write_text(text)
    yield path
    assert text == path.read_text()


async def test_a_file_that_is_no_journal_is_left_alone(letter: Path) -> None:
    for _ in range(2):  # a failed start holds nothing
        with pytest.raises(Misconfigured, match="no journal"):
            await opened(letter)


async def test_a_journal_of_a_newer_version_is_refused_and_unchanged(path: Path) -> None:
    await (await opened(path)).close()
    newer = max(migrations()) + 1
    with apsw.Connection(str(path)) as db:
        db.pragma("user_version", newer)

    with pytest.raises(Misconfigured, match=f"version {newer}"):
        await opened(path)
    with apsw.Connection(str(path)) as db:
        assert newer == db.pragma("user_version")


def test_migrations_are_numbered_without_a_gap() -> None:
    assert list(range(1, len(migrations()) + 1)) == list(migrations())


@pytest.fixture
def empty(path: Path) -> Path:
    path.touch()
    return path


async def test_an_empty_file_becomes_a_journal(empty: Path) -> None:
    journal = await opened(empty)
    assert ["accepted"] == await take(journal, intake("m1"))
    await journal.close()
    with apsw.Connection(str(empty)) as db:
        assert (max(migrations()), "wal") == (db.pragma("user_version"), db.pragma("journal_mode"))


async def test_a_full_disk_refuses_whole_batches_and_recovers(path: Path, child: Any) -> None:
    full = child("""
def may_grow_to(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def fill(journal):
    for n in range(10_000):
        try:
            await take(journal, *(intake(f"m{n}-{i}", said(chat=f"c{n}-{i}")) for i in range(2)))
        except Transient as error:
            return n, error
        say("kept", n)

async def main():
    journal = await opened()
    may_grow_to(2_000_000)
    n, error = await fill(journal)
    say("refused", n, error)
    say("writable", await journal.writable(), len(await journal.waiting("acme", limit=100_000)) == 2 * n)
    may_grow_to(resource.RLIM_INFINITY)
    say("writable", await journal.writable())
    say(await take(journal, intake("after")))
    await journal.close()
    say("closed")
""")
    said_ = [await asyncio.to_thread(full.line)]
    while said_[-1] not in {"closed", ""}:
        said_.append(await asyncio.to_thread(full.line))
    kept = [line for line in said_ if line.startswith("kept")]

    assert len(kept) > 10
    assert [
        f"refused {len(kept)} journal cannot be written",
        "writable False True",
        "writable True",
        "['accepted']",
        "closed",
    ] == said_[len(kept) :]
    assert "ok" == _integrity(path)


async def test_a_write_that_does_not_fit_is_refused_alone_or_with_its_group(path: Path) -> None:
    journal = await opened(path)
    await take(journal, intake("m1"))
    database, now = journal._database, 0.0
    pages = await database.write(now, lambda tx: tx.value("PRAGMA page_count"))
    await database.write(now, lambda tx: tx.rows(f"PRAGMA max_page_count = {pages + 2}"))

    with pytest.raises(Transient, match="cannot be written"):
        await take(journal, intake("big", said("x" * 200_000, "c2")))
    assert ["m1"] == await waiting(journal)
    await database.write(now, lambda tx: tx.rows("PRAGMA max_page_count = 1000000"))
    assert ["accepted"] == await take(journal, intake("big", said("x" * 200_000, "c2")))
    await journal.close()


async def test_the_raw_update_goes_with_its_turn(path: Path) -> None:
    async def raw() -> list[Any]:
        return await journal._database.read(
            0.0, lambda tx: tx.rows("SELECT raw FROM bodies ORDER BY message")
        )

    journal = await opened(path)
    await take(journal, intake("m1", said(raw="{1}")), intake("m2", said(raw="{2}"), verdict="answer"))
    async with journal.hold("dispatcher/acme") as lease:
        await journal.claim("t1", ["m1"], lease)
        assert [("{1}",), (None,)] == await raw()
        await journal.finish("t1", lease, Ending(outcome="failed"))

    assert [(None,), (None,)] == await raw()
    await journal.close()


async def test_a_forgotten_conversation_leaves_no_row_with_its_texts(path: Path) -> None:
    def rows(tx: Any) -> list[int]:
        return [
            tx.value(f"SELECT count(*) FROM {table}") for table in ("messages", "bodies", "turns", "parts")
        ]

    journal = await opened(path)
    await take(journal, intake("m1"), intake("m2"))
    async with journal.hold("dispatcher/acme") as lease:
        await journal.claim("t1", ["m1"], lease)
        await journal.finish("t1", lease, Ending(outcome="answered", parts=(Part(text="a"),)))
        assert [2, 2, 1, 1] == await journal._database.read(0.0, rows)
        await journal.forget(said().key)

    assert [0, 0, 0, 0] == await journal._database.read(0.0, rows)
    await journal.close()


async def test_writes_of_one_moment_share_one_commit(path: Path) -> None:
    journal = await opened(path)
    commits: list[int] = []

    def count(tx: Any) -> None:
        tx._db.set_commit_hook(lambda: bool(commits.append(1)))

    first = asyncio.ensure_future(journal._database.write(0.0, count))
    writes = [asyncio.ensure_future(take(journal, intake(f"m{n}", said(chat=f"c{n}")))) for n in range(50)]
    await asyncio.gather(first, *writes)

    assert 1 == len(commits)
    await journal.close()


async def test_what_is_written_during_a_commit_shares_the_next_one(path: Path) -> None:
    journal = await opened(path)
    commits: list[int] = []
    started, go = threading.Event(), threading.Event()

    def block(tx: Any) -> None:
        tx._db.set_commit_hook(lambda: bool(commits.append(1)))
        started.set()
        go.wait(30)

    blocker = asyncio.ensure_future(journal._database.write(0.0, block, alone=True))
    await asyncio.to_thread(started.wait, 30)
    writes = [asyncio.ensure_future(take(journal, intake(f"m{n}", said(chat=f"c{n}")))) for n in range(50)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(blocker, *writes)

    assert 2 == len(commits)
    await journal.close()


async def test_a_write_that_fails_takes_nothing_with_it(path: Path) -> None:
    def fails(tx: Any) -> None:
        tx.run("DELETE FROM messages")
        raise ValueError("its own fault")

    journal = await opened(path)
    results = await asyncio.gather(
        take(journal, intake("m1")),
        journal._database.write(0.0, fails),
        journal._database.write(0.0, fails, alone=True),
        take(journal, intake("m2", said(chat="c2"))),
        return_exceptions=True,
    )

    assert [["accepted"], ValueError, ValueError, ["accepted"]] == [
        type(result) if isinstance(result, Exception) else result for result in results
    ]
    assert ["m1", "m2"] == await waiting(journal)
    await journal.close()


async def test_a_write_whose_caller_gave_up_is_still_one_write(path: Path) -> None:
    journal = await opened(path)
    lost = asyncio.ensure_future(take(journal, intake("m1")))
    await asyncio.sleep(0)
    lost.cancel()

    assert ["accepted"] == await take(journal, intake("m2", said(chat="c2")))
    assert ["m1", "m2"] == await waiting(journal)
    await journal.close()


async def test_a_closed_journal_refuses_and_commits_what_was_queued(path: Path) -> None:
    journal = await opened(path)
    queued = [asyncio.ensure_future(take(journal, intake(f"m{n}", said(chat=f"c{n}")))) for n in range(20)]
    await asyncio.sleep(0)
    await journal.close()
    await journal.close()

    assert [["accepted"]] * 20 == await asyncio.gather(*queued)
    assert not await journal.writable()
    with pytest.raises(Transient):
        await journal.waiting("acme")
    again = await opened(path)
    assert 20 == await again.queue("acme")
    await again.close()


# --- versions, copies, room -------------------------------------------------------------------------------------


def _as_version(path: Path, version: int) -> None:
    """A journal as an older program left it."""
    with apsw.Connection(str(path)) as db:
        for number, script in migrations().items():
            if number <= version:
                db.execute(script)
                db.pragma("user_version", number)


async def test_an_older_journal_is_migrated_and_kept_beside(path: Path) -> None:
    _as_version(path, 1)
    with apsw.Connection(str(path)) as db:
        db.execute(
            "INSERT INTO conversations (bot, platform, chat, last_seq, seen_at) VALUES ('b', 'web', 'c', 1, 1)"
        )
        db.execute(
            "INSERT INTO turns (id, organization, bot, conversation, kind, messages, state, token, claimed_at,"
            " ended_at, outcome, cause)"
            " VALUES ('t1', 'acme', 'b', 1, 'ask', '[\"m0\",\"m1\"]', 'ended', 1, 1, 2, 'failed', 'why')"
        )
    journal = await opened(path)
    letters = await journal.dead_letters()
    await journal.close()

    assert [("t1", "m1", "why")] == [(letter.id, letter.message, letter.cause) for letter in letters]
    with apsw.Connection(f"{path}.v1") as kept:
        assert (1, [(1,)]) == (kept.pragma("user_version"), list(kept.execute("SELECT count(*) FROM turns")))


async def test_copies_of_a_process_that_died_are_removed(path: Path) -> None:
    left = path.with_name("gateway.db.copy-0123")
    left.touch()
    await (await opened(path)).close()

    assert not left.exists()


async def test_room_that_is_not_needed_goes_back_to_the_disk_in_small_steps(path: Path) -> None:
    clock = FakeClock()
    journal = SqliteJournal(path, clock)
    await journal.open()
    big = "x" * 15_000
    for batch in range(4):
        await journal.accept(
            [intake(f"m{batch}-{n}", said(big, f"c{n}"), verdict="answer") for n in range(500)]
        )
    full = _size(path)
    await clock.advance(30 * 86_400.0)
    steps = 0
    while await journal.purge(Retention()):
        steps += 1
    await journal.close()

    assert _size(path) < full / 2
    assert steps > 10


def _size(path: Path) -> int:
    return path.stat().st_size
