"""Disks on demand: slow ones, and what a power cut leaves of one. `disk.c` says how; it is compiled when asked for."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).with_name("disk.c")
SECTOR = 512
_HEAD = struct.Struct("4q")


def shim(folder: Path) -> Path | None:
    """Compile the shim into the folder; None, with a loud warning, where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        warnings.warn("NO C COMPILER: nothing is tested with slow or failing disks", stacklevel=2)
        return None
    library = folder / "disk.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def environment(library: Path, **settings: object) -> dict[str, str]:
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        **{name: str(value) for name, value in settings.items()},
    }


@dataclass(frozen=True)
class Record:
    """One thing that was done to a file, and where in the log it ends."""

    kind: str
    file: str
    length: int
    offset: int
    data: bytes
    end: int


def records(log: bytes) -> Iterator[Record]:
    """Read a log; a record that was being written when the process died is left out."""
    at = 0
    while at + _HEAD.size <= len(log):
        kind, length, offset, named = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        name, at = log[at : at + named].decode(), at + named
        size = length if chr(kind) == "w" else 0
        data, at = log[at : at + size], at + size
        if at > len(log):
            return
        yield Record(chr(kind), name, length, offset, data, at)


@dataclass
class _File:
    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[Record] = field(default_factory=list)

    def sync(self) -> None:
        for record in self.unsynced:
            self.apply(record)
        self.unsynced.clear()

    def apply(self, record: Record, length: int | None = None) -> None:
        if record.kind == "t":
            del self.synced[record.length :]
            self.synced.extend(bytes(record.length - len(self.synced)))
            return
        data = record.data if length is None else record.data[:length]
        if len(self.synced) < record.offset:
            self.synced.extend(bytes(record.offset - len(self.synced)))
        self.synced[record.offset : record.offset + len(data)] = data


def power_cut(log: bytes, at: int, dice: random.Random, *, honest: bool = True) -> dict[str, bytes]:
    """The files after the power failed when the log was `at` long.

    What was synced is there. Of what was not, each write is there, is not, or is torn at a sector: the disk was free
    to choose. A disk that is not `honest` says that it has synced and has not.
    """
    files: dict[str, _File] = {}
    for record in records(log[:at]):
        file = files.setdefault(record.file, _File())
        if record.kind == "s":
            if honest:
                file.sync()
        else:
            file.unsynced.append(record)
    for file in files.values():
        for record in file.unsynced:
            fate = dice.choice(("there", "gone", "torn"))
            if fate == "there":
                file.apply(record)
            elif fate == "torn" and record.kind == "w":
                file.apply(record, dice.randrange(0, len(record.data) + 1, SECTOR))
    return {name: bytes(file.synced) for name, file in files.items()}
