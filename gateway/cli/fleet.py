"""Verbs for the fleet: the board, bots, the configuration, conversations; all through the admin listener."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click

from gateway.cli.admin import Admin, NoAnswerError, admin_options
from gateway.cli.options import json_option

COLOURS = {"running": "green", "starting": "yellow", "degraded": "yellow", "failed": "red", "paused": "cyan"}
EVERY = 2.0
"""Seconds between two looks with `--watch`."""


@click.command()
@click.option("--watch", is_flag=True, help="Look again every two seconds, until Ctrl+C.")
@json_option
@admin_options
def status(admin: Admin, watch: bool, as_json: bool) -> None:
    """The fleet board in the terminal."""
    if as_json:
        click.echo(json.dumps(admin.ask("GET", "/status.json"), indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not watch:
        console.print(_board(admin.ask("GET", "/status.json")))
        return
    with Live(_board(admin.ask("GET", "/status.json")), console=console, screen=True) as live:
        try:
            while True:
                time.sleep(EVERY)
                live.update(_look(admin))
        except KeyboardInterrupt:
            return


def _look(admin: Admin) -> Any:
    """The board, or why there is none: whoever watches a restart wants to see its end, too."""
    from rich.text import Text

    try:
        return _board(admin.request("GET", "/status.json"))
    except NoAnswerError as error:
        return Text(str(error), style="red")


def _board(document: dict[str, Any]) -> Any:
    """Budgets, then a row a channel, trouble first."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    ready = "ready" if document["ready"] else "NOT READY: " + "; ".join(document.get("problems", ()))
    head = Text(f"sensay-gateway {document['version']}  {ready}", style="bold")
    budgets = Table("organisation", "minute", "hour", "waiting", box=None, header_style="dim")
    for name, entry in document["organizations"].items():
        windows = (entry["quota"][window] for window in ("minute", "hour"))
        budgets.add_row(name, *(f"{w['used']}/{w['limit']}" for w in windows), str(entry["waiting"]))
    fleet = Table("bot", "platform", "state", "waiting", "answered", "failed", "trouble", header_style="dim")
    rows = [
        (name, platform, channel, bot)
        for name, bot in document["bots"].items()
        for platform, channel in bot["platforms"].items()
    ]
    told: set[str] = set()
    for name, platform, channel, bot in sorted(rows, key=lambda row: (row[2]["state"] == "running", row[:2])):
        figures = (bot["queue"]["waiting"], bot["turns"]["answered"], bot["turns"]["failed"])
        fleet.add_row(
            Text(name),
            platform,
            Text(channel["state"], style=COLOURS.get(channel["state"], "")),
            *("" if name in told else str(figure) for figure in figures),  # they are the whole bot's
            Text(channel["error"] or ""),
        )
        told.add(name)
    hands = document.get("paused_conversations", ())
    paused = [
        Text(f"{one['conversation']}: a person has it until {one['until'] or 'it is given back'}")
        for one in hands
    ]
    return Group(head, budgets, fleet, *paused)


@click.group()
def bots() -> None:
    """Act on one bot, or with NAME/PLATFORM on one of its channels."""


@click.group()
def conversations() -> None:
    """Hand a conversation to a person, and back."""


def _bot_verb(verb: str, words: str) -> Callable[..., None]:
    @json_option
    @admin_options
    def act(admin: Admin, name: str, as_json: bool) -> None:
        bot, _, platform = name.partition("/")
        path = f"/-/bots/{quote(bot, safe='')}/{verb}"
        done = admin.ask("POST", path, platform=platform or None)
        click.echo(json.dumps(done) if as_json else f"{verb}: {', '.join(done['channels'])}")

    act.__doc__ = words
    return act


def _conversation_verb(verb: str, words: str) -> Callable[..., None]:
    @click.option("--for", "seconds", type=float, help="Seconds until it comes back by itself (an hour).")
    @json_option
    @admin_options
    def act(admin: Admin, id_: str, seconds: float | None, as_json: bool) -> None:
        path = f"/-/conversations/{quote(id_, safe='/')}/{verb}"
        done = admin.ask("POST", path, seconds=seconds)
        click.echo(json.dumps(done) if as_json else f"{verb}: {done['conversation']}")

    act.__doc__ = words
    return act


for _verb, _words in {
    "pause": "Take messages and keep them; ask and send nothing.",
    "resume": "Answer what was kept, and go on.",
    "restart": "Connect anew at once, whatever the backoff.",
}.items():
    bots.command(_verb)(click.argument("name", metavar="NAME[/PLATFORM]")(_bot_verb(_verb, _words)))

for _verb, _words in {
    "pause": "Answer nothing there until it is given back.",
    "resume": "Give it back to the replica.",
}.items():
    conversations.command(_verb)(
        click.argument("id_", metavar="BOT/PLATFORM/CHAT")(_conversation_verb(_verb, _words))
    )


@click.command()
@click.option("--dry-run", is_flag=True, help="Print the plan; change nothing.")
@json_option
@admin_options
def reload(admin: Admin, dry_run: bool, as_json: bool) -> None:
    """Apply the changed configuration; unchanged channels keep their connections."""
    done = admin.ask("POST", "/-/reload", dry_run=1 if dry_run else None)
    if as_json:
        click.echo(json.dumps(done, indent=2))
        return
    plan = done["plan"]
    shown = {
        name: plan[name]
        for name in ("added", "changed", "removed", "policies", "organizations")
        if plan[name]
    }
    for name, items in shown.items():
        click.echo(f"{name}: {', '.join(items)}")
    for section in plan["restart"]:
        click.echo(f"{section}: in force at the next start")
    click.echo(f"{len(plan['unchanged'])} channels unchanged" + (" (dry run)" if dry_run else ""))
