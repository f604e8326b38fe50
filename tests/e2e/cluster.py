"""Several gateways over one server, as child processes, and what they were seen to do."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.sandbox.server import Sandbox
from tests.e2e.process import ORIGIN, Program, configuration, eventually, write_configuration

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
QUICK = "2s"
"""A lease for tests that have to wait for its end."""


class Pods:
    """The processes, the oldest first. They share a configuration unless one is given its own."""

    def __init__(self, box: Sandbox, folder: Path, journal: str, *, lease: str = QUICK, **more: Any) -> None:
        self._folder = folder
        self.document = configuration(box, folder, journal=journal, cluster={"lease": lease}, **more)
        self.running: list[Program] = []
        self.all: list[Program] = []
        self._numbers = 0

    async def start(self, document: dict[str, Any] | None = None) -> Program:
        self._numbers += 1
        folder = self._folder / f"pod-{self._numbers}"
        folder.mkdir()
        path = write_configuration(folder, document or self.document)
        pod = await Program(["run", "-c", str(path)]).start()
        self.running.append(pod)
        self.all.append(pod)
        await pod.event("gateway.started")
        return pod

    async def kill(self, pod: Program) -> None:
        self.running.remove(pod)
        await pod.kill()

    async def end(self, pod: Program) -> int:
        """As an orchestrator does it."""
        self.running.remove(pod)
        pod.signal(signal.SIGTERM)
        return await pod.ended()

    async def close(self) -> None:
        for pod in self.all:
            pod.signal(signal.SIGCONT) if pod.process and pod.process.returncode is None else None
            await pod.kill()


def held(pod: Program) -> dict[str, str]:
    """The channels that this process runs, by its log: `bot/platform` → state."""
    states: dict[str, str] = {}
    for line in pod.lines:
        event = line.get("event", "")
        if event.startswith("bot.") and "platform" in line:
            states[f"{line['bot']}/{line['platform']}"] = event.removeprefix("bot.")
    return {channel: state for channel, state in states.items() if state not in ("stopped", "starting")}


def holders(pods: list[Program]) -> Counter[str]:
    """How many of these processes run each channel."""
    return Counter(channel for pod in pods for channel, state in held(pod).items() if state == "running")


async def settled(
    pods: list[Program], channels: int, good: Callable[[list[int]], bool] = lambda _: True
) -> None:
    """Wait until each channel runs once, and the numbers by process are good."""

    async def look() -> tuple[Counter[str], list[int]]:
        return holders(pods), sorted(len(held(pod)) for pod in pods)

    await eventually(
        look,
        lambda seen: len(seen[0]) == channels and set(seen[0].values()) == {1} and good(seen[1]),
    )


async def public(pod: Program) -> str:
    return str((await pod.event("gateway.started"))["public"])


async def admin(pod: Program) -> str:
    return str((await pod.event("gateway.started"))["admin"])


class Visitor:
    """Somebody on the web. Each request may go to another process."""

    def __init__(self, session: ClientSession, token: str, bot: str = "support") -> None:
        self._session, self.token, self._bot = session, token, bot
        self.cursor: str | None = None

    @classmethod
    async def begin(cls, session: ClientSession, base: str, bot: str = "support") -> Visitor:
        async with session.post(
            f"{base}/v1/web/{bot}/sessions", json={}, headers={"Origin": ORIGIN}
        ) as answer:
            assert answer.status == 201, await answer.text()
            return cls(session, (await answer.json())["token"], bot)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Origin": ORIGIN, "Authorization": f"Bearer {self.token}"}

    async def say(self, base: str, text: str, key: str) -> dict[str, Any]:
        async with self._session.post(
            f"{base}/v1/web/{self._bot}/messages",
            json={"text": text},
            headers={**self._headers, "Idempotency-Key": key},
        ) as answer:
            assert answer.status == 202, await answer.text()
            return dict(await answer.json())

    async def hears(
        self, base: str, count: int, names: tuple[str, ...] = ("message",)
    ) -> list[dict[str, Any]]:
        """Read the stream there, from where the last one ended, until so many answers came."""
        headers = dict(self._headers)
        if self.cursor is not None:
            headers["Last-Event-ID"] = self.cursor
        heard: list[dict[str, Any]] = []
        name, number = "", None
        async with (
            asyncio.timeout(30),
            self._session.get(
                f"{base}/v1/web/{self._bot}/events", headers=headers, timeout=ClientTimeout(total=None)
            ) as stream,
        ):
            assert stream.status == 200, await stream.text()
            async for line in stream.content:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "event":
                    name = value
                elif field == "id":
                    number = value
                elif field == "data":
                    self.cursor = number or self.cursor
                    event = json.loads(value)
                    if name in names and event.get("role", "assistant") == "assistant":
                        heard.append(event)
                    if len(heard) >= count:
                        return heard
        raise AssertionError(f"the stream ended: {heard}")


async def get(session: ClientSession, url: str) -> tuple[int, Any]:
    try:
        async with session.get(url) as answer:
            return answer.status, await answer.json(content_type=None)
    except ClientError:
        return 0, None


class Cut:
    """The way to the server, which can be cut: what is on it stands still, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"valkey://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self._open.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._to)
        for source, sink in ((reader, there[1]), (there[0], writer)):
            pump = asyncio.ensure_future(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self._open.wait()
                sink.write(data)
                await sink.drain()
        sink.close()
