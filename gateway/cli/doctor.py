"""`doctor`, and the part of it that `check --online` is: what was found, for people and for machines."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click
from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.app import SystemClock, load_platform, secrets_of
from gateway.cli.admin import Admin, address
from gateway.cli.door import door_to_sensay, leaving_no_trace
from gateway.cli.options import config_option, json_option, read
from gateway.doctor import Around, Report, Seen, examine
from gateway.sensay.api.operation import Door
from gateway.settings import Loaded
from gateway.settings.models import Settings
from gateway.telemetry import Mask

WIDEST, NARROWEST = 100, 40
COLOURS = {"error": "red", "warning": "yellow", "ok": "green"}
FEW = 15
"""Bots and the like that are printed also when all is good."""
INDENT = 10
"""Columns of the severity."""


@click.command()
@config_option
@click.option("--admin", "url", help="The admin listener's address. Default: the configuration's.")
@click.option("--token", envvar="GATEWAY_ADMIN_TOKEN", help="Default: the configuration's.")
@json_option
def doctor(path: Path, url: str | None, token: str | None, as_json: bool) -> None:
    """Look at everything the gateway needs: tokens, replicas, Sensay, the machine. Changes nothing."""
    loaded = read(path, 1, as_json=as_json)
    report = look(loaded, url, token)
    show(report, loaded.settings, as_json=as_json)
    sys.exit(0 if report.ok else 1)


def look(loaded: Loaded, url: str | None = None, token: str | None = None, *, machine: bool = True) -> Report:
    """Without `machine` only what is online."""
    return asyncio.run(_look(loaded, address(loaded.settings, url, token), machine=machine))


async def _look(loaded: Loaded, admin: Admin, *, machine: bool) -> Report:
    settings, clock = leaving_no_trace(loaded.settings), SystemClock()

    def door(organization: str) -> AbstractAsyncContextManager[Door]:
        return door_to_sensay(settings, organization, url=admin.url, token=admin.token, clock=clock)

    around = Around(
        clock=clock,
        platform=lambda name: load_platform(name, settings),
        door=door,
        status=await _running(admin),
        machine=machine,
    )
    return await examine(loaded, around)


async def _running(admin: Admin) -> dict[str, Any] | None:
    """The status of the gateway that runs; without a right to see it, an empty one. None: nobody is there."""
    headers = {"Authorization": f"Bearer {admin.token}"} if admin.token else {}
    try:
        async with ClientSession(timeout=ClientTimeout(total=5.0)) as session:
            async with session.get(f"{admin.url.rstrip('/')}/livez") as alive:
                if alive.status != 200:
                    return None
            async with session.get(f"{admin.url.rstrip('/')}/status.json", headers=headers) as answer:
                return await answer.json() if answer.status == 200 else {}
    except (ClientError, TimeoutError, OSError, ValueError):
        return None


# --- showing --------------------------------------------------------------------------------------------------------


def show(report: Report, settings: Settings, *, as_json: bool) -> None:
    """Secrets are masked, wherever they should have come from."""
    mask = Mask()
    mask.learn(secrets_of(settings))
    if as_json:
        click.echo(mask(json.dumps(report.document(), indent=2, ensure_ascii=False)))
        return
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))
    groups = list(report.groups())
    shown = [(group, members) for group, members in groups if len(groups) <= FEW or not _all_good(members)]
    for group, members in shown:
        click.secho(group, bold=True)
        for seen in members:
            for line in _lines(seen, width):
                click.echo(mask(line))
        click.echo()
    if len(shown) < len(groups):
        click.echo(f"{len(groups) - len(shown)} more have nothing but good findings (--json has them)\n")
    click.echo(_summary(report))


def _all_good(members: list[Seen]) -> bool:
    return all(seen.finding.severity == "ok" for seen in members)


def _lines(seen: Seen, width: int) -> Iterator[str]:
    one = seen.finding
    coloured = click.style(one.severity.ljust(INDENT - 2), fg=COLOURS[one.severity])
    text = f"{seen.key}: {one.what}" if seen.key else one.what
    first, *rest = _wrapped(text, width)
    yield f"  {coloured}{first}"
    yield from (" " * INDENT + line for line in rest)
    if one.severity == "ok":
        return
    if seen.spot is not None:
        yield " " * INDENT + click.style(str(seen.spot), dim=True)
    for number, line in enumerate(_wrapped(one.remedy, width - 3) if one.remedy else ()):
        yield " " * INDENT + ("-> " if number == 0 else "   ") + line


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width - INDENT, break_on_hyphens=False)


def _summary(report: Report) -> str:
    asked = sum(report.requests.values())
    names = ", ".join(f"{name} {count}" for name, count in report.requests.items())
    return (
        f"{_counted(report.count('error'), 'error')}, {_counted(report.count('warning'), 'warning')}, "
        f"{report.count('ok')} good; {_counted(asked, 'request')} to Sensay"
        + (f" ({names})" if names else "")
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
