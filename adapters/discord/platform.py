"""What the bots of a process share: where Discord is, and what they may do to it together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import discord
import msgspec
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from adapters.discord import probe
from adapters.discord.adapter import DiscordAdapter, Shared
from adapters.discord.render import DiscordRenderer
from gateway.messages import PlatformName
from gateway.ports import Clock, Fleet, Probed
from gateway.settings.models import DiscordServer, DiscordSettings, Settings


class DiscordPlatform:
    """`ports.Platform`."""

    name: PlatformName = "discord"

    def __init__(self, server: DiscordServer) -> None:
        # class attributes of the library: there is no setting of a client for them
        Route.BASE = server.api_url.rstrip("/")
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(server.gateway_url)
        discord.utils._from_json = _read  # noqa: SLF001 - as it does itself where it finds a fast parser
        _hush()
        self.renderer = DiscordRenderer()
        self.shared = Shared()

    def adapter(self, bot: str, section: DiscordSettings) -> DiscordAdapter:
        return DiscordAdapter(bot, section, self.shared)

    def routes(self, fleet: Fleet) -> Sequence[Any]:  # noqa: ARG002 - interactions over HTTP are not offered
        return []

    async def probe(self, bot: str, section: DiscordSettings, clock: Clock) -> Probed:  # noqa: ARG002 - the contract's
        return await probe.probe(section)

    async def close(self) -> None:
        await self.shared.close()


def platform(settings: Settings) -> DiscordPlatform:
    """Make the platform of this process."""
    return DiscordPlatform(settings.platforms.discord)


_decoder = msgspec.json.Decoder()


def _read(text: str | bytes) -> Any:
    """JSON several times faster than the standard library's. Raises ValueError."""
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def _hush() -> None:
    """No warnings of each client about voice and the guilds intent: both are left out on purpose.

    Nor that it cannot keep up: an acknowledgement that is back before the library's thread has noted when it sent is
    measured from the heartbeat before. A connection that is really behind is ended by its silence.
    """
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
    logging.getLogger("discord.state").addFilter(_about_guilds)
    logging.getLogger("discord.gateway").addFilter(_about_lag)
    library = logging.getLogger("discord")
    library.setLevel(
        max(library.getEffectiveLevel(), logging.INFO)
    )  # below that it writes down what people say


def _about_guilds(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Guilds intent seems to be disabled")


def _about_lag(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Can't keep up")
