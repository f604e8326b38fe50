"""The control API under `/_control`: act as the users and as the world."""

from __future__ import annotations

from aiohttp import web

from gateway.sandbox.discord import DiscordSandbox
from gateway.sandbox.faults import Faults
from gateway.sandbox.sensay import SensaySandbox
from gateway.sandbox.telegram import TelegramSandbox


def control_routes(
    faults: Faults, sensay: SensaySandbox, telegram: TelegramSandbox, discord: DiscordSandbox
) -> list[web.RouteDef]:
    """`/_control/faults`, `/_control/reset`, and each service's own control routes."""
    return [*sensay.control_routes(), *telegram.control_routes(), *discord.control_routes()]
