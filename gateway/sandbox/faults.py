"""Trouble on demand: the world misbehaves as often as it was told to (`POST /_control/faults`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

FaultKind = Literal["status", "delay", "drop_before", "drop_after", "malformed", "html"]
KINDS: tuple[FaultKind, ...] = ("status", "delay", "drop_before", "drop_after", "malformed", "html")

Handler = Callable[[], Awaitable[web.StreamResponse]]
ErrorBody = Callable[[int, float | None], web.Response]
"""(status, retry_after) → the service's own error response."""


@dataclass
class Fault:
    """`times` requests to `operation` of `service` (`*`: any) go wrong this way."""

    service: str
    operation: str
    kind: FaultKind
    status: int = 500
    retry_after: float | None = None
    seconds: float = 0.0
    times: int = 1


class Faults:
    """Faults that still have to happen, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, service: str, operation: str) -> Fault | None:
        """Use up one occurrence of the first fault that fits."""
        for fault in self._waiting:
            if fault.service == service and fault.operation in (operation, "*"):
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None

    async def around(
        self, request: web.Request, service: str, operation: str, handler: Handler, error: ErrorBody
    ) -> web.StreamResponse:
        """Run `handler` unless a fault has to happen to this request."""
        fault = self.take(service, operation)
        if fault is None:
            return await handler()
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            return await handler()
        if fault.kind == "status":
            return error(fault.status, fault.retry_after)
        if fault.kind == "malformed":
            return web.Response(text='{"ok": tru', content_type="application/json")
        if fault.kind == "html":  # what a proxy says in the service's place
            page = f"<html><body><h1>{fault.status}</h1><hr>proxy</body></html>"
            return web.Response(status=fault.status, text=page, content_type="text/html")
        if fault.kind == "drop_after":
            await handler()
        hang_up(request)
        raise ConnectionResetError(f"{service} {operation}: connection dropped on purpose")


def hang_up(request: web.Request) -> None:
    """Cut the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
