"""Dead letters: what was given up, why, and the way back.

A letter is a row of its own beside the turn, part or message it is about, so that listing and counting them reads
nothing else. Retrying puts the very thing back to where it waited; its history stays.
"""

from __future__ import annotations

from typing import Literal

from gateway.errors import Permanent
from gateway.journal.tx import Row, Tx
from gateway.messages import ConversationKey, DeadLetter, decode

KEPT = 10_000
"""Letters; of more than that, the oldest go first."""

_COLUMNS = (
    "SELECT d.id, d.kind, d.organization, c.bot, c.platform, c.chat, d.message, d.outcome, d.cause, d.at, d.seq"
    " FROM dead_letters d JOIN conversations c ON c.id = d.conversation"
)


def write(
    tx: Tx,
    id_: str,
    kind: Literal["turn", "part", "update"],
    *,
    organization: str,
    bot: str,
    conversation: int,
    message: str,
    outcome: str,
    cause: str | None,
) -> None:
    tx.run(
        "INSERT OR REPLACE INTO dead_letters (id, kind, organization, bot, conversation, message, outcome, cause, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id_,
        kind,
        organization,
        bot,
        conversation,
        message,
        outcome,
        cause,
        tx.now,
    )


def of_part(tx: Tx, id_: str) -> None:
    """Write the letter of a part that was given up."""
    organization, bot, conversation, message, state, cause = tx.rows(
        "SELECT organization, bot, conversation, coalesce(in_reply_to, owner), state, cause FROM parts WHERE id = ?",
        id_,
    )[0]
    write(
        tx,
        id_,
        "part",
        organization=organization,
        bot=bot,
        conversation=conversation,
        message=message,
        outcome=state,
        cause=cause,
    )


def drop(tx: Tx, id_: str) -> bool:
    return bool(tx.run("DELETE FROM dead_letters WHERE id = ?", id_))


def listed(tx: Tx, bot: str | None, before: int | None, limit: int) -> list[DeadLetter]:
    rows = tx.rows(
        _COLUMNS + " WHERE (?1 IS NULL OR d.bot = ?1) AND d.seq < ?2 ORDER BY d.seq DESC LIMIT ?3",
        bot,
        2**62 if before is None else before,
        limit,
    )
    return [_letter(row) for row in rows]


def one(tx: Tx, id_: str) -> DeadLetter | None:
    row = tx.row(_COLUMNS + " WHERE d.id = ?", id_)
    if row is None:
        return None
    raw = None
    if row[1] == "update":
        raw = tx.value(
            "SELECT b.raw FROM messages m JOIN bodies b ON b.message = m.seq WHERE m.id = ?", row[6]
        )
    return _letter(row, raw)


def _letter(row: Row, raw: str | None = None) -> DeadLetter:
    id_, kind, organization, bot, platform, chat, message, outcome, cause, at, seq = row
    return DeadLetter(
        id=id_,
        seq=seq,
        kind=kind,
        organization=organization,
        key=ConversationKey(bot=bot, platform=platform, chat=chat),
        message=message,
        outcome=outcome,
        cause=cause,
        at=at,
        raw=raw,
    )


def retry(tx: Tx, id_: str) -> bool:
    letter = one(tx, id_)
    if letter is None:
        return False
    match letter.kind:
        case "turn":
            _ask_again(tx, letter)
        case "part":
            _send_again(tx, letter)
        case "update":
            raise Permanent("an update that could not be read has to be read anew", letter=id_)
    drop(tx, id_)
    return True


def _ask_again(tx: Tx, letter: DeadLetter) -> None:
    """Its messages wait again, behind all others: one that keeps its place is not seen by a reader with a cursor."""
    ids = decode(tx.value("SELECT messages FROM turns WHERE id = ?", letter.id) or "[]", list[str])
    found = tx.rows(
        "SELECT m.seq FROM messages m JOIN bodies b ON b.message = m.seq WHERE m.turn = ? AND m.state = 'ended'"
        " AND b.said IS NOT NULL ORDER BY m.seq",
        letter.id,
    )
    if not ids or len(found) < len(ids):
        raise Permanent("its text is past its retention", letter=letter.id)
    for (seq,) in found:
        later = tx.value("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'messages' RETURNING seq")
        tx.run(
            "UPDATE messages SET seq = ?, state = 'waiting', turn = NULL, ended_at = NULL, outcome = NULL,"
            " cause = NULL, deadline = NULL, not_before = NULL, waiting_since = ? WHERE seq = ?",
            later,
            tx.now,
            seq,
        )
        tx.run("UPDATE bodies SET message = ?, ended_at = NULL WHERE message = ?", later, seq)
    tx.wake(f"inbox/{letter.organization}")


def _send_again(tx: Tx, letter: DeadLetter) -> None:
    changed = tx.run(
        "UPDATE parts SET state = 'waiting', ended_at = NULL, cause = NULL, attempt = 0, not_before = NULL"
        " WHERE id = ? AND part IS NOT NULL AND state IN ('dead', 'unknown')",
        letter.id,
    )
    if not changed:
        raise Permanent("its text is past its retention", letter=letter.id)
    tx.wake(f"outbox/{letter.key.bot}/{letter.key.platform}")


def purge(tx: Tx, before: float, batch: int) -> int:
    """Drop what is too old or too much, at most `batch` of each."""
    old = tx.run(
        "DELETE FROM dead_letters WHERE seq IN (SELECT seq FROM dead_letters WHERE at <= ? ORDER BY at LIMIT ?)",
        before,
        batch,
    )
    return old + tx.run(
        "DELETE FROM dead_letters WHERE seq IN"
        " (SELECT seq FROM dead_letters ORDER BY seq LIMIT min(?, max(0, (SELECT count(*) FROM dead_letters) - ?)))",
        batch,
        KEPT,
    )
