"""Quota spends: what was requested upstream, when, and of which class."""

from __future__ import annotations

from gateway.journal.tx import Tx
from gateway.messages import Spend


def spend(tx: Tx, spend: Spend) -> bool:
    """Record a request at the journal's time, unless the caller gives one; False if that id is recorded already."""
    return bool(
        tx.run(
            "INSERT OR IGNORE INTO spends (organization, id, kind, completion, upload, bot, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            spend.organization,
            spend.id,
            spend.kind,
            spend.completion,
            spend.upload,
            spend.bot,
            spend.at or tx.now,
        )
    )


def refund(tx: Tx, organization: str, spend_id: str) -> None:
    tx.run("DELETE FROM spends WHERE organization = ? AND id = ?", organization, spend_id)


def spent_since(tx: Tx, organization: str, since: float) -> list[Spend]:
    return [
        Spend(
            id=id_,
            organization=organization,
            kind=kind,
            completion=bool(completion),
            upload=bool(upload),
            bot=bot,
            at=at,
        )
        for id_, kind, completion, upload, bot, at in tx.rows(
            "SELECT id, kind, completion, upload, bot, at FROM spends WHERE organization = ? AND at > ?"
            " ORDER BY at, id",
            organization,
            since,
        )
    ]


def count(tx: Tx, bot: str, outcome: str) -> None:
    """One more of these since the journal began."""
    tx.run(
        "INSERT INTO counters (bot, outcome, n) VALUES (?, ?, 1) ON CONFLICT (bot, outcome) DO UPDATE SET n = n + 1",
        bot,
        outcome,
    )
