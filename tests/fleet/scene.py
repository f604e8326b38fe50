"""A gateway with many bots in this process, between the pretended services and a configuration file."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from adapters.telegram import TelegramAdapter, TelegramPlatform
from gateway.app import Gateway, Makers, load_platform
from gateway.messages import Channel, PlatformName
from gateway.ports import BotChanged, DeliveryEnded, Platform, TurnEnded
from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sandbox.server import Sandbox
from gateway.settings import Loaded, load
from gateway.settings.models import Settings, TelegramSettings
from tests.e2e.process import eventually
from tests.fakes import Facts

POLL = 2.0
"""Seconds that a poll is held: short, so that a hanging one is noticed soon."""


def token(number: int) -> str:
    return f"{7000 + number}:sandbox-token-of-bot-{number:04}-0000000000"


def bot(number: int, **more: Any) -> dict[str, Any]:
    return {"replica": SUPPORT, "telegram": {"token": token(number)}, **more}


class _Telegram(TelegramPlatform):
    """Counts how often each bot was started."""

    def __init__(self, api_url: str) -> None:
        super().__init__(api_url)
        self.starts: Counter[str] = Counter()

    def adapter(self, bot: str, section: TelegramSettings) -> TelegramAdapter:
        self.starts[bot] += 1
        return TelegramAdapter(bot, section, self.shared, poll=POLL)


class Scene:
    """`document` is the configuration as it is written by `write`; `facts` is what the gateway told."""

    def __init__(self, box: Sandbox, folder: Path, bots: dict[str, Any], **more: Any) -> None:
        self.box, self.path, self.facts = box, folder / "gateway.yaml", Facts()
        self.telegram = _Telegram(box.url)
        quota = {"requests_per_minute": 100_000, "completions_per_hour": 1_000_000}
        self.document: dict[str, Any] = {
            "server": {
                "public": {"host": "127.0.0.1", "port": 0},
                "admin": {"port": 0},
            },
            "journal": "memory:",
            "shutdown_grace": "0s",
            "sensay": {"base_url": box.url},
            "platforms": {
                "telegram": {"api_url": box.url},
                "discord": {"api_url": box.discord_api_url, "gateway_url": box.discord_gateway_url},
            },
            "organizations": {"acme": {"secret": "sandbox-organisation-secret", "quota": quota}},
            "bots": bots,
            **more,
        }
        self.write()
        self.gateway = Gateway(
            self._load().settings,
            observe=self.facts,
            makers=Makers(platform=self._platform),
            reread=self._load,
        )
        self.http: ClientSession
        self._persons = itertools.count(100)

    def _load(self) -> Loaded:
        return load(self.path, {})

    def _platform(self, name: PlatformName, settings: Settings) -> Platform:
        return self.telegram if name == "telegram" else load_platform(name, settings)

    def write(self) -> None:
        self.path.write_text(json.dumps(self.document))

    @property
    def admin(self) -> str:
        assert self.gateway.admin is not None
        return f"http://127.0.0.1:{self.gateway.admin.port}"

    async def post(self, path: str) -> tuple[int, Any]:
        async with self.http.post(self.admin + path) as answer:
            return answer.status, await answer.json(content_type=None)

    async def reload(self) -> dict[str, Any]:
        """Write the document down and have it applied; returns the plan."""
        self.write()
        status, body = await self.post("/-/reload")
        assert status == 200, body
        plan: dict[str, Any] = body["plan"]
        return plan

    async def metrics(self) -> str:
        async with self.http.get(f"{self.admin}/metrics") as answer:
            return await answer.text()

    async def metric(self, series: str) -> float | None:
        found = (line.rpartition(" ") for line in (await self.metrics()).splitlines())
        return next((float(value) for name, _, value in found if name == series), None)

    # --- states ---

    def states(self, platform: PlatformName = "telegram") -> dict[str, str]:
        found = {}
        for name in self.document["bots"]:
            status = self.gateway.fleet.status(Channel(bot=name, platform=platform))
            found[name] = status.shown if status else "gone"
        return found

    async def all_in(self, state: str, *names: str, patience: float = 60.0) -> None:
        async def others() -> dict[str, str]:
            wanted = names or tuple(self.document["bots"])
            return {name: seen for name, seen in self.states().items() if name in wanted and seen != state}

        await eventually(others, lambda left: not left, patience)

    def changes(self, since: int = 0) -> list[BotChanged]:
        return [fact for fact in self.facts[since:] if isinstance(fact, BotChanged)]

    # --- people ---

    def says(self, number: int, text: str = "What are your opening hours?", **more: Any) -> None:
        """Somebody new writes to the bot with this token."""
        person = {"id": next(self._persons), "name": "Robin"}
        self.box.telegram.bot(token(number)).hear({"user": person, "text": text, **more})

    def answers(self, number: int) -> list[str]:
        return [item["text"] for item in self.box.telegram.sent(token(number)) if item["kind"] == "message"]

    async def answered(self, number: int, count: int = 1) -> list[str]:
        async def seen() -> list[str]:
            return self.answers(number)

        found: list[str] = await eventually(seen, lambda texts: len(texts) >= count)
        return found

    def took(self, since: int = 0) -> list[float]:
        """Seconds from accepted to delivered of every turn that ended since."""
        facts = self.facts[since:]
        begun = {fact.turn: fact.accepted_at for fact in facts if isinstance(fact, TurnEnded)}
        return sorted(
            fact.at - begun[fact.owner]
            for fact in facts
            if isinstance(fact, DeliveryEnded) and fact.last and fact.owner in begun
        )


@asynccontextmanager
async def fleet(folder: Path, bots: dict[str, Any], **more: Any) -> AsyncIterator[Scene]:
    """A running one, and a Sensay that has time for it."""
    sensay = SensaySandbox(requests_per_minute=None, completions_per_hour=None)
    async with Sandbox(sensay=sensay) as box, ClientSession() as http:
        scene = Scene(box, folder, bots, **more)
        scene.http = http
        try:
            await scene.gateway.start()
            yield scene
        finally:
            await scene.gateway.close()
