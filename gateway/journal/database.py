"""Where transactions run: at once for a database in memory; for a file in groups, committed by a thread.

Theory of the group commit: a durable commit waits for the disk, and that wait is the same for one write as for
many. So while a commit is under way everything queues up that is to be written; then each unit of work runs in its
own savepoint (one that fails is rolled back alone), and all of them pay for one commit. Under load the group grows by
itself; alone, a write does not wait for company.

The statements run on the event loop: they take microseconds, and a thread that runs them would hand the interpreter
back and forth for each. Only what waits for the disk, or takes long, is a thread's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import secrets
import tempfile
from collections import deque
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
BUSY, BUSY_READING = 100, 2000
"""Milliseconds to wait for a lock on the file. Nobody else should write to it; if so, the loop must not wait."""
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

    async def write(self, now: float, work: Work[T], *, alone: bool = False) -> T:
        """`alone`: it may take long, and nothing else waits in its transaction."""
        ...

    async def read(self, now: float, work: Work[T]) -> T: ...

    def glance(self, now: float, work: Work[T]) -> T:
        """Read a few rows by an index, in one statement, here and now."""
        ...

    async def copy(self) -> Path:
        """Make a file with everything in it; it is the caller's to remove."""
        ...


class InMemory:
    """No disk, no thread: work runs where it is asked for."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._db: apsw.Connection | None = None

    async def open(self) -> None:
        self._db = connected(":memory:", apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        migrate(self._db)

    async def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    async def write(self, now: float, work: Work[T], *, alone: bool = False) -> T:  # noqa: ARG002 - all are
        if self._db is None:
            raise Transient("journal is closed")
        tx = Tx(self._db, now)
        with self._db:
            result = work(tx)
        self._wake(tx.topics)
        return result

    async def read(self, now: float, work: Work[T]) -> T:
        return self.glance(now, work)

    def glance(self, now: float, work: Work[T]) -> T:
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
    """A unit of work on its way. `alone`: it takes long, so it runs in the thread, in a transaction of its own."""

    work: Work[Any]
    now: float
    future: asyncio.Future[Any]
    alone: bool = False
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
    """One file in WAL mode: one writing connection, and a few that only read.

    The writing connection is the loop's while `_group` gathers, and the thread's while it is `_committing`.
    """

    def __init__(self, path: Path, wake: Wake) -> None:
        self._path = path
        self._wake = wake
        self._open = self._committing = False
        self._group: list[_Job] = []
        self._queue: deque[_Job] = deque()
        self._idle: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._db = await asyncio.to_thread(self._connect_all)
        self._glancing = self._connect(apsw.SQLITE_OPEN_READONLY)
        self._writer = ThreadPoolExecutor(1, "journal")
        self._readers = ThreadPoolExecutor(READERS, "journal-read")
        self._open = True

    async def close(self) -> None:
        """Commit what is queued, then let go of the file."""
        if not self._open:
            return
        self._open = False
        await self._put(_Job(lambda _: None, 0.0, self._loop.create_future(), alone=True))  # the last one
        await asyncio.to_thread(self._readers.shutdown)
        self._glancing.close()
        self._close_readers()  # first: only the writer, closing last, can fold the log into the file
        await self._loop.run_in_executor(self._writer, self._db.close)
        self._writer.shutdown()

    def _connect_all(self) -> apsw.Connection:
        """Open the file, migrate it, and open it again for each reader; returns the writing connection."""
        self._remove_copies()
        self._path.touch(mode=0o600)  # it holds texts and secrets; SQLite gives its log the same mode
        db = self._connect(apsw.SQLITE_OPEN_READWRITE)
        db.set_busy_timeout(BUSY)
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
        db = connected(str(self._path), flags)
        db.set_busy_timeout(BUSY_READING)
        return db

    # writing

    async def write(self, now: float, work: Work[T], *, alone: bool = False) -> T:
        if not self._open:
            raise Transient("journal is closed")
        result: T = await self._put(_Job(work, now, self._loop.create_future(), alone))
        return result

    def _put(self, job: _Job) -> asyncio.Future[Any]:
        self._queue.append(job)
        if not self._committing:
            self._run_queued()
        return job.future

    def _run_queued(self) -> None:
        """Run what waits, up to a group's size or to a job that is to be alone; the commit follows at once."""
        while self._queue and len(self._group) < GROUP and not self._alone():
            self._group.append(self._queue.popleft())
            if len(self._group) == 1:
                self._loop.call_soon(self._commit)
            if not self._group[-1].alone:
                run(self._db, self._group)

    def _alone(self) -> bool:
        """Whether the next job has to wait for the others, or they for it."""
        return bool(self._group) and (self._queue[0].alone or self._group[0].alone)

    def _commit(self) -> None:
        self._committing = True
        self._writer.submit(self._commit_in_thread, self._group)

    def _commit_in_thread(self, jobs: list[_Job]) -> None:
        if jobs[0].alone:
            run(self._db, jobs)
        commit(self._db, jobs)
        self._loop.call_soon_threadsafe(self._committed)

    def _committed(self) -> None:
        jobs, self._group, self._committing = self._group, [], False
        topics: set[str] = set()
        for job in jobs:
            if job.error is None:
                topics |= job.topics
            job.resolve()
        self._wake(topics)
        self._run_queued()

    # copying

    async def copy(self) -> Path:
        if not self._open:
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

    def glance(self, now: float, work: Work[T]) -> T:
        if not self._open:
            raise Transient("journal is closed")
        try:
            return work(Tx(self._glancing, now))
        except apsw.Error as error:
            raise refused(error) from error

    async def read(self, now: float, work: Work[T]) -> T:
        if not self._open:
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


