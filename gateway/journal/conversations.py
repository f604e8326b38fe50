"""Conversations and their logs: every message and part has a number, dense and growing in its conversation."""

from __future__ import annotations

from gateway.journal.tx import Row, Tx
from gateway.messages import ConversationKey, Entry, Log, Part, Said, decode

_END = 2**62


def number(tx: Tx, key: ConversationKey, count: int) -> tuple[int, int]:
    """Draw `count` numbers for new entries; returns the conversation's row and the first of them."""
    conversation, last = tx.rows(
        "INSERT INTO conversations (bot, platform, chat, last_seq, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (bot, platform, chat) DO UPDATE SET last_seq = last_seq + ?4, seen_at = ?5"
        " RETURNING id, last_seq",
        key.bot,
        key.platform,
        key.chat,
        count,
        tx.now,
    )[0]
    if count:
        tx.wake(f"conversation/{key}")
    return conversation, last - count + 1


def find(tx: Tx, key: ConversationKey) -> int | None:
    """Return the conversation's row, if it has one."""
    row: int | None = tx.value(
        "SELECT id FROM conversations WHERE bot = ? AND platform = ? AND chat = ?",
        key.bot,
        key.platform,
        key.chat,
    )
    return row


def trim(tx: Tx, conversation: int, upto: int) -> None:
    """Note that entries up to this number are gone, so that a reader with an older cursor is told."""
    tx.run("UPDATE conversations SET trimmed_seq = max(trimmed_seq, ?) WHERE id = ?", upto, conversation)


def log(tx: Tx, key: ConversationKey, after: int, before: int | None, limit: int) -> Log:
    row = tx.row(
        "SELECT id, last_seq, trimmed_seq FROM conversations WHERE bot = ? AND platform = ? AND chat = ?",
        key.bot,
        key.platform,
        key.chat,
    )
    if row is None:
        return Log(trimmed=after > 0)
    conversation, last, trimmed_seq = row
    trimmed = after > last or 0 < after < trimmed_seq
    start = 0 if trimmed else after
    rows = _entries(
        tx, conversation, start, _END if before is None else before, limit + 1, before is not None
    )
    kept = rows[:limit] if before is None else rows[:limit][::-1]
    return Log(entries=tuple(map(_entry, kept)), trimmed=trimmed, more=len(rows) > limit)


def _entries(tx: Tx, conversation: int, after: int, before: int, limit: int, backwards: bool) -> list[Row]:
    order = "DESC" if backwards else "ASC"
    return tx.rows(
        "SELECT m.log_seq AS seq, m.id, 'user', b.said, m.accepted_at, m.id, 0, 1, NULL"  # noqa: S608 - two words
        " FROM messages m JOIN bodies b ON b.message = m.seq"
        " WHERE m.conversation = ?1 AND m.log_seq > ?2 AND m.log_seq < ?3"
        " UNION ALL "
        "SELECT log_seq AS seq, id, 'assistant', part, created_at, owner, idx, count, in_reply_to FROM parts"
        " WHERE conversation = ?1 AND log_seq > ?2 AND log_seq < ?3 AND part IS NOT NULL"
        f" ORDER BY seq {order} LIMIT ?4",
        conversation,
        after,
        before,
        limit,
    )


def _entry(row: Row) -> Entry:
    seq, id_, role, body, at, owner, index, count, in_reply_to = row
    part = decode(body, Part) if role == "assistant" else Part(text=decode(body, Said).text)
    return Entry(
        seq=seq,
        id=id_,
        role=role,
        part=part,
        created_at=at,
        owner=owner,
        index=index,
        count=count,
        in_reply_to=in_reply_to,
    )
