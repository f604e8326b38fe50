"""Forgetting: what is past its retention goes, a bounded number of rows at a time; a conversation on request."""

from __future__ import annotations

from gateway.journal import conversations, letters
from gateway.journal.tx import Tx
from gateway.messages import ConversationKey
from gateway.ports import Retention

BATCH = 500
"""Rows of a kind per call: a few milliseconds of the one writing connection."""
PROBE = 64 * 1024
ROOM = 2048
"""Free pages that the file keeps: they will be needed again."""
SPENDS = 3 * 3600.0
"""The longest quota window is an hour; the rest is margin for a clock that steps."""


def purge(tx: Tx, retention: Retention) -> int:
    dropped = 0
    for web, kept in ((0, retention.text), (1, retention.web_history)):
        dropped += _blank_messages(tx, web, tx.now - kept) + _blank_parts(tx, web, tx.now - kept)
    dropped += _drop_traces(tx, tx.now - retention.traces)
    dropped += letters.purge(tx, tx.now - retention.traces, BATCH)
    dropped += _drop(tx, "dedupe", "bot, platform, key", "at <= ?", tx.now - retention.dedupe)
    dropped += _drop(tx, "spends", "organization, id", "at <= ?", tx.now - SPENDS)
    dropped += _drop(tx, "notes", "scope, key", "expires_at <= ?", tx.now)
    dropped += _drop(tx, "postponed", "bot, platform, lane", "until <= ?", tx.now)
    dropped += _drop_conversations(tx, tx.now - max(retention.traces, retention.web_history))
    return dropped + _give_back(tx)


def _give_back(tx: Tx) -> int:
    """Shrink the file where much of it is empty: a little at a time, since writers wait meanwhile."""
    free, pages = tx.value("PRAGMA freelist_count"), tx.value("PRAGMA page_count")
    if free < max(ROOM, pages // 4):
        return 0
    tx.rows(f"PRAGMA incremental_vacuum({BATCH})")
    return int(free - tx.value("PRAGMA freelist_count"))


def _blank_messages(tx: Tx, web: int, before: float) -> int:
    rows = tx.rows(
        "DELETE FROM bodies WHERE message IN (SELECT message FROM bodies"
        " WHERE web = ? AND ended_at IS NOT NULL AND ended_at <= ? ORDER BY ended_at LIMIT ?) RETURNING message",
        web,
        before,
        BATCH,
    )
    for (seq,) in rows:
        row = tx.row("SELECT conversation, log_seq FROM messages WHERE seq = ?", seq)
        if row is not None and row[1] is not None:
            conversations.trim(tx, *row)
    return len(rows)


def _blank_parts(tx: Tx, web: int, before: float) -> int:
    rows = tx.rows(
        "UPDATE parts SET part = NULL WHERE seq IN (SELECT seq FROM parts WHERE (platform = 'web') = ?"
        " AND part IS NOT NULL AND ended_at IS NOT NULL AND ended_at <= ? ORDER BY ended_at LIMIT ?)"
        " RETURNING conversation, log_seq",
        web,
        before,
        BATCH,
    )
    for conversation, log_seq in rows:
        conversations.trim(tx, conversation, log_seq)
    return len(rows)


def _drop_traces(tx: Tx, before: float) -> int:
    dropped = 0
    for table in ("messages", "parts"):
        rows = tx.rows(
            f"DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table}"  # noqa: S608 - names of tables
            " WHERE ended_at IS NOT NULL AND ended_at <= ? ORDER BY ended_at LIMIT ?)"
            " RETURNING conversation, log_seq, seq",
            before,
            BATCH,
        )
        for conversation, log_seq, seq in rows:
            if log_seq is not None:
                conversations.trim(tx, conversation, log_seq)
            if table == "messages":
                tx.run("DELETE FROM bodies WHERE message = ?", seq)
        dropped += len(rows)
    return dropped + _drop(tx, "turns", "id", "ended_at <= ?", before)


def _drop(tx: Tx, table: str, key: str, condition: str, bound: float) -> int:
    return tx.run(
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT ?)",  # noqa: S608 - names
        bound,
        BATCH,
    )


def _drop_conversations(tx: Tx, before: float) -> int:
    """A conversation's row holds the number of its last entry, so it outlives its entries as long as a cursor may."""
    return tx.run(
        "DELETE FROM conversations WHERE id IN (SELECT id FROM conversations c"
        " WHERE trimmed_seq = last_seq AND seen_at <= ?"
        " AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.conversation = c.id)"
        " AND NOT EXISTS (SELECT 1 FROM parts p WHERE p.conversation = c.id)"
        " AND NOT EXISTS (SELECT 1 FROM dead_letters d WHERE d.conversation = c.id) LIMIT ?)",
        before,
        BATCH,
    )


def forget(tx: Tx, key: ConversationKey) -> None:
    """Dedupe keys stay, so that a redelivery of what was forgotten is not answered again."""
    conversation = conversations.find(tx, key)
    if conversation is None:
        return
    tx.run(
        "DELETE FROM turns WHERE id IN (SELECT turn FROM messages WHERE conversation = ? AND turn IS NOT NULL)",
        conversation,
    )
    tx.run("DELETE FROM parts WHERE conversation = ?", conversation)
    tx.run("DELETE FROM dead_letters WHERE conversation = ?", conversation)
    for seq, id_ in tx.rows("DELETE FROM messages WHERE conversation = ? RETURNING seq, id", conversation):
        tx.run("DELETE FROM bodies WHERE message = ?", seq)
        tx.wake(f"message/{id_}")
    tx.run("UPDATE conversations SET trimmed_seq = last_seq WHERE id = ?", conversation)
    tx.wake(f"conversation/{key}")


def probe(tx: Tx) -> None:
    """Write about as much as a message does, so that the last free page of a disk does not count as room."""
    tx.run("INSERT OR REPLACE INTO probes (id, weight) VALUES (1, randomblob(?))", PROBE)
