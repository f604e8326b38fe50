"""Edits, deletions and moves: they count only while the message waits."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.journal import conversations, outbox
from gateway.journal.tx import Row, Tx
from gateway.messages import Accepted, ConversationKey, Deleted, Edited, Moved, Said, decode, encode


def _still_waiting(tx: Tx, key: ConversationKey, message_id: str) -> Row | None:
    """Return the (seq, id) of the waiting message that the platform calls `message_id`."""
    return tx.row(
        "SELECT m.seq, m.id FROM messages m JOIN conversations c ON c.id = m.conversation"
        " WHERE m.state = 'waiting' AND m.bot = ?1 AND m.kind IN ('ask', 'record') AND m.message_id = ?4"
        " AND c.bot = ?1 AND c.platform = ?2 AND c.chat = ?3",
        key.bot,
        key.platform,
        key.chat,
        message_id,
    )


def edited(tx: Tx, id_: str, edit: Edited) -> Accepted:
    row = _still_waiting(tx, edit.key, edit.message_id)
    if row is None:
        return Accepted(id=id_, outcome="ignored")
    said = decode(tx.value("SELECT said FROM bodies WHERE message = ?", row[0]), Said)
    tx.run("UPDATE messages SET size = ? WHERE seq = ?", len(edit.text), row[0])
    tx.run("UPDATE bodies SET said = ? WHERE message = ?", encode(replace(said, text=edit.text)), row[0])
    return Accepted(id=row[1], outcome="amended")


def deleted(tx: Tx, id_: str, deletion: Deleted) -> Accepted:
    row = _still_waiting(tx, deletion.key, deletion.message_id)
    if row is None:
        return Accepted(id=id_, outcome="ignored")
    tx.run(
        "UPDATE messages SET state = 'ended', outcome = 'deleted', ended_at = ? WHERE seq = ?", tx.now, row[0]
    )
    tx.run("DELETE FROM bodies WHERE message = ?", row[0])
    tx.wake(f"message/{row[1]}")
    return Accepted(id=row[1], outcome="amended")


def moved(tx: Tx, id_: str, move: Moved) -> Accepted:
    outbox.redirect(tx, move)
    old = conversations.find(tx, move.old)
    if old is not None:
        _readdress(tx, old, move)
        _join(tx, old, move.new)
    return Accepted(id=id_, outcome="amended")


def _readdress(tx: Tx, conversation: int, move: Moved) -> None:
    """Open messages answer to the new address, those of the turn in flight too: its parts are made from them."""
    for seq, body in tx.rows(
        "SELECT m.seq, b.said FROM messages m JOIN bodies b ON b.message = m.seq"
        " WHERE m.conversation = ? AND m.ended_at IS NULL",
        conversation,
    ):
        said = replace(decode(body, Said), key=move.new, address=move.address)
        tx.run("UPDATE bodies SET said = ? WHERE message = ?", encode(said), seq)


def _join(tx: Tx, old: int, new: ConversationKey) -> None:
    """Rename the conversation; where the new one exists already, only what waits goes there, after what it has."""
    if conversations.find(tx, new) is None:
        tx.run("UPDATE conversations SET chat = ? WHERE id = ?", new.chat, old)
        return
    for (seq,) in tx.rows(
        "SELECT seq FROM messages WHERE state = 'waiting' AND bot = ? AND kind IN ('ask', 'record')"
        " AND conversation = ? ORDER BY seq",
        new.bot,
        old,
    ):
        conversation, log_seq = conversations.number(tx, new, 1)
        tx.run("UPDATE messages SET conversation = ?, log_seq = ? WHERE seq = ?", conversation, log_seq, seq)
