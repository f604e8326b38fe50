from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.cli.admin import Admin, admin_options
from gateway.cli.options import json_option


@click.group()
def journal() -> None:
    """The running gateway's journal."""


@journal.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@admin_options
def backup(admin: Admin, file: Path, as_json: bool) -> None:
    """Write a consistent copy of the journal to FILE while the gateway runs. It holds texts and secrets."""
    size = admin.save("/-/journal/backup", file)
    click.echo(json.dumps({"file": str(file), "bytes": size}) if as_json else f"{file}: {size} bytes")
