"""Finding a turn in a history after its outcome was lost. Pure, and a heuristic: a history has no ids of ours."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal

from gateway.sensay.models import HistoryItem

CLOCK_SLACK = 5.0
"""Seconds by which a question may seem older than the moment it was asked: clocks differ."""


def answer_in(
    items: Iterable[HistoryItem], text: str, since: float, source: str | None = None
) -> HistoryItem | Literal["pending"] | None:
    """The answer to the newest `text` asked at or after `since`; `"pending"` when there is none yet.

    Only the entry right after the question counts. When another message stands between, nobody can say whose
    answer follows, and the wrong answer in the wrong chat is worse than asking again later: pending, too.
    """
    filed = [item for item in items if source in (None, item.source)]
    filed.sort(key=lambda item: item.at)  # stable: entries of one instant keep their order
    for entry, following in reversed(list(pairwise([*filed, None]))):
        if entry is not None and _is_question(entry, text, since):
            answered = following is not None and following.role == "assistant" and following.content.strip()
            return following if following is not None and answered else "pending"
    return None


def _is_question(entry: HistoryItem, text: str, since: float) -> bool:
    return entry.role == "user" and entry.content.strip() == text.strip() and entry.at >= since - CLOCK_SLACK
