"""How the program runs: its event loop and its signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any


def stop_events() -> tuple[asyncio.Event, asyncio.Event]:
    """(stop, stop now): SIGTERM or SIGINT sets the first, which drains; another one the second, which is immediate."""
    stop, now = asyncio.Event(), asyncio.Event()

    def asked() -> None:
        (now if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    return stop, now


def on_hangup(act: Callable[[], object]) -> None:
    """Have SIGHUP do something."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)


def run_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on uvloop where there is one: a quarter of asyncio's memory for each TLS connection."""
    try:
        import uvloop
    except ImportError:
        factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    else:
        factory = uvloop.new_event_loop

    async def main() -> None:
        await work()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
