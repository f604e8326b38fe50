"""The admin listener's routes: probes, metrics, status. Its parts are given as functions; nothing here knows the
gateway.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web


def admin_routes(
    *,
    ready: Callable[[], Awaitable[list[str]]],
    metrics: Callable[[], Awaitable[bytes]],
    status: Callable[[], Awaitable[dict[str, Any]]],
) -> list[web.RouteDef]:
    """`ready` returns what is wrong (nothing: ready); `metrics` the exposition; `status` the document of
    `/status.json`.
    """

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        wrong = await ready()
        return web.Response(text="\n".join(wrong or ["ok"]) + "\n", status=503 if wrong else 200)

    async def expose(_: web.Request) -> web.Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return web.Response(body=await metrics(), headers={"Content-Type": kind})

    async def status_json(_: web.Request) -> web.Response:
        return web.json_response(await status(), headers={"Cache-Control": "no-store"})

    return [
        web.get("/livez", livez),
        web.get("/readyz", readyz),
        web.get("/metrics", expose),
        web.get("/status.json", status_json),
    ]
