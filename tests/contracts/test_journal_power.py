"""What a power cut may leave of the journal: everything acknowledged, and a file that is whole."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from gateway.errors import GatewayError, Misconfigured
from gateway.journal.sqlite import SqliteJournal
from tests.clock import FakeClock
from tests.contracts.journal_kit import intake, said, take, waiting
from tests.contracts.test_journal_sqlite import CHILD, ROOT
from tests.disk import environment, power_cut, records, shim

CUTS = 20
WRITER = """
async def write(journal, worker, log):
    for n in range(60):
        id_ = f"m-{worker}-{n}"
        await take(journal, intake(id_, said("x" * 3000, chat=id_)))
        say(id_, os.path.getsize(log))

async def main():
    journal = await opened()
    await asyncio.gather(*(write(journal, worker, os.environ["DISK_LOG"]) for worker in range(8)))
    os._exit(0)  # the log is not folded into the file: more states to cut in
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    library = shim(tmp_path)
    if library is None:
        pytest.skip("NO C COMPILER: power cuts are not tested")
    return library


@dataclass(frozen=True)
class Written:
    """What a process did to its disk, and what it had acknowledged when the log of it was so long."""

    log: bytes
    acknowledged: list[tuple[str, int]]

    def cuts(self, dice: random.Random) -> list[int]:
        """Moments when the power might fail: any, and some while the log is folded into the file."""
        ends = [record for record in records(self.log) if record.file.endswith((".db", "-wal"))]
        begun = next(record.end for record in ends if record.kind == "s" and record.file.endswith("-wal"))
        folding = [record.end for record in ends if record.kind == "w" and record.file.endswith(".db")]
        folding = [end for end in folding if end > begun]
        assert len(folding) > 100
        anywhere = [dice.randrange(begun, len(self.log)) for _ in range(CUTS)]
        return anywhere + dice.sample(folding, CUTS)


@pytest.fixture
def written(tmp_path: Path, library: Path) -> Written:
    log = tmp_path / "disk.log"
    child = subprocess.run(
        [sys.executable, "-c", f"{CHILD}\n{WRITER}\nasyncio.run(main())", str(tmp_path / "gateway.db")],
        cwd=ROOT,
        env=environment(library, DISK_LOG=log),
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    acknowledged = [(id_, int(size)) for id_, size in (line.split() for line in child.stdout.splitlines())]
    assert len(acknowledged) == 480
    return Written(log.read_bytes(), acknowledged)


def _after(written: Written, cut: int, folder: Path, dice: random.Random, *, honest: bool = True) -> Path:
    """The journal's files as the disk has them."""
    folder.mkdir()
    for name, data in power_cut(written.log, cut, dice, honest=honest).items():
        if name.endswith((".db", "-wal")):
            (folder / Path(name).name).write_bytes(data)
    return folder / "gateway.db"


async def test_after_a_power_cut_everything_acknowledged_is_there_and_the_file_is_whole(
    tmp_path: Path, written: Written
) -> None:
    dice = random.Random(4)
    for number, cut in enumerate(written.cuts(dice)):
        path = _after(written, cut, tmp_path / str(number), dice)
        journal = SqliteJournal(path, FakeClock())
        await journal.open()
        kept = {head.id for head in await journal.waiting("acme", limit=1000)}
        again = await take(journal, intake("after", said(chat="after")))
        await journal.close()

        assert {id_ for id_, size in written.acknowledged if size <= cut} <= kept
        assert again == ["accepted"]
        with apsw.Connection(str(path)) as db:
            assert db.pragma("integrity_check") == "ok"


async def test_on_a_disk_that_lies_about_syncing_this_would_be_noticed(
    tmp_path: Path, written: Written
) -> None:
    """The control: what is tested here can fail."""
    dice, missing = random.Random(4), 0
    for number, cut in enumerate(written.cuts(dice)[:10]):
        path = _after(written, cut, tmp_path / str(number), dice, honest=False)
        journal = SqliteJournal(path, FakeClock())
        try:
            await journal.open()
        except GatewayError:
            missing += 1
            continue
        kept = {head.id for head in await journal.waiting("acme", limit=1000)}
        await journal.close()
        missing += bool({id_ for id_, size in written.acknowledged if size <= cut} - kept)

    assert missing


@pytest.mark.parametrize("torn", [1, 100, 512, 3000, 4095])
async def test_a_commit_that_was_torn_did_not_happen_and_all_before_it_did(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "gateway.db"
    journal = SqliteJournal(path, FakeClock())
    await journal.open()
    await take(journal, intake("m1"), intake("m2", said(chat="c2")))
    whole = _copied(path, tmp_path / "before")
    await take(journal, intake("m3", said("x" * 3000, "c3")))
    after = _copied(path, tmp_path / "after")
    await journal.close()
    wal = (after / "gateway.db-wal").read_bytes()
    assert len(wal) > len((whole / "gateway.db-wal").read_bytes())
    (after / "gateway.db-wal").write_bytes(wal[:-torn])
    again = SqliteJournal(after / "gateway.db", FakeClock())
    await again.open()

    assert await waiting(again) == ["m1", "m2"]
    assert await take(again, intake("m3", said("x" * 3000, "c3"))) == ["accepted"]
    await again.close()


def _copied(path: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in ("gateway.db", "gateway.db-wal"):
        (folder / name).write_bytes((path.parent / name).read_bytes())
    return folder


async def test_a_damaged_file_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(b"SQLite format 3\x00" + bytes(5000))

    with pytest.raises(Misconfigured, match="damaged"):
        await SqliteJournal(path, FakeClock()).open()
