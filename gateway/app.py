"""The composition root: Settings → objects → tasks. Read downwards it starts; upwards it drains and stops."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from gateway import __version__
from gateway.errors import Superseded, Transient
from gateway.journal import open_journal
from gateway.messages import BotCounts, Channel, PlatformName, Profile, User
from gateway.pipeline.accept import Acceptor
from gateway.pipeline.complete import Dispatcher, Tools
from gateway.pipeline.deliver import Courier
from gateway.pipeline.host import ChannelHost, StateReport
from gateway.pipeline.letters import Letters
from gateway.pipeline.notices import Notices
from gateway.pipeline.presence import Presence
from gateway.pipeline.profiles import Profiles
from gateway.pipeline.rendering import Rendering
from gateway.ports import (
    Adapter,
    Clock,
    Completions,
    Host,
    Journal,
    Lease,
    Noted,
    Observer,
    Platform,
    Renderer,
    Retention,
)
from gateway.sensay.client import SensayClient
from gateway.sensay.identity import user_for
from gateway.settings.models import Bot, Settings
from gateway.supervisor import Supervisor
from gateway.telemetry import Mask, Metrics, fan_out
from gateway.web.admin import admin_routes
from gateway.web.operate import message_routes
from gateway.web.page import page_routes
from gateway.web.recent import Recent
from gateway.web.server import Listener, guarded
from gateway.web.status import LastSeen, bot_document, moment, quota_document

PLATFORMS: tuple[PlatformName, ...] = ("telegram", "discord", "web", "webhook")
HOUSEKEEPING_EVERY = 600.0
SEND_GRACE = 2.0
"""Seconds that sends under way have, whatever else is cut short."""


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def load_platform(name: PlatformName, settings: Settings) -> Platform:
    """Import and make a platform: a process without Discord bots never loads discord.py."""
    match name:
        case "telegram":
            from adapters import telegram

            return telegram.platform(settings)
        case "discord":
            from adapters import discord

            return discord.platform(settings)
        case "web":
            from adapters import web

            return web.platform(settings)
        case "webhook":
            from adapters import webhook

            return webhook.platform(settings)


def secrets_of(value: Any) -> Iterator[str]:
    """Every secret in the settings, for the mask."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, dict):
        for item in value.values():
            yield from secrets_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from secrets_of(item)
    elif hasattr(type(value), "model_fields"):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name))


@dataclass(frozen=True)
class Makers:
    """Where a gateway gets what it speaks to the world with; a test puts its own around it."""

    journal: Callable[[str, Clock], Journal] = open_journal
    completions: Callable[..., Completions] = SensayClient
    platform: Callable[[PlatformName, Settings], Platform] = load_platform


