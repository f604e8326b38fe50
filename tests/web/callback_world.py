"""A webhook bot whose answers are sent: a real journal, courier and adapter, time by hand, a customer's server."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.webhook import WebhookAdapter, WebhookPlatform
from gateway.journal import open_journal
from gateway.messages import (
    Accepted,
    Address,
    Channel,
    ConversationKey,
    Ending,
    Part,
    Said,
    Sender,
    TextName,
)
from gateway.pipeline.deliver import Courier
from gateway.pipeline.host import ChannelHost
from gateway.ports import Host, Intake, Journal
from gateway.settings.models import WebhookSettings
from tests.clock import FakeClock
from tests.fakes import Facts
from tests.web.webhook_host import SECRET

CHANNEL = Channel(bot="support", platform="webhook")
LOOPBACK = ("127.0.0.0/8",)


@dataclass
class Call:
    """One callback as it came."""

    at: float
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body)

    @property
    def text(self) -> str:
        return self.event["data"]["text"]


class Receiver:
    """The customer's server. It takes everything, unless `script` has another answer for the next call."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.calls: list[Call] = []
        self.script: deque[int | tuple[int, dict[str, str]]] = deque()
        self.answers: Callable[[web.Request], Any] | None = None
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._server = TestServer(app)

    async def start(self) -> None:
        await self._server.start_server()

    async def stop(self) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return str(self._server.make_url("/answers?token=hush-hush"))

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(
            Call(self._clock.now(), {k.lower(): v for k, v in request.headers.items()}, await request.read())
        )
        if self.answers is not None:
            return await self.answers(request)
        answer = self.script.popleft() if self.script else 204
        status, headers = (answer, {}) if isinstance(answer, int) else answer
        return web.Response(status=status, headers=headers)

    @property
    def texts(self) -> list[str]:
        return [call.text for call in self.calls]


class World:
    """`states` is what the channel reported, the last one with its reason."""

    def __init__(self, clock: FakeClock, journal: Journal, receiver: Receiver) -> None:
        self.clock, self.journal, self.receiver = clock, journal, receiver
        self.platform = WebhookPlatform("https://bots.example.com/")
        self.facts = Facts()
        self.states: list[tuple[str, str | None]] = []
        self._numbers = count(1)

    def settings(self, **changes: Any) -> WebhookSettings:
        plain = {"secret": SECRET, "callback_url": self.receiver.url, "callback_allow": LOOPBACK}
        return WebhookSettings.model_validate({**plain, **changes})

    @asynccontextmanager
    async def running(self, **changes: Any) -> AsyncIterator[WebhookAdapter]:
        """The channel as the supervisor runs it, from the lease to the courier."""
        adapter = self.platform.adapter("support", self.settings(**changes))
        async with self.journal.hold(f"channel/{CHANNEL}") as lease:
            courier = Courier(
                CHANNEL, adapter, lease, self.journal, self.clock, self.facts, jitter=lambda: 0.0
            )
            tasks = [asyncio.create_task(adapter.run(self._host())), asyncio.create_task(courier.run())]
            try:
                yield adapter
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _host(self) -> Host:
        return ChannelHost(
            CHANNEL,
            journal=self.journal,
            acceptor=None,
            notices=Bracketed(),
            profile=None,
            current=None,
            clock=self.clock,
            observer=self.facts,
            report=lambda state, why: self.states.append((state, why)),
        )

    # --- the other stages ---

    async def asked(self, conversation: str = "c1", **intake: Any) -> Accepted:
        number = next(self._numbers)
        said = Said(
            key=ConversationKey(bot="support", platform="webhook", chat=conversation),
            address=Address(to=conversation),
            sender=Sender(id="7"),
            message_id=f"msg_{number}",
            text="When are you open?",
            sent_at=self.clock.now(),
            dedupe=(f"hook:msg_{number}",),
        )
        (accepted,) = await self.journal.accept(
            [Intake(id=f"m{number}", organization="acme", arrival=said, **intake)]
        )
        return accepted

    async def answered(self, *texts: str, conversation: str = "c1", ending: Ending | None = None) -> str:
        """A question and its answer; returns the first part's delivery id."""
        message = await self.asked(conversation)
        turn_id = message.id.replace("m", "t")
        parts = tuple(Part(text=text) for text in texts)
        async with self.journal.hold("dispatcher/acme") as lease:
            await self.journal.claim(turn_id, [message.id], lease)
            await self.journal.finish(turn_id, lease, ending or Ending(outcome="answered", parts=parts))
        return f"{turn_id}.{(ending.parts if ending else parts)[0].purpose}.0"

    # --- looking ---

    async def part(self, delivery: str) -> tuple[str, str | None]:
        """State and cause."""
        life = await self.journal.message(delivery)
        return next((part.state, part.cause) for part in life.parts if part.id == delivery)

    async def ended(self, delivery: str) -> tuple[str, str | None]:
        """Wait until the part is sent or given up."""
        async with asyncio.timeout(5):
            while (part := await self.part(delivery))[0] in {"waiting", "sending"}:
                await asyncio.sleep(0)
        return part

    async def tried(self, outcomes: int) -> None:
        """Wait until so many attempts have been judged and the courier sleeps until the next one."""
        await until(lambda: len(self.outcomes) >= outcomes and bool(self.clock.sleepers))

    @property
    def outcomes(self) -> list[str]:
        return [fact.outcome for fact in self.facts if type(fact).__name__ == "DeliveryEnded"]


class Bracketed:
    """The fixed texts."""

    def text(self, bot: str, name: TextName, locale: str | None) -> str:
        return f"[{name}]"


async def until(condition: Callable[[], bool], within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0)  # the deadline is above


@asynccontextmanager
async def world_of() -> AsyncIterator[World]:
    clock = FakeClock()
    journal = open_journal("memory:", clock)
    await journal.open()
    receiver = Receiver(clock)
    await receiver.start()
    try:
        yield World(clock, journal, receiver)
    finally:
        await receiver.stop()
        await journal.close()
