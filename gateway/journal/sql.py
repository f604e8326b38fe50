"""The journal's contract on SQL: each method is one unit of work; what it means is in the statement modules."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from gateway.errors import Transient
from gateway.journal import (
    conversations,
    inbox,
    leases,
    ledger,
    letters,
    looking,
    notes,
    outbox,
    turns,
    upkeep,
)
from gateway.journal.database import Database
from gateway.journal.topics import Topics
from gateway.journal.tx import Tx
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

P = ParamSpec("P")
T = TypeVar("T")
Unit = Callable[Concatenate[Tx, P], T]
FEW = 100
"""Rows that may be read without leaving the event loop."""


class SqlJournal:
    """`gateway.ports.Journal` for databases that one process owns."""

    shared = False

    def __init__(self, database: Database, topics: Topics, clock: Clock) -> None:
        self._database = database
        self._topics = topics
        self._clock = clock
        self._holding: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def _write(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.write(self._clock.now(), lambda tx: unit(tx, *args, **kwargs))

    async def _read(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.read(self._clock.now(), lambda tx: unit(tx, *args, **kwargs))

    def time(self) -> float:
        return self._clock.now()

    def _glance(self, unit: Unit[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._database.glance(self._clock.now(), lambda tx: unit(tx, *args, **kwargs))

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()

    # inbox

    async def accept(self, intakes: Sequence[Intake]) -> list[Accepted]:
        return await self._write(inbox.accept, intakes)

    async def waiting(self, organization: str, after: int = 0, limit: int = 1000) -> list[Head]:
        if limit > FEW:
            return await self._read(inbox.waiting, organization, after, limit)
        return self._glance(inbox.waiting, organization, after, limit)

    async def peek(self, message_id: str) -> Message | None:
        return await self._read(inbox.peek, message_id)

    async def notify(self, message_id: str, parts: Sequence[Part]) -> bool:
        return await self._write(inbox.notify, message_id, parts)

    async def claim(
        self, turn_id: str, message_ids: Sequence[str], lease: Lease, spend: Spend | None = None
    ) -> Turn | None:
        return await self._write(turns.claim, turn_id, message_ids, lease, spend)

    async def asked(self, turn_id: str, lease: Lease, spend: Spend) -> Turn:
        return await self._write(turns.asked, turn_id, lease, spend)

    async def finish(self, turn_id: str, lease: Lease, ending: Ending) -> None:
        await self._write(turns.finish, turn_id, lease, ending)

    async def inherit_turns(self, lease: Lease) -> list[Turn]:
        return await self._write(turns.inherit, lease)

    # quota

    async def spend(self, spend: Spend) -> None:
        await self._write(ledger.spend, spend)

    async def refund(self, organization: str, spend_id: str) -> None:
        await self._write(ledger.refund, organization, spend_id)

    async def spent_since(self, organization: str, since: float) -> list[Spend]:
        return await self._read(ledger.spent_since, organization, since)

    # outbox

    async def claim_deliveries(self, channel: Channel, lease: Lease, limit: int) -> list[Delivery]:
        return await self._write(outbox.claim, channel, lease, limit)

    async def delivered(self, delivery: Delivery, lease: Lease, receipt: Receipt) -> None:
        await self._write(outbox.delivered, delivery, lease, receipt)

    async def postpone(
        self,
        channel: Channel,
        lease: Lease,
        until: float,
        *,
        delivery: Delivery | None = None,
        lane: str | None = None,
    ) -> None:
        await self._write(outbox.postpone, channel, lease, until, delivery, lane)

    async def bury(self, delivery: Delivery, lease: Lease, cause: str, *, unknown: bool = False) -> None:
        await self._write(outbox.bury, delivery, lease, cause, unknown)

    async def kill_lane(self, channel: Channel, lease: Lease, lane: str, cause: str) -> int:
        return await self._write(outbox.kill_lane, channel, lease, lane, cause)

    async def inherit_deliveries(self, channel: Channel, lease: Lease) -> list[Delivery]:
        return await self._write(outbox.inherit, channel, lease)

    async def next_due(self, channel: Channel) -> float | None:
        return self._glance(outbox.next_due, channel)

    # leases, log, wake-ups

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[Lease]:
        async with self._holding[name]:
            yield leases.Held(name, await self._write(leases.draw, name))

    async def gather(self, pod: str, mark: str, ttl: float) -> dict[str, str]:  # noqa: ARG002 - alone, for good
        return {pod: mark}

    async def leave(self, pod: str) -> None:
        """Nobody else is there to know."""

    async def log(
        self, key: ConversationKey, *, after: int = 0, before: int | None = None, limit: int = 100
    ) -> Log:
        return await self._read(conversations.log, key, after, before, limit)

    async def publish(self, topic: str, fact: Facts) -> None:
        self._topics.publish(topic, fact)

    def watch(self, topic: str) -> AbstractAsyncContextManager[Watch]:
        return self._topics.watch(topic)

    # memory

    async def recall(self, scope: str, key: str) -> bytes | None:
        return await self._read(notes.recall, scope, key)

    async def remember(self, scope: str, key: str, value: bytes | None, *, ttl: float | None = None) -> None:
        await self._write(notes.remember, scope, key, value, ttl)

    async def secret(self, name: str) -> bytes:
        known = await self._read(notes.known_secret, name)
        return await self._write(notes.secret, name) if known is None else known

    # looking

    async def message(self, id: str) -> Life | None:  # noqa: A002 - the contract's name
        return await self._read(looking.message, id)

    async def find(self, channel: Channel, dedupe: str) -> str | None:
        return await self._read(inbox.find, channel, dedupe)

    async def counts(self) -> Mapping[str, BotCounts]:
        return await self._read(looking.counts)

    async def queue(self, organization: str) -> int:
        return await self._read(inbox.queue, organization)

    # dead letters

    async def dead_letters(
        self, *, bot: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        return await self._read(letters.listed, bot, before, limit)

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002 - the contract's name
        return await self._read(letters.one, id)

    async def retry(self, id: str) -> bool:  # noqa: A002 - the contract's name
        return await self._write(letters.retry, id)

    async def drop(self, id: str) -> bool:  # noqa: A002 - the contract's name
        return await self._write(letters.drop, id)

    # housekeeping

    async def forget(self, key: ConversationKey) -> None:
        await self._write(upkeep.forget, key)

    async def purge(self, retention: Retention) -> int:
        now = self._clock.now()
        return await self._database.write(now, lambda tx: upkeep.purge(tx, retention), alone=True)

    @asynccontextmanager
    async def backup(self) -> AsyncIterator[Path]:
        copy = await self._database.copy()
        try:
            yield copy
        finally:
            copy.unlink(missing_ok=True)

    async def writable(self) -> bool:
        try:
            await self._write(upkeep.probe)
        except Transient:
            return False
        return True
