"""Small values that outlive a process: what adapters remember, and secrets made once."""

from __future__ import annotations

import secrets

from gateway.journal.tx import Tx


def recall(tx: Tx, scope: str, key: str) -> bytes | None:
    value: bytes | None = tx.value(
        "SELECT value FROM notes WHERE scope = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)",
        scope,
        key,
        tx.now,
    )
    return value


def remember(tx: Tx, scope: str, key: str, value: bytes | None, ttl: float | None) -> None:
    if value is None:
        tx.run("DELETE FROM notes WHERE scope = ? AND key = ?", scope, key)
        return
    tx.run(
        "INSERT OR REPLACE INTO notes (scope, key, value, expires_at) VALUES (?, ?, ?, ?)",
        scope,
        key,
        value,
        None if ttl is None else tx.now + ttl,
    )


def known_secret(tx: Tx, name: str) -> bytes | None:
    value: bytes | None = tx.value("SELECT value FROM secrets WHERE name = ?", name)
    return value


def secret(tx: Tx, name: str) -> bytes:
    tx.run("INSERT OR IGNORE INTO secrets (name, value) VALUES (?, ?)", name, secrets.token_bytes(32))
    value: bytes = tx.rows("SELECT value FROM secrets WHERE name = ?", name)[0][0]
    return value
