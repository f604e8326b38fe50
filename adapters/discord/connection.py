"""One bot's life on the gateway: connect, resume, reconnect, for as long as it takes.

The library's own loop ends on a refused first connection and on a payload that it cannot parse, and may wait
17 minutes; this one is built on the same websocket class. It resumes first: a resume is free, loses nothing and
may be tried by a hundred bots at once, while new sessions are rationed (1,000 a day and token). Only a connection
that was opened and closed again says anything about the session; a server that cannot be reached does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn, Protocol

import aiohttp
import discord
import msgspec
import structlog
import yarl
from discord.gateway import DiscordWebSocket, ReconnectWebSocket

from adapters.discord import errors
from adapters.discord.convert import EPOCH_MS, MESSAGE_EVENTS
from adapters.discord.health import Health
from adapters.discord.inbox import Inbox, Session
from adapters.discord.silence import heard_within
from adapters.discord.starts import Starts
from adapters.discord.suspects import Event
from gateway.messages import Facts
from gateway.ports import Host

_log = structlog.get_logger()

CONNECT_TIMEOUT = 75.0
"""More than the library's own 60 s for the first frame, which closes the socket properly."""
CLOSE_TIMEOUT = 2.0
ROOM_TIMEOUT = 20.0
STEADY = 60.0
"""A connection that lasted so long was not a failure: the next one is tried at once."""
STRIKES = 3
"""So many refused resumes in a row and the session is taken for lost: Discord knows ones that never come back."""
RESUME_WAIT, IDENTIFY_WAIT = 5.0, 60.0
KEEP_SESSION = 4000
LOST_SESSION = {4007, 4009}
_OTHER_EVENTS = ("INTERACTION_CREATE", "READY", "RESUMED")


@dataclass(frozen=True)
class End:
    """How a connection ended, and what can be resumed. `opened`: the server had answered."""

    why: str
    session: Session | None
    opened: bool = True
    answered: bool = False
    invalid: bool = False
    lasted: float = 0.0


@dataclass
class Attempts:
    """Decides how to go on after an end. Pure: jitter (0..1) is an argument."""

    failures: int = 0
    strikes: int = 0
    unreachable: int = 0

    def after(self, end: End, resumed: bool, jitter: float) -> tuple[Session | None, float]:
        """The session to resume (None: identify) and how long to wait first."""
        if end.opened:
            self.strikes = self.strikes + 1 if resumed and not end.answered else 0
        self.unreachable = 0 if end.opened else self.unreachable + 1
        session = None if self.strikes >= STRIKES else end.session
        if session is not None and self.unreachable >= STRIKES:
            session = msgspec.structs.replace(session, url="")  # that host may be gone: ask at the front door
        if end.lasted >= STEADY:
            self.failures = 0
        before = self.failures + max(0, self.unreachable - 1)
        longest = RESUME_WAIT if session is not None or not end.opened else IDENTIFY_WAIT
        delay = 0.0 if before == 0 else jitter * min(longest, 0.5 * 2 ** min(before, 10))
        self.failures += (
            end.opened
        )  # knocking in vain costs no session: whoever opens at last is not made to wait
        return session, max(delay, 1.0 + 4.0 * jitter) if end.invalid else delay


@dataclass(frozen=True)
class Bot:
    """What the connections of one bot share. `shards` is 1 for a bot that needs no more."""

    client: discord.Client
    host: Host
    health: Health
    starts: Starts
    shards: int = 1


class Reader(Protocol):
    """Who else listens, besides the inbox. Neither may wait."""

    def interaction(self, data: Facts) -> None: ...

    def renewed(self, shard: int, inbox: Inbox, since: int) -> None:
        """A new session began; what was said after `since` and before it was not heard."""
        ...