def connected(name: str, flags: int) -> apsw.Connection:
    """Open a database whose statements stay as they were planned: otherwise SQLite plans some of them anew for each
    value that they are run with, which takes ten times as long as running them.
    """
    db = apsw.Connection(name, flags=flags)
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return db


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


def run(db: apsw.Connection, jobs: list[_Job]) -> None:
    """Run the last job of a group, the first begins the transaction. One that fails is rolled back alone; where SQLite
    gives up the transaction (disk full, I/O error), all of them failed.
    """
    job = jobs[-1]
    try:
        if len(jobs) == 1:
            db.execute("BEGIN IMMEDIATE")
        elif not db.in_transaction:
            raise apsw.IOError("the transaction was rolled back")  # noqa: TRY301 - by what an earlier job ran into
        tx = Tx(db, job.now)
        if len(jobs) > 1:
            db.execute("SAVEPOINT job")
        job.result = job.work(tx)
        if len(jobs) > 1:
            db.execute("RELEASE job")
        job.topics = tx.topics
    except Exception as error:  # noqa: BLE001 - whatever it is belongs to the caller
        job.error = refused(error)
        _undo(db, jobs)


def _undo(db: apsw.Connection, jobs: list[_Job]) -> None:
    """Take back what the last job did."""
    if db.in_transaction and len(jobs) == 1:
        db.execute("ROLLBACK")
        with contextlib.suppress(apsw.Error):  # then the next job finds no transaction
            db.execute("BEGIN IMMEDIATE")
    elif db.in_transaction:
        db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")
    else:
        fail(jobs, jobs[-1].error)


def commit(db: apsw.Connection, jobs: list[_Job]) -> None:
    """Commit what the jobs did; if that fails, all of them failed."""
    if not db.in_transaction:  # it is lost already
        return
    try:
        db.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001 - whatever it is belongs to the callers, the thread goes on
        with contextlib.suppress(apsw.Error):  # SQLite may have done it
            db.execute("ROLLBACK")
        fail(jobs, refused(error))


def fail(jobs: list[_Job], error: BaseException | None) -> None:
    """The transaction of all of them is lost."""
    for job in jobs:
        job.error = job.error or error
