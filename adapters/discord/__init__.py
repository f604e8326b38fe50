"""Discord: messages, mentions, threads and commands over the gateway, answers over REST."""

from __future__ import annotations

from adapters.discord.adapter import DiscordAdapter
from adapters.discord.platform import DiscordPlatform, platform

__all__ = ["DiscordAdapter", "DiscordPlatform", "platform"]
