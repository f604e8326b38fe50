"""Holding a request until its answer is there. Nothing is lost with the request: the journal has the turn."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from adapters.webhook.render import is_open
from gateway.ports import Host


async def wait_ended(host: Host, message_id: str, seconds: float, stopping: asyncio.Event) -> None:
    """Return when the message's turn has ended, after `seconds`, or when the process stops."""
    await _first_of(_ended(host, message_id), host.clock.sleep(seconds), stopping.wait())


async def _ended(host: Host, message_id: str) -> None:
    async with host.watch(f"message/{message_id}") as watch:  # subscribe first, then read
        while (life := await host.message(message_id)) is not None and is_open(life):
            await watch.next()


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Wait for one of them, stop the others; what one of them raises is raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
