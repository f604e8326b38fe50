from __future__ import annotations

from aiohttp import web

from gateway.sandbox.faults import Faults


class DiscordSandbox:
    faults: Faults = Faults()
    gateway_url = ""

    def routes(self) -> list[web.RouteDef]:
        return []

    def control_routes(self) -> list[web.RouteDef]:
        return []

    def reset(self) -> None: ...