class Gateway:
    """One process: the journal, a dispatcher per organisation, a supervised channel per bot and platform, two
    listeners.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        observe: Observer = lambda _: None,
        mask: Mask | None = None,
        public_routes: Sequence[Any] = (),
        makers: Makers | None = None,
    ) -> None:
        self._settings = settings
        self._clock, self._makers = clock or SystemClock(), makers or Makers()
        self._last_seen, self._metrics, self._recent = LastSeen(), Metrics(), Recent()
        self._observe = fan_out(observe, self._metrics, self._last_seen, self._recent)
        self._extra_routes = list(public_routes)
        self._started_at = self._clock.now()
        self._started = False
        self._platforms: dict[PlatformName, Platform] = {}
        self._renderers: dict[PlatformName, Renderer] = {}
        self._live: dict[Channel, tuple[Adapter, ChannelHost]] = {}
        self._couriers: set[Courier] = set()
        self._core: list[asyncio.Task[None]] = []
        if mask is not None:
            mask.learn(secrets_of(settings))

        self.journal = self._makers.journal(settings.journal, self._clock)
        self._completions = self._makers.completions(
            current=self.current,
            observer=self._observe,
            clock=self._clock,
            recall=self.journal.recall,
            remember=self.journal.remember,
        )
        self._profiles = Profiles(self._fetch_profile, self._clock)
        self._notices = Notices(self.current, self._renderer, self._profiles.known)
        self._presence = Presence(self._clock)
        self._rendering = Rendering(self._renderer, self._observe)
        self._acceptor = Acceptor(
            self.journal,
            self.current,
            self._notices,
            self._presence,
            self._clock,
            self._observe,
            self._profile_of,
        )
        tools = Tools(
            journal=self.journal,
            completions=self._completions,
            current=self.current,
            notices=self._notices,
            rendering=self._rendering,
            presence=self._presence,
            clock=self._clock,
            observer=self._observe,
            jitter=random.random,
            user_for=self._user_for,
        )
        self._dispatchers = {name: Dispatcher(name, tools) for name in settings.organizations}
        self._supervisor = Supervisor(self.journal, self._serve, self._clock, self._observe, random.random)
        self.public: Listener | None = None
        self.admin: Listener | None = None

    def current(self) -> Settings:
        """The configuration in force."""
        return self._settings

    # --- life ---

    async def run(self, stop: asyncio.Event, stop_now: asyncio.Event | None = None) -> None:
        """Start, work until `stop`, drain (cut short by `stop_now`), close.

        Raises Misconfigured and Transient (journal), OSError (port in use), and whatever ended a part that must not
        end.
        """
        try:
            await self.start()
            await self._until(stop)
            await self._drain(stop_now or asyncio.Event())
        finally:
            await self.close()

    async def start(self) -> None:
        """Everything up; channels connect in the background."""
        await self.journal.open()
        names = {name for bot in self._settings.bots.values() for name in PLATFORMS if getattr(bot, name)}
        self._platforms = {
            name: self._makers.platform(name, self._settings) for name in PLATFORMS if name in names
        }
        self._renderers = {name: platform.renderer for name, platform in self._platforms.items()}
        await self._listen()
        for name, dispatcher in self._dispatchers.items():
            self._core.append(asyncio.create_task(self._dispatch(dispatcher), name=f"dispatcher/{name}"))
        self._core.append(asyncio.create_task(self._keep_house(), name="housekeeping"))
        for name, bot in self._settings.bots.items():
            if bot.enabled:
                self._profiles.start(bot.organization, bot.replica)
                for platform in PLATFORMS:
                    if getattr(bot, platform):
                        self._supervisor.start(Channel(bot=name, platform=platform))
        self._started = True
        self._note(
            "gateway.started",
            version=__version__,
            bots=len(self._settings.bots),
            public=self.public_url,
            admin=_url(self._settings.server.admin.host, self.admin),
        )

    async def _listen(self) -> None:
        server = self._settings.server
        routes = [route for platform in self._platforms.values() for route in platform.routes(self)]
        self.public = Listener(server.public.host, server.public.port, [*self._extra_routes, *routes])
        token = server.admin.token
        secret = token.get_secret_value() if token else None
        self.admin = Listener(
            server.admin.host,
            server.admin.port,
            [
                *admin_routes(ready=self._not_ready, metrics=self._exposition, status=self.status),
                *page_routes(self.status, self._recent, self._clock.now),
                *self._message_routes(),
            ],
            [guarded(lambda: secret)],
        )
        await self.public.start()
        await self.admin.start()

    def _message_routes(self) -> list[Any]:
        letters = Letters(self.journal, self._live.get, self._observe)
        return message_routes(
            letters=lambda page: self.journal.dead_letters(
                bot=page.bot, before=page.cursor, limit=page.limit
            ),
            letter=self.journal.dead_letter,
            retry=letters.retry,
            drop=letters.drop,
            trace=self.journal.message,
            backup=self.journal.backup,
        )

    @property
    def public_url(self) -> str | None:
        """Where the public listener is, as seen from this machine."""
        return _url(self._settings.server.public.host, self.public)

    async def _until(self, stop: asyncio.Event) -> None:
        """Wait for `stop`; a core task that ends takes the process with it, loudly."""
        waiting = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({waiting, *self._core}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiting}:
                task.result()
        finally:
            waiting.cancel()

    async def _drain(self, stop_now: asyncio.Event) -> None:
        """Take nothing new, finish what runs, for `shutdown_grace` at most; the journal has the rest."""
        self._note("gateway.draining")
        self._acceptor.closed = True
        for dispatcher in self._dispatchers.values():
            dispatcher.drain()
        await self._until_idle(self._settings.shutdown_grace, stop_now)
        for courier in self._couriers:
            courier.drain()
        await self._until_sent()

    async def _until_idle(self, seconds: float, stop_now: asyncio.Event) -> None:
        """Until nothing is asked or sent; three looks, for what is between the two."""
        until = self._clock.monotonic() + seconds
        quiet = 0
        while self._clock.monotonic() < until and not stop_now.is_set() and quiet < 3:
            busy = any(dispatcher.in_flight for dispatcher in self._dispatchers.values())
            quiet = 0 if busy or not all(courier.idle for courier in self._couriers) else quiet + 1
            await self._clock.sleep(0.02)

    async def _until_sent(self) -> None:
        """A send that is cut off has an unknown outcome, so even a second SIGTERM lets those under way end."""
        until = self._clock.monotonic() + SEND_GRACE
        while self._clock.monotonic() < until and not all(courier.idle for courier in self._couriers):
            await self._clock.sleep(0.02)

    async def close(self) -> None:
        """Everything down, in the opposite order. Safe to call after a failed start."""
        self._acceptor.closed = True
        # what browsers and callers hold open ends before the listener waits for it; connections to platforms end
        # after their channels
        await self._close_platforms("web", "webhook")
        if self.public is not None:
            await self.public.stop()
        await self._supervisor.stop_all()
        await self._close_platforms(*PLATFORMS)
        for task in self._core:
            task.cancel()
        await asyncio.gather(*self._core, return_exceptions=True)
        self._profiles.close()
        self._presence.close()
        self._rendering.close()
        await _quietly(self._completions.close())
        if self.admin is not None:
            await self.admin.stop()
        await self.journal.close()
        if self._started:
            self._note("gateway.stopped")

    async def _close_platforms(self, *names: PlatformName) -> None:
        for name in names:
            platform = self._platforms.pop(name, None)
            if platform is not None:
                await _quietly(platform.close())

    async def _dispatch(self, dispatcher: Dispatcher) -> None:
        """A journal that cannot be written when the dispatcher starts is waited for, as later on."""
        while True:
            try:
                await dispatcher.run()
            except Transient as error:
                self._note("dispatcher.postponed", organization=dispatcher.organization, error=str(error))
                await self._clock.sleep(1.0)

    async def _keep_house(self) -> None:
        while True:
            kept = self._settings.retention
            retention = Retention(
                text=kept.text, web_history=kept.web_history, dedupe=kept.dedupe, traces=kept.traces
            )
            with contextlib.suppress(Exception):
                while await self.journal.purge(retention):
                    pass
            await self._clock.sleep(HOUSEKEEPING_EVERY)

    # --- channels ---

    async def _serve(self, channel: Channel, lease: Lease, report: StateReport) -> None:
        """One channel: its adapter and its courier, until one of them ends."""
        bot = self._settings.bots[channel.bot]
        section = getattr(bot, channel.platform)
        adapter = self._platforms[channel.platform].adapter(channel.bot, section)
        host = ChannelHost(
            channel,
            journal=self.journal,
            acceptor=self._acceptor,
            notices=self._notices,
            profile=self._profile_by_name,
            current=self.current,
            clock=self._clock,
            observer=self._observe,
            report=report,
        )
        courier = Courier(
            channel,
            adapter,
            lease,
            self.journal,
            self._clock,
            self._observe,
            random.random,
            repeat_unknown=getattr(section, "unknown_send", "drop") == "retry_once",
        )
        self._live[channel] = (adapter, host)
        self._couriers.add(courier)
        self._presence.attach(channel, adapter)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_ends_badly(adapter, host))
                group.create_task(courier.run())
                group.create_task(_lost(lease))
        finally:
            self._presence.detach(channel)
            self._couriers.discard(courier)
            self._live.pop(channel, None)

    def channel(self, bot: str, platform: PlatformName) -> tuple[Any, Host] | None:
        """`ports.Fleet`: the running adapter and host of a bot, by its name or its replica id."""
        live = self._live.get(Channel(bot=bot, platform=platform))
        if live is None:
            for name, settings in self._settings.bots.items():
                if settings.replica == bot.lower():
                    live = self._live.get(Channel(bot=name, platform=platform)) or live
        return live

    def _renderer(self, platform: PlatformName) -> Renderer:
        return self._renderers[platform]

    def _user_for(self, platform: PlatformName, bot: str, sender: str) -> User:
        sensay = self._settings.sensay
        return user_for(platform, bot, sender, identity=sensay.identity, dialect=sensay.dialect)

    async def _fetch_profile(self, organization: str, replica: str) -> Profile:
        return await self._dispatchers[organization].profile(replica)

    async def _profile_of(self, bot: Bot) -> Profile | None:
        return await self._profiles.get(bot.organization, bot.replica)

    async def _profile_by_name(self, name: str) -> Profile | None:
        return await self._profile_of(self._settings.bots[name])

    # --- looking ---

    async def _not_ready(self) -> list[str]:
        wrong = []
        if self.public is None or not self.public.up:
            wrong.append("the public listener is down")
        if not await self.journal.writable():
            wrong.append("the journal cannot be written")
        return wrong

    async def _exposition(self) -> bytes:
        counts, now = await self.journal.counts(), self._clock.now()
        for name in self._settings.bots:
            bot = counts.get(name, BotCounts())
            self._metrics.queue_depth.labels(name).set(bot.waiting)
            age = 0.0 if bot.oldest is None else max(0.0, now - bot.oldest)
            self._metrics.queue_age.labels(name).set(age)
            self._metrics.dead_letters.labels(name).set(bot.dead_letters)
        for name, dispatcher in self._dispatchers.items():
            for window, (used, limit) in dispatcher.quota.used(now).items():
                self._metrics.quota_used.labels(name, window).set(used)
                self._metrics.quota_limit.labels(name, window).set(limit)
        return self._metrics.text()

    async def status(self) -> dict[str, Any]:
        """The document of `/status.json`."""
        counts, now = await self.journal.counts(), self._clock.now()
        problems = await self._not_ready()
        return {
            "version": __version__,
            "started_at": moment(self._started_at),
            "ready": not problems,
            "problems": problems,
            "organizations": {
                name: quota_document(dispatcher.quota.used(now), dispatcher.waiting, dispatcher.relief())
                for name, dispatcher in self._dispatchers.items()
            },
            "bots": {
                name: bot_document(
                    bot.replica, self._channels_of(name, bot), counts.get(name, BotCounts()), now
                )
                for name, bot in self._settings.bots.items()
            },
        }

    def _channels_of(self, name: str, bot: Bot) -> dict[str, dict[str, Any]]:
        channels: dict[str, dict[str, Any]] = {}
        for platform in PLATFORMS:
            if getattr(bot, platform) is None:
                continue
            status = self._supervisor.status(Channel(bot=name, platform=platform))
            why = None
            if status is not None:
                why = f"{status.error}: {status.remedy}" if status.remedy else status.error
            channels[platform] = {
                "state": status.state if status else "stopped",
                "since": moment(status.since) if status else None,
                "last_event_at": moment(self._last_seen.heard.get((name, platform))),
                "last_reply_at": moment(self._last_seen.replied.get((name, platform))),
                "error": why,
            }
        return channels

    def _note(self, event: str, **fields: Any) -> None:
        self._observe(Noted(event=event, fields=fields))


def _url(host: str, listener: Listener | None) -> str | None:
    if listener is None:
        return None
    return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{listener.port}"  # noqa: S104 - read, not bound


async def _ends_badly(adapter: Adapter, host: Host) -> None:
    """An adapter serves until cancelled; one that returns has lost its connection."""
    try:
        await adapter.run(host)
    except asyncio.CancelledError:
        # a library that cancels itself would pass for a channel that was told to stop, and nobody would notice
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
    raise RuntimeError("the adapter ended by itself")


async def _lost(lease: Lease) -> None:
    await lease.wait_lost()
    raise Superseded(f"lost the lease {lease.name}")


async def _quietly(work: Any) -> None:
    with contextlib.suppress(Exception):
        await work
