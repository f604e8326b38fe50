"""Business connections: people whose own account the bot answers for.

A message of such an account names only its connection. Whose account it is, and whether the bot may write there, comes
with an update or is asked for, and is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from telegram.error import BadRequest, Forbidden

from adapters.telegram.transport import Client
from gateway.ports import Host


@dataclass(frozen=True)
class Connection:
    """`owner` is the account's user id: what they write themselves is not for the bot to answer."""

    owner: int
    may_reply: bool


NONE = Connection(owner=0, may_reply=False)
"""Stands for a connection that Telegram does not know."""


class Connections:
    """The connections of one bot, as far as they were needed."""

    def __init__(self, client: Client, host: Host) -> None:
        self._client, self._host = client, host
        self.known: dict[str, Connection] = {}

    async def needed_by(self, updates: Iterable[Any]) -> Mapping[str, Connection]:
        """All connections that these updates speak of. Raises TelegramError when Telegram cannot be asked."""
        for update in updates:
            facts = update.get("business_connection") if isinstance(update, dict) else None
            if isinstance(facts, dict) and isinstance(facts.get("id"), str):
                await self._learn(facts["id"], _read(facts))
            elif (id_ := _named(update)) is not None and id_ not in self.known:
                await self._find(id_)
        return self.known

    async def _find(self, id_: str) -> None:
        try:
            self.known[id_] = Connection(**json.loads(await self._host.recall(_key(id_)) or b""))
        except (ValueError, TypeError):
            try:
                facts = await self._client.call("getBusinessConnection", business_connection_id=id_)
            except (BadRequest, Forbidden):
                self.known[id_] = NONE
            else:
                await self._learn(id_, _read(facts))

    async def _learn(self, id_: str, connection: Connection) -> None:
        self.known[id_] = connection
        await self._host.remember(_key(id_), json.dumps(asdict(connection)).encode())


def _key(id_: str) -> str:
    return f"business:{id_}"


def _named(update: Any) -> str | None:
    """The connection that an update's message belongs to."""
    if not isinstance(update, dict):
        return None
    for kind in ("business_message", "edited_business_message", "deleted_business_messages"):
        message = update.get(kind)
        if isinstance(message, dict) and isinstance(id_ := message.get("business_connection_id"), str):
            return id_
    return None


def _read(facts: Any) -> Connection:
    """Read Telegram's BusinessConnection. Before rights there was one flag, `can_reply`."""
    try:
        rights = facts.get("rights") or {"can_reply": facts.get("can_reply")}
        may_reply = bool(facts.get("is_enabled") and rights.get("can_reply"))
        return Connection(owner=int(facts["user"]["id"]), may_reply=may_reply)
    except (AttributeError, TypeError, KeyError, ValueError):
        return NONE
