"""Users that Sensay has been told of: created when it says that it does not know one, once however many ask."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeAlias
from weakref import WeakValueDictionary

from gateway.errors import GatewayError
from gateway.messages import User
from gateway.ports import Clock

Recall: TypeAlias = Callable[[str, str], Awaitable[bytes | None]]
SCOPE = "sensay/users"
TTL = 86_400.0
MOST = 10_000
"""Users kept in memory; the rest is looked up where they are remembered."""


class Remember(Protocol):
    async def __call__(
        self, scope: str, key: str, value: bytes | None, *, ttl: float | None = None
    ) -> None: ...


class Users:
    """`recall` and `remember` are the journal's, so that processes know of each other's users."""

    def __init__(self, recall: Recall, remember: Remember, clock: Clock) -> None:
        self._recall, self._remember, self._clock = recall, remember, clock
        self._created: OrderedDict[str, float] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def ensure(
        self, organization: str, user: User, refused_at: float, create: Callable[[], Awaitable[None]]
    ) -> None:
        """Create the user, unless that was done after Sensay refused them in a request sent at `refused_at`.

        Raises what `create` raises; the next who asks tries again.
        """
        key = f"{organization}/{user.type or 'native'}/{user.id}"
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if await self._created_at(key) >= refused_at:
                return
            await create()
            await self._note(key)

    async def _created_at(self, key: str) -> float:
        if key in self._created:
            return self._created[key]
        with suppress(GatewayError, ValueError):
            return float(await self._recall(SCOPE, key) or 0.0)
        return 0.0

    async def _note(self, key: str) -> None:
        now = self._clock.now()
        self._created[key] = now
        if len(self._created) > MOST:
            self._created.popitem(last=False)
        with suppress(GatewayError):  # at worst it is created once more, which changes nothing
            await self._remember(SCOPE, key, repr(now).encode(), ttl=TTL)
