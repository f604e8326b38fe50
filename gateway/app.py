"""The composition root: Settings → objects → tasks. Read downwards it starts; upwards it drains and stops."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from gateway import __version__
from gateway.board import Board, Cluster
from gateway.control import Control
from gateway.errors import Moved, Superseded, Transient
from gateway.fleet import DEAF, Fleet, Surroundings
from gateway.insight.counting import Counting
from gateway.insight.reading import Reading
from gateway.journal import open_journal
from gateway.messages import ConversationKey, Facts, PlatformName, Profile, SpendClass, User
from gateway.operators import Direct, Operators
from gateway.pipeline.accept import Acceptor
from gateway.pipeline.complete import Dispatcher
from gateway.pipeline.door import Door
from gateway.pipeline.letters import Letters
from gateway.pipeline.notices import Notices
from gateway.pipeline.pauses import Pauses
from gateway.pipeline.presence import Presence
from gateway.pipeline.profiles import Profiles
from gateway.pipeline.rendering import Rendering
from gateway.pipeline.tools import Tools
from gateway.placement import Placement
from gateway.pods import Pods, Queues
from gateway.policy.handover import Order
from gateway.ports import Clock, Completions, Fact, Journal, Left, Noted, Observer, Platform, Retention
from gateway.sensay.client import SensayClient
from gateway.sensay.identity import user_for
from gateway.sensay.requests import Requests
from gateway.settings import Loaded
from gateway.settings.models import Bot, Settings
from gateway.settings.plan import channels
from gateway.telemetry import Mask, traces
from gateway.web import openapi
from gateway.web.admin import admin_routes
from gateway.web.control import control_routes
from gateway.web.conversations import conversation_routes
from gateway.web.operate import message_routes, trace_route
from gateway.web.page import page_routes
from gateway.web.sensay import sensay_routes
from gateway.web.server import Listener, guarded

HOUSEKEEPING_EVERY = 600.0
JOURNAL_EVERY = 1.0
"""Seconds between two attempts to reach a journal on a server."""
HEAR_EVERY = 30.0
CLOCK_BEHIND = 5.0
PROFILES_AGAIN = 5.0
FORWARDED = 120.0
"""Seconds that an operator's request may take at another process."""
HANDOVER = 3.0
"""Seconds that turns under way have when another process takes an organisation over: it looks up what is left."""
SEND_GRACE = 2.0
"""Seconds that sends under way have, whatever else is cut short."""


class SystemClock:
    """The machine's time, except that it never goes back: ages, limits and waits in the journal are counted with it.

    While the machine's clock is behind what was told already, time goes on at its pace from there. `behind`: how far.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._told, self._at = wall(), monotonic()
        self.behind = 0.0

    def now(self) -> float:
        wall, at = self._wall(), self._monotonic()
        self._told, self._at = max(wall, self._told + at - self._at), at
        self.behind = self._told - wall
        return self._told

    def monotonic(self) -> float:
        return self._monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        return asyncio.get_running_loop().call_later(seconds, ring).cancel


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """Have what is imported here do without an optional package of its own, which nothing that we use needs."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # how Python spells: not to be had
    try:
        yield
    finally:
        del sys.modules[name]


@without("cryptography")  # Telegram's passports, tokens signed with other keys than ours: 8 MB
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


def pinned_widget() -> tuple[str, str]:
    """The path of the widget that never changes, and the value of a page's `integrity` attribute for it."""
    from adapters.web.assets import Files

    widget = Files().widget
    return f"/widget/{widget.digest}.js", widget.integrity


def secrets_of(value: Any) -> Iterator[str]:
    """Every secret in the settings, for the mask."""
    if isinstance(value, Settings):
        password = urlsplit(value.journal).password or ""
        yield from filter(None, {password, unquote(password)})
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

    journal: Callable[..., Journal] = open_journal
    completions: Callable[..., Completions] = SensayClient
    platform: Callable[[PlatformName, Settings], Platform] = load_platform


