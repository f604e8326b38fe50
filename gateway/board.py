"""What an operator sees: `/status.json`, `/metrics` and `/readyz`, put together from the live parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway import __version__
from gateway.fleet import Fleet
from gateway.messages import BotCounts, Channel
from gateway.pipeline.complete import Dispatcher
from gateway.ports import Clock, Journal
from gateway.settings.models import Bot, Settings
from gateway.settings.plan import PLATFORMS
from gateway.telemetry import Metrics
from gateway.web.decisions import Decisions
from gateway.web.recent import Recent
from gateway.web.status import LastSeen, bot_document, moment, quota_document


@dataclass(frozen=True)
class Cluster:
    """The processes that share the journal, as the board sees them: `parts` asks the others for theirs, `mine` tells
    what is this one's, `problems` where their configurations contradict each other.
    """

    pod: str
    mine: Callable[[str], bool]
    parts: Callable[[], Awaitable[Mapping[str, Any]]]
    problems: Callable[[], list[str]]


class Board:
    """Reads; changes nothing but gauges. `listening` tells whether the public listener is up, `draining` whether the
    process is about to end.
    """

    def __init__(
        self,
        *,
        current: Callable[[], Settings],
        journal: Journal,
        fleet: Fleet,
        dispatchers: Mapping[str, Dispatcher],
        paused: Callable[[], Mapping[str, float | None]],
        listening: Callable[[], bool],
        draining: Callable[[], bool],
        clock: Clock,
        cluster: Cluster | None = None,
    ) -> None:
        self._cluster = cluster
        self.metrics, self.last_seen, self.recent = Metrics(), LastSeen(), Recent()
        self.decisions = Decisions()
        self._current, self._journal, self._fleet = current, journal, fleet
        self._dispatchers, self._listening, self._clock = dispatchers, listening, clock
        self._paused, self._draining = paused, draining
        self._started_at = clock.now()

    async def problems(self) -> list[str]:
        """Why the process is not ready; one bot's trouble is no reason."""
        wrong = []
        if self._draining():
            wrong.append("shutting down")
        if not self._listening():
            wrong.append("the public listener is down")
        if not await self._journal.writable():
            wrong.append("the journal cannot be written")
        return wrong

    async def exposition(self) -> bytes:
        """`/metrics`, with the gauges of this moment."""
        counts, now = await self._journal.counts(), self._clock.now()
        self._forget_the_gone()
        for name in self._current().bots:
            bot = counts.get(name, BotCounts())
            age = 0.0 if bot.oldest is None else max(0.0, now - bot.oldest)
            self.metrics.queue_depth.labels(name).set(bot.waiting)
            self.metrics.queue_age.labels(name).set(age)
            self.metrics.dead_letters.labels(name).set(bot.dead_letters)
        for name, dispatcher in self._asking().items():
            for window, (used, limit) in dispatcher.door.used().items():
                self.metrics.quota_used.labels(name, window).set(used)
                self.metrics.quota_limit.labels(name, window).set(limit)
        return self.metrics.text()

    async def status(self) -> dict[str, Any]:
        """The document of `/status.json`."""
        counts, now = await self._journal.counts(), self._clock.now()
        problems = await self.problems()
        self._forget_the_gone()
        organizations, channels, more = self._organizations(self._in_force()), self._all_channels(), {}
        if self._cluster is not None:
            mine = self.part()
            parts = {self._cluster.pod: mine, **await self._cluster.parts()}
            for part in parts.values():
                organizations |= part["organizations"]
                channels |= part["channels"]
            more["pods"] = {pod: {"channels": len(part["channels"])} for pod, part in sorted(parts.items())}
        return {
            "version": __version__,
            "started_at": moment(self._started_at),
            **more,
            "ready": not problems,
            "problems": [*problems, *(self._cluster.problems() if self._cluster else ())],
            "organizations": organizations,
            "bots": {
                name: bot_document(
                    bot.replica,
                    {
                        platform: channels[f"{name}/{platform}"]
                        for platform in PLATFORMS
                        if f"{name}/{platform}" in channels
                    },
                    counts.get(name, BotCounts()),
                    now,
                )
                for name, bot in self._current().bots.items()
            },
            "paused_conversations": [
                {"conversation": name, "until": moment(until)} for name, until in self._paused().items()
            ],
        }

    def part(self) -> dict[str, Any]:
        """What only this process knows of the fleet: the channels and organisations that are its own."""
        mine = self._cluster.mine if self._cluster else lambda _: True
        known = self._all_channels()
        return {
            "organizations": self._organizations(self._asking()),
            "channels": {name: document for name, document in known.items() if mine(f"channel/{name}")},
        }

    def _asking(self) -> dict[str, Dispatcher]:
        """The organisations that this process asks for."""
        known = self._in_force()
        if self._cluster is None:
            return known
        return {name: dispatcher for name, dispatcher in known.items() if dispatcher.holding}

    @staticmethod
    def _organizations(dispatchers: Mapping[str, Dispatcher]) -> dict[str, Any]:
        return {
            name: quota_document(
                dispatcher.door.used(), dispatcher.waiting, dispatcher.door.relief(), dispatcher.trouble
            )
            for name, dispatcher in dispatchers.items()
        }

    def _all_channels(self) -> dict[str, dict[str, Any]]:
        return {
            f"{name}/{platform}": document
            for name, bot in self._current().bots.items()
            for platform, document in self._channels(name, bot).items()
        }

    def _in_force(self) -> dict[str, Dispatcher]:
        known = self._current().organizations
        return {name: dispatcher for name, dispatcher in self._dispatchers.items() if name in known}

    def _forget_the_gone(self) -> None:
        """Whoever looks sees the bots of the configuration in force, and nothing piles up over the reloads."""
        settings = self._current()
        configured = {
            (name, str(platform))
            for name, bot in settings.bots.items()
            for platform in PLATFORMS
            if getattr(bot, platform) is not None
        }
        self.metrics.keep(configured, set(settings.organizations))
        self.last_seen.keep(configured)
        self.recent.keep(set(settings.bots))

    def _channels(self, name: str, bot: Bot) -> dict[str, dict[str, Any]]:
        """Every configured channel of a bot, those of a disabled one as stopped."""
        found: dict[str, dict[str, Any]] = {}
        for platform in PLATFORMS:
            if getattr(bot, platform) is None:
                continue
            status = self._fleet.status(Channel(bot=name, platform=platform))
            why = status.error if status else None
            found[platform] = {
                "state": status.shown if status else "stopped",
                "since": moment(status.since) if status else None,
                "last_event_at": moment(self.last_seen.heard.get((name, platform))),
                "last_reply_at": moment(self.last_seen.replied.get((name, platform))),
                "error": f"{why}: {status.remedy}" if status and status.remedy else why,
            }
        return found
