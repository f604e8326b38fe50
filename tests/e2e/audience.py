"""Persons on each channel, as persistent as real ones: they send again what nobody took, and read what comes."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import count
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout
from standardwebhooks import Webhook

from gateway.sandbox.server import Sandbox
from tests.e2e.process import ORIGIN, TELEGRAM, WEBHOOK, People

AGAIN = 0.1
SHORT = ClientTimeout(total=10.0)


class Audience(ABC):
    """`size` persons of one channel. `public` is where the gateway is now, None while it is not."""

    def __init__(self, box: Sandbox, session: ClientSession, size: int) -> None:
        self.box, self.session, self.size = box, session, size
        self.public: str | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def say(self, person: int, text: str) -> None:
        """Say it; what a person has to repeat goes on beside."""

    @abstractmethod
    async def heard(self) -> Counter[str]:
        """How many answers each person has seen."""

    @abstractmethod
    async def texts(self) -> list[tuple[str, str]]:
        """What was seen: by whom, and the text."""

    @abstractmethod
    def acknowledged(self, sent: int) -> bool:
        """Whether the platform was told that all of what was said is taken."""

    def beside(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def here(self) -> str:
        """Wait until the gateway is there."""
        while self.public is None:
            await asyncio.sleep(AGAIN)
        return self.public


class Chatters(Audience):
    """On Telegram or Discord: the platform keeps what they say, and shows what comes."""

    def __init__(self, platform: str, box: Sandbox, session: ClientSession, size: int) -> None:
        super().__init__(box, session, size)
        self._platform, self._people = platform, People(box, session)

    async def say(self, person: int, text: str) -> None:
        await self._people.say(self._platform, text, user=500 + person)

    async def heard(self) -> Counter[str]:
        return Counter(str(item["chat"]) for item in await self._people.heard(self._platform))

    async def texts(self) -> list[tuple[str, str]]:
        return [(str(item["chat"]), item["text"] or "") for item in await self._people.heard(self._platform)]

    def acknowledged(self, sent: int) -> bool:
        return self._platform == "telegram" and not self.box.telegram.bot(TELEGRAM).updates


class Visitors(Audience):
    """On the web: each has a session, posts until it is taken, and follows the stream wherever it was cut."""

    def __init__(self, box: Sandbox, session: ClientSession, size: int) -> None:
        super().__init__(box, session, size)
        self._tokens: dict[int, str] = {}
        self._beginning: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._heard: Counter[str] = Counter()
        self._texts: list[tuple[str, str]] = []
        self._taken = 0
        self._keys = count()

    async def say(self, person: int, text: str) -> None:
        self.beside(self._say(person, text, f"key-{next(self._keys)}"))

    async def _say(self, person: int, text: str, key: str) -> None:
        while True:
            base = f"{await self.here()}/v1/web/support"
            try:
                headers = await self._begun(person, base)
                headers["Idempotency-Key"] = key
                async with self.session.post(
                    f"{base}/messages", json={"text": text}, headers=headers, timeout=SHORT
                ) as answer:
                    if answer.status == 202:
                        self._taken += 1
                        return
            except (ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(AGAIN)

    async def _begun(self, person: int, base: str) -> dict[str, str]:
        origin = {"Origin": ORIGIN}
        async with self._beginning[person]:
            if person not in self._tokens:
                url = f"{base}/sessions"
                async with self.session.post(url, json={}, headers=origin, timeout=SHORT) as answer:
                    answer.raise_for_status()
                    self._tokens[person] = (await answer.json())["token"]
                self.beside(self._listen(person))
        return {**origin, "Authorization": f"Bearer {self._tokens[person]}"}

    async def _listen(self, person: int) -> None:
        last: str | None = None
        while True:
            headers = {"Origin": ORIGIN, "Authorization": f"Bearer {self._tokens[person]}"}
            if last is not None:
                headers["Last-Event-ID"] = last
            try:
                url = f"{await self.here()}/v1/web/support/events"
                async with self.session.get(
                    url, headers=headers, timeout=ClientTimeout(total=None)
                ) as stream:
                    async for line in stream.content:
                        name, _, value = line.decode().rstrip("\n").partition(": ")
                        if name == "id":
                            number = value
                        elif name == "data":
                            last = number
                            self._note(person, json.loads(value))
            except (ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(AGAIN)

    def _note(self, person: int, event: dict[str, Any]) -> None:
        if event.get("role") == "assistant":
            self._heard[str(person)] += 1
            self._texts.append((str(person), event["text"]))

    async def heard(self) -> Counter[str]:
        return self._heard

    async def texts(self) -> list[tuple[str, str]]:
        return self._texts

    def acknowledged(self, sent: int) -> bool:
        return self._taken >= sent


class Callers(Audience):
    """On the webhook: a server that repeats a request until it is taken, and asks for the answer."""

    def __init__(self, box: Sandbox, session: ClientSession, size: int) -> None:
        super().__init__(box, session, size)
        self._heard: Counter[str] = Counter()
        self._texts: list[tuple[str, str]] = []
        self._taken = 0
        self._ids = count()

    async def say(self, person: int, text: str) -> None:
        self.beside(self._ask(person, text, f"msg-{next(self._ids)}"))

    async def _ask(self, person: int, text: str, id_: str) -> None:
        body = json.dumps({"user": {"id": f"user-{person}"}, "text": text})
        taken = False
        while True:
            url = f"{await self.here()}/v1/hooks/support/messages"
            try:
                async with self.session.post(
                    url, data=body, headers=_signed(id_, body), timeout=SHORT
                ) as answer:
                    if answer.status in (200, 202):
                        self._taken += not taken
                        taken = True
                    if answer.status == 200:
                        self._heard[str(person)] += 1
                        self._texts.append((str(person), (await answer.json())["text"]))
                        return
            except (ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(AGAIN)

    async def heard(self) -> Counter[str]:
        return self._heard

    async def texts(self) -> list[tuple[str, str]]:
        return self._texts

    def acknowledged(self, sent: int) -> bool:
        return self._taken >= sent


def _signed(id_: str, body: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(WEBHOOK).sign(id_, now, body),
        "Content-Type": "application/json",
    }


def audience(platform: str, box: Sandbox, session: ClientSession, size: int) -> Audience:
    match platform:
        case "web":
            return Visitors(box, session, size)
        case "webhook":
            return Callers(box, session, size)
        case _:
            return Chatters(platform, box, session, size)
