"""How much is said to a replica."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from aiohttp import web

from gateway.sandbox.sensay.bodies import Source
from gateway.sandbox.sensay.calls import Call, answer
from gateway.sandbox.sensay.replies import Day, Growth, Share, Shares

DAYS = 30


async def historical(call: Call) -> web.StreamResponse:
    """Thirty UTC days up to today; each has all conversations that were ever begun until its end."""
    begun = Counter[str]()
    for (replica, _, on), count in call.organization.talk.begun.items():
        if replica == call.replica.uuid:
            begun[on] += count
    today = datetime.fromtimestamp(call.now, UTC).date()
    days = [(today - timedelta(days=back)).isoformat() for back in reversed(range(DAYS))]
    return answer(
        Growth(
            items=[
                Day(date=day, cumulative_conversations=sum(n for on, n in begun.items() if on <= day))
                for day in days
            ]
        )
    )


async def sources(call: Call) -> web.StreamResponse:
    """Those that have a conversation at all, the busiest first."""
    counts = Counter[Source]()
    for (replica, source, _), count in call.organization.talk.begun.items():
        if replica == call.replica.uuid:
            counts[source] += count
    return answer(Shares(items=[Share(source=one, conversations=n) for one, n in counts.most_common()]))
