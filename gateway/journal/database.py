"""Where transactions run: at once for a database in memory; for a file in a thread that commits in groups.

Theory of the group commit: a durable commit waits for the disk, and that wait is the same for one write as for
many. So the writer takes everything that has queued up meanwhile, runs each unit of work in its own savepoint (one
that fails is rolled back alone), and pays for one commit. Under load the group grows by itself; alone, a write does
not wait for company.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import apsw

from gateway.errors import Transient
from gateway.journal.schema import migrate, migrations
from gateway.journal.tx import T, Tx, Work

GROUP = 256
"""Most units of work in one commit: bounds how long the first of them waits."""
READERS = 2
WAL_KEPT = 64 * 2**20
"""Bytes that the log of a burst may go on occupying."""

Wake = Callable[[Iterable[str]], None]

_REFUSED = (
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.NoMemError,
    apsw.CorruptError,
    apsw.ConnectionClosedError,
)


def refused(error: BaseException) -> BaseException:
    """Translate what the disk did to us; errors of our own stay what they are."""
    if not isinstance(error, _REFUSED):
        return error
    unwritten = Transient("journal cannot be written", error=type(error).__name__, detail=str(error))
    unwritten.__cause__ = error
    return unwritten


class Database(Protocol):
    """Runs units of work. `write` returns after the commit and then wakes whom the work named."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def write(self, now: float, work: Work[T]) -> T: ...

    async def read(self, now: float, work: Work[T]) -> T: ...

    async def copy(self) -> Path:
        """Make a file with everything in it; it is the caller's to remove."""
        ...


