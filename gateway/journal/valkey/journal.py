"""The journal's contract on Valkey or Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from gateway.errors import GatewayError
from gateway.journal.topics import Topics
from gateway.journal.valkey import (
    conversations,
    copying,
    inbox,
    ledger,
    letters,
    looking,
    members,
    notes,
    outbox,
    turns,
    upkeep,
)
from gateway.journal.valkey.health import examine
from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.leases import Leases
from gateway.journal.valkey.place import place
from gateway.journal.valkey.scripts import SERVER_TIME
from gateway.journal.valkey.store import Store
from gateway.journal.valkey.wires import Wires
from gateway.messages import (
    Accepted,
    BotCounts,
    Channel,
    ConversationKey,
    DeadLetter,
    Delivery,
    Ending,
    Facts,
    Head,
    Life,
    Log,
    Message,
    Part,
    Receipt,
    Spend,
    Turn,
)
from gateway.ports import Clock, Intake, Lease, Retention, Watch

PATIENCE = 2.0
"""Seconds after which a journal that says nothing is not writable."""


class ValkeyJournal:
    """`gateway.ports.Journal` for several processes. `clock` is this process's own, for its waits; rows have the
    server's time. `lease`: seconds after which what a dead process held is taken over. `time`: for tests.
    """

    shared = True

    def __init__(self, url: str, clock: Clock, *, lease: float = 10.0, time: str = SERVER_TIME) -> None:
        self._topics = Topics()
        self._store = Store(place(url), self._topics, clock, time)
        self._homes = Homes(self._store)
        self._wires = Wires(self._store, self._topics, clock)
        self._leases = Leases(self._store, self._homes, self._wires, clock, lease)
        self._claims = outbox.Claims()

    def time(self) -> float:
        return self._store.time()

    async def open(self) -> None:
        self._store.open()
        try:
            await examine(self._store)
            await self._wires.open()
            self._leases.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._leases.close()
        await self._wires.close()
        await self._store.close()

    # inbox

    async def accept(self, intakes: Sequence[Intake]) -> list[Accepted]:
        return await inbox.accept(self._store, self._homes, intakes)

    async def waiting(self, organization: str, after: int = 0, limit: int = 1000) -> list[Head]:
        return await inbox.waiting(self._store, organization, after, limit)

    async def peek(self, message_id: str) -> Message | None:
        return await inbox.peek(self._store, self._homes, message_id)

    async def notify(self, message_id: str, parts: Sequence[Part]) -> bool:
        return await inbox.notify(self._store, self._homes, message_id, parts)

    async def claim(
        self, turn_id: str, message_ids: Sequence[str], lease: Lease, spend: Spend | None = None
    ) -> Turn | None:
        return await turns.claim(self._store, self._homes, turn_id, message_ids, lease, spend)

    async def asked(self, turn_id: str, lease: Lease, spend: Spend) -> Turn:
        return await turns.asked(self._store, self._homes, turn_id, lease, spend)

    async def finish(self, turn_id: str, lease: Lease, ending: Ending) -> None:
        await turns.finish(self._store, self._homes, turn_id, lease, ending)

    async def inherit_turns(self, lease: Lease) -> list[Turn]:
        return await turns.inherit(self._store, lease)

    # quota

    async def spend(self, spend: Spend) -> None:
        await ledger.spend(self._store, spend)

    async def refund(self, organization: str, spend_id: str) -> None:
        await ledger.refund(self._store, organization, spend_id)

    async def spent_since(self, organization: str, since: float) -> list[Spend]:
        return await ledger.spent_since(self._store, organization, since)

    # outbox

    async def claim_deliveries(self, channel: Channel, lease: Lease, limit: int) -> list[Delivery]:
        return await outbox.claim(self._store, self._homes, self._claims, channel, lease, limit)

    async def delivered(self, delivery: Delivery, lease: Lease, receipt: Receipt) -> None:
        await outbox.delivered(self._store, delivery, lease, receipt)

    async def postpone(
        self,
        channel: Channel,
        lease: Lease,
        until: float,
        *,
        delivery: Delivery | None = None,
        lane: str | None = None,
    ) -> None:
        await outbox.postpone(self._store, self._homes, channel, lease, until, delivery, lane)

    async def bury(self, delivery: Delivery, lease: Lease, cause: str, *, unknown: bool = False) -> None:
        await outbox.bury(self._store, delivery, lease, cause, unknown)

    async def kill_lane(self, channel: Channel, lease: Lease, lane: str, cause: str) -> int:
        return await outbox.kill_lane(self._store, self._homes, channel, lease, lane, cause)

    async def inherit_deliveries(self, channel: Channel, lease: Lease) -> list[Delivery]:
        return await outbox.inherit(self._store, self._homes, channel, lease)

    async def next_due(self, channel: Channel) -> float | None:
        return await outbox.next_due(self._store, self._homes, channel)

    # leases, log, wake-ups

    def hold(self, name: str) -> AbstractAsyncContextManager[Lease]:
        return self._leases.hold(name)

    async def gather(self, pod: str, mark: str, ttl: float) -> dict[str, str]:
        return await members.gather(self._store, pod, mark, ttl)

    async def leave(self, pod: str) -> None:
        await members.leave(self._store, pod)

    async def log(
        self, key: ConversationKey, *, after: int = 0, before: int | None = None, limit: int = 100
    ) -> Log:
        return await conversations.log(self._store, self._homes, key, after, before, limit)

    async def publish(self, topic: str, fact: Facts) -> None:
        await self._wires.publish(topic, fact)

    def watch(self, topic: str) -> AbstractAsyncContextManager[Watch]:
        return self._wires.watch(topic)

    # memory

    async def recall(self, scope: str, key: str) -> bytes | None:
        return await notes.recall(self._store, scope, key)

    async def remember(self, scope: str, key: str, value: bytes | None, *, ttl: float | None = None) -> None:
        await notes.remember(self._store, scope, key, value, ttl)

    async def secret(self, name: str) -> bytes:
        return await notes.secret(self._store, name)

    # looking

    async def message(self, id: str) -> Life | None:  # noqa: A002 - the contract's name
        return await looking.message(self._store, self._homes, id)

    async def find(self, channel: Channel, dedupe: str) -> str | None:
        return await inbox.find(self._store, self._homes, channel, dedupe)

    async def counts(self) -> Mapping[str, BotCounts]:
        return await looking.counts(self._store, self._homes)

    async def queue(self, organization: str) -> int:
        return await inbox.queue(self._store, organization)

    # dead letters

    async def dead_letters(
        self, *, bot: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        return await letters.listed(self._store, self._homes, bot, before, limit)

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002 - the contract's name
        return await letters.one(self._store, self._homes, id)

    async def retry(self, id: str) -> bool:  # noqa: A002 - the contract's name
        return await letters.retry(self._store, self._homes, id)

    async def drop(self, id: str) -> bool:  # noqa: A002 - the contract's name
        return await letters.drop(self._store, self._homes, id)

    # housekeeping

    async def forget(self, key: ConversationKey) -> None:
        await upkeep.forget(self._store, self._homes, key)

    async def purge(self, retention: Retention) -> int:
        return await upkeep.purge(self._store, self._homes, retention)

    @asynccontextmanager
    async def backup(self) -> AsyncIterator[Path]:
        copy = await copying.copy(self._store, self._homes)
        try:
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    async def writable(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                await upkeep.probe(self._store)
        except (GatewayError, TimeoutError):
            return False
        return True
