"""Discord: direct messages, mentions and replies over the gateway, answers over REST."""

from __future__ import annotations

from adapters.discord.adapter import DiscordAdapter, DiscordPlatform, platform

__all__ = ["DiscordAdapter", "DiscordPlatform", "platform"]
