"""Parts on their way out: a lane (one chat of one bot) is first in, first out, and sends one part at a time."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.journal import conversations, letters
from gateway.journal.leases import fence
from gateway.journal.tx import Row, Tx
from gateway.messages import (
    Address,
    Channel,
    ConversationKey,
    Delivery,
    Moved,
    Part,
    Receipt,
    decode,
    delivery_id,
    encode,
)
from gateway.ports import Lease

CHANNEL = ""
"""The lane that stands for the whole channel in `postponed`."""

_COLUMNS = (
    "p.id, p.organization, c.bot, c.platform, c.chat, p.address, p.part, p.owner, p.idx, p.count, p.created_at,"
    " p.attempt, p.in_reply_to"
)
"""What a delivery is made of."""
_HEAD = (
    " AND NOT EXISTS (SELECT 1 FROM parts q WHERE q.bot = p.bot AND q.platform = p.platform AND q.lane = p.lane"
    " AND q.ended_at IS NULL AND q.seq < p.seq)"
    " AND NOT EXISTS (SELECT 1 FROM parts s WHERE s.bot = p.bot AND s.platform = p.platform AND s.lane = p.lane"
    " AND s.state = 'sending')"
)
"""`p` is the first open part of its lane, and nothing of the lane is being sent."""


def enqueue(
    tx: Tx,
    organization: str,
    key: ConversationKey,
    address: Address,
    parts: Sequence[Part],
    *,
    owner: str,
    in_reply_to: str,
) -> None:
    """Add the parts of one reply, with consecutive numbers in the conversation's log."""
    conversation, first = conversations.number(tx, key, len(parts))
    target = encode(address)
    for index, part in enumerate(parts):
        tx.run(
            "INSERT INTO parts (id, organization, bot, platform, lane, conversation, log_seq, owner, idx, count,"
            " purpose, address, part, in_reply_to, created_at, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting')",
            delivery_id(owner, part.purpose, index),
            organization,
            key.bot,
            key.platform,
            address.to,
            conversation,
            first + index,
            owner,
            index,
            len(parts),
            part.purpose,
            target,
            encode(part),
            in_reply_to,
            tx.now,
        )
    if parts:
        _wake(tx, key)


def claim(tx: Tx, channel: Channel, lease: Lease, limit: int) -> list[Delivery]:
    fence(tx, lease)
    if _held(tx, channel):
        return []
    due = tx.rows(
        f"SELECT {_COLUMNS} FROM parts p JOIN conversations c ON c.id = p.conversation"  # noqa: S608 - constants
        " WHERE p.bot = ?1 AND p.platform = ?2 AND p.ended_at IS NULL AND p.state = 'waiting'"
        f" AND (p.not_before IS NULL OR p.not_before <= ?3){_HEAD}"
        " AND NOT EXISTS (SELECT 1 FROM postponed h WHERE h.bot = ?1 AND h.platform = ?2 AND h.lane = p.lane"
        " AND h.until > ?3) ORDER BY p.seq LIMIT ?4",
        channel.bot,
        channel.platform,
        tx.now,
        limit,
    )
    for row in due:
        tx.run(
            "UPDATE parts SET state = 'sending', sending_at = ?, token = ?, attempt = attempt + 1"
            " WHERE id = ?",
            tx.now,
            lease.token,
            row[0],
        )
    return [_delivery(row, attempts=1) for row in due]


def _held(tx: Tx, channel: Channel) -> bool:
    until = tx.value(
        "SELECT until FROM postponed WHERE bot = ? AND platform = ? AND lane = ?",
        channel.bot,
        channel.platform,
        CHANNEL,
    )
    return until is not None and until > tx.now


def _delivery(row: Row, attempts: int = 0) -> Delivery:
    """`attempts` were made since the row was read."""
    (
        id_,
        organization,
        bot,
        platform,
        chat,
        address,
        part,
        owner,
        index,
        count,
        created_at,
        attempt,
        in_reply_to,
    ) = row
    return Delivery(
        id=id_,
        organization=organization,
        key=ConversationKey(bot=bot, platform=platform, chat=chat),
        address=decode(address, Address),
        part=decode(part, Part),
        owner=owner,
        index=index,
        count=count,
        created_at=created_at,
        attempt=attempt + attempts,
        in_reply_to=in_reply_to,
    )


