"""What the gateway sent and the journal does not have yet.

Discord is never told that an event was handled, but a session can be resumed at any earlier sequence number. So two
positions are kept: the last one *received*, from which a new connection of this process goes on, and the last one
*journaled*, which is remembered for the next process: whatever died in between comes again and is recognised by its
dedupe key.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from itertools import islice
from typing import TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from adapters.discord.convert import MESSAGE_EVENTS, Me, convert, may_concern
from adapters.discord.directory import Directory
from adapters.discord.pastes import Pastes, brings_paste
from adapters.discord.suspects import Event, Suspects
from gateway.errors import GatewayError, Transient
from gateway.messages import Arrival, Facts, Said, Value
from gateway.ports import Host

_log = structlog.get_logger()

ROOM = 500
BATCH = 100
REMEMBER_EVERY = 5.0
RETRY_FROM, RETRY_UP_TO = 0.2, 5.0
_DIRECTS = "directs"
PLACES = 200

_T = TypeVar("_T")


class Session(Value, frozen=True):
    """Where a gateway session stands: enough to resume it, here or in another process. No url: where all begin."""

    id: str
    sequence: int
    url: str
    seen: int = 0
    """Id of the newest message that was journaled; the next session asks for what came after it."""


class Inbox:
    """Takes events in the order they came and journals them in batches, for as long as it takes.

    One for each connection; `name` tells what it remembers from what the others do.
    """

    def __init__(
        self,
        host: Host,
        me: Me,
        directory: Directory,
        pastes: Pastes,
        *,
        listening: bool,
        name: str = "session",
    ) -> None:
        self._host, self._me, self._directory, self._listening = host, me, directory, listening
        self._pastes = pastes
        self._name = name
        self._suspects = Suspects(host, me, name)
        self.seen = 0
        self._directs: OrderedDict[str, None] | None = None
        self._directs_changed = False
        self._waiting: deque[tuple[Session, list[Event]]] = deque()
        self._arrived, self._moved = asyncio.Event(), asyncio.Event()
        self._session: str | None = None
        self._journaled: Session | None = None
        self._remembered: Session | None = None
        self._remembered_at = float("-inf")

    def put(self, position: Session, events: list[Event]) -> None:
        """Take what one frame brought; most bring nothing for us, and then only the position moves."""
        if events or position.id != self._session:
            self._session = position.id
            self._waiting.append((position, events))
            self._arrived.set()
        elif self._waiting:
            self._waiting[-1] = (position, self._waiting[-1][1])
        else:
            self._journaled = position

    @property
    def full(self) -> bool:
        return len(self._waiting) >= ROOM

    async def room(self) -> None:
        """Wait until the journal has taken something again, if it is far behind."""
        while self.full:
            self._moved.clear()
            await self._moved.wait()

    async def run(self) -> None:
        """Journal what arrives, until cancelled. Raises what the journal raises unless it may be tried again."""
        delay = RETRY_FROM
        while True:
            await self._arrived.wait()
            try:
                await self._journal(list(islice(self._waiting, BATCH)))
                delay = RETRY_FROM
            except Transient as trouble:
                _log.warning("arrivals.postponed", bot=self._host.bot, platform="discord", cause=str(trouble))
                await self._host.clock.sleep(delay)
                delay = min(RETRY_UP_TO, delay * 2)

    async def _journal(self, batch: list[tuple[Session, list[Event]]]) -> None:
        events = [event for _, events in batch for event in events]
        if events:
            await self._suspects.take(events, self._accept)
        for _ in batch:
            self._journaled, _events = self._waiting.popleft()
        self._moved.set()
        if not self._waiting:
            self._arrived.clear()
        await self._remember_in_time()

    async def _accept(self, events: list[Event]) -> None:
        events = await self._with_pastes(events)
        arrivals = [arrival for event in events for arrival in await self._convert(*event)]
        if arrivals:
            await self._host.accept(*arrivals)
        self.seen = max([self.seen, *(_number(data) for event, data in events if event == "MESSAGE_CREATE")])
        for arrival in arrivals:
            if isinstance(arrival, Said) and arrival.place.direct:
                await self._know(arrival.key.chat)

    async def _with_pastes(self, events: list[Event]) -> list[Event]:
        """Fetched side by side: together they may take as long as one."""
        whole = list(events)
        pasted = [at for at, event in enumerate(events) if self._pasted(*event)]
        texts = await asyncio.gather(*(self._pastes.into(events[at][1]) for at in pasted))
        for at, data in zip(pasted, texts, strict=True):
            whole[at] = (events[at][0], data)
        return whole

    def _pasted(self, event: str, data: Facts) -> bool:
        """Whether a long paste may be a question."""
        if event not in MESSAGE_EVENTS[:2] or not brings_paste(data):
            return False
        try:
            return "guild_id" not in data or may_concern(data, self._me, listening=self._listening)
        except (KeyError, TypeError, AttributeError):
            return False  # malformed: conversion says so

    async def missed(self, events: list[Event]) -> None:
        """Journal what a lost session did not bring, as `run` does. Returns when the journal has it."""
        delay = RETRY_FROM
        while True:
            try:
                await self._accept(events)
            except Transient:
                await self._host.clock.sleep(delay)
                delay = min(RETRY_UP_TO, delay * 2)
            else:
                return

    async def directs(self) -> list[str]:
        """Channels of direct messages, the latest last: Discord lists them to nobody."""
        return list(await self._places())

    async def _places(self) -> OrderedDict[str, None]:
        if self._directs is None:
            kept = await self._host.recall(_DIRECTS)
            self._directs = OrderedDict.fromkeys(_decoded(kept, list[str]) or [])
        return self._directs

    async def _know(self, channel: str) -> None:
        places = await self._places()
        if channel not in places:
            self._directs_changed = True
            places[channel] = None
        places.move_to_end(channel)
        while len(places) > PLACES:
            places.popitem(last=False)

    async def _convert(self, event: str, data: Facts) -> tuple[Arrival, ...]:
        try:
            concerned = event in MESSAGE_EVENTS[:2] and may_concern(data, self._me, listening=self._listening)
            where = await self._directory.around(data, self._me) if concerned else None
        except (KeyError, TypeError, AttributeError):
            where = None  # malformed: conversion says so
        return convert(event, data, self._me.seeing(self._host.images), where)

    async def _remember_in_time(self) -> None:
        """A new session at once, its progress now and then: a stale number only means that more comes twice."""
        known = self._remembered is not None and self._remembered.id == self._session
        if not known or self._host.clock.monotonic() - self._remembered_at >= REMEMBER_EVERY:
            await self.remember()

    async def over(self) -> None:
        """Nothing more is coming: leave things tidy for the next process."""
        await self.remember()
        with contextlib.suppress(GatewayError):
            await self._suspects.over()

    async def remember(self) -> None:
        """Keep the journaled position for the next process, which would miss the gap without it."""
        if self._journaled is None:
            return
        position = replace(self._journaled, seen=self.seen)
        self._remembered_at = self._host.clock.monotonic()
        try:
            if position != self._remembered:
                await self._host.remember(self._name, msgspec.json.encode(position))
                self._remembered = position
            if self._directs_changed:
                await self._host.remember(_DIRECTS, msgspec.json.encode(await self.directs()))
                self._directs_changed = False
        except GatewayError as trouble:
            _log.warning("session.not_remembered", bot=self._host.bot, platform="discord", cause=str(trouble))

    async def recall(self) -> Session | None:
        """The position that an earlier process left."""
        session = _decoded(await self._host.recall(self._name), Session)
        if session is not None:
            self.seen = max(self.seen, session.seen)
        return session


def _number(message: Facts) -> int:
    try:
        return int(message["id"])
    except (KeyError, TypeError, ValueError):
        return 0


def _decoded(kept: bytes | None, kind: type[_T]) -> _T | None:
    try:
        return None if kept is None else msgspec.json.decode(kept, type=kind)
    except msgspec.MsgspecError:
        return None
