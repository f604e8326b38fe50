"""Figures in words and pictures, for the status page and for a bot's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from gateway.web import charts
from gateway.web.figures import Counts, Day, Figures, Share
from gateway.web.trouble import trouble

MOST_LOOKED_AT = 6
"""Bots whose figures are asked for by looking at the status page: the busiest. Each other has a page of its own."""


def figures_view(figures: Figures, now: float) -> dict[str, Any]:
    """What the templates show."""
    days, shares = figures.days, _largest_first(figures.shares)
    total = sum(share.conversations for share in shares or ())
    return {
        "known": figures.known,
        "coming": figures.coming,
        "age": None if figures.at is None else _age(now - figures.at),
        "as_of": None if figures.at is None else f"as of {_age(now - figures.at)}",
        "absent": trouble(figures.absent, now) if figures.absent else None,
        "error": trouble(figures.error, now) if figures.error else None,
        "days": None if days is None else [_day_view(day) for day in reversed(days)],
        "shares": None if shares is None else [_share_view(share, total) for share in shares],
        "total": f"{days[-1].total:,}" if days else f"{total:,}" if shares is not None else "–",
        "new": f"{sum(day.new or 0 for day in days):,}" if days else "–",
        "new_days": max(0, len(days) - 1) if days else 0,
        "line": charts.line_chart(days) if days else None,
        "bars": charts.bar_chart(days) if days else None,
        "donut": charts.donut(shares) if shares else None,
        "small": charts.small_growth(days) if days else None,
        "split": charts.small_shares(shares) if shares else None,
        "in_words": charts.shares_words(shares) if shares is not None else None,
    }


def overview(
    counts: Counts | None, bots: Mapping[str, Mapping[str, Any]], now: Callable[[], float]
) -> list[dict[str, Any]]:
    """The section of the status page: `bots` are those of `/status.json`; a replica is there once."""
    if counts is None:
        return []
    found, seen = [], set()
    for name in _busiest(bots):
        if bots[name]["replica"] in seen:
            continue
        seen.add(bots[name]["replica"])
        try:
            figures = counts.look(name)
        except KeyError:
            continue
        found.append({"name": name, "root": f"/status/bots/{quote(name)}", **figures_view(figures, now())})
        if len(found) == MOST_LOOKED_AT:
            break
    return found


def _busiest(bots: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    return sorted(bots, key=lambda name: (-bots[name]["turns"]["answered"], name))


def _largest_first(shares: Iterable[Share] | None) -> list[Share] | None:
    return None if shares is None else sorted(shares, key=lambda share: (-share.conversations, share.source))


def _day_view(day: Day) -> dict[str, Any]:
    new = "–" if day.new is None else f"{day.new:+,}" if day.new else "0"
    return {"date": day.date, "total": f"{day.total:,}", "new": new}


def _share_view(share: Share, total: int) -> dict[str, Any]:
    return {
        "source": share.source,
        "colour": charts.colour(share.source),
        "conversations": f"{share.conversations:,}",
        "percent": charts.percent(share.conversations, total),
    }


def _age(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 1:
        return "a moment ago"
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"