def delivered(tx: Tx, delivery: Delivery, lease: Lease, receipt: Receipt) -> None:
    """Mark it sent, also where it was given up meanwhile: what the platform says is the truth."""
    fence(tx, lease)
    changed = tx.run(
        "UPDATE parts SET state = 'sent', ended_at = ?, platform_ids = ?, cause = NULL"
        " WHERE id = ? AND state <> 'sent'",
        tx.now,
        encode(receipt.platform_ids).decode(),
        delivery.id,
    )
    if changed:
        letters.drop(tx, delivery.id)
        _next_of_lane(tx, delivery)


def bury(tx: Tx, delivery: Delivery, lease: Lease, cause: str, unknown: bool) -> None:
    fence(tx, lease)
    changed = tx.run(
        "UPDATE parts SET state = ?, ended_at = ?, cause = ? WHERE id = ? AND ended_at IS NULL",
        "unknown" if unknown else "dead",
        tx.now,
        cause,
        delivery.id,
    )
    if changed:
        letters.of_part(tx, delivery.id)
        _next_of_lane(tx, delivery)


def _next_of_lane(tx: Tx, delivery: Delivery) -> None:
    key = delivery.key
    if tx.row(
        "SELECT 1 FROM parts WHERE bot = ? AND platform = ? AND lane = ? AND ended_at IS NULL LIMIT 1",
        key.bot,
        key.platform,
        delivery.address.to,
    ):
        _wake(tx, key)


def _wake(tx: Tx, channel: Channel | ConversationKey) -> None:
    tx.wake(f"outbox/{channel.bot}/{channel.platform}")


def postpone(
    tx: Tx, channel: Channel, lease: Lease, until: float, delivery: Delivery | None, lane: str | None
) -> None:
    fence(tx, lease)
    if delivery is not None:
        tx.run(
            "UPDATE parts SET state = 'waiting', not_before = ? WHERE id = ? AND ended_at IS NULL",
            until,
            delivery.id,
        )
    if lane is not None or delivery is None:
        tx.run(
            "INSERT OR REPLACE INTO postponed (bot, platform, lane, until) VALUES (?, ?, ?, ?)",
            channel.bot,
            channel.platform,
            CHANNEL if lane is None else lane,
            until,
        )
    _wake(tx, channel)


def next_due(tx: Tx, channel: Channel) -> float | None:
    due: float | None = tx.value(
        "SELECT min(due) FROM (SELECT max(coalesce(p.not_before, 0), coalesce(l.until, 0), coalesce(c.until, 0)) AS due"  # noqa: S608 - constants
        " FROM parts p LEFT JOIN postponed l ON l.bot = ?1 AND l.platform = ?2 AND l.lane = p.lane"
        " LEFT JOIN postponed c ON c.bot = ?1 AND c.platform = ?2 AND c.lane = ''"
        f" WHERE p.bot = ?1 AND p.platform = ?2 AND p.ended_at IS NULL AND p.state = 'waiting'{_HEAD}) WHERE due > 0",
        channel.bot,
        channel.platform,
    )
    return due


def kill_lane(tx: Tx, channel: Channel, lease: Lease, lane: str, cause: str) -> int:
    fence(tx, lease)
    killed = tx.rows(
        "UPDATE parts SET state = 'dead', ended_at = ?, cause = ?"
        " WHERE bot = ? AND platform = ? AND lane = ? AND ended_at IS NULL RETURNING id",
        tx.now,
        cause,
        channel.bot,
        channel.platform,
        lane,
    )
    for (id_,) in killed:
        letters.of_part(tx, id_)
    return len(killed)


def inherit(tx: Tx, channel: Channel, lease: Lease) -> list[Delivery]:
    fence(tx, lease)
    rows = tx.rows(
        "UPDATE parts SET token = ?1 WHERE bot = ?2 AND platform = ?3 AND state = 'sending' AND token < ?1"
        " RETURNING seq",
        lease.token,
        channel.bot,
        channel.platform,
    )
    sql = f"SELECT {_COLUMNS} FROM parts p JOIN conversations c ON c.id = p.conversation WHERE p.seq = ?"  # noqa: S608
    return [_delivery(tx.rows(sql, seq)[0]) for (seq,) in sorted(rows)]


def redirect(tx: Tx, moved: Moved) -> None:
    """Open parts of the old lane go to the new address; what held the old lane back does not hold them."""
    tx.run(
        "UPDATE parts SET lane = ?, address = ? WHERE bot = ? AND platform = ? AND lane = ? AND ended_at IS NULL",
        moved.address.to,
        encode(moved.address),
        moved.old.bot,
        moved.old.platform,
        moved.old_to,
    )
    _wake(tx, moved.old)
