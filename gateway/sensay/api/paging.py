"""Long lists, read page by page, while items arrive, move and go.

Pages by number shift under the reader: what arrives in front pushes items that were seen onto the next page, and what
moves to the front leaves the page that is still to come. So items are told apart by id, each is given once, and when
a pass has seen fewer than the total there is another one for what moved, as long as passes find something.
Cursors do not shift; a cursor whose message is gone makes the reader begin again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

from gateway.errors import Permanent
from gateway.sensay.api.values import Page

T = TypeVar("T")
PASSES = 6
REPEATED = 2
"""Pages in a row that are the one before again: whoever answers like this knows no pages."""
BAD_REQUEST, NOT_FOUND = 400, 404

FetchPage: TypeAlias = Callable[[int, int], Awaitable[Page[T]]]
"""(page from 1, spelling) → page."""


async def by_number(
    fetch: FetchPage[T], size: int, identity: Callable[[T], object], spellings: int = 1
) -> AsyncIterator[T]:
    """Each item once. `spellings` is how many ways there are to name a page; one that is refused, or that answers with
    the same page again, gives way to the next.
    """
    reader = _ByNumber(fetch, size, identity, spellings)
    for _ in range(PASSES):
        before = len(reader.seen)
        async for item in reader.run():
            yield item
        if reader.complete or len(reader.seen) == before:
            return


class _ByNumber(Generic[T]):
    def __init__(
        self, fetch: FetchPage[T], size: int, identity: Callable[[T], object], spellings: int
    ) -> None:
        self._fetch, self._size, self._identity = fetch, size, identity
        self._spelling, self._last_spelling = 0, spellings - 1
        self.seen: set[object] = set()
        self._passed: set[object] = set()
        self._total: int | None = None
        self._shrunk = False

    @property
    def complete(self) -> bool:
        """Whether the last pass saw all there is; without a total the end is what it seems to be."""
        return self._total is None or (len(self._passed) >= self._total and not self._shrunk)

    async def run(self) -> AsyncIterator[T]:
        """One pass from the first page to the last."""
        number, repeated, before = 1, 0, list[object]()
        self._passed, self._shrunk = set(), False
        while repeated < REPEATED:
            page = await self._page(number, before)
            if page is None:
                return
            ids = [self._identity(item) for item in page.items]
            repeated, before = (repeated + 1 if ids == before else 0), ids
            self._passed.update(ids)
            for id_, item in zip(ids, page.items, strict=True):
                if id_ not in self.seen:
                    self.seen.add(id_)
                    yield item
            if self._is_last(number, page):
                return
            number += 1

    def _is_last(self, number: int, page: Page[T]) -> bool:
        if not page.items:
            return True
        if self._total is None:
            return len(page.items) < self._size
        return self.complete or number * self._size >= self._total

    async def _page(self, number: int, before: list[object]) -> Page[T] | None:
        """None: beyond the end, as some say it with a 404."""
        try:
            page = await self._fetch(number, self._spelling)
        except Permanent as error:
            status = error.context.get("status")
            if status == NOT_FOUND and number > 1:
                return None
            if status != BAD_REQUEST or self._spelling == self._last_spelling or self.seen:
                raise
            self._spelling += 1
            return await self._page(number, before)
        if before and before == list(map(self._identity, page.items)):
            page = await self._page_otherwise(number) or page
        self._shrunk |= self._total is not None and page.total is not None and page.total < self._total
        self._total = page.total
        return page

    async def _page_otherwise(self, number: int) -> Page[T] | None:
        """The page before came again: whoever does not know the name of the number always gives the first."""
        if self._spelling == self._last_spelling:
            return None
        try:
            page = await self._fetch(number, self._spelling + 1)
        except Permanent:
            self._last_spelling = self._spelling
            return None
        self._spelling += 1
        return page


FetchBefore: TypeAlias = Callable[[str | None], Awaitable[Page[T]]]
"""The newest items, or those right before this one."""


async def by_cursor(
    fetch: FetchBefore[T], oldest: Callable[[Sequence[T]], str | None], identity: Callable[[T], object]
) -> AsyncIterator[tuple[T, ...]]:
    """Pages from the newest to the oldest, each item once. `oldest` is the cursor for what comes before a page."""
    seen: set[object] = set()
    cursor: str | None = None
    restarted = False
    while True:
        try:
            page = await fetch(cursor)
        except Permanent as error:
            if cursor is None or restarted or error.context.get("status") != BAD_REQUEST:
                raise
            cursor, restarted = (
                None,
                True,
            )  # the message is gone: from the beginning, and on from where we were
            continue
        fresh = tuple(item for item in page.items if identity(item) not in seen)
        seen.update(map(identity, fresh))
        if fresh:
            yield fresh
        following = oldest(page.items)
        if following is None or following == cursor or page.has_more is False or not (fresh or restarted):
            return
        cursor = following