class InMemory:
    """No disk, no thread: work runs where it is asked for."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._db: apsw.Connection | None = None

    async def open(self) -> None:
        self._db = apsw.Connection(":memory:")
        migrate(self._db)

    async def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    async def write(self, now: float, work: Work[T]) -> T:
        if self._db is None:
            raise Transient("journal is closed")
        tx = Tx(self._db, now)
        with self._db:
            result = work(tx)
        self._wake(tx.topics)
        return result

    async def read(self, now: float, work: Work[T]) -> T:
        if self._db is None:
            raise Transient("journal is closed")
        return work(Tx(self._db, now))

    async def copy(self) -> Path:
        if self._db is None:
            raise Transient("journal is closed")
        file, name = tempfile.mkstemp(prefix="gateway-journal-")
        os.close(file)
        copy_into(self._db, Path(name))
        return Path(name)


@dataclass(slots=True, eq=False)
class _Job:
    work: Work[Any]
    now: float
    future: asyncio.Future[Any]
    topics: set[str] = field(default_factory=set)
    result: Any = None
    error: BaseException | None = None

    def resolve(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class OnDisk:
    """One file in WAL mode: one writing connection in its own thread (which checkpoints too), a few that only read."""

    def __init__(self, path: Path, wake: Wake) -> None:
        self._path = path
        self._wake = wake
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        db = await asyncio.to_thread(self._connect_all)
        self._thread = threading.Thread(target=self._commit_groups, args=(db,), name="journal", daemon=True)
        self._thread.start()
        self._readers = ThreadPoolExecutor(READERS, "journal-read")

    async def close(self) -> None:
        """Commit what is queued, then let go of the file."""
        thread, self._thread = self._thread, None
        readers, self._readers = self._readers, None
        if thread is None or readers is None:
            return
        await asyncio.to_thread(readers.shutdown)
        self._close_readers()  # first: only the writer, closing last, can fold the log into the file
        self._jobs.put(None)
        await asyncio.to_thread(thread.join)

    def _connect_all(self) -> apsw.Connection:
        """Open the file, migrate it, and open it again for each reader; returns the writing connection."""
        self._remove_copies()
        self._path.touch(mode=0o600)  # it holds texts and secrets; SQLite gives its log the same mode
        db = self._connect(apsw.SQLITE_OPEN_READWRITE)
        try:
            db.pragma("auto_vacuum", "INCREMENTAL")  # only a new file takes it
            db.pragma("journal_mode", "WAL")
            db.pragma("synchronous", "FULL")
            db.pragma("temp_store", "MEMORY")
            db.pragma("journal_size_limit", WAL_KEPT)
            self._keep_before_migrating(db)
            migrate(db)
            for _ in range(READERS):
                self._idle.put(self._connect(apsw.SQLITE_OPEN_READONLY))
        except BaseException:
            self._close_readers()
            db.close()
            raise
        return db

    def _keep_before_migrating(self, db: apsw.Connection) -> None:
        """Keep the file of an older version beside the one that is migrated, as `….v1`."""
        found = db.pragma("user_version")
        if 0 < found < max(migrations()):
            copy_into(db, Path(f"{self._path}.v{found}"))

    def _close_readers(self) -> None:
        while not self._idle.empty():
            self._idle.get().close()

    def _connect(self, flags: int) -> apsw.Connection:
        db = apsw.Connection(str(self._path), flags=flags)
        db.set_busy_timeout(2000)
        return db

    # writing

    async def write(self, now: float, work: Work[T]) -> T:
        if self._thread is None:
            raise Transient("journal is closed")
        job = _Job(work, now, self._loop.create_future())
        self._jobs.put(job)
        result: T = await job.future
        return result

    def _commit_groups(self, db: apsw.Connection) -> None:
        while (jobs := self._next_group()) is not None:
            if jobs:
                commit(db, jobs)
                self._loop.call_soon_threadsafe(self._resolve, jobs)
        db.close()

    def _next_group(self) -> list[_Job] | None:
        """Wait for work and take all that is there; None when the journal closes."""
        job = self._jobs.get()
        jobs: list[_Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == GROUP or self._jobs.empty():
                return jobs
            job = self._jobs.get()
        if jobs:
            self._jobs.put(None)
            return jobs
        return None

    def _resolve(self, jobs: list[_Job]) -> None:
        topics: set[str] = set()
        for job in jobs:
            if job.error is None:
                topics |= job.topics
            job.resolve()
        self._wake(topics)

    # copying

    async def copy(self) -> Path:
        if self._thread is None:
            raise Transient("journal is closed")
        target = self._path.with_name(f"{self._path.name}.copy-{secrets.token_hex(4)}")
        await asyncio.to_thread(self._copy, target)
        return target

    def _copy(self, target: Path) -> None:
        """On a connection of its own, which reads one snapshot and holds nobody up."""
        try:
            with contextlib.closing(self._connect(apsw.SQLITE_OPEN_READWRITE)) as db:
                copy_into(db, target)
        except apsw.Error as error:
            raise refused(error) from error

    def _remove_copies(self) -> None:
        """What a process left that died while copying."""
        for left in self._path.parent.glob(f"{self._path.name}.copy-*"):
            left.unlink(missing_ok=True)

    # reading

    async def read(self, now: float, work: Work[T]) -> T:
        if self._readers is None:
            raise Transient("journal is closed")
        return await self._loop.run_in_executor(self._readers, self._read, now, work)

    def _read(self, now: float, work: Work[T]) -> T:
        db = self._idle.get()
        try:
            with db:  # one snapshot for all statements of the work
                result = work(Tx(db, now))
        except apsw.Error as error:
            raise refused(error) from error
        finally:
            self._idle.put(db)
        return result


def copy_into(db: apsw.Connection, target: Path) -> None:
    """Write all of the database into a file that is whole and on the disk, or not there."""
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)  # SQLite takes an empty file as it is
        db.execute("VACUUM INTO ?", (str(part),))
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def commit(db: apsw.Connection, jobs: list[_Job]) -> None:
    """Run all jobs in one transaction and commit it; if that fails, all of them failed."""
    try:
        db.execute("BEGIN IMMEDIATE")
        for job in jobs:
            _run(db, job)
        db.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the callers, the thread goes on
        with contextlib.suppress(
            apsw.Error
        ):  # where SQLite rolled back by itself there is nothing left to do
            db.execute("ROLLBACK")
        for job in jobs:
            job.error = job.error or refused(error)


def _run(db: apsw.Connection, job: _Job) -> None:
    """Run one job in its own savepoint. Raises only when the whole transaction is lost."""
    tx = Tx(db, job.now)
    db.execute("SAVEPOINT job")
    try:
        job.result = job.work(tx)
    except Exception as error:
        job.error = refused(error)
        if not db.in_transaction:  # SQLite rolled everything back (disk full, I/O error)
            raise
        db.execute("ROLLBACK TO job")
    db.execute("RELEASE job")
    job.topics = tx.topics
