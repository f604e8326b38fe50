"""The pretended Discord's websocket: sessions that outlive their connections, with replay."""

from __future__ import annotations

import asyncio
import itertools
import json
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from gateway.sandbox.discord_world import Bot, Channel, Json, World
from gateway.sandbox.faults import Faults, hang_up

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID_SESSION, HELLO, ACK = 0, 1, 2, 6, 7, 9, 10, 11
GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 0, 1 << 9, 1 << 12, 1 << 15
ENDING_CODES = {1000, 1001}
"""Closing with one of these ends the session; after any other it can be resumed."""


@dataclass(eq=False)
class Wire:
    """One connection: a socket and its compression context."""

    socket: web.WebSocketResponse
    request: web.Request
    deflate: zlib._Compress | None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    left: bool = False
    """Closed by us: that ends no session."""

    async def send(self, payload: Json) -> None:
        """Send, in order; a connection that is gone is not an error."""
        async with self.lock:
            text = json.dumps(payload)
            try:
                if self.deflate is None:
                    await self.socket.send_str(text)
                else:
                    data = self.deflate.compress(text.encode()) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
                    await self.socket.send_bytes(data)
            except (ConnectionError, RuntimeError):
                return

    async def close(self, code: int) -> None:
        self.left = True
        await self.socket.close(code=code)


@dataclass(eq=False)
class Session:
    id: str
    bot: Bot
    intents: int
    shard: tuple[int, int] = (0, 1)
    sequence: int = 0
    log: deque[Json] = field(default_factory=lambda: deque(maxlen=10_000))
    wire: Wire | None = None

    def wants(self, channel: Channel) -> bool:
        intent = DIRECT_MESSAGES if channel.kind == "dm" else GUILD_MESSAGES
        return bool(self.intents & intent) and self.serves(channel)

    def serves(self, channel: Channel) -> bool:
        """A server belongs to one shard by its id, all direct messages to the first."""
        number, count = self.shard
        return number == (int(channel.guild) >> 22) % count if channel.guild else number == 0

    async def dispatch(self, event: str, data: object) -> None:
        """Number an event, keep it for a resume, and send it if anybody listens."""
        self.sequence += 1
        payload = {"op": DISPATCH, "s": self.sequence, "t": event, "d": data}
        self.log.append(payload)
        if self.wire is not None:
            await self.wire.send(payload)


