"""SIGTERM and SIGINT: the first one drains, the second is immediate."""

from __future__ import annotations

import asyncio
import signal


def stop_events() -> tuple[asyncio.Event, asyncio.Event]:
    """(stop, stop now), set by the first and the second signal."""
    stop, now = asyncio.Event(), asyncio.Event()

    def asked() -> None:
        (now if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    return stop, now
