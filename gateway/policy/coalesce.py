"""Which waiting messages of one sender become one turn.

The first message of a quiet conversation goes at once: holding it back would cost more than all of our own latency.
What the same sender says while a turn is in flight or waits for quota is asked together, in one turn, which saves
budget exactly when it is short.

`hold` is the bot's `coalesce`: 0 as above, a positive duration also holds the first message that long for company,
None (off) never joins. Messages with one `join_key` are parts of one message that the platform or the client split (an
album, a long paste): they stay together whatever `hold` says, and wait for the last part's `not_before`. A message with
a deadline is answered at an address of its own (a Discord interaction), so it is asked alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import inf

from gateway.messages import Head


def due(heads: Sequence[Head], hold: float | None) -> float:
    """When the first turn of these messages of one sender, oldest first, may leave (-inf: at any time)."""
    first = heads[0]
    released = _released(heads[: _parts(heads, 0)] if first.join_key is not None else (first,))
    if not hold or first.deadline is not None:
        return released
    return max(released, first.accepted_at + hold)


def together(
    heads: Sequence[Head], now: float, hold: float | None, *, most: int = 20, size: int = 8000
) -> tuple[Head, ...]:
    """The messages of the first turn; `heads` is not empty and due.

    At most `most` of them and `size` characters, but the parts of one message are never parted.
    """
    if len(heads) == 1:
        return (heads[0],)
    end = _parts(heads, 0)
    if hold is None or heads[0].deadline is not None:
        return tuple(heads[:end])
    characters = sum(head.size for head in heads[:end])
    while end < len(heads) and heads[end].deadline is None:
        parts = heads[end : _parts(heads, end)]
        characters += sum(head.size for head in parts)
        if _released(parts) > now or end + len(parts) > most or characters > size:
            break
        end += len(parts)
    return tuple(heads[:end])


def _parts(heads: Sequence[Head], start: int) -> int:
    """Where the message that begins at `start` ends."""
    join_key = heads[start].join_key
    end = start + 1
    if join_key is not None:
        for head in islice(heads, end, None):
            if head.join_key != join_key:
                break
            end += 1
    return end


def _released(parts: Sequence[Head]) -> float:
    return max([part.not_before for part in parts if part.not_before is not None], default=-inf)
