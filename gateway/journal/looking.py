"""What an operator, a status page or a webhook's caller may ask: one message's life, and figures by bot."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.journal.tx import Row, Tx
from gateway.messages import BotCounts, ConversationKey, Life, LifeStatus, Part, PartLife, Said, decode


def message(tx: Tx, id_: str) -> Life | None:
    found = _resolve(tx, id_)
    if found is None:
        return None
    row = tx.rows(
        "SELECT m.id, m.organization, c.bot, c.platform, c.chat, m.state, m.outcome, m.accepted_at, m.turn, m.sender,"
        " b.said, t.claimed_at, t.state, t.asked_at, m.ended_at, t.attempt, coalesce(t.cause, m.cause), t.request_id,"
        " t.quota_wait, t.upstream"
        " FROM messages m JOIN conversations c ON c.id = m.conversation LEFT JOIN bodies b ON b.message = m.seq"
        " LEFT JOIN turns t ON t.id = m.turn WHERE m.id = ?",
        found,
    )
    return _life(tx, row[0]) if row else None


def _resolve(tx: Tx, id_: str) -> str | None:
    """Return the message behind a message, turn or delivery id; of a turn the last, which is replied to."""
    if tx.row("SELECT 1 FROM messages WHERE id = ?", id_):
        return id_
    members = tx.value("SELECT messages FROM turns WHERE id = ?", id_)
    if members is not None:
        return decode(members, list[str])[-1]
    answered: str | None = tx.value("SELECT in_reply_to FROM parts WHERE id = ?", id_)
    return answered


def _life(tx: Tx, row: Row) -> Life:
    (id_, organization, bot, platform, chat, state, outcome, accepted_at, turn, sender, body) = row[:11]
    claimed_at, turn_state, asked_at, ended_at, attempts, cause, request_id, quota_wait, upstream = row[11:]
    said = None if body is None else decode(body, Said)
    return Life(
        id=id_,
        organization=organization,
        key=ConversationKey(bot=bot, platform=platform, chat=chat),
        status=_status(state, outcome, turn_state),
        accepted_at=accepted_at,
        turn=turn,
        sender=sender,
        text=None if said is None else said.text,
        addressed=None if said is None else said.addressed or "no",
        claimed_at=claimed_at,
        asked_at=asked_at,
        ended_at=ended_at,
        attempts=attempts or 0,
        cause=cause,
        request_id=request_id,
        parts=_parts(tx, id_, turn),
        quota_wait=quota_wait,
        upstream=upstream,
    )


def _status(state: str, outcome: LifeStatus, turn_state: str | None) -> LifeStatus:
    if state == "ended":
        return outcome
    return "asking" if turn_state == "asked" else "queued"


def _parts(tx: Tx, id_: str, turn: str | None) -> tuple[PartLife, ...]:
    return tuple(
        PartLife(
            id=part_id,
            state=state,
            purpose=purpose,
            created_at=created_at,
            sending_at=sending_at,
            ended_at=ended_at,
            attempt=attempt,
            text="" if body is None else decode(body, Part).text,
            platform_ids=() if platform_ids is None else tuple(msgspec.json.decode(platform_ids)),
            cause=cause,
        )
        for part_id, state, purpose, created_at, sending_at, ended_at, attempt, body, platform_ids, cause in tx.rows(
            "SELECT id, state, purpose, created_at, sending_at, ended_at, attempt, part, platform_ids, cause"
            " FROM parts WHERE owner IN (?, ?) ORDER BY seq",
            id_,
            turn,
        )
    )


def counts(tx: Tx) -> Mapping[str, BotCounts]:
    figures: dict[str, dict[str, float]] = {}
    for bot, waiting, oldest in tx.rows(
        "SELECT w.bot, w.n, coalesce(m.waiting_since, m.accepted_at) FROM"
        " (SELECT bot, count(*) AS n, min(seq) AS first FROM messages"
        "  WHERE state = 'waiting' AND kind = 'ask' GROUP BY bot) w JOIN messages m ON m.seq = w.first"
    ):
        figures[bot] = {"waiting": waiting, "oldest": oldest}
    for bot, outcome, n in tx.rows(
        "SELECT bot, outcome, n FROM counters WHERE outcome IN ('answered', 'failed', 'expired', 'dropped')"
        " UNION ALL SELECT bot, 'dead_letters', count(*) FROM dead_letters GROUP BY bot"
    ):
        figures.setdefault(bot, {})[outcome] = n
    return {bot: msgspec.convert(values, BotCounts) for bot, values in figures.items()}
