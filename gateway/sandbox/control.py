"""The control API under `/_control`: act as the users and as the world."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from gateway.sandbox.discord import DiscordSandbox
from gateway.sandbox.faults import Fault, FaultKind, Faults
from gateway.sandbox.sensay import SensaySandbox
from gateway.sandbox.telegram import TelegramSandbox


class FaultRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /_control/faults`."""

    service: Literal["sensay", "telegram", "discord"]
    kind: FaultKind
    operation: Annotated[str, msgspec.Meta(min_length=1)] = "*"
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 500
    retry_after: Annotated[float, msgspec.Meta(ge=0)] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    times: Annotated[int, msgspec.Meta(ge=1)] = 1


def control_routes(
    faults: Faults, sensay: SensaySandbox, telegram: TelegramSandbox, discord: DiscordSandbox
) -> list[web.RouteDef]:
    """`/_control/faults`, `/_control/reset`, and each service's own control routes."""
    services = (sensay, telegram, discord)

    async def add_fault(request: web.Request) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=FaultRequest)
        except msgspec.DecodeError as error:
            return web.json_response({"error": str(error)}, status=422)
        faults.add(Fault(**msgspec.structs.asdict(wanted)))
        return web.json_response({"ok": True})

    async def reset(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler takes the request
        faults.clear()
        for service in services:
            service.reset()
        return web.json_response({"ok": True})

    routes = [
        web.post("/_control/faults", add_fault),
        web.post("/_control/reset", reset),
        *(route for service in services for route in service.control_routes()),
    ]
    return [web.get("/_control", _index(routes)), *routes]


def _index(routes: list[web.RouteDef]) -> Callable[[web.Request], Any]:
    rows = "".join(
        f"<tr><td>{escape(route.method)}<td><code>{escape(route.path)}</code></tr>" for route in routes
    )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox control</title>'
        "<style>body{font:16px system-ui;margin:2rem auto;max-width:50rem}td{padding:.3rem .8rem}</style>"
        f"<h1>Sandbox control</h1><table>{rows}</table></html>"
    )

    async def index(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler takes the request
        return web.Response(text=page, content_type="text/html")

    return index