class Gateway:
    """One process: the journal, a dispatcher per organisation, the fleet of channels, two listeners.

    `reread` reads the configuration anew for a reload; raises Invalid.
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
        reread: Callable[[], Loaded] | None = None,
    ) -> None:
        self._settings = settings
        makers = makers or Makers()
        own = clock or SystemClock()
        self.journal = makers.journal(settings.journal, own, lease=settings.cluster.lease)
        self._clock = SystemClock(self.journal.time) if self.journal.shared and clock is None else own
        self._observers, self._mask = [observe], mask or Mask()
        self._mask.learn(secrets_of(settings))
        self._extra_routes = list(public_routes)
        self._started = False
        self._core: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Event = asyncio.Event()
        self.public: Listener | None = None
        self.admin: Listener | None = None

        self._completions = makers.completions(
            current=self.current,
            observer=self._observe,
            clock=self._clock,
            recall=self.journal.recall,
            remember=self.journal.remember,
        )
        self._pauses = Pauses(self.journal, self._clock)
        shared = self.journal.shared
        self.placement = Placement(self.journal, self._clock, self._observe, settings.cluster.lease)
        self.pods = Pods(self.journal, self.placement.pod, lambda: self.placement.others, self._clock)
        self._queues = Queues(self.journal.queue, self._clock)
        self._profiles = (
            Profiles(self._fetch_profile_anywhere, self._clock, again=PROFILES_AGAIN)
            if shared
            else Profiles(self._fetch_profile, self._clock)
        )
        self.fleet = Fleet(self.current, makers.platform, self.placement, self._clock, self._observe)
        self._notices = Notices(self.current, self.fleet.renderer, self._profiles.known)
        self._presence = Presence(self._clock, self.pods.tell if shared else None, self.fleet.drafts)
        self._rendering = Rendering(self.fleet.renderer, self._observe)
        self._acceptor = Acceptor(
            self.journal,
            self.current,
            self._notices,
            self._presence,
            self._clock,
            self._observe,
            self._profile_of,
            self._waiting,
            self._obey,
        )
        self._tools = Tools(
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
            held=self._pauses.conversation,
            hold=self.placement.hold,
            elsewhere=self.placement.elsewhere,
        )
        self._dispatchers = {name: Dispatcher(name, self._tools) for name in settings.organizations}
        self.operators = Operators(
            current=self.current,
            requests=Requests(self.current, self._observe, self._clock),
            counter=self._door,
            journal=self.journal,
            clock=self._clock,
            elsewhere=lambda name: shared and not self._dispatchers[name].holding,
            forward=lambda asked: self.pods.ask_one("sensay", asked, FORWARDED),
        )
        self._reading = Reading(self.current, partial(Direct, self.operators), self._clock)
        self._counting = Counting(self.current, partial(Direct, self.operators), self._clock)
        self._board = Board(
            current=self.current,
            journal=self.journal,
            fleet=self.fleet,
            dispatchers=self._dispatchers,
            paused=self._pauses.conversations,
            listening=lambda: self.public is not None and self.public.up,
            draining=lambda: self._acceptor.closed,
            clock=self._clock,
            cluster=self._cluster() if shared else None,
        )
        self._traces = traces(settings.telemetry.otlp_endpoint, self._observe)
        self._observers += [
            self._board.metrics,
            self._board.last_seen,
            self._board.recent,
            self._board.decisions,
            *([self._traces] if self._traces else []),
        ]
        self.control = Control(
            current=self.current,
            reread=reread,
            apply=self._apply,
            fleet=self.fleet,
            pauses=self._pauses,
            ring=self._ring,
            observer=self._observe,
            clock=self._clock,
            others=self.pods.ask,
        )

    def _cluster(self) -> Cluster:
        return Cluster(
            pod=self.placement.pod,
            mine=self.placement.mine,
            parts=lambda: self.pods.ask("status"),
            problems=lambda: self.placement.problems,
        )

    def current(self) -> Settings:
        """The configuration in force."""
        return self._settings

    def _observe(self, fact: Fact) -> None:
        for observer in self._observers:
            observer(fact)

    # --- life ---

    async def run(self, stop: asyncio.Event, stop_now: asyncio.Event | None = None) -> None:
        """Start, work until `stop`, drain (cut short by `stop_now`), close.

        Raises Misconfigured and Transient (journal, port in use), and whatever ended a part that must not end.
        """
        try:
            if await self._open_journal(stop):
                await self._start()
                await self._until(stop)
                await self._drain(stop_now or asyncio.Event())
        finally:
            await self.close()

    async def start(self) -> None:
        """Everything up; channels connect in the background."""
        await self._open_journal(asyncio.Event())
        await self._start()

    async def _open_journal(self, stop: asyncio.Event) -> bool:
        """Open it. One that processes share is waited for, with the probes up: alive, and not ready. False if it is
        told to stop meanwhile.
        """
        if self.journal.shared:
            await self._listen_to_the_operator()
        while not stop.is_set():
            try:
                await self.journal.open()
                await self._pauses.open()
                await self.placement.join(self._settings)
            except Transient as error:
                if not self.journal.shared:
                    raise
                self._note("journal.awaited", level="warning", error=str(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), JOURNAL_EVERY)
            else:
                return True
        return False

    async def _start(self) -> None:
        self.fleet.open(
            Surroundings(
                journal=self.journal,
                acceptor=self._acceptor,
                notices=self._notices,
                presence=self._presence,
                clock=self._clock,
                observer=self._observe,
                profile=self._profile_by_name,
                paused=self._pauses.channel,
            )
        )
        await self._listen()
        for name in self._dispatchers:
            self._keep(self._dispatch(name))
        if self.journal.shared:
            self._work_together()
        self._keep(self._keep_house())
        self._keep(self._hear_ourselves())
        self._keep(self.control.watch())
        self._keep(self.control.end_pauses())
        for bot in self._settings.bots.values():
            if bot.enabled:
                self._profiles.start(bot.organization, bot.replica)
        self.fleet.start(channels(self._settings))
        self.control.show_pauses()
        self._started = True
        self._note(
            "gateway.started",
            version=__version__,
            bots=len(self._settings.bots),
            public=self.public_url,
            admin=_url(self._settings.server.admin.host, self.admin),
        )

    def _work_together(self) -> None:
        """Answer what other processes ask, and know what only they do."""
        self.placement.on_change = self._ring
        self.pods.answers |= {
            "status": self._tell_status,
            "pauses": self._heed_pauses,
            "restart": self._restart_too,
            "profile": self._tell_profile,
            "sensay": self.operators.forwarded,
        }
        self.pods.missed = self.control.pauses_changed
        self._keep(self.pods.keep_telling())
        self._keep(self.pods.keep_answering())
        self._keep(self._queues.keep_counting())

    async def _tell_status(self, _: Facts) -> Facts:
        return self._board.part()

    async def _heed_pauses(self, _: Facts) -> Facts:
        await self.control.pauses_changed()
        return {}

    async def _restart_too(self, facts: Facts) -> Facts:
        await self.control.restart_too(facts["channels"])
        return {}

    async def _tell_profile(self, facts: Facts) -> Facts | None:
        """Fetch it, if this is the process that asks Sensay; it is in the journal then."""
        if not self._dispatchers[facts["organization"]].holding:
            return None
        await self._profiles.get(facts["organization"], facts["replica"])
        return {}

    async def _listen(self) -> None:
        server = self._settings.server
        routes = [*self._extra_routes, openapi.route(), *self.fleet.routes()]
        self.public = Listener(server.public.host, server.public.port, routes)
        self.fleet.more_routes = self.public.add
        await self.public.start()
        if self.admin is None:
            await self._listen_to_the_operator()

    async def _listen_to_the_operator(self) -> None:
        server = self._settings.server
        token = server.admin.token
        secret = token.get_secret_value() if token else None
        self.admin = Listener(
            server.admin.host,
            server.admin.port,
            [
                *admin_routes(
                    ready=self._board.problems, metrics=self._board.exposition, status=self._board.status
                ),
                *page_routes(self._board.status, self._board.recent, self._clock.now, self._counting),
                *conversation_routes(self._reading, self._counting, self._clock.now),
                *control_routes(self.control),
                *self._message_routes(),
                *sensay_routes(self.operators.answer),
            ],
            [guarded(lambda: secret, lambda: self._note("admin.refused", level="warning"))],
        )
        await self.admin.start()

    def _message_routes(self) -> list[Any]:
        letters = Letters(self.journal, self.fleet.found, self._observe)
        return [
            *message_routes(
                letters=lambda page: self.journal.dead_letters(
                    bot=page.bot, before=page.cursor, limit=page.limit
                ),
                letter=self.journal.dead_letter,
                retry=letters.retry,
                drop=letters.drop,
                trace=self.journal.message,
                backup=self.journal.backup,
            ),
            trace_route(
                trace=self.journal.message, decision=self._board.decisions.get, find=self.journal.find
            ),
        ]

    @property
    def public_url(self) -> str | None:
        """Where the public listener is, as seen from this machine."""
        return _url(self._settings.server.public.host, self.public)

    async def _hear_ourselves(self) -> None:
        """Web and webhook channels have no connection to watch: they are deaf when our own listener is."""
        while True:
            await self._clock.sleep(HEAR_EVERY)
            self._mind_the_clock()
            assert self.public is not None
            well = await self.public.answers()
            self.fleet.listener(None if well else f"{DEAF}; see the process's descriptors and memory")

    def _mind_the_clock(self) -> None:
        behind = getattr(self._clock, "behind", 0.0)
        if behind > CLOCK_BEHIND:
            self._note("clock.set_back", level="warning", seconds=round(behind, 1))

    async def _obey(self, order: Order, key: ConversationKey) -> None:
        await self.control.obey(order, key)

    def _keep(self, work: Any) -> None:
        """A task that must not end: if it does, the process ends with it, loudly."""
        task = asyncio.get_running_loop().create_task(work)
        self._core.add(task)
        task.add_done_callback(lambda _: self._failed.set())

    async def _until(self, stop: asyncio.Event) -> None:
        waits = {asyncio.create_task(stop.wait()), asyncio.create_task(self._failed.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        for task in self._core:
            if task.done():
                task.result()

    async def _drain(self, stop_now: asyncio.Event) -> None:
        """Take nothing new, finish what runs, for `shutdown_grace` at most; the journal has the rest."""
        self._note("gateway.draining")
        self._acceptor.closed = True
        await self.placement.leave()
        for dispatcher in self._dispatchers.values():
            dispatcher.drain()
        await self._until_idle(self._settings.shutdown_grace, stop_now)
        for courier in self.fleet.couriers():
            courier.drain()
        await self._until_sent()

    async def _until_idle(self, seconds: float, stop_now: asyncio.Event) -> None:
        """Until nothing is asked or sent; three looks, for what is between the two."""
        until = self._clock.monotonic() + seconds
        quiet = 0
        while self._clock.monotonic() < until and not stop_now.is_set() and quiet < 3:
            busy = any(dispatcher.in_flight for dispatcher in self._dispatchers.values())
            quiet = 0 if busy or not all(courier.idle for courier in self.fleet.couriers()) else quiet + 1
            await self._clock.sleep(0.02)

    async def _until_sent(self) -> None:
        """A send that is cut off has an unknown outcome, so even a second SIGTERM lets those under way end."""
        until = self._clock.monotonic() + SEND_GRACE
        while self._clock.monotonic() < until and not all(courier.idle for courier in self.fleet.couriers()):
            await self._clock.sleep(0.02)

    async def close(self) -> None:
        """Everything down, in the opposite order. Safe to call after a failed start."""
        self._acceptor.closed = True
        await self.placement.leave()
        await self.fleet.let_go()
        if self.public is not None:
            await self.public.stop()
        await self.fleet.close()
        for task in self._core:
            task.cancel()
        await asyncio.gather(*self._core, return_exceptions=True)
        self._profiles.close()
        self._reading.close()
        self._counting.close()
        self._presence.close()
        self._rendering.close()
        if self._traces is not None:
            await self._traces.close()
        with contextlib.suppress(Exception):
            await self._completions.close()
            await self.operators.close()
        if self.admin is not None:
            await self.admin.stop()
        await self.placement.close()
        await self.journal.close()
        if self._started:
            self._note("gateway.stopped")

    async def _dispatch(self, name: str) -> None:
        """A journal that cannot be written when the dispatcher starts is waited for, as later on. One that lost its
        lease is followed by another, which begins with what the journal says.
        """
        while True:
            try:
                await self._run_until_moved(name)
            except Transient as error:
                self._note("dispatcher.postponed", organization=name, error=str(error))
                await self._clock.sleep(1.0)
                continue
            except Moved:
                self._note("dispatcher.moved", organization=name)
            except Superseded as error:
                self._note("dispatcher.superseded", level="warning", organization=name, error=str(error))
            self._dispatchers[name] = Dispatcher(name, self._tools)
            if self._acceptor.closed:
                self._dispatchers[name].drain()

    async def _run_until_moved(self, name: str) -> None:
        """Raises Moved when another process is to ask for the organisation: turns under way end first, for a while."""
        dispatcher = self._dispatchers[name]
        if not self.journal.shared:
            await dispatcher.run()
            return
        running = asyncio.ensure_future(dispatcher.run())
        moving = asyncio.ensure_future(self._moving(name, dispatcher))
        try:
            await asyncio.wait({running, moving}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise Moved("another process is to ask", lease=name)
            await running
        finally:
            for task in (running, moving):
                task.cancel()
            await asyncio.gather(running, moving, return_exceptions=True)

    async def _moving(self, name: str, dispatcher: Dispatcher) -> None:
        """Return when it was to be another's and has come to rest."""
        await self.placement.until_moved(f"dispatcher/{name}")
        dispatcher.drain()
        until = self._clock.monotonic() + HANDOVER
        while dispatcher.in_flight and self._clock.monotonic() < until:
            await self._clock.sleep(0.02)

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

    # --- change ---

    def _apply(self, settings: Settings) -> None:
        """The configuration is another one from here on; policy values are read at each decision."""
        self._settings = settings
        self._mask.learn(secrets_of(settings))
        self.placement.configure(settings)
        for name in settings.organizations:
            if name not in self._dispatchers:
                self._dispatchers[name] = Dispatcher(name, self._tools)
                self._keep(self._dispatch(name))
        self._ring()

    def _ring(self) -> None:
        for dispatcher in self._dispatchers.values():
            dispatcher.ring()

    # --- what others ask ---

    def _user_for(self, platform: PlatformName, bot: str, sender: str) -> User:
        sensay = self._settings.sensay
        return user_for(platform, bot, sender, identity=sensay.identity, dialect=sensay.dialect)

    async def _fetch_profile(self, organization: str, replica: str) -> Profile:
        return await self._dispatchers[organization].profile(replica)

    async def _fetch_profile_anywhere(self, organization: str, replica: str) -> Profile:
        """As above, by whichever process asks for the organisation. Raises Transient while none does."""
        if self._dispatchers[organization].holding:
            return await self._fetch_profile(organization, replica)

        async def admit(_: SpendClass, __: bool) -> Left:
            raise Transient("another process asks for this organisation")

        with contextlib.suppress(Transient):
            return await self._completions.profile(organization, replica, admit)
        await self.pods.ask("profile", {"organization": organization, "replica": replica}, enough=bool)
        return await self._completions.profile(organization, replica, admit)

    def _door(self, organization: str) -> Door | None:
        dispatcher = self._dispatchers.get(organization)
        return dispatcher.door if dispatcher else None

    def _waiting(self, organization: str) -> int:
        dispatcher = self._dispatchers.get(organization)
        if dispatcher is None or dispatcher.holding:
            return dispatcher.waiting if dispatcher else 0
        return max(dispatcher.waiting, self._queues.length(organization))

    async def _profile_of(self, bot: Bot) -> Profile | None:
        return await self._profiles.get(bot.organization, bot.replica)

    async def _profile_by_name(self, name: str) -> Profile | None:
        return await self._profile_of(self._settings.bots[name])

    async def status(self) -> dict[str, Any]:
        """The document of `/status.json`."""
        return await self._board.status()

    def _note(self, event: str, *, level: Literal["info", "warning"] = "info", **fields: Any) -> None:
        self._observe(Noted(event=event, level=level, fields=fields))


def _url(host: str, listener: Listener | None) -> str | None:
    if listener is None:
        return None
    return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{listener.port}"  # noqa: S104 - read, not bound
