"""A unit of work inside a transaction: its statements, its time, and who has to be woken once it is committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import apsw

Row: TypeAlias = tuple[Any, ...]
T = TypeVar("T")


class Tx:
    """What the statement modules see of the database. `now` is the journal's time for all rows of this unit."""

    __slots__ = ("_db", "now", "topics")

    def __init__(self, db: apsw.Connection, now: float) -> None:
        self._db = db
        self.now = now
        self.topics: set[str] = set()

    def rows(self, sql: str, *args: Any) -> list[Row]:
        return self._db.execute(sql, args).fetchall()

    def row(self, sql: str, *args: Any) -> Row | None:
        """Return the first row, or None."""
        rows = self._db.execute(sql, args).fetchall()
        return rows[0] if rows else None

    def value(self, sql: str, *args: Any) -> Any:
        """Return the only column of the first row, or None."""
        row = self.row(sql, *args)
        return row[0] if row else None

    def run(self, sql: str, *args: Any) -> int:
        """Change something; returns how many rows."""
        self._db.execute(sql, args).fetchall()
        return self._db.changes()

    def wake(self, topic: str) -> None:
        """Publish an empty fact there after the commit."""
        self.topics.add(topic)


Work: TypeAlias = Callable[[Tx], T]
