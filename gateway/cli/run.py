from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click
import structlog

from gateway.app import Gateway, Makers, secrets_of
from gateway.cli.options import CONFIGURATION, config_option, read
from gateway.errors import GatewayError, Misconfigured
from gateway.process import on_hangup, run_loop, stop_events
from gateway.settings import Loaded, load
from gateway.telemetry import LogFacts, Mask, configure_logs

IMMEDIATE = 3.0
"""Seconds that a second SIGTERM leaves: a little more than sends under way have."""
SETTLED = 5.0
"""Seconds after the start at which what stays for good is there: modules, settings, channels."""


@click.command()
@config_option
def run(path: Path) -> None:
    """Run the gateway. SIGHUP reloads; SIGTERM drains, a second one is immediate."""
    sys.exit(serve(read(path, CONFIGURATION), reread=lambda: load(path, os.environ)))


def serve(loaded: Loaded, makers: Makers | None = None, reread: Callable[[], Loaded] | None = None) -> int:
    """Run until a signal; returns the exit code. Everything is said in the log from here on."""
    settings = loaded.settings
    mask = Mask()
    mask.learn(secrets_of(settings))  # before the first line
    configure_logs(settings.log.format, settings.log.level, mask)
    log = structlog.get_logger("gateway")
    for warning in loaded.warnings:
        log.warning("configuration.doubted", problem=warning)
    try:
        run_loop(lambda: _run(Gateway(settings, observe=LogFacts(), mask=mask, makers=makers, reread=reread)))
    except Misconfigured as error:
        log.error("startup.failed", error=str(error), remedy=error.remedy)  # noqa: TRY400 - words, not a traceback
        return CONFIGURATION
    except GatewayError as error:
        log.error("startup.failed", error=str(error))  # noqa: TRY400
        return 1
    except Exception:
        log.exception("gateway.crashed")
        return 1
    return 0


async def _run(gateway: Gateway) -> None:
    stop, now = stop_events()
    reloads: set[asyncio.Task[None]] = set()
    on_hangup(lambda: reloads.add(asyncio.ensure_future(gateway.control.reload_quietly())))
    cutting = asyncio.ensure_future(_cut_off(now))
    asyncio.get_running_loop().call_later(SETTLED, _leave_alone)
    try:
        await gateway.run(stop, now)
    finally:
        cutting.cancel()


def _leave_alone() -> None:
    """Have the garbage collector pass over what stays for good: looking through it takes it 0.1 s each time."""
    gc.collect()
    gc.freeze()


async def _cut_off(now: asyncio.Event) -> None:
    """Whoever asks twice does not wait for the tidy end: the journal is whole at every moment."""
    await now.wait()
    await asyncio.sleep(IMMEDIATE)
    structlog.get_logger("gateway").warning("gateway.cut_off")
    sys.stdout.flush()
    os._exit(0)
