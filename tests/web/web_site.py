"""A gateway as the web platform sees it: a real journal in memory, time by hand, answers on demand."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientResponse, ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from adapters.web.adapter import WebAdapter, WebPlatform
from adapters.web.stream import Pace
from gateway.journal import open_journal
from gateway.messages import Accepted, Address, Arrival, Channel, ConversationKey, Ending, Part, Reply, Spend
from gateway.ports import Bounds, Card, Intake
from gateway.settings.models import WebSettings
from gateway.web.server import problems
from tests.clock import FakeClock

SHOP = "https://shop.example.com"
REPLICA = "12345678-1234-1234-1234-123456789abc"
ORGANIZATION = "acme"


class WebHost:
    """`ports.Host` over a journal, with nothing of the pipeline."""

    platform = "web"
    paused = False

    def __init__(self, bot: str, journal: Any, clock: FakeClock) -> None:
        self.bot, self.journal, self.clock = bot, journal, clock
        self._channel = Channel(bot=bot, platform="web")
        self._ids = (f"acme-{bot}{n}" for n in itertools.count(1))
        self.identity: str | None = None
        self.beats = 0
        self.said: list[Any] = []
        self.endings: dict[str, tuple[Part, ...]] = {}
        self.verdict = "ask"
        self.refusal: Exception | None = None
        self.shown = Card(
            title="Support", greeting="Hello! How can I help you today?", suggestions=("Opening hours?",)
        )

    async def accept(self, *arrivals: Arrival) -> list[Accepted]:
        if self.refusal is not None:
            raise self.refusal
        self.said.extend(arrivals)
        return await self.journal.accept(
            [
                Intake(
                    id=next(self._ids),
                    organization=ORGANIZATION,
                    arrival=arrival,
                    verdict=self.verdict,
                    endings=self.endings,
                    bounds=Bounds(per_conversation=1000, user_limit=None),
                )
                for arrival in arrivals
            ]
        )

    def ready(self, identity: str) -> None:
        self.identity = identity

    def beat(self) -> None:
        self.beats += 1

    async def card(self, locale: str | None = None) -> Card:
        return self.shown

    async def recall(self, key: str) -> bytes | None:
        return await self.journal.recall(self.bot, key)

    async def remember(self, key: str, value: bytes | None, *, ttl: float | None = None) -> None:
        await self.journal.remember(self.bot, key, value, ttl=ttl)

    async def find(self, dedupe: str) -> str | None:
        return await self.journal.find(self._channel, dedupe)

    def __getattr__(self, name: str) -> Any:
        """`secret`, `log`, `watch`, `publish`, `message` and `forget` are the journal's own."""
        return getattr(self.journal, name)


class Site:
    """Bots with their hosts, served by one platform. `channel` makes it a `ports.Fleet`."""

    def __init__(self, journal: Any, clock: FakeClock, pace: Pace, **options: Any) -> None:
        self.journal, self.clock = journal, clock
        self.platform = WebPlatform(pace=pace, **options)
        self.bots: dict[str, tuple[WebAdapter, WebHost]] = {}
        self.client: TestClient[Any, Any]
        self._turns = itertools.count(1)

    def channel(self, bot: str, platform: str) -> tuple[WebAdapter, WebHost] | None:
        return self.bots.get("support" if bot == REPLICA else bot) if platform == "web" else None

    def add(self, bot: str, **section: Any) -> WebHost:
        host = WebHost(bot, self.journal, self.clock)
        settings = WebSettings(**{"allowed_origins": (SHOP,), **section})
        adapter = self.platform.adapter(bot, settings)
        adapter._host = host  # what `run` does, without a task
        self.bots[bot] = (adapter, host)
        return host

    async def answer(self, *texts: str, parts: tuple[Part, ...] = ()) -> None:
        """The replica answers everything that waits in its oldest conversation."""
        async with self.journal.hold(f"dispatcher/{ORGANIZATION}") as lease:
            heads = await self.journal.waiting(ORGANIZATION)
            turn = await self.journal.claim(
                f"turn-{next(self._turns)}", [head.id for head in heads if head.key == heads[0].key], lease
            )
            spend = Spend(id=turn.id, organization=ORGANIZATION, kind="reply", completion=True)
            await self.journal.asked(turn.id, lease, spend)
            rendered = [
                part
                for text in texts
                for part in self.platform.renderer.render(Reply(text=text), Address(to=""))
            ]
            await self.journal.finish(
                turn.id, lease, Ending(outcome="answered", parts=parts or tuple(rendered))
            )


@asynccontextmanager
async def running_site(
    pace: Pace | None = None, *, now: float = 1_700_000_000.0, **options: Any
) -> AsyncIterator[Site]:
    """A site with one bot, `support`, on a free port."""
    clock = FakeClock(now)
    journal = open_journal("memory:", clock)
    await journal.open()
    site = Site(journal, clock, pace or Pace(), **options)
    site.add("support")
    app = web.Application(middlewares=[problems])
    app.add_routes(site.platform.routes(site))
    async with TestClient(TestServer(app)) as client:
        site.client = client
        try:
            yield site
        finally:
            await site.platform.close()
    await journal.close()


class Visitor:
    """A page's script, less the page."""

    def __init__(self, site: Site, bot: str = "support", origin: str | None = SHOP) -> None:
        self.site, self.bot = site, bot
        self.headers: dict[str, str] = {} if origin is None else {"Origin": origin}
        self.conversation = ""
        self._keys = (f"key-{n}" for n in itertools.count(1))

    @property
    def http(self) -> ClientSession | TestClient[Any, Any]:
        return self.site.client

    def url(self, path: str) -> str:
        return f"/v1/web/{self.bot}/{path}"

    async def begin(self, body: Any = None, **headers: str) -> ClientResponse:
        response = await self.http.post(
            self.url("sessions"), json=body or {}, headers={**self.headers, **headers}
        )
        if response.status == 201:
            session = await response.json()
            self.headers["Authorization"] = f"Bearer {session['token']}"
            self.conversation = session["conversation"]
        return response

    async def say(self, text: Any, key: str | None = None, **headers: str) -> ClientResponse:
        given = {**self.headers, "Idempotency-Key": key or next(self._keys), **headers}
        return await self.http.post(self.url("messages"), json={"text": text}, headers=given)

    async def history(self, **query: Any) -> dict[str, Any]:
        response = await self.http.get(self.url("history"), params=query, headers=self.headers)
        assert response.status == 200, await response.text()
        return await response.json()

    @asynccontextmanager
    async def events(self, last: str | None = None) -> AsyncIterator[Events]:
        headers = {**self.headers, **({"Last-Event-ID": last} if last is not None else {})}
        async with self.http.get(self.url("events"), headers=headers) as response:
            assert response.status == 200, await response.text()
            yield Events(response)

    @property
    def key(self) -> ConversationKey:
        return ConversationKey(bot=self.bot, platform="web", chat=self.conversation)


class Events:
    """An event stream, read block by block."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def block(self) -> str | None:
        """The next block, comments too; None at the end."""
        lines: list[str] = []
        async for line in self.response.content:
            if line == b"\n":
                return "\n".join(lines)
            lines.append(line.decode().rstrip("\n"))
        return None

    async def next(self) -> tuple[str, str, Any] | None:
        """(id, event, data) of the next event; None at the end."""
        while (block := await self.block()) is not None:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if "event" in fields:
                return fields["id"], fields["event"], json.loads(fields["data"])
        return None
