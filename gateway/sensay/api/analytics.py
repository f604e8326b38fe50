"""How much is said to a replica, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.sensay.api.operation import ADMIN, Auth, Door, OfReplica, Operation, everywhere
from gateway.sensay.api.values import Page, Thing

_ROOT = "/v1/replicas/{replica}/analytics/conversations"
_ABSENT = {
    403: "not available: analytics of this replica may not be seen",
    404: "not available: there is no such replica, or this Sensay has no analytics",
}


class Day(Thing, frozen=True):
    """`date` is a UTC day; the count includes all conversations that were ever begun until its end."""

    date: str
    cumulative_conversations: int


class Share(Thing, frozen=True):
    source: str
    conversations: int


@dataclass(frozen=True, slots=True)
class Growth:
    """One day: conversations so far, and those that are new; None for the first day that is known."""

    date: str
    total: int
    new: int | None


HISTORICAL: Operation[OfReplica, Page[Day]] = Operation(
    "analytics.historical",
    "Conversations so far, on each of the last 30 days",
    OfReplica,
    Page[Day],
    everywhere("GET", f"{_ROOT}/historical"),
    repeatable=True,
    remedies=_ABSENT,
)
SOURCES: Operation[OfReplica, Page[Share]] = Operation(
    "analytics.sources",
    "Conversations by where they came from",
    OfReplica,
    Page[Share],
    everywhere("GET", f"{_ROOT}/sources"),
    repeatable=True,
    remedies=_ABSENT,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (HISTORICAL, SOURCES)


class Analytics:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def historical(self, replica: str, auth: Auth = ADMIN) -> list[Growth]:
        """Oldest day first."""
        page = (await self._door(HISTORICAL, OfReplica(replica=replica), auth)).value
        days = sorted(page.items, key=lambda day: day.date)
        before = [None, *(day.cumulative_conversations for day in days)]
        return [
            Growth(
                day.date,
                day.cumulative_conversations,
                None if last is None else day.cumulative_conversations - last,
            )
            for day, last in zip(days, before, strict=False)
        ]

    async def sources(self, replica: str, auth: Auth = ADMIN) -> list[Share]:
        """Only sources that have a conversation."""
        return list((await self._door(SOURCES, OfReplica(replica=replica), auth)).value.items)
