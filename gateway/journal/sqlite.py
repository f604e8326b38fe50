"""`sqlite:///path`: one file, owned by one process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import apsw

from gateway.errors import Misconfigured, Transient
from gateway.journal.database import OnDisk, refused
from gateway.journal.sql import SqlJournal
from gateway.journal.topics import Topics
from gateway.ports import Clock


class FileLock:
    """Keeps a second process away, also after this one was killed.

    A POSIX record lock and not `flock`: a forked worker that survives us must not keep the journal locked. Its
    price is that a process does not exclude itself, which `_ours` makes up for.
    """

    _ours: set[Path] = set()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> None:
        held = Transient("journal is held by another process", path=str(self._path))
        if self._path in self._ours:
            raise held
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise held from None
        self._file = file
        self._ours.add(self._path)

    def release(self) -> None:
        if self._file is not None:
            self._ours.discard(self._path)
            os.close(self._file)
            self._file = None


class SqliteJournal(SqlJournal):
    def __init__(self, path: str | Path, clock: Clock) -> None:
        topics = Topics()
        self._path = Path(path)
        self._lock = FileLock(Path(f"{self._path.absolute()}.lock").resolve())
        super().__init__(OnDisk(self._path, topics.wake), topics, clock)

    async def open(self) -> None:
        folder = self._path.parent
        if not folder.is_dir():
            raise Misconfigured(
                f"journal folder {folder} does not exist", remedy=f"create the folder {folder}"
            )
        try:
            self._lock.acquire()
            await super().open()
        except BaseException as error:
            self._lock.release()
            raise self._translated(error) from error

    def _translated(self, error: BaseException) -> BaseException:
        """Say in words why the file cannot be opened."""
        match error:
            case OSError() | apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError():
                remedy = f"let the gateway's user write to {self._path.parent}"
                return Misconfigured(
                    f"journal {self._path} cannot be opened", remedy=remedy, error=str(error)
                )
            case apsw.NotADBError() | apsw.CorruptError():
                remedy = "restore a backup, or name another file"
                return Misconfigured(f"journal {self._path} is damaged or no journal", remedy=remedy)
            case _:
                return refused(error)

    async def close(self) -> None:
        await super().close()
        self._lock.release()
