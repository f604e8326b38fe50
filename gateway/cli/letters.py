from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from gateway.cli.admin import Admin, admin_options, table
from gateway.cli.options import json_option
from gateway.cli.trace import told

PATH = "/-/dead-letters"


@click.group("dead-letters")
def dead_letters() -> None:
    """What could not be answered or delivered, and why."""


@dead_letters.command("list")
@click.option("--bot", help="Of this bot only.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@click.option("--cursor", type=int, help="Where an earlier list ended.")
@json_option
@admin_options
def list_(admin: Admin, bot: str | None, limit: int, cursor: int | None, as_json: bool) -> None:
    """The newest first."""
    found = admin.ask("GET", PATH, bot=bot, limit=limit, cursor=cursor)
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif not found["items"]:
        click.echo("no dead letters")
    else:
        head = ["id", "at", "bot", "platform", "what", "cause"]
        click.echo(table([head, *(_row(letter) for letter in found["items"])]))
        if found["cursor"]:
            click.echo(f"more: --cursor {found['cursor']}")


def _row(letter: dict[str, Any]) -> list[str]:
    what = f"{letter['kind']} {letter['outcome']}"
    return [letter["id"], letter["at"], letter["bot"], letter["platform"], what, letter["cause"] or ""]


@dead_letters.command()
@click.argument("id_", metavar="ID")
@json_option
@admin_options
def show(admin: Admin, id_: str, as_json: bool) -> None:
    """One of them with its cause and its history."""
    letter = admin.ask("GET", f"{PATH}/{quote(id_, safe='')}")
    if as_json:
        click.echo(json.dumps(letter, indent=2, ensure_ascii=False))
        return
    click.echo(f"{letter['kind']} {letter['outcome']} at {letter['at']}: {letter['cause']}")
    if letter["raw"]:
        click.echo(letter["raw"])
    if letter["trace"]:
        click.echo(told(letter["trace"]))


@dead_letters.command()
@click.argument("ids", metavar="ID…", nargs=-1, required=True)
@json_option
@admin_options
def retry(admin: Admin, ids: tuple[str, ...], as_json: bool) -> None:
    """Take them up again: a turn is asked, a part sent, an update read anew."""
    _act(admin, ids, "retry", as_json=as_json)


@dead_letters.command()
@click.argument("ids", metavar="ID…", nargs=-1, required=True)
@json_option
@admin_options
def drop(admin: Admin, ids: tuple[str, ...], as_json: bool) -> None:
    """Forget them; what they are about stays as it ended."""
    _act(admin, ids, "drop", as_json=as_json)


def _act(admin: Admin, ids: tuple[str, ...], verb: str, *, as_json: bool) -> None:
    for id_ in ids:
        answer = admin.ask("POST", f"{PATH}/{quote(id_, safe='')}/{verb}")
        click.echo(json.dumps({"id": id_, **answer}) if as_json else f"{id_}: {verb} done")
