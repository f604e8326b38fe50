"""What an operator does: reload the configuration, pause, resume and restart bots, hand a conversation to a person."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from gateway.errors import Permanent, Transient
from gateway.fleet import Fleet
from gateway.messages import Channel, ConversationKey, Facts
from gateway.pipeline.bell import Bell
from gateway.pipeline.pauses import Pauses
from gateway.policy.handover import HANDOVER, Order
from gateway.ports import Clock, Noted, Observer
from gateway.settings import Invalid, Loaded
from gateway.settings.models import Settings
from gateway.settings.plan import Plan, channels, plan

Sight: TypeAlias = dict[Path, tuple[int, ...]]
WATCH_EVERY, SETTLED = 1.0, 0.5
"""Seconds between two looks at the files, and for how long they have to stay the same before they are read."""


class Control:
    """Every way to change a running gateway. `apply` puts new settings in force, `ring` wakes the dispatchers, `others`
    has the processes that share the journal do their part.
    """

    def __init__(
        self,
        *,
        current: Callable[[], Settings],
        reread: Callable[[], Loaded] | None,
        apply: Callable[[Settings], None],
        fleet: Fleet,
        pauses: Pauses,
        ring: Callable[[], None],
        observer: Observer,
        clock: Clock,
        others: Callable[[str, Facts], Awaitable[object]],
    ) -> None:
        self._current, self._reread, self._apply, self._others = current, reread, apply, others
        self._fleet, self._pauses, self._ring = fleet, pauses, ring
        self._observer, self._clock = observer, clock
        self._reloading = asyncio.Lock()
        self._paused = Bell(clock)
        self._sources: tuple[Path, ...] | None = None

    # --- the configuration ---

    async def reload(self, *, dry_run: bool = False) -> Plan:
        """Read the files anew and make it so, or change nothing. Raises Invalid, and Permanent without a file."""
        if self._reread is None:
            raise Permanent("this gateway was not started from a file")
        async with self._reloading:
            try:
                loaded = await asyncio.to_thread(self._reread)
            except Invalid as invalid:
                if not dry_run:
                    problems = [str(problem) for problem in invalid.problems]
                    self._note("configuration.refused", "error", problems=problems)
                raise
            found = plan(self._current(), loaded.settings)
            if not dry_run:
                await self._put_in_force(loaded, found)
            return found

    async def _put_in_force(self, loaded: Loaded, found: Plan) -> None:
        before = self._current()
        # what is read at the start only stays as it is until the next one
        kept = {section: getattr(before, section) for section in found.restart}
        self._sources = (*loaded.files, *loaded.beside)
        self._apply(loaded.settings.model_copy(update=kept))
        await self._fleet.apply(found)
        self.show_pauses()
        self._note("configuration.reloaded", "info", **found.document())
        for section in found.restart:
            self._note("configuration.postponed", "warning", section=section, until="the next start")

    async def watch(self) -> None:
        """Reload when a file changes, as far as `watch` is on; until cancelled.

        A file is looked at rather than listened to: the links of a mounted ConfigMap, network disks and secret files
        are all the same to that. What is still being written is let finish.
        """
        seen: Sight | None = None
        while True:
            if self._reread is None or not self._current().watch:
                seen = None
            else:
                now = await asyncio.to_thread(self._sight)
                if seen is not None and _changed(seen, now):
                    now = await self._settled(now)
                    await self.reload_quietly()
                seen = now
            await self._clock.sleep(WATCH_EVERY)

    async def _settled(self, sight: Sight) -> Sight:
        """Wait until nothing has changed between two looks."""
        while True:
            await self._clock.sleep(SETTLED)
            now = await asyncio.to_thread(self._sight)
            if now == sight:
                return now
            sight = now

    def _sight(self) -> Sight:
        """What the files look like from outside."""
        if self._sources is None and self._reread is not None:
            with contextlib.suppress(Invalid):
                loaded = self._reread()
                self._sources = (*loaded.files, *loaded.beside)
        return {path: _looks(path) for path in self._sources or ()}

    async def reload_quietly(self) -> None:
        """For a signal or a changed file: the log says what was wrong."""
        try:
            await self.reload()
        except (Invalid, Permanent):
            return
        except Exception as error:  # noqa: BLE001 - a file must not be able to end the process
            self._note("configuration.refused", "error", problems=[repr(error)[:300]])

    # --- bots and conversations ---

    async def act(self, verb: str, bot: str, platform: str | None = None) -> list[str]:
        """`pause`, `resume` or `restart` a bot or one channel of it; returns the channels. Raises KeyError."""
        chosen = [
            channel
            for channel in channels(self._current())
            if channel.bot == bot and platform in {None, channel.platform}
        ]
        if not chosen:
            raise KeyError(bot)
        name = bot if platform is None else f"{bot}/{platform}"
        if verb == "restart":
            await self._restart(chosen)
            await self._others("restart", {"channels": [str(channel) for channel in chosen]})
        else:
            await (self._pauses.pause(name) if verb == "pause" else self._pauses.resume(name))
            await self._others("pauses", {})
        self.show_pauses()
        self._ring()
        self._note(f"bot.{verb}d" if verb.endswith("e") else f"bot.{verb}ed", "info", bot=bot, target=name)
        return [str(channel) for channel in chosen]

    async def hand_over(self, verb: str, conversation: str, seconds: float | None = None) -> None:
        """`pause` a conversation for a person to take over, `resume` it. Raises KeyError for what is none of ours."""
        try:
            key = ConversationKey.parse(conversation)
        except ValueError:
            raise KeyError(conversation) from None
        if key.bot not in self._current().bots:
            raise KeyError(conversation)
        if verb == "pause":
            await self._pauses.pause(str(key), HANDOVER if seconds is None else seconds)
        else:
            await self._pauses.resume(str(key))
        await self._others("pauses", {})
        self._ring()
        self._paused.ring()
        self._note(f"conversation.{verb}d", "info", bot=key.bot, platform=key.platform, conversation=str(key))

    async def pauses_changed(self) -> None:
        """Another process has paused or resumed something."""
        await self._pauses.open()
        self.show_pauses()
        self._ring()
        self._paused.ring()

    async def restart_too(self, names: list[str]) -> None:
        """Another process was told to restart these channels, wherever they run."""
        await self._restart([channel for channel in channels(self._current()) if str(channel) in names])

    async def _restart(self, chosen: list[Channel]) -> None:
        await asyncio.gather(*(self._fleet.restart(channel) for channel in chosen))

    async def obey(self, order: Order, key: ConversationKey) -> None:
        """An admin says it in the conversation itself."""
        await self.hand_over(order.verb, str(key), order.seconds)

    async def end_pauses(self) -> None:
        """Those with a time-out end by themselves; until cancelled."""
        while True:
            try:
                for name in await self._pauses.lapse():
                    self._note("pause.ended", "info", target=name)
                    self.show_pauses()
                    self._ring()
            except Transient:
                await self._clock.sleep(1.0)
                continue
            end = self._pauses.next_end
            await self._paused.wait(None if end is None else end - self._clock.now())

    def show_pauses(self) -> None:
        """Channels show their pauses, and those that were resumed send again."""
        for channel in channels(self._current()):
            self._fleet.paused_or_not(channel)

    def _note(self, event: str, level: str, **fields: object) -> None:
        self._observer(Noted(event=event, level=level, fields=fields))  # type: ignore[arg-type]


def _changed(before: Sight, now: Sight) -> bool:
    """A file that is new among those to look at was read a moment ago."""
    return any(before.get(path, looks) != looks for path, looks in now.items())


def _looks(path: Path) -> tuple[int, ...]:
    try:
        seen = path.stat()
    except OSError:
        return ()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