class Connection:
    """Serves until cancelled. Raises Misconfigured when a person has to act."""

    def __init__(self, bot: Bot, inbox: Inbox, reader: Reader, shard: int = 0) -> None:
        self._bot, self._inbox, self._reader, self._shard = bot, inbox, reader, shard
        self._client, self._host = bot.client, bot.host
        self._part = f"shard {shard}"
        self._events: list[Event] = []
        self._heard = False
        self._position: Session | None = None
        self.heard_at: float | None = None
        """When a message came, or the connection; None while there is none. Monotonic seconds."""
        self.since = 0
        """Messages with a greater id were said to this connection."""
        self._deaf: str | None = None
        # all parsers of the library are replaced: they fill unwanted caches and fail on what they do not know
        self._parsers: dict[str, Callable[..., Any]] = {
            name: partial(self._take, name) for name in (*MESSAGE_EVENTS, *_OTHER_EVENTS)
        }

    def renew(self, why: str) -> None:
        """Give the session up and identify anew, with the next frame."""
        self._deaf = why

    def quiet(self) -> None:
        """Nobody had said anything: begin to count anew."""
        if self.heard_at is not None:
            self.heard_at = self._host.clock.monotonic()

    async def serve(self) -> NoReturn:
        """Keep a connection."""
        session = await self._inbox.recall()
        attempts = Attempts()
        while True:
            await self._inbox.room()
            end = await self._once(session)
            if session is None and not end.answered:
                self._bot.starts.pace.refused()
            session, delay = attempts.after(end, session is not None, random.random())
            self._bot.health.trouble(self._part, f"reconnecting: {end.why}")
            _log.info(
                "connection.ended",
                bot=self._host.bot,
                platform="discord",
                cause=end.why,
                resume=session is not None,
            )
            await self._host.clock.sleep(delay)

    async def _once(self, session: Session | None) -> End:
        """One connection from opening to its end."""
        clock = self._host.clock
        if session is None:
            await self._bot.starts.take(self._shard)
        self._heard, self._events, self._position = False, [], session
        self._deaf = self.heard_at = None
        started = clock.monotonic()
        end = await self._connect(session)
        if not self._heard:
            return end
        return replace(end, answered=True, lasted=clock.monotonic() - started)

    async def _connect(self, session: Session | None) -> End:
        socket: DiscordWebSocket | None = None
        try:
            socket = await self._open(session)
            await self._listen(socket)
        except ReconnectWebSocket as order:
            code = None if socket is None else socket.socket.close_code
            keep = order.resume and code not in LOST_SESSION
            why = f"closed with {code}" if code else "asked to come back"
            return End(why, self._position if keep else None, invalid=not order.resume)
        except discord.ConnectionClosed as closed:
            if (fatal := errors.closed(closed.code)) is not None:
                await self._bot.starts.doubt()
                raise fatal from closed
            return End(f"closed with {closed.code}", self._position)
        except (OSError, aiohttp.ClientError) as error:
            return End(type(error).__name__, self._position, opened=socket is not None)
        except _Behind:
            return End("the journal is behind", self._position)
        except _Deaf as deaf:
            return End(str(deaf), None)
        except Exception as error:  # noqa: BLE001 - a frame that nobody can read costs a connection, not the bot
            _log.warning("frame.unreadable", bot=self._host.bot, platform="discord", error=repr(type(error)))
            return End(f"an unreadable frame ({type(error).__name__})", self._position)
        finally:
            await _close(socket)

    async def _open(self, session: Session | None) -> DiscordWebSocket:
        shard = self._shard if self._bot.shards > 1 else None
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if session is None:
                # "initial": the library would wait 5 s before any other identify; the pace is ours
                return await DiscordWebSocket.from_client(self._client, initial=True, shard_id=shard)
            return await DiscordWebSocket.from_client(
                self._client,
                shard_id=shard,
                gateway=yarl.URL(session.url) if session.url else None,
                session=session.id,
                sequence=session.sequence,
                resume=True,
            )

    async def _listen(self, socket: DiscordWebSocket) -> NoReturn:
        # where events arrive, and where the library would tell listeners that nobody has; a contract test guards both
        socket._discord_parsers, socket._dispatch = self._parsers, _nobody  # noqa: SLF001
        # nor does it need its timer for each frame
        patience, socket._max_heartbeat_timeout = socket._max_heartbeat_timeout, None  # type: ignore[assignment] # noqa: SLF001
        async with heard_within(patience) as heard:
            while True:
                await socket.poll_event()
                heard()
                await self._hand_over(socket)

    async def _hand_over(self, socket: DiscordWebSocket) -> None:
        """Give the inbox what the frame brought."""
        if self._deaf is not None:
            raise _Deaf(self._deaf)
        self._host.beat()
        if socket.session_id is not None and socket.sequence is not None:
            self._position = Session(id=socket.session_id, sequence=socket.sequence, url=str(socket.gateway))
            self._inbox.put(self._position, self._events)
            self._events = []
        if self._inbox.full:
            await self._wait_for_room()

    async def _wait_for_room(self) -> None:
        """Stop reading for a while; then leave, so that Discord keeps what we cannot, and come back for it."""
        try:
            async with asyncio.timeout(ROOM_TIMEOUT):
                await self._inbox.room()
        except TimeoutError:
            raise _Behind from None

    def _take(self, name: str, data: Facts) -> None:
        if name in MESSAGE_EVENTS:
            self.heard_at = self._host.clock.monotonic()
            self._events.append((name, data))
        elif name == "INTERACTION_CREATE":
            self._reader.interaction(data)
        else:
            self._welcome(name)

    def _welcome(self, name: str) -> None:
        self._heard, self.heard_at = True, self._host.clock.monotonic()
        self.since = int(self._host.clock.now() * 1000 - EPOCH_MS) << 22
        if name == "READY":
            self._bot.starts.pace.welcomed()
            if self._inbox.seen:
                self._reader.renewed(self._shard, self._inbox, self._inbox.seen)
        self._bot.health.well(self._part)


class _Deaf(Exception):
    """Discord answers, and tells nothing."""


class _Behind(Exception):
    """The journal takes nothing and there is no more room."""


def _nobody(_event: str, *_: object) -> None:
    """Listens."""


async def _close(socket: DiscordWebSocket | None) -> None:
    """Leave with a code that keeps the session, without waiting for a server that is gone."""
    if socket is None or not socket.open:
        return
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await socket.close(KEEP_SESSION)
