from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from gateway.cli.sensay.channels import CHANNELS, data_of
from gateway.cli.sensay.desk import Desk, replica_argument, verb
from gateway.errors import GatewayError, Permanent
from gateway.sensay.api import history as api
from gateway.sensay.api.history import Entry
from gateway.sensay.api.operation import Channel

EVERY = 5.0
"""Seconds between two looks; each is a request."""


@click.command()
@verb(api.LIST, api.SAVE)
@replica_argument
@click.option("--channel", type=click.Choice(CHANNELS), help="Of this channel only.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is said from now on, until Ctrl+C.")
@click.option(
    "--every", type=click.FloatRange(1), default=EVERY, show_default=True, help="With --follow: seconds."
)
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="The last so many.")
@click.option("--all", "everything", is_flag=True, help="From the beginning.")
@click.option("--save", metavar="TEXT", help="Keep this message, without an answer.")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="With --save: see `sensay chat --help`.")
def history(
    desk: Desk,
    replica: str,
    channel: Channel | None,
    follow: bool,
    every: float,
    limit: int,
    everything: bool,
    save: str | None,
    data: tuple[str, ...],
) -> None:
    """What REPLICA and the user that one asks as have said to each other."""
    if save is not None:
        _save(desk, replica, save, channel or "web", data)
        return
    if follow:
        with suppress(KeyboardInterrupt):
            _follow(desk, replica, channel, every, None if everything else limit)
        return
    entries = desk.ask_of(replica, lambda sensay, uuid: sensay.history.list(uuid, desk.auth, channel))
    shown = entries if everything else entries[max(0, len(entries) - limit) :]
    if desk.screen.as_json:
        desk.screen.json({"items": shown, "total": len(entries)})
        return
    _show(desk, shown)
    if not entries:
        desk.screen.line("nothing was said yet")
    elif len(shown) < len(entries):
        desk.screen.note(f"the last {len(shown)} of {len(entries)}: --limit or --all shows more")


def _show(desk: Desk, entries: Sequence[Entry]) -> None:
    if entries:
        desk.screen.talk([(one.created_at, one.role, one.content) for one in entries])


def _save(desk: Desk, replica: str, text: str, channel: str, data: tuple[str, ...]) -> None:
    fields: dict[str, Any] = {"channel": channel} | data_of(channel, data)
    desk.ask_of(replica, lambda sensay, uuid: sensay.history.save(uuid, text, desk.auth, **fields))
    if desk.screen.as_json:
        desk.screen.json({"saved": True, "channel": channel})
    else:
        desk.screen.line("saved")


def _follow(desk: Desk, replica: str, channel: Channel | None, every: float, first: int | None) -> None:
    """Trouble that may pass is told and looked past; anything else ends it."""
    seen: set[object] | None = None
    while True:
        try:
            entries = desk.ask_of(replica, lambda sensay, uuid: sensay.history.list(uuid, desk.auth, channel))
        except GatewayError as error:
            if seen is None or isinstance(error, Permanent):
                raise
            desk.screen.fail(error)
        else:
            fresh = [one for one in entries if seen is None or _identity(one) not in seen]
            if seen is None and first is not None:
                fresh = fresh[max(0, len(fresh) - first) :]
            seen = {_identity(one) for one in entries}
            if desk.screen.as_json:
                for one in fresh:
                    desk.screen.json_line(one)
            else:
                _show(desk, fresh)
        asyncio.run(desk.pause(every))


def _identity(entry: Entry) -> object:
    return entry.id if entry.id is not None else (entry.created_at, entry.role, entry.content)
