from __future__ import annotations

import asyncio
import os
import sys
from typing import Literal

import click

from gateway.sandbox.sensay import SensaySandbox
from gateway.sandbox.server import Sandbox


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8900, show_default=True, type=click.IntRange(0, 65535))
@click.option("--requests-per-minute", default=100, show_default=True, type=click.IntRange(1))
@click.option("--completions-per-hour", default=1000, show_default=True, type=click.IntRange(1))
@click.option("--minute", default=60.0, show_default=True, help="Length of the minute's window, in seconds.")
@click.option("--hour", default=3600.0, show_default=True, help="Length of the hour's window, in seconds.")
@click.option(
    "--limiter", default="sliding", show_default=True, type=click.Choice(["sliding", "fixed", "bucket"])
)
@click.option("--latency", default=0.3, show_default=True, help="Seconds a replica thinks.")
@click.option(
    "--stream",
    default="v5",
    show_default=True,
    type=click.Choice(["v4", "v5", "off"]),
    help="Frames of streamed answers: the AI SDK's data stream (v4), its events (v5), or none.",
)
@click.option(
    "--dialect",
    default="openapi",
    show_default=True,
    type=click.Choice(["openapi", "guide"]),
    help="Whose errors where both share a path; the guide also takes e-mail addresses for users.",
)
def sandbox(
    host: str,
    port: int,
    requests_per_minute: int,
    completions_per_hour: int,
    minute: float,
    hour: float,
    limiter: Literal["sliding", "fixed", "bucket"],
    latency: float,
    stream: Literal["v4", "v5", "off"],
    dialect: Literal["openapi", "guide"],
) -> None:
    """Only the pretended services: Sensay, Telegram and Discord on one port, with a control API."""
    sensay = SensaySandbox(
        requests_per_minute=requests_per_minute,
        completions_per_hour=completions_per_hour,
        minute=minute,
        hour=hour,
        algorithm=limiter,
        latency=latency,
        stream=stream,
        errors=dialect,
    )
    box = Sandbox(host=host, port=port, sensay=sensay)
    try:
        asyncio.run(_serve(box))
    except OSError as error:
        click.echo(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}", err=True)
        sys.exit(1)


async def _serve(box: Sandbox) -> None:
    from gateway.process import stop_events

    stop, _ = stop_events()
    async with box:
        click.echo(f"Sensay    {box.url}            (sensay.base_url)")
        click.echo(f"Telegram  {box.url}            (platforms.telegram.api_url)")
        click.echo(f"Discord   {box.discord_api_url}     (platforms.discord.api_url)")
        click.echo(f"          {box.discord_gateway_url}       (platforms.discord.gateway_url)")
        click.echo(f"Control   {box.url}/_control")
        click.echo(f"Try it    {box.url}/ui               (the document is at /schema)")
        await stop.wait()
