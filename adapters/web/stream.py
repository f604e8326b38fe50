"""Server-sent events of one conversation, resumable, from the journal.

A stream subscribes first and reads then, so nothing falls between. What it is woken by is never the only copy: an
empty fact means "read on"; facts with a `type` (typing, queued) are passed on and forgotten. Every event carries the
number of the last message sent, so a client that resumes after any of them misses and repeats nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from adapters.http import SECURITY_HEADERS, Problem
from adapters.web.transcript import messages
from gateway.errors import Transient
from gateway.messages import ConversationKey, Facts, Log
from gateway.ports import Host, Watch

EPHEMERAL = frozenset({"typing", "queued", "error", "delta"})
PAGE = 100
PER_SESSION = 6
"""Open streams of one session, as many as a browser opens over HTTP/1.1; a newer one ends the oldest."""
TOTAL = 20_000
"""Open streams of the process."""
HEADERS = {
    **SECURITY_HEADERS,
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",  # nginx holds events back without it
}


@dataclass(frozen=True)
class Pace:
    """Seconds: between signs of life, until a stream ends (so that processes drain), for a stuck write."""

    ping: float = 15.0
    max_age: float = 600.0
    write: float = 30.0


class Streams:
    """All open streams of this process."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._open: dict[ConversationKey, list[_Stream]] = {}
        self._count = 0
        self._closed = False

    def close(self) -> None:
        """End every stream at once, and those that come yet."""
        self._closed = True
        self.end_all()

    def end_all(self) -> None:
        """End every stream at once; their clients come back."""
        for streams in self._open.values():
            for stream in streams:
                stream.end()

    def __len__(self) -> int:
        return self._count

    async def serve(
        self,
        request: web.Request,
        host: Host,
        key: ConversationKey,
        last: str | None,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        """Answer with the conversation after `last`, and go on with what happens. Raises Transient before it began,
        Problem 503 when there are too many.
        """
        response = web.StreamResponse(headers={**HEADERS, **headers})
        async with host.watch(f"conversation/{key}") as watch:
            stream = _Stream(host, key, watch, response, self._pace)
            with self._seat(key, stream):
                first = await stream.position(last)
                await response.prepare(request)
                # the visitor left, or the journal is away: either way the client comes back and resumes
                with contextlib.suppress(ConnectionError, TimeoutError):
                    await stream.run(first)
                    await response.write_eof()
        return response

    @contextlib.contextmanager
    def _seat(self, key: ConversationKey, stream: _Stream) -> Iterator[None]:
        """A place among the open streams."""
        if self._count >= TOTAL:
            raise Problem(503, "Too many streams are open.", retry_after=5.0)
        mine = self._open.setdefault(key, [])
        mine.append(stream)
        self._count += 1
        for over in mine if self._closed else mine[: max(0, len(mine) - PER_SESSION)]:
            over.end()
        try:
            yield
        finally:
            self._count -= 1
            mine.remove(stream)
            if not mine:
                self._open.pop(key, None)


class _Stream:
    """One reader's place in a conversation. Two thousand of them sleep most of the time: one task each, one timer."""

    __slots__ = ("_cursor", "_host", "_key", "_over", "_pace", "_reset", "_response", "_sleep", "_watch")

    def __init__(
        self, host: Host, key: ConversationKey, watch: Watch, response: web.StreamResponse, pace: Pace
    ) -> None:
        self._host, self._key, self._watch = host, key, watch
        self._response, self._pace = response, pace
        self._cursor = 0
        self._reset = self._over = False
        self._sleep: asyncio.Timeout | None = None

    def end(self) -> None:
        """Say goodbye as soon as what is being written is written."""
        self._over = True
        if self._sleep is not None:
            self._sleep.reschedule(asyncio.get_running_loop().time())

    async def position(self, last: str | None) -> Log:
        """Take the place that a returning client names; one that is not known (any more) means from the start."""
        if last and last != "0":
            self._reset = True
            if last.isascii() and last.isdigit() and len(last) < 16:
                log = await self._host.log(self._key, after=int(last), limit=PAGE)
                if not log.trimmed:
                    self._cursor, self._reset = int(last), False
                    return log
        return await self._host.log(self._key, limit=PAGE)

    async def run(self, first: Log) -> None:
        """Tell what was and what happens, until the stream's time is over or the journal is away."""
        try:
            await self._run(first)
        except Transient as error:
            await self._event("error", {"code": "unavailable", "retry_after": error.retry_after or 1.0})

    async def _run(self, first: Log) -> None:
        await self._write(b": hello\n\n")
        if self._reset:
            await self._event("reset", {})
        await self._tell(first)
        loop = asyncio.get_running_loop()
        end = loop.time() + self._pace.max_age
        while not self._over and (left := end - loop.time()) > 0:
            facts = await self._facts(min(left, self._pace.ping))
            if facts is not None:
                if not await self._pass_on(facts):
                    return
            elif not self._over:
                await self._write(b": ping\n\n")
        await self._write(b"retry: 1000\n\n")  # the reader's own way back may be slower

    async def _facts(self, seconds: float) -> list[Facts] | None:
        """What is heard, or None when nothing is for so long."""
        try:
            async with asyncio.timeout(seconds) as self._sleep:
                return [await self._watch.next(), *self._watch.drain()]
        except TimeoutError:
            return None
        finally:
            self._sleep = None

    async def _pass_on(self, facts: list[Facts]) -> bool:
        """Read on first: what is shown while an answer is made must not stay behind it. False: it is over."""
        if any("type" not in fact for fact in facts):
            await self._tell(await self._news())
            facts = [fact for fact in facts if fact.get("type") != "delta"]  # perhaps of what is told now
        for fact in facts:
            if fact.get("type") == "reset":
                self._cursor = 0
                await self._event("reset", {})
                return False
            if fact.get("type") in EPHEMERAL:
                await self._event(
                    fact["type"], {name: value for name, value in fact.items() if name != "type"}
                )
        return True

    async def _news(self) -> Log:
        log = await self._host.log(self._key, after=self._cursor, limit=PAGE)
        if not (log.trimmed and self._cursor):
            return log
        self._cursor = 0
        await self._event("reset", {})
        return await self._host.log(self._key, limit=PAGE)

    async def _tell(self, log: Log) -> None:
        """Write what was read, and what follows it."""
        while True:
            told = messages(log.entries)
            for seq, message in told:
                self._cursor = seq
                await self._event("message", message)
            if not log.more or not told:
                return
            log = await self._host.log(self._key, after=self._cursor, limit=PAGE)

    async def _event(self, name: str, data: Any) -> None:
        head = f"id: {self._cursor}\nevent: {name}\ndata: ".encode()
        await self._write(head + msgspec.json.encode(data) + b"\n\n")

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(self._pace.write):
            await self._response.write(data)
