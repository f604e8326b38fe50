"""Arrivals become waiting messages: dedupe, limits, bounds and fixed endings, all in the batch's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gateway.journal import amendments, conversations, ledger, letters, outbox
from gateway.journal.tx import Row, Tx
from gateway.messages import (
    Accepted,
    AcceptOutcome,
    Arrival,
    Channel,
    ConversationKey,
    Deleted,
    Edited,
    Head,
    Message,
    Moved,
    Part,
    Said,
    Unreadable,
    decode,
    encode,
)
from gateway.ports import Intake

_ENDINGS = {"answered": "answer", "busy": "busy", "limited": "limited", "denied": "denied"}
"""Outcome → the key of its parts in `Intake.endings`."""


def accept(tx: Tx, intakes: Sequence[Intake]) -> list[Accepted]:
    return [_take(tx, intake) for intake in intakes]


def _take(tx: Tx, intake: Intake) -> Accepted:
    arrival = intake.arrival
    channel = _channel(arrival)
    accepted = _seen(tx, channel, intake)
    if accepted is None:
        match arrival:
            case Said():
                accepted = _said(tx, intake, arrival)
            case Edited():
                accepted = amendments.edited(tx, intake.id, arrival)
            case Deleted():
                accepted = amendments.deleted(tx, intake.id, arrival)
            case Moved():
                accepted = amendments.moved(tx, intake.id, arrival)
            case Unreadable():
                accepted = _unreadable(tx, intake, arrival)
    _remember(tx, channel, arrival, accepted.id)
    return accepted


def _channel(arrival: Arrival) -> Channel:
    source = arrival.old if isinstance(arrival, Moved) else arrival
    if not isinstance(source, Unreadable | ConversationKey):
        source = source.key
    return Channel(bot=source.bot, platform=source.platform)


# --- dedupe -------------------------------------------------------------------------------------------------


def _seen(tx: Tx, channel: Channel, intake: Intake) -> Accepted | None:
    body_hash = getattr(intake.arrival, "body_hash", None)
    for key in intake.arrival.dedupe:
        row = tx.row(
            "SELECT message, body_hash FROM dedupe WHERE bot = ? AND platform = ? AND key = ?",
            channel.bot,
            channel.platform,
            key,
        )
        if row is not None:
            other = None not in (body_hash, row[1]) and body_hash != row[1]
            return Accepted(id=row[0], outcome="mismatch" if other else "duplicate")
    if tx.row("SELECT 1 FROM messages WHERE id = ?", intake.id):
        return Accepted(id=intake.id, outcome="duplicate")
    return None


def _remember(tx: Tx, channel: Channel, arrival: Arrival, message: str) -> None:
    for key in arrival.dedupe:
        tx.run(
            "INSERT OR IGNORE INTO dedupe (bot, platform, key, message, body_hash, at) VALUES (?, ?, ?, ?, ?, ?)",
            channel.bot,
            channel.platform,
            key,
            message,
            getattr(arrival, "body_hash", None),
            tx.now,
        )


def find(tx: Tx, channel: Channel, key: str) -> str | None:
    message: str | None = tx.value(
        "SELECT message FROM dedupe WHERE bot = ? AND platform = ? AND key = ?",
        channel.bot,
        channel.platform,
        key,
    )
    return message


# --- something was said -------------------------------------------------------------------------------------


def _said(tx: Tx, intake: Intake, said: Said) -> Accepted:
    outcome = _judge(tx, intake, said)
    if outcome == "ignored":
        return Accepted(id=intake.id, outcome=outcome)
    parts = _notice(tx, intake, said, outcome)
    _store(tx, intake, said, outcome, notice=bool(parts))
    if parts:
        outbox.enqueue(
            tx,
            intake.organization,
            said.key,
            said.address,
            parts,
            owner=intake.id,
            in_reply_to=intake.id,
        )
    if outcome in _ENDINGS:
        tx.wake(f"message/{intake.id}")
    else:
        tx.wake(f"inbox/{intake.organization}")
    return Accepted(id=intake.id, outcome=outcome, notice=bool(parts))


def _judge(tx: Tx, intake: Intake, said: Said) -> AcceptOutcome:
    match intake.verdict:
        case "ignore":
            return "ignored"
        case "deny":
            return "denied"
        case "record":
            return "recorded"
        case "answer":
            return "limited" if _over_limit(tx, intake, said) else "answered"
        case "ask":
            if _over_limit(tx, intake, said):
                return "limited"
            return "busy" if _over_bounds(tx, intake, said) else "accepted"


def _over_limit(tx: Tx, intake: Intake, said: Said) -> bool:
    """Sliding window over what the sender got through, so that a flood does not lock its sender out for ever."""
    if intake.bounds.user_limit is None:
        return False
    count, seconds = intake.bounds.user_limit
    return bool(
        tx.value(
            "SELECT count(*) >= ?5 FROM messages"
            " WHERE bot = ?1 AND platform = ?2 AND sender = ?3 AND counted = 1 AND accepted_at > ?4",
            said.key.bot,
            said.key.platform,
            said.sender.id,
            tx.now - seconds,
            count,
        )
    )


def _over_bounds(tx: Tx, intake: Intake, said: Said) -> bool:
    conversation = conversations.find(tx, said.key)
    mine = tx.value(
        "SELECT count(*) FROM messages WHERE state = 'waiting' AND bot = ? AND kind = 'ask' AND conversation = ?",
        said.key.bot,
        conversation,
    )
    if mine >= intake.bounds.per_conversation:
        return True
    all_ = tx.value(
        "SELECT count(*) FROM messages WHERE state = 'waiting' AND bot = ? AND kind = 'ask'", said.key.bot
    )
    return bool(all_ >= intake.bounds.per_bot)


def _notice(tx: Tx, intake: Intake, said: Said, outcome: AcceptOutcome) -> tuple[Part, ...]:
    """Return the text that this ending sends: over the limit once a window, denied once in `denied_every`."""
    parts = intake.endings.get(_ENDINGS.get(outcome, ""), ())
    pause = {
        "limited": (intake.bounds.user_limit or (0, 0.0))[1],
        "denied": intake.denied_every,
    }.get(outcome)
    if not parts or pause is None:
        return parts
    told = tx.row(
        "SELECT 1 FROM messages WHERE notice = 1 AND bot = ? AND platform = ? AND sender = ?"
        " AND outcome = ? AND accepted_at > ? LIMIT 1",
        said.key.bot,
        said.key.platform,
        said.sender.id,
        outcome,
        tx.now - pause,
    )
    return () if told else parts


def _store(tx: Tx, intake: Intake, said: Said, outcome: AcceptOutcome, *, notice: bool) -> None:
    shown = outcome != "denied"
    conversation, log_seq = conversations.number(tx, said.key, int(shown))
    kind = "record" if outcome == "recorded" else "ask"
    if kind == "record":
        _make_room(tx, intake, said.key.bot, conversation)
    ended = tx.now if outcome in _ENDINGS else None
    seq = tx.rows(
        "INSERT INTO messages (id, organization, bot, platform, conversation, log_seq, message_id, sender, kind,"
        " direct, size, sent_at, accepted_at, not_before, join_key, deadline, state, ended_at, outcome, counted,"
        " notice)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
        intake.id,
        intake.organization,
        said.key.bot,
        said.key.platform,
        conversation,
        log_seq if shown else None,
        said.message_id,
        said.sender.id,
        kind,
        said.place.direct,
        len(said.text),
        said.sent_at,
        tx.now,
        said.not_before,
        said.join_key,
        said.deadline,
        "waiting" if ended is None else "ended",
        ended,
        None if ended is None else outcome,
        intake.bounds.user_limit is not None and outcome in ("accepted", "answered", "busy"),
        notice,
    )[0][0]
    if shown:
        tx.run(
            "INSERT INTO bodies (message, said, raw, web, ended_at) VALUES (?, ?, ?, ?, ?)",
            seq,
            encode(replace(said, raw=None, kind=kind)),
            said.raw if ended is None else None,
            said.key.platform == "web",
            ended,
        )


def _make_room(tx: Tx, intake: Intake, bot: str, conversation: int) -> None:
    """Context beyond the bound pushes out the oldest: nobody waits for it, and the newest tells most."""
    for (seq,) in tx.rows(
        "UPDATE messages SET state = 'ended', outcome = 'expired', cause = 'queue_full', ended_at = ?1 WHERE seq IN"
        " (SELECT seq FROM messages WHERE state = 'waiting' AND bot = ?2 AND kind = 'record' AND conversation = ?3"
        "  ORDER BY seq DESC LIMIT -1 OFFSET ?4) RETURNING seq",
        tx.now,
        bot,
        conversation,
        intake.bounds.per_conversation - 1,
    ):
        tx.run("UPDATE bodies SET ended_at = ?, raw = NULL WHERE message = ?", tx.now, seq)
        ledger.count(tx, bot, "dropped")


def _unreadable(tx: Tx, intake: Intake, arrival: Unreadable) -> Accepted:
    key = ConversationKey(bot=arrival.bot, platform=arrival.platform, chat="")
    conversation, _ = conversations.number(tx, key, 0)
    seq = tx.rows(
        "INSERT INTO messages (id, organization, bot, platform, conversation, kind, direct, size, sent_at,"
        " accepted_at, state, ended_at, outcome, cause, counted, notice)"
        " VALUES (?1, ?2, ?3, ?4, ?5, 'ask', 0, ?6, ?7, ?7, 'ended', ?7, 'quarantined', ?8, 0, 0) RETURNING seq",
        intake.id,
        intake.organization,
        arrival.bot,
        arrival.platform,
        conversation,
        len(arrival.raw),
        tx.now,
        arrival.error,
    )[0][0]
    tx.run("INSERT INTO bodies (message, raw, web, ended_at) VALUES (?, ?, 0, ?)", seq, arrival.raw, tx.now)
    letters.write(
        tx,
        intake.id,
        "update",
        organization=intake.organization,
        bot=arrival.bot,
        conversation=conversation,
        message=intake.id,
        outcome="quarantined",
        cause=arrival.error,
    )
    return Accepted(id=intake.id, outcome="quarantined")


# --- what waits ---------------------------------------------------------------------------------------------


def waiting(tx: Tx, organization: str, after: int, limit: int) -> list[Head]:
    return [
        _head(row)
        for row in tx.rows(
            "SELECT m.seq, m.id, m.bot, m.platform, c.chat, m.sender, m.kind, m.direct, m.sent_at,"
            " coalesce(m.waiting_since, m.accepted_at), m.size, m.not_before, m.join_key, m.deadline"
            " FROM messages m JOIN conversations c ON c.id = m.conversation"
            " WHERE m.state = 'waiting' AND m.organization = ? AND m.seq > ? ORDER BY m.seq LIMIT ?",
            organization,
            after,
            limit,
        )
    ]


def _head(row: Row) -> Head:
    (
        seq,
        id_,
        bot,
        platform,
        chat,
        sender,
        kind,
        direct,
        sent,
        accepted,
        size,
        not_before,
        join_key,
        deadline,
    ) = row
    return Head(
        id=id_,
        seq=seq,
        key=ConversationKey(bot=bot, platform=platform, chat=chat),
        sender=sender,
        kind=kind,
        direct=bool(direct),
        sent_at=sent,
        accepted_at=accepted,
        size=size,
        not_before=not_before,
        join_key=join_key,
        deadline=deadline,
    )


def peek(tx: Tx, message_id: str) -> Message | None:
    row = tx.row(
        "SELECT b.said, m.accepted_at, c.bot, c.platform, c.chat FROM messages m JOIN bodies b ON b.message = m.seq"
        " JOIN conversations c ON c.id = m.conversation WHERE m.id = ? AND m.state = 'waiting'",
        message_id,
    )
    if row is None:
        return None
    said, accepted_at, bot, platform, chat = row
    key = ConversationKey(bot=bot, platform=platform, chat=chat)
    return Message(id=message_id, said=replace(decode(said, Said), key=key), accepted_at=accepted_at)


def notify(tx: Tx, message_id: str, parts: Sequence[Part]) -> bool:
    message = peek(tx, message_id)
    if message is None or tx.row("SELECT 1 FROM parts WHERE owner = ? LIMIT 1", message_id):
        return False
    organization = tx.value("SELECT organization FROM messages WHERE id = ?", message_id)
    said = message.said
    outbox.enqueue(tx, organization, said.key, said.address, parts, owner=message_id, in_reply_to=message_id)
    return True


def queue(tx: Tx, organization: str) -> int:
    count: int = tx.value(
        "SELECT count(*) FROM messages WHERE state = 'waiting' AND organization = ? AND kind = 'ask'",
        organization,
    )
    return count
