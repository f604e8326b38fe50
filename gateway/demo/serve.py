"""Puts the demo together: the sandbox as the world, an ordinary gateway before it, the page on its public listener."""

from __future__ import annotations

import asyncio
import secrets
import sys

import click
from aiohttp import ClientSession

from gateway.app import Gateway
from gateway.demo.stage import Stage
from gateway.errors import Transient
from gateway.ports import Fact
from gateway.process import run_loop, stop_events
from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sandbox.server import Sandbox
from gateway.settings.models import Settings
from gateway.telemetry import LogFacts, Mask, configure_logs

TOKENS = {
    "telegram": "100200300:demo-token-of-the-sandbox-only-0000",
    "discord": "MTAwMjAwMzAwNDAwNTAwNjAw.demo00.token-of-the-sandbox-only-000000",
}
LATENCY = (0.9, 1.6)
"""Seconds a replica thinks, so that waiting can be seen."""


def serve_demo(port: int) -> int:
    """Run until a signal; returns the exit code."""
    configure_logs("text", "warning", Mask())
    try:
        run_loop(lambda: _demo(port))
    except Transient as error:
        click.echo(f"{error} (try --port)", err=True)
        return 1
    return 0


async def _demo(port: int) -> None:
    stop, now = stop_events()
    async with Sandbox(sensay=SensaySandbox(latency=LATENCY)) as box, ClientSession() as session:
        log = LogFacts()

        stage = Stage(control=box.url, tokens=TOKENS, session=session)

        def observe(fact: Fact) -> None:
            log(fact)
            stage.observe(fact)

        gateway = Gateway(settings(box, port), observe=observe, public_routes=stage.routes())
        stage.life = gateway.journal.message
        work = asyncio.create_task(gateway.run(stop, now))
        greeting = asyncio.create_task(_announce(gateway))
        try:
            await work
        finally:
            greeting.cancel()


async def _announce(gateway: Gateway) -> None:
    """Say where to look once there is something to see."""
    while gateway.public is None or not gateway.public.up:  # noqa: ASYNC110 - once, at the start
        await asyncio.sleep(0.05)
    click.echo(f"\n  Sensay Gateway demo: open {gateway.public_url}/   (Ctrl+C ends it)\n")
    sys.stdout.flush()


def settings(box: Sandbox, port: int) -> Settings:
    """An ordinary configuration that points at the sandbox."""
    origin = f"http://127.0.0.1:{port}"
    return Settings.model_validate(
        {
            "server": {"public": {"host": "127.0.0.1", "port": port}, "admin": {"port": 0}},
            "journal": "memory:",
            "sensay": {"base_url": box.url},
            "platforms": {
                "telegram": {"api_url": box.url},
                "discord": {"api_url": box.discord_api_url, "gateway_url": box.discord_gateway_url},
            },
            "organizations": {"demo": {"secret": "sandbox-demo-secret"}},
            "bots": {
                "support": {
                    "organization": "demo",
                    "replica": SUPPORT,
                    "telegram": {"token": TOKENS["telegram"]},
                    "discord": {"token": TOKENS["discord"]},
                    "web": {"allowed_origins": [origin, f"http://localhost:{port}"], "stream": "on"},
                    "webhook": {"secret": "whsec_" + secrets.token_hex(24)},
                }
            },
        }
    )
