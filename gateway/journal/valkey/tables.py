"""Rows of the server as those of SQLite's tables, which they are named after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apsw
import msgspec

from gateway.journal.valkey.rows import BodyRow
from gateway.messages import encode

_ROOM = 10**12
"""Numbers of an organisation's rows: those of the next one begin behind them."""

Found = tuple[str, str, str, Any, Any, Any]
"""Tag, kind, id, and what is there: the row, its text, the raw update."""


class Writer:
    """Puts rows into the file's tables."""

    def __init__(self, db: apsw.Connection, numbers: Mapping[str, int]) -> None:
        self._db, self._numbers = db, numbers

    def add(self, rows: Iterable[Found]) -> None:
        with self._db:
            for tag, kind, id_, row, text, raw in rows:
                if row is not None:
                    for table, columns in getattr(self, f"_{kind}")(tag, id_, row, text, raw):
                        names, places = ", ".join(columns), ", ".join("?" * len(columns))
                        self._db.execute(
                            f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({places})",  # noqa: S608 - our names
                            tuple(columns.values()),
                        )

    def _number(self, tag: str, number: Any) -> int:
        return self._numbers.get(tag, len(self._numbers)) * _ROOM + int(number)

    def _m(self, tag: str, id_: str, blob: bytes, body: bytes | None, raw: bytes | None) -> Iterator[Any]:
        row = msgspec.msgpack.decode(blob)
        seq = self._number(tag, row["seq"])
        columns = _picked(
            row,
            "bot platform log_seq message_id sender kind sent_at accepted_at not_before join_key deadline state"
            " turn ended_at outcome cause waiting_since",
        )
        yield (
            "messages",
            {
                **columns,
                "id": id_,
                "seq": seq,
                "organization": tag,
                "conversation": self._number(tag, row["conversation"]),
                "direct": bool(row.get("direct")),
                "size": row.get("size", 0),
                "counted": 0,
                "notice": 0,
            },
        )
        if body is not None or raw is not None:
            said = None if body is None else encode(msgspec.msgpack.decode(body, type=BodyRow).restored())
            web = row["platform"] == "web"
            kept = {"message": seq, "said": said, "raw": None if raw is None else raw.decode(), "web": web}
            yield "bodies", kept

    def _t(self, tag: str, id_: str, blob: bytes, *_: Any) -> Iterator[Any]:
        row = msgspec.msgpack.decode(blob)
        columns = _picked(
            row,
            "bot kind state token attempt claimed_at asked_at ended_at outcome cause request_id quota_wait upstream",
        )
        members = encode(row["messages"]).decode()
        conversation = self._number(tag, row["conversation"])
        yield (
            "turns",
            {**columns, "id": id_, "organization": tag, "conversation": conversation, "messages": members},
        )

    def _p(self, tag: str, id_: str, blob: bytes, part: bytes | None, _: Any) -> Iterator[Any]:
        row = msgspec.msgpack.decode(blob)
        columns = _picked(
            row,
            "bot platform lane log_seq owner count purpose in_reply_to created_at state token attempt not_before"
            " sending_at ended_at platform_ids cause",
        )
        more = {"id": id_, "organization": tag, "seq": self._number(tag, row["seq"]), "idx": row["index"]}
        more |= {"conversation": self._number(tag, row["conversation"])}
        yield "parts", {**columns, **more, "address": row["address"].encode(), "part": part}

    def _c(self, tag: str, id_: str, blob: bytes, *_: Any) -> Iterator[Any]:
        row = msgspec.msgpack.decode(blob)
        more = {"id": self._number(tag, id_), "last_seq": row["last"], "trimmed_seq": row["trimmed"]}
        yield "conversations", {**_picked(row, "bot platform chat seen_at"), **more}

    def _l(self, tag: str, id_: str, blob: bytes, *_: Any) -> Iterator[Any]:
        row = msgspec.msgpack.decode(blob)
        more = {"id": id_, "organization": tag, "conversation": self._number(tag, row["conversation"])}
        yield "dead_letters", {**_picked(row, "seq kind bot message outcome cause at"), **more}

    def _spend(self, tag: str, _: str, spends: Mapping[bytes, bytes], *__: Any) -> Iterator[Any]:
        for blob in spends.values():
            row = msgspec.msgpack.decode(blob)
            yield "spends", {**_picked(row, "id kind completion upload bot at"), "organization": tag}

    def _counters(self, _: str, __: str, counters: Mapping[bytes, bytes], *___: Any) -> Iterator[Any]:
        for name, number in counters.items():
            bot, _, outcome = name.decode().partition(" ")
            yield "counters", {"bot": bot, "outcome": outcome, "n": int(number)}

    def _fences(self, _: str, __: str, fences: Mapping[bytes, bytes], *___: Any) -> Iterator[Any]:
        for name, token in fences.items():
            yield "leases", {"name": name.decode(), "token": int(token)}

    def _holds(self, _: str, __: str, holds: Iterable[tuple[bytes, float]], *___: Any) -> Iterator[Any]:
        for name, until in holds:
            bot, platform, *lane = name.decode().split("/", 2)
            yield "postponed", {"bot": bot, "platform": platform, "lane": "".join(lane), "until": until}

    def _dedupe(self, _: str, __: str, known: Iterable[Any], *___: Any) -> Iterator[Any]:
        for (at, name), value in known:
            if value is not None:
                bot, platform, key = name.split("/", 2)
                message, _, body_hash = value.decode().partition(" ")
                columns = {"bot": bot, "platform": platform, "key": key, "message": message}
                yield "dedupe", {**columns, "body_hash": body_hash or None, "at": float(at)}

    def _note(self, _: str, __: str, blob: bytes, *___: Any) -> Iterator[Any]:
        row = msgspec.msgpack.decode(blob)
        value = row["value"].encode("latin-1")
        yield (
            "notes",
            {"scope": row["scope"], "key": row["key"], "value": value, "expires_at": row.get("expires_at")},
        )

    def _secret(self, tag: str, _: str, value: bytes, *__: Any) -> Iterator[Any]:
        yield "secrets", {"name": tag.partition("/")[2], "value": value.decode().encode("latin-1")}


def _picked(row: Mapping[str, Any], names: str) -> dict[str, Any]:
    return {name: row[name] for name in names.split() if row.get(name) is not None}
