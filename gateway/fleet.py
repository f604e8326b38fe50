"""The channels of a process: each bot on each platform, adapter and courier, kept alive by the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.errors import Moved, Superseded, Transient
from gateway.fronts import Fronts
from gateway.messages import Channel, PlatformName, Profile
from gateway.pipeline.accept import Acceptor
from gateway.pipeline.deliver import Courier
from gateway.pipeline.host import ChannelHost, StateReport
from gateway.pipeline.notices import Notices
from gateway.pipeline.presence import Presence
from gateway.placement import Placement
from gateway.ports import Adapter, Clock, Host, Journal, Lease, Observer, Platform, Renderer, ShowsDraft
from gateway.settings.models import Settings
from gateway.settings.plan import PLATFORMS, Plan, channels
from gateway.supervisor import Status, Supervisor

HTTP: tuple[PlatformName, ...] = ("web", "webhook")
"""Platforms whose visitors hold requests open: they are let go before the listener stops."""

WATCH_EVERY = 15.0
HEARD_EVERY, CALLED_EVERY = 180.0, 900.0
"""Longest silence of a running connection, in seconds: between polls or heartbeats, and of one that is called."""
HANDOVER = 5.0
"""Seconds that sends under way have when another process takes a channel over."""
DEAF = "deaf: our own listener does not answer"


@dataclass(frozen=True)
class Surroundings:
    """What a channel is built from, besides its own settings."""

    journal: Journal
    acceptor: Acceptor
    notices: Notices
    presence: Presence
    clock: Clock
    observer: Observer
    profile: Callable[[str], Awaitable[Profile | None]]
    paused: Callable[[Channel], bool]


class Fleet:
    """Implements `ports.Fleet`. `load` imports a platform's package the first time that a bot uses it."""

    def __init__(
        self,
        current: Callable[[], Settings],
        load: Callable[[PlatformName, Settings], Platform],
        placement: Placement,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._current, self._load = current, load
        self._platforms: dict[PlatformName, Platform] = {}
        self._renderers: dict[PlatformName, Renderer] = {}
        self._live: dict[Channel, tuple[Adapter, ChannelHost]] = {}
        self._couriers: dict[Channel, Courier] = {}
        self._placement = placement
        self._fronts = Fronts(self._front, clock)
        self._supervisor = Supervisor(placement, self._serve, clock, observer, random.random)
        self._around: Surroundings | None = None
        self.more_routes: Callable[[list[Any]], None] = lambda _: None
        """Told of the public routes of a platform that was first used after the start."""

    # --- life ---

    def open(self, around: Surroundings) -> None:
        """Load the platforms that are configured; nothing connects yet."""
        self._around = around
        for channel in channels(self._current()):
            self._platform(channel.platform)

    def routes(self) -> list[Any]:
        """The public HTTP routes of the loaded platforms."""
        return [route for platform in self._platforms.values() for route in platform.routes(self)]

    def start(self, wanted: Iterable[Channel]) -> None:
        """Connect these, in the background."""
        for channel in wanted:
            self._platform(channel.platform)
            if self._surroundings.journal.shared:
                self._fronts.open([channel])
            self._supervisor.start(channel)

    async def stop(self, unwanted: Iterable[Channel]) -> None:
        """Disconnect these; what is being sent is sent first."""
        await asyncio.gather(*(self._stop(channel) for channel in unwanted))

    async def apply(self, plan: Plan) -> None:
        """Make the fleet what the configuration now says; unchanged channels notice nothing."""
        await self.stop([*plan.removed, *plan.changed])
        self.start([*plan.added, *plan.changed])

    async def let_go(self) -> None:
        """End what browsers and callers hold open."""
        await self._close(*HTTP)

    async def close(self) -> None:
        """Disconnect everything; connections to the platforms end after their channels."""
        self._fronts.close_all()
        await self._supervisor.stop_all()
        await self._close(*PLATFORMS)

    async def _stop(self, channel: Channel) -> None:
        courier = self._couriers.get(channel)
        if courier is not None:
            courier.drain()
            await courier.until_idle(HANDOVER)
        self._fronts.close([channel])
        await self._supervisor.stop(channel)

    async def _close(self, *names: PlatformName) -> None:
        for name in names:
            platform = self._platforms.pop(name, None)
            if platform is not None:
                with contextlib.suppress(Exception):
                    await platform.close()

    # --- looking ---

    def channel(self, bot: str, platform: PlatformName) -> tuple[Any, Host] | None:
        """The adapter and host of a bot, by its name or its replica id: of the channel that runs here, or what takes
        requests for one that runs elsewhere.
        """
        found = self.found(Channel(bot=bot, platform=platform))
        if found is None:
            for name, settings in self._current().bots.items():
                if settings.replica == bot.lower():
                    found = self.found(Channel(bot=name, platform=platform)) or found
        return found

    def live(self, channel: Channel) -> tuple[Adapter, ChannelHost] | None:
        return self._live.get(channel)

    def found(self, channel: Channel) -> tuple[Any, Host] | None:
        return self._live.get(channel) or self._fronts.get(channel)

    def renderer(self, platform: PlatformName) -> Renderer:
        """Of a loaded platform. Raises KeyError."""
        return self._renderers[platform]

    def status(self, channel: Channel) -> Status | None:
        return self._supervisor.status(channel)

    def couriers(self) -> Iterator[Courier]:
        return iter(self._couriers.values())

    # --- one channel ---

    async def restart(self, channel: Channel) -> None:
        """Connect anew at once, whatever the backoff."""
        await self._stop(channel)
        self.start([channel])

    def paused_or_not(self, channel: Channel) -> None:
        """Its pause began or ended: the courier looks, the state shows it."""
        self._supervisor.pause(channel, on=self._surroundings.paused(channel))
        courier = self._couriers.get(channel)
        if courier is not None:
            courier.ring()

    @property
    def _surroundings(self) -> Surroundings:
        assert self._around is not None, "the fleet is not open"
        return self._around

    def _platform(self, name: PlatformName) -> Platform:
        if name not in self._platforms:
            self._platforms[name] = self._load(name, self._current())
            self._renderers[name] = self._platforms[name].renderer
            self.more_routes(list(self._platforms[name].routes(self)))
        return self._platforms[name]

    async def _serve(self, channel: Channel, lease: Lease, report: StateReport) -> None:
        """One channel: its adapter and its courier, until one of them ends."""
        section = self._section(channel)
        adapter = self._adapter(channel)
        host = self._host(channel, report)
        courier = self._courier(channel, adapter, lease, section)
        self._live[channel], self._couriers[channel] = (adapter, host), courier
        self._surroundings.presence.attach(channel, adapter)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_ends_badly(adapter, host))
                group.create_task(courier.run())
                group.create_task(_lost(lease))
                group.create_task(self._watch(channel, host, section))
                if self._surroundings.journal.shared:
                    group.create_task(self._move(channel, courier))
                    group.create_task(self._hear(channel))
        finally:
            self._surroundings.presence.detach(channel)
            self._couriers.pop(channel, None)
            self._live.pop(channel, None)

    def _section(self, channel: Channel) -> Any:
        return getattr(self._current().bots[channel.bot], channel.platform)

    def _adapter(self, channel: Channel) -> Adapter:
        """A new one for each connection; without a connection, the one that takes requests here anyway."""
        front = self._fronts.get(channel)
        if front is not None and channel.platform in HTTP:
            return front[0]  # type: ignore[no-any-return]  # it is what `_front` made
        return self._platform(channel.platform).adapter(channel.bot, self._section(channel))

    def _front(self, channel: Channel) -> tuple[Adapter, Host]:
        """The state of a channel is told by whoever runs it."""
        return self._adapter(channel), self._host(channel, lambda _, __: None)

    def drafts(self, channel: Channel) -> ShowsDraft | None:
        """What shows answers while they are written for a channel that does not run here."""
        front = self._fronts.get(channel)
        shows = front is not None and channel.platform in HTTP and isinstance(front[0], ShowsDraft)
        return front[0] if front and shows else None

    async def _hear(self, channel: Channel) -> None:
        """Who waits for an answer, as other processes tell."""
        async with self._surroundings.journal.watch(f"presence/{channel}") as watch:
            while True:
                self._surroundings.presence.hear(await watch.next())

    async def _move(self, channel: Channel, courier: Courier) -> None:
        """Give it back when it is to be another's: what is being sent is sent first."""
        await self._placement.until_moved(f"channel/{channel}")
        courier.drain()
        await courier.until_idle(HANDOVER)
        raise Moved("the channel is to be another's")

    async def _watch(self, channel: Channel, host: ChannelHost, section: Any) -> None:
        """Rebuild a connection that counts as running and of which nothing is heard, whatever it hangs in.

        One in trouble reconnects by itself; web and webhook have no connection (see `listener`).
        """
        if channel.platform in HTTP:
            return
        longest = CALLED_EVERY if getattr(section, "mode", "") == "webhook" else HEARD_EVERY
        while True:
            await host.clock.sleep(WATCH_EVERY)
            status = self._supervisor.status(channel)
            if status is not None and status.state == "running" and host.silence > longest:
                raise Transient(
                    f"nothing was heard for {host.silence:.0f} s: connecting anew", scope="channel"
                )

    def listener(self, trouble: str | None) -> None:
        """Whether the public listener answers: without it, channels of browsers and callers are deaf."""
        for channel, status in self._supervisor:
            live = self._live.get(channel)
            if channel.platform not in HTTP or live is None:
                continue
            if trouble is not None and status.state == "running":
                live[1].degraded(trouble)
            elif trouble is None and status.error is not None and status.error.startswith(DEAF):
                live[1].ready(status.identity or channel.bot)

    def _host(self, channel: Channel, report: StateReport) -> ChannelHost:
        around = self._surroundings
        return ChannelHost(
            channel,
            journal=around.journal,
            acceptor=around.acceptor,
            notices=around.notices,
            profile=around.profile,
            current=self._current,
            clock=around.clock,
            observer=around.observer,
            report=report,
            paused=lambda: around.paused(channel),
        )

    def _courier(self, channel: Channel, adapter: Adapter, lease: Lease, section: Any) -> Courier:
        around = self._surroundings
        return Courier(
            channel,
            adapter,
            lease,
            around.journal,
            around.clock,
            around.observer,
            random.random,
            repeat_unknown=getattr(section, "unknown_send", "drop") == "retry_once",
            paused=lambda: around.paused(channel),
        )


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
