"""How much of an organisation's budget is left: strict sliding logs, all limits at once.

Theory. A limit is "at most N requests in a window of W seconds". The server may keep it as fixed windows, as a sliding
log or as a token bucket (N tokens, N/W a second), and we do not know which. If every interval of length W holds at most
N arrivals, all three agree: a fixed window is such an interval; a sliding log is this very rule; and an interval of
length T holds at most N * ceil(T / W) <= N + N * T / W arrivals, which is what a full bucket grants. So one strict log
satisfies them all, without a burst at a window's edge.

The log is ours, the arrivals are the server's: a request arrives somewhere between its leaving and its answer, and two
that leave W apart arrive closer together when the first was slow. So a request counts from the latest moment at which
it can have arrived: when its answer came, but no later than `TRANSIT` after it left. Each window is longer by `GUARD`
for clocks of different speed, and by a slack, which is nothing until the server says 429 all the same (somebody else
uses the same key, or the limit is lower than configured). Then the slack doubles, up to a whole minute's window, which
halves the rate, and halves with every `QUIET` windows without a 429. The 429s of requests that left before the last
lesson are part of it.

Reserves. A bot with a reserve of R completions an hour costs the budget max(R, what it spent): its use while that is
more, else the reserve. The sum over all bots stays within the hour. A grant to the owner of an unspent reserve does not
change the sum, so a reserve is there whenever its owner wants it; any other grant adds one and needs room. Nothing of
it can be lent: in a sliding hour a lent slot comes back only after an hour in which the owner may want it.
Reserves that exceed the hour together shrink in proportion; one slot always stays common.

Classes. Replies, and the users that they need, may take every slot. Context records leave free what replies took in the
last minute (at least a tenth of the limit, at most half) and take at most half themselves. Operator commands leave a
twentieth more, and a tenth of the hour. So neither makes a reply wait.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, inf
from operator import attrgetter

from gateway.messages import Spend, SpendClass

TRANSIT = 0.25
"""Seconds that a request may travel longer than others: a connection to open, a commit, a busy event loop."""
GUARD = 0.0005
"""How much faster the server's clock may run: 500 parts in a million, as much as NTP slews."""
SLACK = 1 / 120
"""The first lesson of a 429, as a part of the minute's window."""
QUIET = 10
"""Minutes' windows without a 429 after which slack halves."""

KINDS: tuple[SpendClass, ...] = ("reply", "user", "record", "operator")
REPLIES = KINDS[:2]
"""The classes that people wait for; only these count as a bot's own."""

_counted_from = attrgetter("counted_from")


@dataclass(frozen=True, slots=True)
class Steady:
    """Seconds since the epoch that do not jump when the clock is set: made once, then asked with monotonic time."""

    wall: float
    monotonic: float

    def __call__(self, monotonic: float) -> float:
        return self.wall + (monotonic - self.monotonic)


@dataclass(slots=True, eq=False)
class _Entry:
    """One request in the logs. `bot` is empty for the low classes; `logs` is in how many logs it still counts."""

    id: str
    bot: str
    kind: SpendClass
    at: float
    counted_from: float
    logs: int = 0


