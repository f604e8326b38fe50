from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.admin import Admin, admin_options


@click.group()
def journal() -> None:
    """The running gateway's journal."""


@journal.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@admin_options
def backup(admin: Admin, file: Path) -> None:
    """Write a consistent copy of the journal to FILE while the gateway runs. It holds texts and secrets."""
    size = admin.save("/-/journal/backup", file)
    click.echo(f"{file}: {size} bytes")
