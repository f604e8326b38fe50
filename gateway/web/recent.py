"""An observer for the status page: how long answers took lately, and how many there were, minute by minute. Bounded."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass

from gateway.ports import DeliveryEnded, Fact, TurnEnded

MINUTES = 60
DURATIONS = 200
"""Answers of a bot that its percentiles are taken from."""
OPEN = 5_000


@dataclass
class Minute:
    """One minute of one bot. `at` is its number since the epoch."""

    at: int
    answered: int = 0
    failed: int = 0


class Recent:
    """Remembers the last hour of every bot."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DURATIONS))
        self._minutes: dict[str, deque[Minute]] = defaultdict(lambda: deque(maxlen=MINUTES))
        self._open: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def __call__(self, fact: Fact) -> None:
        if isinstance(fact, TurnEnded):
            self._count(fact)
        elif isinstance(fact, DeliveryEnded) and fact.last and fact.outcome == "sent":
            bot, accepted_at = self._open.pop(fact.owner, ("", 0.0))
            if bot:
                self._seconds[bot].append(max(0.0, fact.at - accepted_at))

    def _count(self, fact: TurnEnded) -> None:
        minutes, number = self._minutes[fact.bot], int(fact.ended_at // 60)
        if not minutes or minutes[-1].at != number:
            minutes.append(Minute(number))
        if fact.outcome == "answered":
            minutes[-1].answered += 1
        else:
            minutes[-1].failed += 1
        if fact.parts:
            self._open[fact.turn] = fact.bot, fact.accepted_at
            if len(self._open) > OPEN:
                self._open.popitem(last=False)

    def percentile(self, bot: str, share: float) -> float | None:
        """Seconds from accepted to delivered; None before the first answer."""
        seconds = sorted(self._seconds.get(bot, ()))
        return seconds[min(len(seconds) - 1, int(share * len(seconds)))] if seconds else None

    def hour(self, bot: str, now: float) -> list[Minute]:
        """The last 60 minutes, oldest first, the quiet ones too."""
        known = {minute.at: minute for minute in self._minutes.get(bot, ())}
        last = int(now // 60)
        return [known.get(at, Minute(at)) for at in range(last - MINUTES + 1, last + 1)]

    def keep(self, bots: set[str]) -> None:
        """Forget all others."""
        for known in (self._seconds, self._minutes):
            for gone in known.keys() - bots:
                del known[gone]
