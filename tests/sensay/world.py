"""A client and the sandbox that it asks, for the tests of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.messages import PlatformName, Question, SpendClass
from gateway.ports import Fact, Left, UpstreamAnswered
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import SUPPORT, Canned, Received, SensaySandbox
from gateway.sandbox.server import Sandbox
from gateway.sensay.client import SensayClient
from gateway.sensay.identity import user_for
from gateway.settings.models import Settings
from tests.clock import FakeClock

SECRET = "a-secret-of-acme"
TELEGRAM = {"chat_type": "private", "chat_id": 42, "message_id": 7, "user_id": 42, "username": "ada"}
DISCORD = {
    "channel_id": "900",
    "channel_name": "general",
    "author_id": "42",
    "author_name": "ada",
    "message_id": "77",
}
CONTEXTS: dict[PlatformName, dict[str, Any]] = {
    "telegram": TELEGRAM,
    "discord": DISCORD,
    "web": {},
    "webhook": {},
}


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for a condition, not for a time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class World:
    """What a test of the client may ask and turn. `admitted` was let through, `left` went out, in order."""

    def __init__(self, box: Sandbox, **sensay: Any) -> None:
        self.box = box
        self.clock = FakeClock()
        self.facts: list[Fact] = []
        self.admitted: list[tuple[SpendClass, bool]] = []
        self.left: list[tuple[SpendClass, bool]] = []
        self.left: list[tuple[SpendClass, bool]] = []
        self.memory: dict[tuple[str, str], bytes] = {}
        self.secret = SECRET
        self._sensay = {"base_url": box.url, "timeout": "10s"} | sensay
        self.completions = self.client()

    def client(self) -> SensayClient:
        """Another process's client, with the same journal."""
        return SensayClient(
            current=self.settings,
            observer=self.facts.append,
            clock=self.clock,
            recall=self._recall,
            remember=self._remember,
        )

    def reload(self, **sensay: Any) -> None:
        """Other settings from the next request on."""
        self._sensay |= sensay

    def settings(self) -> Settings:
        return Settings.model_validate(
            {"sensay": self._sensay, "organizations": {"acme": {"secret": self.secret}}}
        )

    async def _recall(self, scope: str, key: str) -> bytes | None:
        return self.memory.get((scope, key))

    async def _remember(self, scope: str, key: str, value: bytes | None, *, ttl: float | None = None) -> None:
        self.memory[scope, key] = value or b""

    async def admit(self, kind: SpendClass, completion: bool) -> Left:
        self.admitted.append((kind, completion))
        return lambda: self.left.append((kind, completion))

    def question(
        self,
        text: str = "When are you open?",
        platform: PlatformName = "telegram",
        sender: str = "42",
        replica: str = SUPPORT,
        images: tuple[str, ...] = (),
    ) -> Question:
        sensay = self.settings().sensay
        user = user_for(platform, "support", sender, identity=sensay.identity, dialect=sensay.dialect)
        return Question(
            organization="acme",
            replica=replica,
            platform=platform,
            user=user,
            text=text,
            context=CONTEXTS[platform],
            images=images,
        )

    async def ask(self, text: str = "When are you open?", **kind: Any) -> str:
        return (await self.completions.complete(self.question(text, **kind), self.admit)).text

    async def look(self, question: Question, since: float | None = None) -> Any:
        asked = self.clock.now() if since is None else since
        return await self.completions.find(question, asked, self.admit)

    def fault(self, operation: str, kind: Any, **how: Any) -> None:
        self.box.faults.add(Fault("sensay", operation, kind, **how))

    def canned(self, operation: str, **answer: Any) -> None:
        self.box.sensay.canned.append(Canned(operation, **answer))

    @property
    def requests(self) -> list[Received]:
        return self.box.sensay.requests

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(fact.operation, fact.outcome) for fact in self.facts if isinstance(fact, UpstreamAnswered)]


@asynccontextmanager
async def world(sandbox: SensaySandbox | None = None, **sensay: Any) -> AsyncIterator[World]:
    async with Sandbox(sensay=sandbox) as box:
        made = World(box, **sensay)
        try:
            yield made
        finally:
            await made.completions.close()
