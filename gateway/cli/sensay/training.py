from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.sensay.desk import Desk, replica_argument, verb, yes_option
from gateway.cli.sensay.knowledge import tell_deleted, tell_entry
from gateway.sensay.api import training as api
from gateway.sensay.api.client import Sensay
from gateway.sensay.api.files import checked


@click.group()
def training() -> None:
    """The guide's training, which Sensay has replaced by `knowledge`; only in the dialect guide."""


def _taken(desk: Desk, entry: int) -> None:
    if desk.screen.as_json:
        desk.screen.json({"id": entry})
    else:
        desk.screen.line(f"taken in: entry {entry}")


@training.command()
@verb(api.START, api.TEACH, api.DELETE)
@replica_argument
@click.argument("text")
def add(desk: Desk, replica: str, text: str) -> None:
    """Begin an entry and give it its text; `-` reads it from standard input."""
    taught = sys.stdin.read() if text == "-" else text
    _taken(desk, desk.ask_of(replica, lambda sensay, uuid: sensay.training.add_text(uuid, taught, desk.auth)))


@training.command()
@verb(api.UPLOAD, api.DELETE)
@replica_argument
@click.argument("file", type=click.Path(path_type=Path))
def upload(desk: Desk, replica: str, file: Path) -> None:
    """Begin an entry with a file of up to 50 MB."""
    checked(file)

    async def work(sensay: Sensay, uuid: str) -> int:
        with desk.screen.bar(file.name, "bytes") as count:
            return await sensay.training.add_file(uuid, file, desk.auth, progress=count)

    _taken(desk, desk.ask_of(replica, work))


@training.command()
@verb(api.GET)
@replica_argument
@click.argument("entry", type=int)
def show(desk: Desk, replica: str, entry: int) -> None:
    """How far an entry is."""
    tell_entry(desk, desk.ask_of(replica, lambda sensay, uuid: sensay.training.get(uuid, entry, desk.auth)))


@training.command()
@verb(api.TEACH)
@replica_argument
@click.argument("entry", type=int)
@click.argument("text")
def update(desk: Desk, replica: str, entry: int, text: str) -> None:
    """Give an entry another text; `-` reads it from standard input."""
    taught = sys.stdin.read() if text == "-" else text
    desk.ask_of(replica, lambda sensay, uuid: sensay.training.teach(uuid, entry, taught, desk.auth))
    _taken(desk, entry)


@training.command()
@verb(api.DELETE)
@replica_argument
@click.argument("entry", type=int)
@yes_option
def delete(desk: Desk, replica: str, entry: int, yes: bool) -> None:
    """Forget an entry."""
    desk.confirm(f"Delete entry {entry} of {replica}, for good?", yes=yes)
    tell_deleted(
        desk, entry, desk.ask_of(replica, lambda sensay, uuid: sensay.training.delete(uuid, entry, desk.auth))
    )
