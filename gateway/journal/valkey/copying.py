"""A copy of the journal as a file of SQLite's: to keep, to look into, or to go on with in one process.

Theory. Reading a large server takes a while, and everything goes on meanwhile. But rows keep the times of what happened
to them. So all rows are read as they are found, and then what happened after the beginning is taken back: a turn that
ended since is asked again, a part that was sent since waits, what is newer is not there. What remains is one moment.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import apsw
from redis.asyncio import Redis

from gateway.journal.schema import migrate
from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.store import Store
from gateway.journal.valkey.tables import Found, Writer

PAGE = 500
_KEY = re.compile(r"gw:\{(?P<tag>.*)\}:(?P<kind>[a-z]+)(?::(?P<id>.*))?", re.DOTALL)
_BLOBS = {"m", "t", "p", "c", "l", "note", "secret"}
_HASHES = {"spend", "counters", "fences"}


async def copy(store: Store, homes: Homes) -> Path:
    """Write it to a file of its own, which is the caller's to remove."""
    handle, name = tempfile.mkstemp(prefix="gateway-journal-")
    os.close(handle)
    db = await asyncio.to_thread(_prepared, name)
    try:
        at = (await store.read("probe", "now")).one(float)
        writer = Writer(db, {name: n for n, name in enumerate(await homes.all())})
        async with store.connected() as client:
            cursor = 0
            while True:
                cursor, keys = await client.scan(cursor, match="gw:*", count=PAGE)
                rows = [row async for row in _rows(client, keys)]
                await asyncio.to_thread(writer.add, rows)
                if cursor == 0:
                    break
        await asyncio.to_thread(_taken_back, db, at)
    except BaseException:
        os.unlink(name)  # noqa: PTH108 - a temporary file
        raise
    finally:
        db.close()
    return Path(name)


def _prepared(name: str) -> apsw.Connection:
    db = apsw.Connection(name)
    db.pragma("auto_vacuum", "INCREMENTAL")
    migrate(db)
    return db


async def _rows(client: Redis, keys: Iterable[Any]) -> AsyncIterator[Found]:
    """Everything of these keys that is kept, with what belongs to it."""
    for key in keys:
        found = _KEY.fullmatch(key.decode())
        if found is None:
            continue
        tag, kind, id_ = found["tag"], found["kind"], found["id"] or ""
        text, raw = {"m": ("b:", "r:"), "p": ("pb:", "r:")}.get(kind, ("", ""))
        if kind in _BLOBS:
            beside = [f"gw:{{{tag}}}:{name}{id_}" if name else key for name in (text, raw)]
            row, part, update = await client.mget([key, *beside])
            yield tag, kind, id_, row, part, update
        elif kind in _HASHES:
            yield (tag, kind, id_, await client.hgetall(key.decode()), None, None)
        elif kind == "holds":
            yield (tag, kind, id_, await client.zrange(key, 0, -1, withscores=True), None, None)
        elif (kind, id_) == ("aged", "dedupe"):
            aged = [_line(line) for line in await client.lrange(key.decode(), 0, -1)]
            names: list[Any] = [f"gw:{{{tag}}}:dedupe:{name}" for _, name in aged]
            values = await client.mget(names) if names else []
            yield (tag, "dedupe", "", list(zip(aged, values, strict=True)), None, None)


def _line(line: Any) -> tuple[str, str]:
    at, _, name = line.decode().partition(" ")
    return at, name


def _taken_back(db: apsw.Connection, at: float) -> None:
    with db:
        db.execute("CREATE TEMP TABLE moment AS SELECT ? AS at", (at,))
        db.execute(files(__package__).joinpath("take_back.sql").read_text())
