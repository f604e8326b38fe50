"""Which account a token belongs to: asked once, remembered, so that a restart need not ask before it works."""

from __future__ import annotations

import json
from typing import Any

from adapters.telegram.addressing import Me
from adapters.telegram.transport import Client
from gateway.errors import Transient
from gateway.ports import Host


class Identity:
    """The bot's own account. `me` is None until it is known.

    `hears_groups` is what Telegram said last of whether the bot is passed on what is not said to it.
    """

    def __init__(self, client: Client, host: Host) -> None:
        self.me: Me | None = None
        self.hears_groups = True
        self._is_fresh = False
        self._client, self._host = client, host

    async def known(self) -> Me:
        """The account, as last seen if it is the token's. Raises TelegramError."""
        if self.me is None:
            seen = _read(await self._host.recall("me"))
            ours = seen is not None and str(seen.id) == self._client.token.partition(":")[0]
            self.me = seen if ours else await self._ask()
        assert self.me is not None
        return self.me

    async def fresh(self) -> Me:
        """The account as it is now: a remembered name may have changed. Raises TelegramError."""
        return self.me if self.me is not None and self._is_fresh else await self._ask()

    async def _ask(self) -> Me:
        facts = await self._client.call("getMe")
        me = _account(facts)
        if me is None:
            raise Transient("getMe: the answer names no bot")
        if me != self.me:
            await self._host.remember("me", json.dumps({"id": me.id, "username": me.username}).encode())
        self.me, self._is_fresh = me, True
        self.hears_groups = facts.get("can_read_all_group_messages") is not False
        return me


def _read(data: bytes | None) -> Me | None:
    try:
        return _account(json.loads(data or b"null"))
    except ValueError:
        return None


def _account(facts: Any) -> Me | None:
    try:
        return Me(id=int(facts["id"]), username=str(facts["username"]))
    except (TypeError, KeyError, ValueError):
        return None
