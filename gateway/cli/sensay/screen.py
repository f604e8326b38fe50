"""What a command prints: tables for people, JSON for machines, trouble in one line. rich is loaded when needed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import click
import msgspec

from gateway.errors import Ambiguous, GatewayError
from gateway.sensay.failures import remedy
from gateway.telemetry import Mask

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDE = 10_000
"""Columns of what is no terminal: nothing is cut or wrapped for whoever reads it line by line."""
GAP, NARROWEST = 2, 8
"""Columns between two cells; and of a cell that was cut."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LOOK = "it may have been done all the same: look before you do it again"


class Counts(Protocol):
    """A bar that somebody watches, or nobody."""

    def __call__(self, done: int, total: int, status: str = "", /) -> None: ...


class Screen:
    """`mask` hides secrets in whatever is printed."""

    def __init__(self, mask: Mask, *, as_json: bool) -> None:
        self._mask, self.as_json = mask, as_json
        self._open = False

    # --- what was asked for ---

    def json(self, value: Any) -> None:
        """One document."""
        self.line(json.dumps(plain(value), indent=2, ensure_ascii=False))

    def json_line(self, value: Any) -> None:
        """One of many."""
        self.line(json.dumps(plain(value), ensure_ascii=False))

    def line(self, text: str, *, nl: bool = True) -> None:
        click.echo(self._mask(text), nl=nl)
        self._open = not nl

    def end(self) -> None:
        """Of a line that grew piece by piece."""
        if self._open:
            self.line("")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, wide: str = "") -> None:
        """A row a line; what does not fit is cut, first of all in the column `wide`."""
        from rich.cells import cell_len
        from rich.table import Table

        cells = [[one_line(self._mask(str(shown(cell)))) for cell in row] for row in rows]
        needed = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
        gives_way = columns.index(wide) if wide in columns else len(columns) - 1
        room = self._console().width - GAP * (len(columns) - 1)
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
        for name, width in zip(columns, fitted(needed, gives_way, room), strict=True):
            table.add_column(name, no_wrap=True, overflow="ellipsis", width=width)
        for row in cells:
            table.add_row(*map(_text, row))
        self._draw(table)

    def fields(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """A thing: name and value a line. What is not there is left out."""
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in pairs:
            if value not in (None, "", (), [], {}):
                grid.add_row(name, _text(clean(self._mask(str(shown(value))))))
        self._draw(grid)

    def talk(self, rows: Iterable[tuple[str | None, str, str]]) -> None:
        """(time, who, what) from the oldest on. A row without a time is a remark."""
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(no_wrap=True, overflow="ellipsis", max_width=16, style="bold")
        grid.add_column(overflow="fold")
        for at, who, what in rows:
            said = clean(self._mask(what))
            grid.add_row(
                moment(at),
                _text(one_line(who)),
                Text(said, style="" if who else "italic dim", overflow="fold"),
            )
        self._draw(grid)

    def _console(self) -> Console:
        from rich.console import Console

        return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)

    def _draw(self, drawing: RenderableType) -> None:
        """Without the spaces that fill up a line, where it is not for a terminal."""
        console = self._console()
        if console.is_terminal:
            console.print(drawing)
            return
        with console.capture() as drawn:
            console.print(drawing)
        click.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()))

    # --- beside it ---

    def note(self, text: str) -> None:
        """To stderr, where it is in nobody's way."""
        self.end()
        click.echo(self._mask(clean(text)), err=True)

    def header(self, name: str, value: str) -> None:
        """Of a request; its name is no secret."""
        click.echo(f">   {name}: {self._mask(clean(value))}", err=True)

    def fail(self, error: GatewayError) -> None:
        """One line, or one document: what kind of trouble, what happened, what helps, and what to report."""
        if self.as_json:
            self.json({"error": _document(error)})
            return
        said, helps = str(error).rstrip("."), _remedy(error)
        line = f"error[{_kind(error)}]: {said}" + (f"; {helps}" if helps else "")
        marks = [
            f"{name} {error.context[name]}" for name in ("request_id", "fingerprint") if name in error.context
        ]
        line += "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        self.note(one_line(line + (f" ({', '.join(marks)})" if marks else "")))

    @contextmanager
    def bar(self, words: str, unit: str) -> Iterator[Counts]:
        """A progress bar; nothing where nobody looks. `unit`: bytes or steps."""
        if self.as_json or not sys.stderr.isatty():
            yield lambda _done, _total, _status="": None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

        last = DownloadColumn(binary_units=True) if unit == "bytes" else TextColumn("{task.fields[status]}")
        text = TextColumn("{task.description}", markup=False)
        with Progress(text, BarColumn(), last, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task(one_line(words), total=None, status="")

            def count(done: int, total: int, status: str = "") -> None:
                progress.update(task, completed=done, total=total, status=status)

            yield count


# --- words for values ---


def plain(value: Any) -> Any:
    """As JSON has it, under Sensay's names; what Sensay did not say is not there."""
    return msgspec.to_builtins(value, order=None)


def shown(value: Any) -> Any:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case tuple() | list():
            return ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{name}: {one}" for name, one in value.items())
        case _:
            return value


def moment(at: str | None) -> str:
    """A time as it is told here, to the minute."""
    try:
        return datetime.fromisoformat(at or "").astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return one_line(at or "")


def day(at: str | None) -> str:
    """The day of it, where there is little room."""
    return moment(at)[:10]


def duration(seconds: float) -> str:
    """In the unit that one would say it in."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3600:.1f} h"


def clean(text: str) -> str:
    """Without characters that would move a terminal's cursor or change its colours."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    return " ".join(clean(text).split())


def _text(value: str) -> RenderableType:
    from rich.text import Text

    return Text(value)


def fitted(needed: Sequence[int], gives_way: int, room: int) -> list[int]:
    """Widths of columns that fit. One gives way first, then the widest; the first, which has the ids, never does."""
    widths = list(needed)
    while (excess := sum(widths) - room) > 0:
        shrinkable = [index for index in range(1, len(widths)) if widths[index] > NARROWEST]
        if not shrinkable:
            break
        index = gives_way if gives_way in shrinkable else max(shrinkable, key=lambda i: widths[i])
        widths[index] = max(NARROWEST, widths[index] - excess)
    return widths


# --- words for trouble ---


def _kind(error: GatewayError) -> str:
    """The type as `gateway.errors` names it."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == GatewayError.__module__)


def _remedy(error: GatewayError) -> str:
    said = [remedy(error) or ""]
    if isinstance(error, Ambiguous):
        said.append(_LOOK)
    return "; ".join(filter(None, said))


def _document(error: GatewayError) -> dict[str, Any]:
    known = {
        "type": _kind(error),
        "message": str(error),
        "remedy": _remedy(error) or None,
        "retry_after": getattr(error, "retry_after", None),
        "notes": list(getattr(error, "__notes__", ())) or None,
    }
    kept = ("operation", "status", "code", "request_id", "fingerprint", "api_version", "asked")
    known |= {name: error.context.get(name) for name in kept}
    return {name: value for name, value in known.items() if value is not None}
