"""Turns: waiting messages of one conversation become one question, at most one in flight per conversation."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import Permanent
from gateway.journal import ledger, letters, outbox
from gateway.journal.leases import fence
from gateway.journal.tx import Row, Tx
from gateway.messages import ConversationKey, Ending, Message, Said, Spend, Turn, decode, encode
from gateway.ports import Lease


def claim(
    tx: Tx, turn_id: str, message_ids: Sequence[str], lease: Lease, spend: Spend | None = None
) -> Turn | None:
    fence(tx, lease)
    rows = tx.rows(
        "SELECT m.seq, m.id, m.organization, m.bot, m.conversation, m.kind FROM json_each(?) j"
        " JOIN messages m ON m.id = j.value WHERE m.state = 'waiting' ORDER BY m.seq",
        encode(message_ids).decode(),
    )
    if rows and _insert(tx, turn_id, rows, lease):
        for row in rows:
            tx.run("UPDATE messages SET state = 'claimed', turn = ? WHERE seq = ?", turn_id, row[0])
        if spend is not None and ledger.spend(tx, spend):
            _ask(tx, turn_id, lease)
    return load(tx, turn_id)


def _ask(tx: Tx, turn_id: str, lease: Lease) -> None:
    tx.run(
        "UPDATE turns SET state = 'asked', attempt = attempt + 1, asked_at = ?, token = ? WHERE id = ?",
        tx.now,
        lease.token,
        turn_id,
    )


def _insert(tx: Tx, turn_id: str, rows: Sequence[Row], lease: Lease) -> int:
    """Make the turn's row; 0 if the conversation has one in flight."""
    _, _, organization, bot, conversation, _ = rows[0]
    if any(row[4] != conversation for row in rows):
        raise ValueError(f"messages of several conversations in turn {turn_id}")
    return tx.run(
        "INSERT INTO turns (id, organization, bot, conversation, kind, messages, state, token, claimed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, 'claimed', ?, ?) ON CONFLICT DO NOTHING",
        turn_id,
        organization,
        bot,
        conversation,
        "ask" if any(row[5] == "ask" for row in rows) else "record",
        encode([row[1] for row in rows]).decode(),
        lease.token,
        tx.now,
    )


def load(tx: Tx, turn_id: str) -> Turn | None:
    """Read a turn with its messages; None if it is unknown or its texts are gone."""
    row = tx.row(
        "SELECT t.organization, c.bot, c.platform, c.chat, t.state, t.claimed_at, t.attempt, t.asked_at, t.messages"
        " FROM turns t JOIN conversations c ON c.id = t.conversation WHERE t.id = ?",
        turn_id,
    )
    if row is None:
        return None
    organization, bot, platform, chat, state, claimed_at, attempt, asked_at, message_ids = row
    messages = tuple(
        Message(id=id_, said=decode(body, Said), accepted_at=accepted_at)
        for id_, accepted_at, body in tx.rows(
            "SELECT m.id, coalesce(m.waiting_since, m.accepted_at), b.said FROM json_each(?) j"
            " JOIN messages m ON m.id = j.value JOIN bodies b ON b.message = m.seq ORDER BY m.seq",
            message_ids,
        )
    )
    if not messages:
        return None
    return Turn(
        id=turn_id,
        organization=organization,
        key=ConversationKey(bot=bot, platform=platform, chat=chat),
        messages=messages,
        state=state,
        claimed_at=claimed_at,
        attempt=attempt,
        asked_at=asked_at,
    )


def _put_back(tx: Tx, turn_id: str, organization: str) -> None:
    message_ids = tx.value("DELETE FROM turns WHERE id = ? RETURNING messages", turn_id)
    tx.run(
        "UPDATE messages SET state = 'waiting', turn = NULL WHERE id IN (SELECT value FROM json_each(?))",
        message_ids,
    )
    tx.wake(f"inbox/{organization}")


def asked(tx: Tx, turn_id: str, lease: Lease, spend: Spend) -> Turn:
    fence(tx, lease)
    turn = load(tx, turn_id)
    if turn is None:
        raise Permanent("turn is gone", turn=turn_id)
    if turn.state == "ended" or not ledger.spend(tx, spend):
        return turn
    _ask(tx, turn_id, lease)
    return load(tx, turn_id) or turn


def finish(tx: Tx, turn_id: str, lease: Lease, ending: Ending) -> None:
    fence(tx, lease)
    row = tx.row("SELECT bot, kind, conversation FROM turns WHERE id = ? AND ended_at IS NULL", turn_id)
    turn = load(tx, turn_id)
    if row is None or turn is None:
        return
    bot, kind, conversation = row
    tx.run(
        "UPDATE turns SET state = 'ended', ended_at = ?, outcome = ?, cause = ?, request_id = ?, quota_wait = ?,"
        " upstream = ? WHERE id = ?",
        tx.now,
        ending.outcome,
        ending.cause,
        ending.request_id,
        ending.quota_wait,
        ending.upstream,
        turn_id,
    )
    _end_messages(
        tx, turn, "recorded" if (kind, ending.outcome) == ("record", "answered") else ending.outcome
    )
    if kind == "ask":
        ledger.count(tx, bot, ending.outcome)
        if ending.outcome == "failed":
            letters.write(
                tx,
                turn_id,
                "turn",
                organization=turn.organization,
                bot=bot,
                conversation=conversation,
                message=turn.messages[-1].id,
                outcome="failed",
                cause=ending.cause,
            )
    if ending.parts:
        last = turn.messages[-1]
        outbox.enqueue(
            tx, turn.organization, turn.key, turn.address, ending.parts, owner=turn_id, in_reply_to=last.id
        )
    tx.wake(f"inbox/{turn.organization}")


def _end_messages(tx: Tx, turn: Turn, outcome: str) -> None:
    for message in turn.messages:
        seq = tx.value(
            "UPDATE messages SET state = 'ended', ended_at = ?, outcome = ? WHERE id = ? RETURNING seq",
            tx.now,
            outcome,
            message.id,
        )
        tx.run("UPDATE bodies SET ended_at = ?, raw = NULL WHERE message = ?", tx.now, seq)
        tx.wake(f"message/{message.id}")


def inherit(tx: Tx, lease: Lease) -> list[Turn]:
    fence(tx, lease)
    organization = lease.name.partition("/")[2]
    left = tx.rows(
        "SELECT id, state FROM turns WHERE organization = ? AND ended_at IS NULL AND token < ? ORDER BY claimed_at, id",
        organization,
        lease.token,
    )
    for id_, state in left:
        if state == "claimed":
            _put_back(tx, id_, organization)
        else:
            tx.run("UPDATE turns SET token = ? WHERE id = ?", lease.token, id_)
    turns = (load(tx, id_) for id_, state in left if state == "asked")
    return [turn for turn in turns if turn is not None]
