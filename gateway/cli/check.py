from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gateway.app import pinned_widget
from gateway.cli.doctor import look, show
from gateway.cli.options import config_option, json_option, read
from gateway.settings import Loaded


@click.command()
@config_option
@click.option(
    "--online", is_flag=True, help="Try each token, replica and Sensay key, too; changes nothing there."
)
@json_option
def check(path: Path, online: bool, as_json: bool) -> None:
    """Validate the configuration: every error at once, with file, line and column."""
    loaded = read(path, 1, as_json=as_json, machine=True)
    if not (online and as_json):
        _say_good(path, loaded, as_json=as_json)
    if online:
        report = look(loaded, machine=False)
        show(report, loaded.settings, as_json=as_json)
        sys.exit(0 if report.ok else 1)


def _say_good(path: Path, loaded: Loaded, *, as_json: bool) -> None:
    bots = loaded.settings.bots
    widget = pinned_widget() if any(bot.web for bot in bots.values()) else None
    if as_json:
        pinned = {"widget": {"path": widget[0], "integrity": widget[1]}} if widget else {}
        click.echo(json.dumps({"ok": True, "bots": len(bots), "warnings": list(loaded.warnings), **pinned}))
        return
    for warning in loaded.warnings:
        click.echo(f"warning: {warning}", err=True)
    channels = sum(
        getattr(bot, name) is not None
        for bot in bots.values()
        for name in ("telegram", "discord", "web", "webhook")
    )
    click.echo(f"{path}: good ({len(bots)} bots, {channels} channels)")
    if widget:
        base = (loaded.settings.server.public.base_url or "").rstrip("/")
        click.echo(f"widget, for pages that pin it: {base}{widget[0]} integrity {widget[1]}")
