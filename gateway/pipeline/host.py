"""What a channel's adapter sees of the gateway: its door in, its memory, its state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from gateway.messages import (
    Accepted,
    Arrival,
    BotState,
    Channel,
    ConversationKey,
    Facts,
    Life,
    Log,
    Profile,
    TextName,
)
from gateway.pipeline.accept import Acceptor
from gateway.pipeline.notices import Notices
from gateway.ports import BotHeard, Card, Clock, Journal, Observer, Watch
from gateway.settings import Settings

StateReport = Callable[[BotState, str | None], None]
"""(state, why): what the supervisor keeps of a channel."""


class ChannelHost:
    """One per channel and connection. Implements `ports.Host`."""

    def __init__(
        self,
        channel: Channel,
        *,
        journal: Journal,
        acceptor: Acceptor,
        notices: Notices,
        profile: Callable[[str], Awaitable[Profile | None]],
        current: Callable[[], Settings],
        clock: Clock,
        observer: Observer,
        report: StateReport,
        paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self.bot, self.platform, self.clock = channel.bot, channel.platform, clock
        self._channel, self._journal, self._acceptor, self._notices = channel, journal, acceptor, notices
        self._profile, self._current, self._observer = profile, current, observer
        self._report, self._paused = report, paused
        self.heard_at: float | None = None
        self._heard = clock.monotonic()

    async def accept(self, *arrivals: Arrival) -> list[Accepted]:
        return await self._acceptor.accept(self._channel, arrivals)

    def ready(self, identity: str) -> None:
        self._report("running", identity)
        self.beat()

    def degraded(self, why: str) -> None:
        self._report("degraded", why)

    def beat(self) -> None:
        self.heard_at, self._heard = self.clock.now(), self.clock.monotonic()
        self._observer(BotHeard(bot=self.bot, platform=self.platform, at=self.heard_at))

    @property
    def silence(self) -> float:
        """Seconds since the platform was last heard, or since the beginning."""
        return self.clock.monotonic() - self._heard

    async def recall(self, key: str) -> bytes | None:
        return await self._journal.recall(str(self._channel), key)

    async def remember(self, key: str, value: bytes | None, *, ttl: float | None = None) -> None:
        await self._journal.remember(str(self._channel), key, value, ttl=ttl)

    async def secret(self, name: str) -> bytes:
        return await self._journal.secret(name)

    async def card(self, locale: str | None = None) -> Card:
        bot = self._current().bots[self.bot]
        profile = await self._profile(self.bot) or Profile()
        suggestions = bot.web.suggestions if bot.web and bot.web.suggestions is not None else None
        return Card(
            title=(bot.web.title if bot.web else None) or profile.name or self.bot,
            greeting=self._notices.text(self.bot, "greeting", locale),
            suggestions=profile.suggestions if suggestions is None else suggestions,
            picture=profile.picture,
        )

    def text(self, name: TextName, locale: str | None = None) -> str:
        return self._notices.text(self.bot, name, locale)

    async def log(
        self, key: ConversationKey, *, after: int = 0, before: int | None = None, limit: int = 100
    ) -> Log:
        return await self._journal.log(key, after=after, before=before, limit=limit)

    def watch(self, topic: str) -> AbstractAsyncContextManager[Watch]:
        return self._journal.watch(topic)

    async def publish(self, topic: str, fact: Facts) -> None:
        await self._journal.publish(topic, fact)

    async def message(self, id: str) -> Life | None:  # noqa: A002
        return await self._journal.message(id)

    async def find(self, dedupe: str) -> str | None:
        return await self._journal.find(self._channel, dedupe)

    async def forget(self, key: ConversationKey) -> None:
        await self._journal.forget(key)

    @property
    def paused(self) -> bool:
        return self._paused()

    @property
    def images(self) -> bool:
        """Sensay looks at pictures on a path of its published API only; nobody sends any on the web."""
        settings = self._current()
        wanted = settings.bots[self.bot].images == "signed_url"
        return wanted and settings.sensay.dialect == "openapi"
