"""What the pages of conversations show, and the contract of who reads it. Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.errors import GatewayError

Sort = Literal["latest", "replies", "begun"]
MOST_OPEN = 10
"""Placeholders that one page shows opened."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation in the list."""

    id: str
    name: str | None = None
    source: str | None = None
    group: bool = False
    messages: int | None = None
    replies: int | None = None
    began_at: float | None = None
    last_at: float | None = None


@dataclass(frozen=True, slots=True)
class Talks:
    """A page of the list, as Sensay had it at `at`. `pages` is None when Sensay does not say how many there are."""

    items: tuple[Talk, ...]
    page: int
    at: float
    total: int | None = None
    pages: int | None = None

    @property
    def more(self) -> bool:
        return bool(self.items) and (self.pages is None or self.page < self.pages)


@dataclass(frozen=True, slots=True)
class Line:
    """A message."""

    id: str
    role: str
    text: str
    who: str | None = None
    source: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """`count` messages that are left out. `key` says where: `before-UUID`, `after-UUID` or `all`; `until` is the
    message at its other end, if that is known. `error`: why it did not open.
    """

    key: str
    count: int
    until: str | None = None
    error: GatewayError | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """A question to the replica and its answers."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """Messages that a gap `key` stood for."""

    key: str
    lines: tuple[Line, ...]


Piece = Mention | Gap | Opened


@dataclass(frozen=True, slots=True)
class Thread:
    """A page of a conversation, oldest first, as Sensay had it at `at`.

    `earlier` and `later` are the cursors of its neighbours, None at an end. `talk` is what the list said of it. `lost`:
    the cursor was no message of the conversation, so this is the latest page.
    """

    pieces: tuple[Piece, ...]
    at: float
    earlier: str | None = None
    later: str | None = None
    talk: Talk | None = None
    lost: bool = False


class Reader(Protocol):
    """Reads conversations under the organisation's quota, after everybody who waits for an answer, and remembers them
    for a while. All raise KeyError for an unknown bot, and GatewayError: NoRoom says when there is room again.
    """

    async def talks(self, bot: str, page: int, sort: Sort) -> Talks: ...

    async def thread(
        self, bot: str, conversation: str, *, before: str | None, after: str | None, opened: Collection[str]
    ) -> Thread:
        """The latest page, or the one before or after a message, with these gaps opened where they are on it."""
        ...

    async def part(self, bot: str, conversation: str, gap: Gap) -> tuple[Piece, ...]:
        """What a gap stands for, oldest first; a long one leaves a smaller gap."""
        ...