class GatewaySandbox:
    """All sessions. Counters and switches are for tests; `reset` sets them back."""

    def __init__(self, world: World, url: Callable[[], str]) -> None:
        self.world = world
        self.url = url
        self.faults = Faults()
        self.sessions: dict[str, Session] = {}
        self.wires: set[Wire] = set()
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self) -> None:
        """As new, but whoever is connected stays: nobody would tell a bot that it has to come again."""
        self.sessions = {id_: session for id_, session in self.sessions.items() if session.wire is not None}
        for session in self.sessions.values():
            session.bot = self.world.bot(session.bot.token)
        self.identifies = 0
        self.resumes = 0
        self.connects = 0
        self.identified: list[tuple[str, list[int] | None]] = []
        """Who opened a session, in order: (token, shard)."""
        self.heartbeat_interval = 41.25
        self.acknowledges = True
        self.tells = True
        """Whether sessions hear what is said; heartbeats are answered all the same."""
        self.bricked_resumes = 0
        """So many resumes are answered with a close instead of a replay."""

    async def publish(self, channel: Channel, event: str, data: Json) -> None:
        """Show an event of a channel to every session that may see it, blanked where Discord blanks it."""
        for bot in self.world.audience(channel) if self.tells else ():
            for session in self._of(bot):
                if session.wants(channel):
                    await session.dispatch(event, _seen_by(session, channel, data))

    async def inject(self, token: str, event: str, data: object) -> None:
        """Send any event to a bot's sessions, malformed ones too."""
        for session in self._of(self.world.bot(token)):
            await session.dispatch(event, data)

    async def interacted(self, token: str, channel: Channel, event: Json) -> None:
        """Tell the bot that somebody used it there; that needs no intent."""
        for session in self._of(self.world.bot(token)):
            if session.serves(channel):
                await session.dispatch("INTERACTION_CREATE", event)

    async def joined(self, bot: Bot, guild_id: str) -> None:
        """Show a bot a guild that it is new in."""
        for session in self._of(bot):
            if session.intents & GUILDS:
                await session.dispatch("GUILD_CREATE", self._whole(guild_id))

    async def opened(self, bot: Bot, channel: Channel) -> None:
        """Show a bot a new channel or thread."""
        event = "THREAD_CREATE" if channel.kind == "thread" else "CHANNEL_CREATE"
        for session in self._of(bot):
            if session.intents & GUILDS:
                await session.dispatch(event, channel.json())

    def drop(self) -> None:
        """Cut every connection without a close frame; sessions stay."""
        for wire in list(self.wires):
            self._detach(wire)
            hang_up(wire.request)

    async def close(self, code: int) -> None:
        """Close every connection with a code."""
        for wire in list(self.wires):
            await wire.close(code)

    async def expel(self, bot: Bot) -> None:
        """Close the connections of one bot: its token was reset."""
        for session in list(self.sessions.values()):
            if session.bot is bot and session.wire is not None:
                await session.wire.close(4004)

    async def reconnect(self) -> None:
        """Opcode 7 to everybody."""
        for wire in list(self.wires):
            await wire.send({"op": RECONNECT, "d": None, "s": None, "t": None})

    async def invalidate(self, *, resumable: bool = False) -> None:
        """Opcode 9 to everybody; unless resumable, the sessions are gone."""
        if not resumable:
            self.sessions.clear()
        for wire in list(self.wires):
            await wire.send({"op": INVALID_SESSION, "d": resumable, "s": None, "t": None})

    def forget_sessions(self) -> None:
        """As after a long outage: nothing can be resumed any more."""
        self.sessions.clear()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection from HELLO to its end."""
        fault = self.faults.take("discord", "gateway")
        if fault is not None:
            if fault.kind == "delay":
                await asyncio.sleep(fault.seconds)
            elif fault.kind == "status":
                return web.Response(status=fault.status)
            else:
                hang_up(request)
                raise ConnectionResetError("gateway: connection refused on purpose")
        self.connects += 1
        socket = web.WebSocketResponse(max_msg_size=4096)
        await socket.prepare(request)
        compressed = request.query.get("compress") == "zlib-stream"
        wire = _wire(socket, request, compressed=compressed)
        self.wires.add(wire)
        session: Session | None = None
        try:
            await wire.send(
                {"op": HELLO, "d": {"heartbeat_interval": int(self.heartbeat_interval * 1000)}, "s": None}
            )
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    session = await self._heard(wire, json.loads(frame.data), session)
        finally:
            self.wires.discard(wire)
            self._part(session, wire, socket.close_code)
        return socket

    def _detach(self, wire: Wire) -> None:
        for session in self.sessions.values():
            if session.wire is wire:
                session.wire = None

    def _part(self, session: Session | None, wire: Wire, code: int | None) -> None:
        if session is None or session.wire is not wire:
            return
        session.wire = None
        if code in ENDING_CODES and not wire.left:
            self.sessions.pop(session.id, None)

    async def _heard(self, wire: Wire, message: Json, session: Session | None) -> Session | None:
        match message.get("op"):
            case 1:
                if self.acknowledges:
                    await wire.send({"op": ACK, "d": None, "s": None, "t": None})
            case 2 if session is None:
                return await self._identify(wire, message["d"])
            case 6 if session is None:
                return await self._resume(wire, message["d"])
            case _ if session is None:
                await wire.close(4003)
            case _:
                pass
        return session

    async def _identify(self, wire: Wire, data: Json) -> Session | None:
        self.identifies += 1
        self.identified.append((data["token"], data.get("shard")))
        bot = self.world.bot(data["token"])
        if bot.revoked:
            await wire.close(4004)
            return None
        if data["intents"] & MESSAGE_CONTENT and not bot.privileged:
            await wire.close(4014)
            return None
        number, count = data.get("shard") or (0, 1)
        if count < bot.shards:
            await wire.close(4011)
            return None
        session = Session(
            f"session-{next(self._numbers)}", bot, int(data["intents"]), (number, count), wire=wire
        )
        self.sessions[session.id] = session
        guilds = [guild for guild in self.world.guilds_of(bot) if (int(guild) >> 22) % count == number]
        ready: Json = {
            "v": 10,
            "user": bot.user,
            "guilds": [{"id": guild, "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "resume_gateway_url": self.url(),
            "application": {"id": bot.id, "flags": 1 << 18 if bot.privileged else 0},
        }
        if "shard" in data:
            ready["shard"] = data["shard"]
        await session.dispatch("READY", ready)
        if session.intents & GUILDS:
            for guild in guilds:
                await session.dispatch("GUILD_CREATE", self._whole(guild))
        return session

    def _whole(self, guild_id: str) -> Json:
        inside = [channel for channel in self.world.channels.values() if channel.guild == guild_id]
        return {
            **self.world.guilds[guild_id].json(),
            "unavailable": False,
            "large": False,
            "joined_at": "2026-01-01T00:00:00+00:00",
            "member_count": 2,
            "members": [],
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "channels": [channel.json() for channel in inside if channel.kind == "text"],
            "threads": [channel.json() for channel in inside if channel.kind == "thread"],
        }

    async def _resume(self, wire: Wire, data: Json) -> Session | None:
        self.resumes += 1
        if self.world.bot(data["token"]).revoked:
            await wire.close(4004)
            return None
        if self.bricked_resumes > 0:
            self.bricked_resumes -= 1
            await wire.close(4000)
            return None
        session = self.sessions.get(data["session_id"])
        if session is None or session.bot.token != data["token"] or data["seq"] > session.sequence:
            await wire.send({"op": INVALID_SESSION, "d": False, "s": None, "t": None})
            return None
        session.wire = None
        sent = int(data["seq"])
        while sent < session.sequence:
            for payload in [payload for payload in session.log if payload["s"] > sent]:
                await wire.send(payload)
                sent = payload["s"]
        session.wire = wire
        await session.dispatch("RESUMED", {})
        return session

    def _of(self, bot: Bot) -> list[Session]:
        return [session for session in self.sessions.values() if session.bot is bot]


def _wire(socket: web.WebSocketResponse, request: web.Request, *, compressed: bool) -> Wire:
    return Wire(socket, request, zlib.compressobj() if compressed else None)


def _seen_by(session: Session, channel: Channel, data: Json) -> Json:
    """Without the privileged intent only direct messages, mentions and its own come with their content."""
    if "content" not in data or session.intents & MESSAGE_CONTENT or channel.kind == "dm":
        return data
    mine = session.bot.id
    if data["author"]["id"] == mine or any(user["id"] == mine for user in data["mentions"]):
        return data
    return {**data, "content": "", "attachments": [], "embeds": [], "components": []}
