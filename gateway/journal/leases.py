"""Leases in one process, and the fence that keeps late owners out.

The counter behind a lease's token is persisted, so what an earlier process claimed carries a smaller token than any
lease of this one.
"""

from __future__ import annotations

import asyncio

from gateway.errors import Superseded
from gateway.journal.tx import Tx
from gateway.ports import Lease


class Held:
    """A lease of a journal that one process owns: nobody can take it away."""

    lost = False

    def __init__(self, name: str, token: int) -> None:
        self.name = name
        self.token = token

    async def wait_lost(self) -> None:
        await asyncio.get_running_loop().create_future()


def draw(tx: Tx, name: str) -> int:
    """Take the next token of that name; writes under all earlier ones are refused from now on."""
    token: int = tx.rows(
        "INSERT INTO leases (name, token) VALUES (?, 1)"
        " ON CONFLICT (name) DO UPDATE SET token = token + 1 RETURNING token",
        name,
    )[0][0]
    return token


def fence(tx: Tx, lease: Lease) -> None:
    """Raise Superseded unless the lease is the newest of its name."""
    newest = tx.value("SELECT token FROM leases WHERE name = ?", lease.name)
    if newest is not None and lease.token < newest:
        raise Superseded("lease was taken over", lease=lease.name, token=lease.token, newest=newest)
