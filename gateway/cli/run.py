from __future__ import annotations

import sys
from pathlib import Path

import click
import structlog

from gateway.app import Gateway, secrets_of
from gateway.cli.options import CONFIGURATION, config_option, read
from gateway.errors import GatewayError, Misconfigured
from gateway.process import run_loop, stop_events
from gateway.settings import Loaded
from gateway.telemetry import LogFacts, Mask, configure_logs


@click.command()
@config_option
def run(path: Path) -> None:
    """Run the gateway. SIGTERM drains, a second one is immediate."""
    sys.exit(serve(read(path, CONFIGURATION)))


def serve(loaded: Loaded) -> int:
    """Run until a signal; returns the exit code. Everything is said in the log from here on."""
    settings = loaded.settings
    mask = Mask()
    mask.learn(secrets_of(settings))
    configure_logs(settings.log.format, settings.log.level, mask)
    log = structlog.get_logger("gateway")
    for warning in loaded.warnings:
        log.warning("configuration.doubted", problem=warning)
    try:
        run_loop(lambda: _run(Gateway(settings, observe=LogFacts())))
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
    await gateway.run(stop, now)
