"""A gateway as the webhook sees it: lives in a dictionary, answers on demand, time by hand. And a caller."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientResponse, ClientSession, web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook

from adapters.webhook import platform
from gateway.messages import Accepted, Life, PartLife, Said
from gateway.settings import Settings
from gateway.settings.models import WebhookSettings

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OTHER_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_750_000_000.0
HELLO: dict[str, Any] = {"user": {"id": "7"}, "text": "Hello"}


class HandClock:
    """Moves only when told to."""

    def __init__(self, now: float = NOW) -> None:
        self.time = now
        self.sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> float:
        return self.time

    monotonic = now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self.sleepers.append((self.time + seconds, woken))
        await woken.wait()

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        """For what takes real time: time by hand does not ring it."""
        return asyncio.get_running_loop().call_later(seconds, ring).cancel

    def advance(self, seconds: float) -> None:
        self.time += seconds
        for due, woken in self.sleepers:
            if due <= self.time:
                woken.set()


class FakeHost:
    """Takes what `next_outcome` says; `end` is the replica answering."""

    platform = "webhook"
    paused = False

    def __init__(self, bot: str = "support", clock: HandClock | None = None) -> None:
        self.bot = bot
        self.clock = clock or HandClock()
        self.accepted: list[Said] = []
        self.lives: dict[str, Life] = {}
        self.identity: str | None = None
        self.beats = 0
        self.next_outcome = "accepted"
        self.refusal: Exception | None = None
        self.watching = asyncio.Event()
        self._first: dict[str, tuple[str, str | None]] = {}
        self._watches: dict[str, list[asyncio.Queue[dict[str, Any]]]] = defaultdict(list)

    async def accept(self, *arrivals: Said) -> list[Accepted]:
        if self.refusal is not None:
            raise self.refusal
        return [self._accept(said) for said in arrivals]

    def _accept(self, said: Said) -> Accepted:
        (key,) = said.dedupe
        if key in self._first:
            first, body = self._first[key]
            return Accepted(id=first, outcome="duplicate" if body == said.body_hash else "mismatch")
        new = f"acme-{len(self._first) + 1}"
        self._first[key] = (new, said.body_hash)
        self.accepted.append(said)
        status = "queued" if self.next_outcome == "accepted" else self.next_outcome
        self.lives[new] = Life(
            id=new, organization="acme", key=said.key, status=status, accepted_at=self.clock.now()
        )
        return Accepted(id=new, outcome=self.next_outcome)

    def ready(self, identity: str) -> None:
        self.identity = identity

    def beat(self) -> None:
        self.beats += 1

    def text(self, name: str, locale: str | None = None) -> str:
        return f"[{name}] {{reference}}"

    async def message(self, message_id: str) -> Life | None:
        return self.lives.get(message_id)

    @asynccontextmanager
    async def watch(self, topic: str):
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._watches[topic].append(queue)
        self.watching.set()
        try:
            yield FakeWatch(queue)
        finally:
            self._watches[topic].remove(queue)

    def end(
        self,
        message_id: str,
        *texts: str,
        status: str = "answered",
        purpose: str = "answer",
        turn: str | None = None,
    ) -> None:
        parts = tuple(
            PartLife(id=f"{message_id}.{n}", state="sent", purpose=purpose, created_at=NOW, text=text)
            for n, text in enumerate(texts)
        )
        self.lives[message_id] = replace(self.lives[message_id], status=status, parts=parts, turn=turn)
        for queue in self._watches[f"message/{message_id}"]:
            queue.put_nowait({})

    @property
    def watched(self) -> int:
        return sum(map(len, self._watches.values()))


class FakeWatch:
    def __init__(self, queue: asyncio.Queue[dict[str, Any]]) -> None:
        self.next = queue.get


class FakeFleet:
    """Channels by bot; without one the bot is unknown."""

    def __init__(self) -> None:
        self.channels: dict[tuple[str, str], tuple[Any, FakeHost]] = {}

    def channel(self, bot: str, platform: str) -> tuple[Any, FakeHost] | None:
        return self.channels.get((bot, platform))


class Caller:
    """A customer's server, signing with the public library."""

    def __init__(self, session: ClientSession, clock: HandClock, secret: str = SECRET) -> None:
        self._session, self._clock, self._secret = session, clock, secret

    def with_secret(self, secret: str) -> Caller:
        """The same server, signing with another secret."""
        return Caller(self._session, self._clock, secret)

    def headers(self, body: bytes, message_id: str = "msg_1", *, age: float = 0.0) -> dict[str, str]:
        at = datetime.fromtimestamp(self._clock.now() - age, UTC)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(self._secret).sign(message_id, at, body.decode()),
        }

    async def post(
        self, body: bytes | dict[str, Any], message_id: str = "msg_1", *, bot: str = "support", **extra: str
    ) -> ClientResponse:
        raw = json.dumps(body).encode() if isinstance(body, dict) else body
        return await self.send(raw, {**self.headers(raw, message_id), **extra}, bot=bot)

    async def send(self, raw: bytes, headers: Any, *, bot: str = "support") -> ClientResponse:
        """Post with headers as given."""
        return await self._session.post(f"/v1/hooks/{bot}/messages", data=raw, headers=headers)

    async def get(
        self, message_id: str, *, bot: str = "support", headers: dict[str, str] | None = None
    ) -> ClientResponse:
        return await self._session.get(
            f"/v1/hooks/{bot}/messages/{message_id}",
            headers=self.headers(b"", "look_1") if headers is None else headers,
        )


class Hooks:
    """One platform with a bot, served on a port."""

    def __init__(self, base_url: str | None = None) -> None:
        self.host = FakeHost()
        self.fleet = FakeFleet()
        settings = Settings.model_validate({"server": {"public": {"base_url": base_url}}})
        self.platform = platform(settings)
        self._running: list[asyncio.Task[None]] = []

    async def start_bot(self, name: str, *secrets: str, host: FakeHost | None = None) -> None:
        host = host or FakeHost(name, self.host.clock)
        adapter = self.platform.adapter(name, WebhookSettings(secret=list(secrets)))
        self.fleet.channels[name, "webhook"] = (adapter, host)
        self._running.append(asyncio.create_task(adapter.run(host)))
        await until(lambda: host.identity is not None)

    async def serve(self) -> None:
        app = web.Application(client_max_size=2**20)
        app.add_routes(self.platform.routes(self.fleet))
        self.server = TestServer(app)
        await self.server.start_server()
        self.url = str(self.server.make_url("/"))

    async def stop(self) -> None:
        await self.platform.close()
        await self.server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


@asynccontextmanager
async def serving(base_url: str | None = None) -> AsyncIterator[Hooks]:
    """Hooks with the bot `support`, on a free port."""
    made = Hooks(base_url)
    await made.start_bot("support", SECRET, host=made.host)
    await made.serve()
    try:
        yield made
    finally:
        await made.stop()


async def until(condition: Callable[[], object], within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0)  # the deadline is above
