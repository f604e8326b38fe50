"""What can be told of a journal without opening it: nothing is locked, migrated or made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gateway.journal.schema import migrations

_SQLITE = "sqlite:///"
_MAGIC = b"SQLite format 3\x00"
_VERSION = slice(60, 64)
"""Where SQLite's file format has the version that its owner gave it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Of a journal in a file. `version` is None while it is not known: no file, or nothing in it yet."""

    file: Path
    folder_there: bool
    folder_writable: bool
    file_there: bool
    file_writable: bool
    damaged: bool
    version: int | None
    newest: int

    @property
    def usable(self) -> bool:
        """Whether it can be opened as it is, by this version."""
        whole = self.folder_writable and self.file_there and self.file_writable and not self.damaged
        return whole and self.version in (None, self.newest)


def condition(url: str) -> Condition | None:
    """None for a journal that is no file."""
    if not url.startswith(_SQLITE):
        return None
    file = Path(url.removeprefix(_SQLITE))
    head = _head(file)
    return Condition(
        file=file,
        folder_there=file.parent.is_dir(),
        folder_writable=os.access(file.parent, os.W_OK | os.X_OK),
        file_there=file.is_file(),
        file_writable=os.access(file, os.R_OK | os.W_OK),
        damaged=bool(head) and not head.startswith(_MAGIC),
        version=int.from_bytes(head[_VERSION], "big") or None if head.startswith(_MAGIC) else None,
        newest=max(migrations()),
    )


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(100)
    except OSError:
        return b""
