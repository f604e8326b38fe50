"""The program as its users run it: a child process, its log, its HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.server import Sandbox

ROOT = Path(__file__).parents[2]
TELEGRAM = "100200300:sandbox-token-for-the-tests-0000000000"
DISCORD = "MTAwMjAwMzAwNDAwNTAwNjAw.tests0.sandbox-token-for-the-tests-00000"
WEBHOOK = "whsec_c2FuZGJveC1zZWNyZXQtZm9yLXRoZS10ZXN0cw=="
ORIGIN = "https://shop.example.com"
PATIENCE = 60.0
"""Seconds: a machine with other work takes long to start a process."""


def configuration(box: Sandbox, folder: Path, **more: Any) -> dict[str, Any]:
    """One bot on all four channels, everything on free ports."""
    return {
        "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
        "journal": f"sqlite:///{folder}/gateway.db",
        "sensay": {"base_url": box.url},
        "platforms": {
            "telegram": {"api_url": box.url},
            "discord": {"api_url": box.discord_api_url, "gateway_url": box.discord_gateway_url},
        },
        "organizations": {"acme": {"secret": "sandbox-organisation-secret"}},
        "bots": {
            "support": {
                "replica": SUPPORT,
                "telegram": {"token": TELEGRAM},
                "discord": {"token": DISCORD},
                "web": {"allowed_origins": [ORIGIN]},
                "webhook": {"secret": WEBHOOK},
            }
        },
    } | more


@dataclass
class Program:
    """`python -m gateway …` as a child process. `lines` is its log so far, parsed."""

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = ROOT
    lines: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    module: str = "gateway"
    process: asyncio.subprocess.Process | None = None
    _reader: asyncio.Task[None] | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> Program:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self.environment}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.module,
            *self.arguments,
            cwd=self.folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            text = line.decode().rstrip("\n")
            self.raw.append(text)
            try:
                self.lines.append(json.loads(text))
            except ValueError:
                self.lines.append({"event": "", "text": text})
            self._news.set()
        self._news.set()

    async def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """Wait for a log line with these fields."""
        wanted = {"event": name, **fields}

        def found() -> dict[str, Any] | None:
            return next((line for line in self.lines if wanted.items() <= line.items()), None)

        async with asyncio.timeout(PATIENCE):
            while (line := found()) is None:
                assert self._reader is not None
                assert not self._reader.done(), f"it ended before {wanted}:\n" + "\n".join(self.raw[-20:])
                self._news.clear()
                await self._news.wait()
        return line

    async def running(self, *platforms: str) -> str:
        """Wait until these channels run; returns the public address."""
        for platform in platforms:
            await self.event("bot.running", platform=platform)
        return (await self.event("gateway.started"))["public"]

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; returns the exit code."""
        assert self.process is not None
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            assert self._reader is not None
            await self._reader
        return code

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.ended()


class People:
    """The users, acting through the sandbox's control API."""

    def __init__(self, box: Sandbox, session: ClientSession) -> None:
        self._box, self._session = box, session

    async def say(self, platform: str, text: str, *, user: int = 42, **more: Any) -> str:
        token = {"telegram": TELEGRAM, "discord": DISCORD}[platform]
        url = f"{self._box.url}/_control/{platform}/{token}/messages"
        body = {"user": {"id": user, "name": "Robin"}, "text": text, **more}
        async with self._session.post(url, json=body) as answer:
            assert answer.status == 200, await answer.text()
            return str((await answer.json())["id"])

    async def heard(self, platform: str) -> list[dict[str, Any]]:
        """Messages that the bot sent, typing aside."""
        token = {"telegram": TELEGRAM, "discord": DISCORD}[platform]
        async with self._session.get(f"{self._box.url}/_control/{platform}/{token}/sent") as answer:
            return [item for item in (await answer.json())["items"] if item["kind"] != "typing"]

    async def hears(self, platform: str, count: int) -> list[dict[str, Any]]:
        """Wait until the bot has sent so many messages."""
        return await eventually(lambda: self.heard(platform), lambda items: len(items) >= count)


async def eventually(look: Callable[[], Any], good: Callable[[Any], bool], patience: float = PATIENCE) -> Any:
    """Look again and again until what is seen is good. Raises AssertionError with the last sight."""
    seen = None
    try:
        async with asyncio.timeout(patience):
            while not good(seen := await look()):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"still not after {patience} s: {seen!r}") from None
    return seen


def write_configuration(folder: Path, document: dict[str, Any]) -> Path:
    """As JSON, which is YAML too."""
    path = folder / "gateway.yaml"
    path.write_text(json.dumps(document))
    return path
