"""Small pictures for the status page, as SVG made here: they need no script and pass the strictest policy."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gateway.web.recent import Minute

WIDTH, HEIGHT, STEP = 180, 28, 3


def hour_bars(minutes: Sequence[Minute]) -> Markup:
    """Answers a minute as bars, failures on top of them in another colour, with the whole said in words."""
    most = max((minute.answered + minute.failed for minute in minutes), default=0) or 1
    bars = []
    for index, minute in enumerate(minutes):
        x = index * STEP
        good = round((HEIGHT - 2) * minute.answered / most, 1)
        bad = round((HEIGHT - 2) * minute.failed / most, 1)
        if good:
            bars.append(_bar("good", x, HEIGHT - good, good))
        if bad:
            bars.append(_bar("bad", x, HEIGHT - good - bad, bad))
    answered = sum(minute.answered for minute in minutes)
    failed = sum(minute.failed for minute in minutes)
    words = f"Last hour: {answered} answered, {failed} not"
    base = f'<rect class="base" x="0" y="{HEIGHT - 1}" width="{WIDTH}" height="1"/>'
    svg = (
        f'<svg class="hour" role="img" aria-label="{words}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}"><title>{words}</title>{base}{"".join(bars)}</svg>'
    )
    return Markup(svg)  # noqa: S704 - numbers only


def _bar(kind: str, x: float, y: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x}" y="{round(y, 1)}" width="{STEP - 1}" height="{height}"/>'
