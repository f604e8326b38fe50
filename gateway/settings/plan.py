"""What a new configuration changes, by bot and channel: what a reload does, and what `reload --dry-run` prints."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.messages import Channel, PlatformName
from gateway.settings.models import Bot, Settings

PLATFORMS: tuple[PlatformName, ...] = ("telegram", "discord", "web", "webhook")
FIXED = ("server", "journal", "platforms", "cluster", "telemetry", "log")
"""Sections that are read at the start only: a change of them waits for a restart."""


@dataclass(frozen=True)
class Plan:
    """Channels by what happens to them. `restart` names sections whose change needs a new process.

    A channel is `changed` when its own section or the bot's organisation or replica is: texts, limits and weights are
    read at each decision and reconnect nothing. `policies` are the bots whose such values changed.
    """

    added: tuple[Channel, ...] = ()
    changed: tuple[Channel, ...] = ()
    removed: tuple[Channel, ...] = ()
    unchanged: tuple[Channel, ...] = ()
    policies: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def document(self) -> dict[str, list[str]]:
        """As JSON."""
        return {
            "added": [str(channel) for channel in self.added],
            "changed": [str(channel) for channel in self.changed],
            "removed": [str(channel) for channel in self.removed],
            "unchanged": [str(channel) for channel in self.unchanged],
            "policies": list(self.policies),
            "organizations": list(self.organizations),
            "restart": list(self.restart),
        }


def channels(settings: Settings) -> dict[Channel, tuple[object, ...]]:
    """Every channel of every enabled bot, with what its connection was built from."""
    return {
        Channel(bot=name, platform=platform): (bot.organization, bot.replica, getattr(bot, platform))
        for name, bot in settings.bots.items()
        if bot.enabled
        for platform in PLATFORMS
        if getattr(bot, platform) is not None
    }


def plan(old: Settings, new: Settings) -> Plan:
    """Compare two configurations."""
    before, after = channels(old), channels(new)
    kept = [channel for channel in after if channel in before]
    return Plan(
        added=tuple(channel for channel in after if channel not in before),
        changed=tuple(channel for channel in kept if before[channel] != after[channel]),
        removed=tuple(channel for channel in before if channel not in after),
        unchanged=tuple(channel for channel in kept if before[channel] == after[channel]),
        policies=tuple(
            name
            for name, bot in new.bots.items()
            if name in old.bots and _policy(bot) != _policy(old.bots[name])
        ),
        organizations=tuple(
            name
            for name in {**old.organizations, **new.organizations}
            if old.organizations.get(name) != new.organizations.get(name)
        ),
        restart=tuple(section for section in FIXED if getattr(old, section) != getattr(new, section)),
    )


def _policy(bot: Bot) -> Bot:
    """A bot without its channels."""
    return bot.model_copy(update=dict.fromkeys(PLATFORMS))
