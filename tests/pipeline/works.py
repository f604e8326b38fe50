"""The stages around a real journal in memory, with time by hand and fakes at both ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from math import inf
from typing import Any

from gateway.journal import open_journal
from gateway.messages import (
    Accepted,
    Address,
    Arrival,
    Channel,
    ConversationKey,
    Place,
    Profile,
    Said,
    Sender,
    User,
)
from gateway.pipeline.accept import Acceptor
from gateway.pipeline.complete import Dispatcher
from gateway.pipeline.deliver import Courier
from gateway.pipeline.notices import Notices
from gateway.pipeline.presence import Presence
from gateway.pipeline.rendering import Rendering
from gateway.pipeline.tools import Tools
from gateway.ports import Journal, Lease, Renderer
from gateway.settings.models import Bot, Settings
from tests.clock import FakeClock, settle
from tests.fakes import Facts, FakeAdapter, FakeCompletions, LineRenderer
from tests.platforms.fake_host import FakeHost

REPLICA = "12345678-1234-1234-1234-123456789abc"
CHANNEL = Channel(bot="shop", platform="telegram")
TURNS = 60
"""Rounds of the loop after which everything that can run without time passing has run."""


def configured(
    *, bots: dict[str, Any] | None = None, quota: dict[str, Any] | None = None, **bot: Any
) -> Settings:
    """One organisation, one bot `shop`; user limits are off unless a test asks for them."""
    plain = {
        "organization": "acme",
        "replica": REPLICA,
        "limits": {"user": "off"},
        "queued_after": "24h",
        "telegram": {"token": "1:telegram-token"},
    }
    named = {"shop": bot} if bots is None else bots
    return Settings.model_validate(
        {
            "sensay": {"timeout": "30s"},
            "organizations": {"acme": {"secret": "acme-secret", "quota": quota or {}}},
            "bots": {name: {**plain, **changes} for name, changes in named.items()},
        }
    )


class Works:
    """One organisation's pipeline. `people` speak through `hears`; nothing runs until a test starts it."""

    def __init__(self, journal: Journal, clock: FakeClock, settings: Settings) -> None:
        self.journal, self.clock, self.settings = journal, clock, settings
        self.facts = Facts()
        self.completions = FakeCompletions(clock)
        self.adapter = FakeAdapter()
        self.renderer: Renderer = LineRenderer()
        self.profile: Profile | None = None
        self.warmed: list[Bot] = []
        self.presence = Presence(clock)
        self.notices = Notices(self.current, lambda _: self.renderer, lambda _: self.profile)
        self.rendering = Rendering(lambda _: self.renderer, self.facts)
        self.acceptor = Acceptor(
            journal, self.current, self.notices, self.presence, clock, self.facts, self._warm
        )
        self.dispatcher = self.another_dispatcher()
        self._said = 0

    def current(self) -> Settings:
        return self.settings

    async def _warm(self, bot: Bot) -> None:
        self.warmed.append(bot)

    def another_dispatcher(self, journal: Journal | None = None) -> Dispatcher:
        """As the next process has it."""
        tools = Tools(
            journal=journal or self.journal,
            completions=self.completions,
            current=self.current,
            notices=self.notices,
            rendering=self.rendering,
            presence=self.presence,
            clock=self.clock,
            observer=self.facts,
            jitter=lambda: 0.5,
            user_for=lambda platform, bot, sender: User(id=sender, type="telegram"),
        )
        return Dispatcher("acme", tools)

    # --- people ---

    def said(self, text: str = "hi", chat: str = "c1", **facts: Any) -> Said:
        """A private message that was never seen before."""
        self._said += 1
        number = str(self._said)
        plain = {
            "key": ConversationKey(bot=facts.pop("bot", "shop"), platform="telegram", chat=chat),
            "address": Address(to=chat, data={"reply_to": number}),
            "sender": Sender(id=facts.pop("who", f"user of {chat}")),
            "message_id": number,
            "text": text,
            "sent_at": self.clock.now(),
            "dedupe": (f"update:{number}",),
        }
        return Said(**{**plain, **facts})

    def in_group(self, text: str, addressed: Any = None, **facts: Any) -> Said:
        return self.said(
            text, addressed=addressed, place=Place(direct=False, guild="g1", channel="c1"), **facts
        )

    async def accept(self, *arrivals: Arrival, channel: Channel = CHANNEL) -> list[Accepted]:
        return await self.acceptor.accept(channel, arrivals)

    async def hears(self, text: str = "hi", chat: str = "c1", **facts: Any) -> str:
        """Somebody says this; returns its id once it waits."""
        said = self.said(text, chat, **facts)
        (accepted,) = await self.accept(said, channel=Channel(bot=said.key.bot, platform="telegram"))
        assert accepted.outcome in {"accepted", "recorded"}
        await quiet()
        return accepted.id

    # --- the stages ---

    @asynccontextmanager
    async def dispatching(self, dispatcher: Dispatcher | None = None) -> AsyncIterator[Dispatcher]:
        async with started((dispatcher or self.dispatcher).run()):
            yield dispatcher or self.dispatcher

    @asynccontextmanager
    async def delivering(self, channel: Channel = CHANNEL, **options: Any) -> AsyncIterator[Courier]:
        async with self.journal.hold(f"channel/{channel}") as lease:
            courier = self.courier(channel, lease, **options)
            host = FakeHost(channel.bot, channel.platform)
            async with started(self.adapter.run(host)), started(courier.run()):
                yield courier

    def courier(self, channel: Channel, lease: Lease, **options: Any) -> Courier:
        return Courier(
            channel,
            self.adapter,
            lease,
            self.journal,
            self.clock,
            self.facts,
            lambda: 0.5,
            **options,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask and deliver."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.dispatching())
            await stack.enter_async_context(self.delivering())
            yield

    async def passes(self, seconds: float) -> None:
        """Time goes by, and everything that waits for its moment has it."""
        until = self.clock.monotonic() + seconds
        await quiet()
        while (due := self._next_sleeper()) <= until:
            await self.clock.advance(max(0.0, due - self.clock.monotonic()))
            await quiet()
        await self.clock.advance(until - self.clock.monotonic())
        await quiet()

    def _next_sleeper(self) -> float:
        return min((at for at, _, future in self.clock._sleepers if not future.done()), default=inf)

    # --- looking ---

    async def status(self, message_id: str) -> str:
        life = await self.journal.message(message_id)
        assert life is not None
        return life.status

    async def parts(self, chat: str = "c1") -> list[str]:
        """What the conversation was told so far, sent or not."""
        key = ConversationKey(bot="shop", platform="telegram", chat=chat)
        log = await self.journal.log(key)
        return [entry.part.text for entry in log.entries if entry.role == "assistant"]

    def close(self) -> None:
        self.presence.close()
        self.rendering.close()


@asynccontextmanager
async def works_of(settings: Settings | None = None) -> AsyncIterator[Works]:
    clock = FakeClock()
    journal = open_journal("memory:", clock)
    await journal.open()
    works = Works(journal, clock, settings or configured())
    try:
        yield works
    finally:
        works.close()
        await quiet()
        await journal.close()


@asynccontextmanager
async def started(work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """Run it beside the test; what it raises is the test's."""
    task = asyncio.ensure_future(work)
    await quiet()
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await quiet()


async def quiet() -> None:
    await settle(TURNS)
