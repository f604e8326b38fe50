"""Keeps channels alive: one task each, restarted one for one with backoff, never given up. One bot's trouble is its
own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import Moved, Superseded
from gateway.messages import BotState, Channel
from gateway.policy.lifecycle import after_error
from gateway.ports import BotChanged, Clock, Lease, Noted, Observer

Report = Callable[[BotState, str | None], None]
Serve = Callable[[Channel, Lease, Report], Awaitable[None]]
"""Run one channel under its lease until cancelled; report its state; raise what ended it."""


class Leases(Protocol):
    def hold(self, name: str, waits: Report, /) -> AbstractAsyncContextManager[Lease]:
        """As `Journal.hold`; `waits` hears what it waits for when another process has it. Raises Moved."""
        ...


STEADY = 60.0
"""Seconds of running after which earlier failures are forgotten."""


@dataclass
class Status:
    """What is known of a channel. `since` is when the state began; `error` why it is not running."""

    state: BotState = "starting"
    since: float = 0.0
    identity: str | None = None
    error: str | None = None
    remedy: str | None = None
    paused: bool = False
    failures: int = 0
    failing_since: float | None = None
    stopping: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)
    kick: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def shown(self) -> BotState:
        """What an operator sees: a pause hides a channel that works, not one in trouble."""
        return "paused" if self.paused and self.state == "running" else self.state


class Supervisor:
    """Runs `serve` for every channel it is told to keep."""

    def __init__(
        self, leases: Leases, serve: Serve, clock: Clock, observer: Observer, jitter: Callable[[], float]
    ) -> None:
        self._leases, self._serve = leases, serve
        self._clock, self._observer, self._jitter = clock, observer, jitter
        self._channels: dict[Channel, Status] = {}

    def __iter__(self) -> Iterator[tuple[Channel, Status]]:
        return iter(self._channels.items())

    def status(self, channel: Channel) -> Status | None:
        return self._channels.get(channel)

    def start(self, channel: Channel) -> None:
        """Keep this channel running from now on."""
        status = self._channels[channel] = Status(since=self._clock.now())
        self._tell(channel, status)
        status.task = asyncio.get_running_loop().create_task(self._keep(channel, status), name=str(channel))

    def pause(self, channel: Channel, *, on: bool) -> None:
        """Show a pause, or its end."""
        status = self._channels.get(channel)
        if status is not None and status.paused != on:
            status.paused, status.since = on, self._clock.now()
            self._tell(channel, status)

    async def stop(self, channel: Channel) -> None:
        """Let it end, and forget it."""
        status = self._channels.pop(channel, None)
        if status is None or status.task is None:
            return
        status.stopping = True
        status.task.cancel()
        await asyncio.gather(status.task, return_exceptions=True)
        self._set(channel, status, "stopped")

    async def stop_all(self) -> None:
        await asyncio.gather(*(self.stop(channel) for channel in list(self._channels)))

    async def _keep(self, channel: Channel, status: Status) -> None:
        while True:
            began = self._clock.monotonic()

            def report(state: BotState, why: str | None) -> None:
                self._report(channel, status, state, why)

            try:
                async with self._leases.hold(f"channel/{channel}", report) as lease:
                    await self._serve(channel, lease, report)
                error: BaseException = RuntimeError("the channel ended by itself")
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                error = RuntimeError("something inside the channel cancelled it")
            except BaseExceptionGroup as group:
                error = _first(group)
            except Exception as raised:  # noqa: BLE001 - whatever a platform throws, the channel is tried again
                error = raised
            if status.stopping:  # and it ended by itself just then: a task group tells of that only
                raise asyncio.CancelledError
            if isinstance(error, Moved):
                continue
            if isinstance(error, Superseded):
                fields = {"bot": channel.bot, "platform": channel.platform}
                self._observer(Noted(event="channel.superseded", level="warning", fields=fields))
            await self._back_off(channel, status, error, self._clock.monotonic() - began)

    async def _back_off(self, channel: Channel, status: Status, error: BaseException, ran: float) -> None:
        now = self._clock.monotonic()
        if status.state == "running" and ran >= STEADY:
            status.failures, status.failing_since = 0, None
        status.failures += 1
        status.failing_since = now if status.failing_since is None else status.failing_since
        trouble = after_error(error, status.failures, now - status.failing_since, self._jitter())
        self._set(channel, status, trouble.state, trouble.error, trouble.remedy)
        status.kick.clear()
        waits = {
            asyncio.ensure_future(status.kick.wait()),
            asyncio.ensure_future(self._clock.sleep(trouble.wait)),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _report(self, channel: Channel, status: Status, state: BotState, why: str | None) -> None:
        if state == "running":
            status.identity = why or status.identity
            self._set(channel, status, state)
        else:
            self._set(channel, status, state, why)

    def _set(
        self,
        channel: Channel,
        status: Status,
        state: BotState,
        error: str | None = None,
        remedy: str | None = None,
    ) -> None:
        changed = status.state != state or status.error != error
        if status.state != state:
            status.since = self._clock.now()
        status.state, status.error, status.remedy = state, error, remedy
        if changed:
            self._tell(channel, status)

    def _tell(self, channel: Channel, status: Status) -> None:
        self._observer(
            BotChanged(
                bot=channel.bot,
                platform=channel.platform,
                state=status.shown,
                since=status.since,
                error=status.error,
                remedy=status.remedy,
            )
        )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that made the others stop."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
