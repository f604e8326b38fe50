"""What a minute's window keeps free for bots that are quiet just now.

Counting alone is not fair: a noisy bot that takes every slot of the minute in its first tenth of a second makes the
quiet ones wait for the window, however fair the queue is. So some slots are held for recently active bots that have no
turn waiting, as many as they may still need in this minute, and at most half the window:

    held = min(limit / 2, need - spent),   need = rate + 2 * sqrt(rate)

where `rate` is how many turns a minute these bots together took in the last `HORIZON` minutes, or since the first of
them (each no more than its share by weight, so that a noisy bot that pauses is not expected to be noisy), and `spent`
what they took in this one.
The root is the spread of people who come independently of each other (Poisson): two of them cover 97 minutes of a
hundred.

What is held is there for whoever stays within its own recent rate, `allowance = 1 + rate + 2 * sqrt(rate)`, again no
more than its share by weight, or `FEW`: a first turn always, and a handful is nobody's noise. Everybody else leaves it
free. What nobody may need is not held.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil, inf, sqrt

HORIZON = 5
"""Minutes' windows that say how active a bot is."""
FEW = 3.0
"""Turns a minute that are never more than a bot's share, however many bots there are."""
GLIMPSE = 1 / 2
"""The shortest part of a window from which a rate is guessed."""


@dataclass(slots=True)
class _Account:
    """One bot that was active recently or has a turn waiting. The last two are its part of the pool's sums."""

    weight: float
    recent: int = 0
    spent: int = 0
    waits: bool = False
    pooled_recent: int = 0
    pooled_spent: int = 0


class Pacing:
    """Keeps who is recently active, and how much is held for those of them that do not wait."""

    def __init__(self) -> None:
        self.limit = 1
        self._accounts: dict[str, _Account] = {}
        self._starts: deque[tuple[float, str]] = deque()
        self._reach = inf
        self._since = -inf
        """When the first of the starts was that were counted without a pause of the horizon."""
        self._windows: float = HORIZON
        """Over how many windows the starts that we know are spread."""
        self._weights = 0.0
        self._recent = 0
        self._spent = 0

    def held(self) -> int:
        """Slots of the minute that bots beyond their allowance leave free."""
        rate = self._recent / self._windows
        return max(0, min(self.limit // 2, ceil(rate + 2 * sqrt(rate)) - self._spent))

    def within(self, bot: str) -> bool:
        """Whether the bot's next turn is within its allowance."""
        account = self._accounts.get(bot)
        return account is None or account.spent + 1 <= self._allowance(account)

    def started(self, bot: str, weight: float, now: float) -> None:
        """A turn of the bot left."""
        if not self._starts:
            self._since = now
        self._starts.append((now, bot))
        account = self._account(bot, weight)
        account.recent += 1
        self._pool(bot, account)

    def update(self, bot: str, weight: float, *, waits: bool, spent: int) -> None:
        """What is true of the bot now: whether it has a turn waiting, and its requests in the minute."""
        account = self._accounts.get(bot)
        if account is None or account.weight != weight:
            if not waits and account is None:
                return
            account = self._account(bot, weight)
        if account.waits != waits or account.spent != spent:
            account.waits, account.spent = waits, spent
            self._pool(bot, account)

    def pass_time(self, now: float, minute: float) -> None:
        """Forget starts that are older than the horizon."""
        self._reach = HORIZON * minute
        self._windows = min(HORIZON, max(GLIMPSE, (now - self._since) / minute))
        while self._starts and self._next_expiry() <= now:
            bot = self._starts.popleft()[1]
            account = self._accounts[bot]
            account.recent -= 1
            self._pool(bot, account)

    def next_change(self, now: float) -> float:
        """When less may be held although nothing happened: at once more is known, or the oldest start is forgotten."""
        if self._windows < HORIZON:
            return now + self._reach / HORIZON / 60
        return self._next_expiry()

    def _next_expiry(self) -> float:
        return self._starts[0][0] + self._reach if self._starts else inf

    def _account(self, bot: str, weight: float) -> _Account:
        account = self._accounts.get(bot)
        if account is None:
            account = self._accounts[bot] = _Account(weight)
            self._weights += weight
        elif account.weight != weight:
            self._weights += weight - account.weight
            account.weight = weight
        return account

    def _share(self, account: _Account) -> float:
        return max(FEW, self.limit * account.weight / self._weights)

    def _allowance(self, account: _Account) -> float:
        rate = account.recent / self._windows
        return min(self._share(account), 1 + rate + 2 * sqrt(rate))

    def _pool(self, bot: str, account: _Account) -> None:
        """Put the bot's part into the sums, or take it out while it waits."""
        recent = spent = 0
        if not account.waits:
            recent = min(account.recent, ceil(self._windows * self._share(account)))
            spent = min(account.spent, int(self._allowance(account)))
        self._recent += recent - account.pooled_recent
        self._spent += spent - account.pooled_spent
        account.pooled_recent, account.pooled_spent = recent, spent
        if not account.recent and not account.waits:
            self._close(bot, account)

    def _close(self, bot: str, account: _Account) -> None:
        self._spent -= account.pooled_spent
        del self._accounts[bot]
        self._weights = self._weights - account.weight if self._accounts else 0.0
