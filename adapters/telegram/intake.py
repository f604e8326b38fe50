"""From raw updates to the journal: one way in, whether they were polled or pushed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from telegram.error import TelegramError

from adapters.telegram.addressing import Me
from adapters.telegram.business import Connection, Connections
from adapters.telegram.convert import Reading, convert_batch, unreadable
from adapters.telegram.identity import Identity
from adapters.telegram.joining import Joiner
from adapters.telegram.pictures import Pictures
from adapters.telegram.suspects import SharedSuspects, Suspects
from adapters.telegram.transport import decode
from gateway.errors import GatewayError, Transient
from gateway.messages import Arrival
from gateway.ports import Host


class Intake:
    """One bot's. `pictures` is None when no address of ours is known at which they could be shown."""

    def __init__(
        self,
        host: Host,
        identity: Identity,
        connections: Connections,
        pictures: Pictures | None,
        suspects: Suspects | SharedSuspects | None = None,
    ) -> None:
        self._host, self._identity, self._connections = host, identity, connections
        self._pictures = pictures
        self._joiner = Joiner()
        self.suspects = suspects or Suspects(host)

    async def take(self, updates: Sequence[Any]) -> None:
        """Convert and journal. When it returns, the updates may be acknowledged. Raises Transient, TelegramError."""
        if updates:
            await self.suspects.take(updates, self._take)

    async def _take(self, updates: Sequence[Any]) -> None:
        me, business = await self._identity.known(), await self._connections.needed_by(updates)
        if arrivals := convert_batch(updates, self._reading(me, business), self._joiner):
            await self._accept(arrivals)

    def reread(self, raw: str) -> list[Arrival]:
        """Convert an update that was kept because it could not be read."""
        if self._identity.me is None:
            return [unreadable(raw, self._host.bot, LookupError())]
        reading = self._reading(self._identity.me, self._connections.known)
        return convert_batch([decode(raw.encode())], reading, Joiner())

    def _reading(self, me: Me, business: Mapping[str, Connection]) -> Reading:
        now = self._host.clock.now()
        return Reading(me=me, bot=self._host.bot, now=now, business=business, picture=self._picture(now))

    def _picture(self, now: float) -> Callable[[str], str] | None:
        if self._pictures is None or not self._host.images:
            return None
        return functools.partial(self._pictures.url, now=now)

    async def _accept(self, arrivals: list[Arrival]) -> None:
        """Journal the batch; if that breaks on one of them, each by itself and the broken one as it came."""
        try:
            await self._host.accept(*arrivals)
        except GatewayError:
            raise
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the bot's queue for ever
            for arrival in arrivals:
                await self._accept_alone(arrival)

    async def _accept_alone(self, arrival: Arrival) -> None:
        try:
            await self._host.accept(arrival)
        except GatewayError:
            raise
        except Exception as error:  # noqa: BLE001 - kept for a person to look at
            await self._host.accept(unreadable(arrival.raw or "", self._host.bot, error, arrival.dedupe))


def as_transient(error: TelegramError) -> Transient:
    """Telegram could not be asked about an update: let it come again."""
    return Transient(f"cannot read the update now: {error.message}"[:300], retry_after=2.0)