@dataclass(slots=True, eq=False)
class Window:
    """The log of one limit: entries by the time they count from, and how many each bot and class has.

    `period` is how long an entry counts: the window and its margin.
    """

    limit: int = 1
    length: float = 0.0
    period: float = 0.0
    log: list[_Entry] = field(default_factory=list)
    bots: dict[str, int] = field(default_factory=dict)
    kinds: dict[SpendClass, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    def insert(self, entry: _Entry) -> None:
        if not self.log or self.log[-1].counted_from <= entry.counted_from:
            self.log.append(entry)
        else:
            insort(self.log, entry, key=_counted_from)

    def remove(self, entry: _Entry) -> bool:
        """Take an entry out of the log, wherever it stands; False if it is not there."""
        for index in range(bisect_left(self.log, entry.counted_from, key=_counted_from), len(self.log)):
            if self.log[index] is entry:
                del self.log[index]
                return True
            if self.log[index].counted_from > entry.counted_from:
                return False
        return False

    def expire(self, now: float) -> list[_Entry]:
        """Take out and return what no longer counts."""
        if self.next_expiry() > now:
            return []
        gone = bisect_right(self.log, now, key=lambda entry: entry.counted_from + self.period)
        dropped = self.log[:gone]
        del self.log[:gone]
        return dropped

    def count(self, entry: _Entry) -> None:
        """The entry is one of its bot's and of its class."""
        self.bots[entry.bot] = self.bots.get(entry.bot, 0) + 1
        self.kinds[entry.kind] += 1
        entry.logs += 1

    def uncount(self, entry: _Entry) -> None:
        """No more."""
        self.kinds[entry.kind] -= 1
        self.bots[entry.bot] -= 1
        if not self.bots[entry.bot]:
            del self.bots[entry.bot]
        entry.logs -= 1

    def next_expiry(self) -> float:
        """When the oldest entry leaves (inf: there is none)."""
        return self.log[0].counted_from + self.period if self.log else inf

    def free_at(self, now: float, slots: int) -> float:
        """When `slots` slots will have become free, each of them taken again as soon as it is."""
        index, rounds = len(self.log) + slots - self.limit - 1, 1
        if index < 0:
            return now
        while index >= len(self.log):
            index, rounds = index - self.limit, rounds + 1
            if index < 0:
                return now + self.period * (rounds - 1)
        return self.log[index].counted_from + self.period * rounds


class Quota:
    """One organisation's budget.

    Never blocks. `now` is steady time (see `Steady`). Whoever gets a `ready_at` that is not later than now may `take`
    before anybody else asks.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int,
        completions_per_hour: int,
        uploads_per_hour: int = 10,
        minute: float = 60.0,
        hour: float = 3600.0,
    ) -> None:
        self.minute, self.hour, self.uploads = self._logs = (Window(), Window(), Window())
        self._idle_until = -inf
        """Nothing leaves the logs before."""
        self._entries: dict[str, _Entry] = {}
        self._asked_reserves: dict[str, int] = {}
        self._reserves: dict[str, int] = {}
        self._unspent = 0
        self._slack = 0.0
        self._calm_at = inf
        self._lesson_at = -inf
        self._frozen_until = -inf
        self._changed: set[str] = set()
        self.reconfigure(
            requests_per_minute=requests_per_minute,
            completions_per_hour=completions_per_hour,
            uploads_per_hour=uploads_per_hour,
            minute=minute,
            hour=hour,
        )

    def reconfigure(
        self,
        *,
        requests_per_minute: int,
        completions_per_hour: int,
        uploads_per_hour: int = 10,
        minute: float = 60.0,
        hour: float = 3600.0,
    ) -> None:
        """Other limits for the same logs."""
        self.minute.limit, self.minute.length = requests_per_minute, minute
        self.hour.limit, self.hour.length = completions_per_hour, hour
        self.uploads.limit, self.uploads.length = uploads_per_hour, hour
        self._set_slack(min(self._slack, minute))
        self.reserve(self._asked_reserves)

    def reserve(self, reserves: Mapping[str, int]) -> None:
        """Which bots have completions of their own in an hour; replaces what was said before."""
        self._asked_reserves = {bot: count for bot, count in reserves.items() if count > 0}
        shrink = min(1.0, (self.hour.limit - 1) / (sum(self._asked_reserves.values()) or 1))
        self._reserves = {bot: int(count * shrink) for bot, count in self._asked_reserves.items()}
        self._unspent = sum(
            max(0, count - self.hour.bots.get(bot, 0)) for bot, count in self._reserves.items()
        )
        self._changed.update(self._reserves)

    def restore(self, spends: Iterable[Spend], now: float = inf) -> None:
        """Count what an earlier process spent. What seems to be spent after `now` counts from now. Idempotent by id."""
        for spend in spends:
            if spend.id not in self._entries:
                windows = self._windows(completion=spend.completion, upload=spend.upload)
                self._add(min(spend.at, now), spend.id, spend.kind, spend.bot, windows)

    # --- asking ---

    def ready_at(
        self,
        now: float,
        kind: SpendClass = "reply",
        completion: bool = True,
        *,
        bot: str = "",
        upload: bool = False,
        held: int = 0,
        ahead: int = 0,
    ) -> float:
        """When such a request may leave: `now` if it may at once, else the time to ask again, which is never inf.

        For replies and users it is the exact time at which it may if nothing else is taken. `held` slots of the minute
        are left free; `ahead` requests of the same kind go first.
        """
        self._advance(now)
        at = max(now, self._frozen_until)
        if kind in REPLIES:
            at = max(at, self.minute.free_at(now, 1 + ahead + held))
        else:
            at = max(at, self._spare_at(now, kind, held))
        if completion:
            at = max(at, self._completion_at(now, kind, bot, ahead))
        if upload:
            at = max(at, self.uploads.free_at(now, 1 + ahead))
        return at

    def _spare_at(self, now: float, kind: SpendClass, held: int) -> float:
        """When the minute has room for the low classes (asked again at each expiry: what replies take changes too)."""
        window = self.minute
        replies = window.kinds["reply"] + window.kinds["user"]
        keep = max(held, ceil(window.limit / 10), min(window.limit // 2, replies))
        if kind == "operator":
            keep += ceil(window.limit / 20)
        room = len(window.log) + 1 + min(keep, window.limit - 1) <= window.limit
        if room and (kind != "record" or window.kinds["record"] < max(1, window.limit // 2)):
            return now
        return window.next_expiry()

    def _completion_at(self, now: float, kind: SpendClass, bot: str, ahead: int) -> float:
        slots = 1 + ahead
        if kind == "operator":
            slots += self.hour.limit // 10
        elif self.owns(bot):
            return self.hour.free_at(now, slots)
        if not self._reserves:
            return self.hour.free_at(now, slots)
        return self._common_at(now, slots, bot)

    def _common_at(self, now: float, slots: int, bot: str) -> float:
        """When the hour has room beside the reserves; what leaves within another bot's reserve makes none."""
        lacking = len(self.hour.log) + self._unspent + slots - self.hour.limit
        if lacking <= 0:
            return now
        beyond = {owner: self.hour.bots.get(owner, 0) - count for owner, count in self._reserves.items()}
        beyond.pop(bot, None)
        for entry in self.hour.log:
            if entry.bot in beyond:
                beyond[entry.bot] -= 1
                if beyond[entry.bot] < 0:
                    continue
            lacking -= 1
            if not lacking:
                return entry.counted_from + self.hour.period
        return self.hour.free_at(now, self._unspent + slots)

    def owns(self, bot: str) -> bool:
        """Whether the bot has some of its reserve left."""
        return bot in self._reserves and self._reserves[bot] > self.hour.bots.get(bot, 0)

    def used(self, now: float) -> dict[str, tuple[int, int]]:
        """(used, limit) of each window."""
        self._advance(now)
        windows = {"minute": self.minute, "hour": self.hour, "uploads": self.uploads}
        return {name: (len(window.log), window.limit) for name, window in windows.items()}

    def changed(self, now: float) -> set[str]:
        """The bots whose use or reserve changed since the last call; for the one who keeps them in order."""
        self._advance(now)
        changed, self._changed = self._changed, set()
        return changed

    # --- telling ---

    def take(
        self,
        now: float,
        spend_id: str,
        kind: SpendClass = "reply",
        completion: bool = True,
        *,
        bot: str = "",
        upload: bool = False,
    ) -> None:
        """Count a request that is about to leave, only after `ready_at` agreed. Name its bot, or no reserve is used.

        Asserts that no limit is passed.
        """
        self._advance(now)
        windows = self._windows(completion=completion, upload=upload)
        granted = now >= self._frozen_until and all(len(window.log) < window.limit for window in windows)
        assert granted, f"{spend_id} is not granted"
        assert spend_id not in self._entries, f"{spend_id} is counted already"
        self._add(now, spend_id, kind, bot, windows)

    def sent(self, now: float, spend_id: str) -> None:
        """It leaves only now (the commit took its time): count from here."""
        entry = self._entries.get(spend_id)
        if entry is not None and now > entry.at:
            entry.at = now
            self._count_from(entry, now + TRANSIT)

    def settle(self, now: float, spend_id: str) -> None:
        """Its answer is here, so it cannot have arrived later than now."""
        entry = self._entries.get(spend_id)
        if entry is not None and now < entry.counted_from:
            self._count_from(entry, max(now, entry.at))

    def refund(self, spend_id: str) -> None:
        """It does not count: a 429, or it never left. Unknown ids are fine."""
        entry = self._entries.pop(spend_id, None)
        if entry is None:
            return
        for window in self._logs:
            if window.remove(entry):
                self._left(window, entry)

    def limited(self, now: float, retry_after: float | None, spend_id: str | None = None) -> None:
        """A 429 arrived all the same: the request is refunded, the organisation freezes, and the margin widens."""
        entry = self._entries.get(spend_id or "")
        left_at = entry.at if entry is not None else now
        if left_at > self._lesson_at and now >= self._frozen_until:
            self._set_slack(min(max(2 * self._slack, SLACK * self.minute.length), self.minute.length))
            self._lesson_at = now
        self._calm_at = now + QUIET * self.minute.length
        self._idle_until = -inf
        told = retry_after is not None and retry_after >= 0.0
        wait = min(retry_after, self.hour.length) if told and retry_after is not None else self._slack
        self._frozen_until = max(self._frozen_until, now + wait)
        if spend_id is not None:
            self.refund(spend_id)

    # --- keeping the logs ---

    def _windows(self, *, completion: bool, upload: bool) -> list[Window]:
        """Those that such a request counts in."""
        windows = [self.minute]
        if completion:
            windows.append(self.hour)
        if upload:
            windows.append(self.uploads)
        return windows

    def _add(self, at: float, spend_id: str, kind: SpendClass, bot: str, windows: list[Window]) -> None:
        owner = bot if kind in REPLIES else ""
        entry = self._entries[spend_id] = _Entry(spend_id, owner, kind, at, at + TRANSIT)
        for window in windows:
            window.insert(entry)
            window.count(entry)
        if self.hour in windows:
            self._unspent -= self.hour.bots[owner] <= self._reserves.get(owner, 0)
        self._idle_until = -inf
        self._changed.add(owner)

    def _count_from(self, entry: _Entry, moment: float) -> None:
        windows = [window for window in self._logs if window.remove(entry)]
        entry.counted_from = moment
        for window in windows:
            window.insert(entry)
        self._idle_until = -inf

    def _advance(self, now: float) -> None:
        if now < self._idle_until:
            return
        if now >= self._calm_at:
            self._calm(now)
        self._idle_until = self._calm_at
        for window in self._logs:
            for entry in window.expire(now):
                self._left(window, entry)
            self._idle_until = min(self._idle_until, window.next_expiry())

    def _left(self, window: Window, entry: _Entry) -> None:
        window.uncount(entry)
        if window is self.hour:
            self._unspent += self.owns(entry.bot)
        if not entry.logs:
            self._entries.pop(entry.id, None)
        self._changed.add(entry.bot)

    def _calm(self, now: float) -> None:
        """No 429 for long: believe a little more again."""
        halved = self._slack / 2
        self._set_slack(halved if halved > self.minute.length / 1000 else 0.0)
        self._calm_at = now + QUIET * self.minute.length if self._slack else inf

    def _set_slack(self, slack: float) -> None:
        self._slack = slack
        for window in self._logs:
            window.period = window.length * (1 + GUARD) + slack
        self._idle_until = -inf
