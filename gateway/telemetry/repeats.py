"""The same failure again and again: the first is written, the others within a minute become one line with a count.

Two lines are the same when their words are: numbers, and what names one request only, make no difference. What
concerns one turn or message carries its reference and so stays a line of its own.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

EVERY = 60.0
"""Seconds in which the same is written once."""
MOST = 1000
"""Different failures that are remembered at a time."""
_OF_ONE_REQUEST = {"timestamp", "request_id", "fingerprint"}


@dataclass(slots=True)
class _Known:
    until: float
    last: logging.LogRecord
    count: int = 0


class Repeats:
    """Times are the caller's monotonic seconds. Ask `over` before `take`, and now and then."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()

    def take(self, record: logging.LogRecord, now: float) -> bool:
        """Whether to write this line; else it was counted."""
        if record.levelno < logging.WARNING:
            return True
        key = _words(record)
        known = self._known.get(key)
        if known is None:
            self._known[key] = _Known(now + EVERY, record)
            return True
        known.count, known.last = known.count + 1, record
        return False

    def over(self, now: float) -> Iterator[logging.LogRecord]:
        """Lines to write instead of those that were counted; each says how many in `repeated`."""
        while self._known:
            key, known = next(iter(self._known.items()))
            if known.until > now and len(self._known) <= MOST:
                return
            del self._known[key]
            if known.count:
                summary = copy(known.last)
                summary.repeated = known.count
                if known.until <= now:
                    self._known[key] = _Known(now + EVERY, known.last)
                yield summary

    @property
    def next_end(self) -> float | None:
        """When `over` has something to say at the earliest."""
        return min((known.until for known in self._known.values() if known.count), default=None)


def _words(record: logging.LogRecord) -> Hashable:
    if isinstance(record.msg, Mapping):
        fields = record.msg.items()
        said: Any = frozenset((name, str(value)) for name, value in fields if _is_word(name, value))
    else:
        words = record.args if isinstance(record.args, tuple) else ()
        said = (str(record.msg), tuple(word for word in words if isinstance(word, str)))
    failed = record.exc_info[1] if record.exc_info else None
    return record.name, record.levelno, said, repr(failed)


def _is_word(name: str, value: Any) -> bool:
    return name not in _OF_ONE_REQUEST and not isinstance(value, int | float)
