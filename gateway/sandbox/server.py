"""The pretended services on one port: Sensay under `/v1`, Telegram under `/bot{token}`, Discord under
`/api/v10` and `/gateway`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiohttp import web

from gateway.sandbox.control import control_routes
from gateway.sandbox.discord import DiscordSandbox
from gateway.sandbox.faults import Faults
from gateway.sandbox.sensay import SensaySandbox
from gateway.sandbox.telegram import TelegramSandbox

BACKLOG = 1024
"""Hundreds of bots connect at once; one whose first packet is dropped waits a second for the next."""


class Sandbox:
    """All pretended services and their control API, started and stopped as one.

    `port=0` takes a free one; afterwards `url` is `http://host:port`, to be used as Sensay's base URL and
    Telegram's `api_url`; `discord_api_url` and `discord_gateway_url` are Discord's.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, sensay: SensaySandbox | None = None
    ) -> None:
        self.faults = Faults()
        self.sensay = sensay or SensaySandbox()
        self.telegram = TelegramSandbox()
        self.discord = DiscordSandbox()
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    @property
    def discord_api_url(self) -> str:
        return f"{self.url}/api/v10"

    @property
    def discord_gateway_url(self) -> str:
        return f"ws://{self._host}:{self._port}/gateway"

    def app(self) -> web.Application:
        """Every route; `reset` and faults are shared."""
        app = web.Application(client_max_size=64 * 2**20)
        for service in (self.sensay, self.telegram, self.discord):
            service.faults = self.faults
            app.add_routes(service.routes())
        app.add_routes(control_routes(self.faults, self.sensay, self.telegram, self.discord))
        return app

    def reset(self) -> None:
        """As new: no users, messages, histories or faults."""
        self.faults.clear()
        for service in (self.sensay, self.telegram, self.discord):
            service.reset()

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._runner = web.AppRunner(self.app(), access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=BACKLOG)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.discord.gateway_url = self.discord_gateway_url

    async def stop(self) -> None:
        """Hang up on everybody, waiting long polls too."""
        if self._runner is not None:
            self.reset()
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
