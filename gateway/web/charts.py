"""Pictures of growth and shares, as SVG made here: no script, no library, and their colours are the page's.

Every picture has its whole in words; the numbers are in a table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

from markupsafe import Markup, escape

from gateway.web.figures import Day, Share

WIDE, HIGH, LEFT, BELOW, ABOVE = 440, 200, 46, 26, 10
SMALL_WIDE, SMALL_HIGH = 168, 40
_TURN = 2 * math.pi
KNOWN_SOURCES = ("telegram", "discord", "web", "embed")


def line_chart(days: Sequence[Day]) -> Markup:
    """Conversations so far, as a line over its area."""
    totals = [day.total for day in days]
    low, high, step = scale(min(totals, default=0), max(totals, default=0))
    xs, plot = _columns(days, WIDE - LEFT), HIGH - BELOW - ABOVE
    points = [
        (LEFT + x, ABOVE + plot * (1 - (total - low) / (high - low)))
        for x, total in zip(xs, totals, strict=True)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    ground = HIGH - BELOW
    area = f"{points[0][0]:.1f},{ground} {path} {points[-1][0]:.1f},{ground}" if points else ""
    last = points[-1] if points else (LEFT, ground)
    marks = f'<circle class="dot" cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="4"/>'
    drawn = f'<polygon class="area" points="{area}"/><polyline class="line" points="{path}"/>{marks}'
    return _chart("growth", growth_words(days), _grid(low, high, step) + drawn + _dates(days, xs))


def bar_chart(days: Sequence[Day]) -> Markup:
    """New conversations, a bar for each day."""
    low, high, step = scale(0, max((day.new or 0 for day in days), default=0))
    xs, plot = _columns(days, WIDE - LEFT), HIGH - BELOW - ABOVE
    width = max(2.0, (WIDE - LEFT) / max(1, len(days)) * 0.66)
    bars = []
    for x, day in zip(xs, days, strict=True):
        if day.new and day.new > 0:
            tall = plot * day.new / high
            title = f"<title>{escape(day.date)}: {day.new}</title>"
            bars.append(
                f'<rect class="bar" x="{LEFT + x - width / 2:.1f}" y="{ABOVE + plot - tall:.1f}" '
                f'width="{width:.1f}" height="{tall:.1f}" rx="2">{title}</rect>'
            )
    return _chart("daily", daily_words(days), _grid(low, high, step) + "".join(bars) + _dates(days, xs))


def donut(shares: Sequence[Share]) -> Markup:
    """Shares of the sources, the largest first, from the top clockwise; the total in the middle."""
    total = sum(share.conversations for share in shares)
    radius, thick, gap = 74, 26, 2.5
    around, start, arcs = _TURN * radius, 0.0, []
    for share in shares:
        length = around * share.conversations / total if total else 0.0
        shown = max(0.0, length - (gap if len(shares) > 1 else 0.0))
        arcs.append(
            f'<circle class="slice {colour(share.source)}" cx="100" cy="100" r="{radius}" fill="none" '
            f'stroke-width="{thick}" stroke-dasharray="{shown:.2f} {around - shown:.2f}" '
            f'stroke-dashoffset="{-start:.2f}" transform="rotate(-90 100 100)"/>'
        )
        start += length
    words = escape(shares_words(shares))
    middle = (
        f'<text class="sum" x="100" y="100" text-anchor="middle">{total:,}</text>'
        '<text class="unit" x="100" y="120" text-anchor="middle">conversations</text>'
    )
    ring = f'<circle class="ring" cx="100" cy="100" r="{radius}" fill="none" stroke-width="{thick}"/>'
    return _svg("donut", words, 200, 200, ring + "".join(arcs) + middle)


def small_growth(days: Sequence[Day]) -> Markup:
    """Both in one, for a line of a table: the daily bars and the line above them."""
    most = max((day.new or 0 for day in days), default=0) or 1
    totals = [day.total for day in days]
    low, high = min(totals, default=0), max(totals, default=0)
    xs, width = _columns(days, SMALL_WIDE), SMALL_WIDE / max(1, len(days)) * 0.62
    bars = "".join(
        f'<rect class="bar" x="{x - width / 2:.1f}" y="{SMALL_HIGH - 16 * day.new / most:.1f}" '
        f'width="{width:.1f}" height="{16 * day.new / most:.1f}"/>'
        for x, day in zip(xs, days, strict=True)
        if day.new and day.new > 0
    )
    rise = (SMALL_HIGH - 8) / ((high - low) or 1)
    points = " ".join(
        f"{x:.1f},{SMALL_HIGH - 4 - (total - low) * rise:.1f}" for x, total in zip(xs, totals, strict=True)
    )
    words = escape(growth_words(days))
    drawn = f'{bars}<polyline class="line" points="{points}"/>'
    return _svg("spark", words, SMALL_WIDE, SMALL_HIGH, drawn)


def small_shares(shares: Sequence[Share]) -> Markup:
    """One bar, divided."""
    total = sum(share.conversations for share in shares) or 1
    x, drawn = 0.0, ""
    for share in shares:
        width = SMALL_WIDE * share.conversations / total
        shown = max(1.0, width - 2)
        drawn += (
            f'<rect class="{colour(share.source)}" x="{x:.1f}" y="0" width="{shown:.1f}" height="10" rx="2"/>'
        )
        x += width
    return _svg("split", escape(shares_words(shares)), SMALL_WIDE, 10, drawn)


def colour(source: str) -> str:
    """The class of its colour."""
    return f"source-{source}" if source in KNOWN_SOURCES else "source-other"


# --- in words ---


def growth_words(days: Sequence[Day]) -> str:
    if not days:
        return "No days are known"
    first, last = days[0], days[-1]
    return f"Conversations so far: {first.total:,} on {first.date}, {last.total:,} on {last.date}"


def daily_words(days: Sequence[Day]) -> str:
    known = [day for day in days if day.new is not None]
    if not known:
        return "No days are known"
    most = max(known, key=lambda day: day.new or 0)
    new = sum(day.new or 0 for day in known)
    return f"New conversations: {new:,} in {len(known)} days, most on {most.date}: {most.new:,}"


def shares_words(shares: Sequence[Share]) -> str:
    total = sum(share.conversations for share in shares)
    if not total:
        return "No conversations yet"
    return ", ".join(f"{share.source} {percent(share.conversations, total)}" for share in shares)


def percent(part: int, total: int) -> str:
    return f"{100 * part / total:.1f} %" if total else "–"


# --- drawing ---


def scale(least: int, most: int) -> tuple[int, int, int]:
    """Round numbers around the values: from, to, step; at most six lines. An axis of a line need not begin at 0."""
    span = max(1, most - least)
    step = next(
        step for power in range(64) for step in (10**power, 2 * 10**power, 5 * 10**power) if span / step <= 4
    )
    low = least // step * step
    return low, max(low + step, -(-most // step) * step), step


def _columns(days: Sequence[Day], width: float) -> list[float]:
    """The middles of as many columns."""
    return [width * (index + 0.5) / len(days) for index in range(len(days))]


def _grid(low: int, high: int, step: int) -> str:
    plot, drawn = HIGH - BELOW - ABOVE, ""
    for value in range(low, high + 1, step):
        y = ABOVE + plot * (1 - (value - low) / (high - low))
        drawn += f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDE}" y2="{y:.1f}"/>'
        drawn += f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'
    return drawn


def _short(value: int) -> str:
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= 10 * unit and value % (unit // 10 or 1) == 0:
            return f"{value / unit:g}{name}"
    return f"{value:,}"


def _dates(days: Sequence[Day], xs: Sequence[float]) -> str:
    """About five of them below the picture."""
    every = max(1, math.ceil(len(days) / 5))
    return "".join(
        f'<text x="{LEFT + x:.1f}" y="{HIGH - 6}" text-anchor="middle">{escape(short_date(day.date))}</text>'
        for index, (day, x) in enumerate(zip(days, xs, strict=True))
        if index % every == every // 2
    )


def short_date(day: str) -> str:
    """`2026-11-05` → `5 Nov`; what is no date stays as it is."""
    try:
        known = date.fromisoformat(day)
    except ValueError:
        return day
    return f"{known.day} {known:%b}"


def _chart(kind: str, words: str, drawn: str) -> Markup:
    return _svg(f"chart {kind}", escape(words), WIDE, HIGH, drawn)


def _svg(kind: str, words: str, width: int, height: int, drawn: str) -> Markup:
    return Markup(  # noqa: S704 - numbers, and words that are escaped
        f'<svg class="{kind}" role="img" aria-label="{words}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><title>{words}</title>{drawn}</svg>'
    )
