from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from gateway.cli.sensay.desk import Desk, replica_argument, verb
from gateway.sensay.api import analytics as api

WIDTH = 30
"""Columns of the longest bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


@click.group()
def analytics() -> None:
    """How much is said to a replica, and where."""


@analytics.command()
@verb(api.HISTORICAL)
@replica_argument
def growth(desk: Desk, replica: str) -> None:
    """Conversations of the last 30 days, UTC: so far, and new on each day."""
    days = desk.ask_of(replica, lambda sensay, uuid: sensay.analytics.historical(uuid, desk.auth))
    if desk.screen.as_json:
        desk.screen.json({"items": [asdict(day) for day in days]})
    elif not days:
        desk.screen.line("no conversations yet")
    else:
        drawn = bars([day.new or 0 for day in days])
        rows = [(day.date, day.total, day.new, bar) for day, bar in zip(days, drawn, strict=True)]
        desk.screen.table(["day", "so far", "new", ""], rows)


@analytics.command()
@verb(api.SOURCES)
@replica_argument
def sources(desk: Desk, replica: str) -> None:
    """Conversations by where they came from."""
    shares = desk.ask_of(replica, lambda sensay, uuid: sensay.analytics.sources(uuid, desk.auth))
    if desk.screen.as_json:
        desk.screen.json({"items": shares})
    elif not shares:
        desk.screen.line("no conversations yet")
    else:
        counts = [share.conversations for share in shares]
        parts = [f"{100 * count / max(1, sum(counts)):.1f} %" for count in counts]
        names = [share.source for share in shares]
        rows = list(zip(names, counts, parts, bars(counts), strict=True))
        desk.screen.table(["source", "conversations", "share", ""], rows)


def bars(values: Sequence[int]) -> list[str]:
    """To the eighth of a column; what is not nothing can be seen."""
    longest = max([*values, 1])
    drawn = []
    for value in values:
        eighths = max(round(max(value, 0) / longest * WIDTH * 8), 1 if value > 0 else 0)
        drawn.append(("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip())
    return drawn
