"""Long lists: the first page, one of them, so many, or all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import click

from gateway.cli.sensay.screen import Screen
from gateway.errors import InvalidArguments
from gateway.sensay.api.values import Page

T = TypeVar("T")
LARGEST = 100
"""Items of one page."""
F = TypeVar("F", bound=Callable[..., Any])


class Paged(Protocol[T]):
    """A family of the client that has a list."""

    def page(self, *whose: Any, **query: Any) -> Awaitable[Page[T]]: ...

    def list(self, *whose: Any, **query: Any) -> AsyncIterator[T]: ...


@dataclass(frozen=True)
class Some(Generic[T]):
    """`total` is None where nobody knows."""

    items: Sequence[T]
    total: int | None

    def document(self) -> dict[str, Any]:
        return {"items": list(self.items)} | ({} if self.total is None else {"total": self.total})

    def tell(
        self, screen: Screen, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, wide: str, none: str
    ) -> None:
        """As a table, and how much more there is."""
        if screen.as_json:
            screen.json(self.document())
        elif not rows:
            screen.line(none)
        else:
            screen.table(columns, rows, wide=wide)
            if self.total is not None and self.total > len(rows):
                screen.note(f"{len(rows)} of {self.total}: --limit, --page or --all shows the others")


@dataclass(frozen=True)
class Wish:
    """How much of a list: `limit` items, page `page` of that size, or all."""

    limit: int
    page: int | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        if self.page is not None and self.everything:
            raise click.UsageError("--page and --all exclude each other.")
        if self.page is not None and self.limit > LARGEST:
            raise click.UsageError(f"With --page, --limit is {LARGEST} at most.")

    async def of(self, family: Paged[T], *whose: Any, **query: Any) -> Some[T]:
        """`whose` and `query` go to the family's `page` or `list`. Raises InvalidArguments beyond the end."""
        if self.everything or self.limit > LARGEST:
            return await self.first(family.list(*whose, page_size=LARGEST, **query))
        number = self.page or 1
        found = await family.page(*whose, page=number, page_size=self.limit, **query)
        if not found.items and number > 1:
            raise _beyond(number, self.limit, found.total)
        return Some(found.items, found.total)

    async def first(self, items: AsyncIterator[T]) -> Some[T]:
        """So many of them as are wished for."""
        found: list[T] = []
        async for item in items:
            if not self.everything and len(found) == self.limit:
                return Some(found, None)
            found.append(item)
        return Some(found, len(found))


def _beyond(number: int, size: int, total: int | None) -> InvalidArguments:
    if total is None:
        return InvalidArguments(f"page {number} is beyond the end", remedy="ask for an earlier --page")
    pages = max(1, -(-total // size))
    return InvalidArguments(
        f"page {number} is beyond the end: there are {total}, on {pages} page{'s' * (pages > 1)} of {size}",
        remedy=f"ask for --page {pages} at most, or for --all",
    )


def list_options(default: int = 24, *, pages: bool = True) -> Callable[[F], F]:
    """`--limit`, `--all` and, where lists have numbers, `--page`; a command makes a `Wish` of them."""

    def decorate(function: F) -> F:
        all_ = click.option("--all", "everything", is_flag=True, help="Everything there is.")
        function = all_(function)
        if pages:
            function = click.option(
                "--page", type=click.IntRange(1), help="This page, of --limit items, in place of the first."
            )(function)
        return click.option(
            "--limit", type=click.IntRange(1), default=default, show_default=True, help="So many at most."
        )(function)

    return decorate
