"""Who is next in an organisation: bots by weight, in a bot its conversations in turn, in a conversation its senders.

Theory: start-time fair queueing. Every bot with a turn waiting has a start tag; the smallest goes first. A turn costs
1 / weight: the bot's next tag is that much later. A bot that comes back from having nothing to say starts at the
virtual time, the tag that was served last, so it neither saves up turns nor pays for old ones. Two bots of equal weight
that both have turns waiting are therefore never more than one turn apart, whatever the others do, and no tag stays
ahead for ever, so nobody starves. The price of a decision is a heap's, and does not depend on how many conversations
wait (`rotation.py` keeps the order inside a bot).

Two rules may hold back one bot and not the next: the hour's reserves (`quota.py`) and the minute's pacing
(`pacing.py`). Either is the same for all bots that stand alike: owner of an unspent reserve or not, within its recent
rate or beyond. So bots wait in four lines, one for each combination; a decision looks at the heads of the four, and
takes the smallest tag among those that may go. A bot changes lines when what it spent changes, keeping its tag; a bot
that was held back catches up when it may go again.

Context records have a queue of their own, of the lowest class: one at a time per conversation, oldest first, from what
replies leave over, and they never occupy the conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf

from gateway.messages import ConversationKey, Head, Kind
from gateway.policy.pacing import Pacing
from gateway.policy.quota import Quota
from gateway.policy.rotation import Alarm, Rotation


@dataclass(frozen=True, slots=True)
class Pick:
    """The messages of one turn: of one sender in one conversation, oldest first."""

    heads: tuple[Head, ...]

    @property
    def key(self) -> ConversationKey:
        return self.heads[0].key

    @property
    def bot(self) -> str:
        return self.heads[0].key.bot

    @property
    def sender(self) -> str:
        return self.heads[0].sender

    @property
    def kind(self) -> Kind:
        return self.heads[0].kind


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a waiting person may be told: their place (1: next) and about how long it will take until they are asked."""

    position: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits for a bot, records not counted. `oldest` is when the oldest was accepted."""

    waiting: int
    oldest: float | None


class _Share:
    """One bot's place in the fair queue."""

    __slots__ = ("bot", "finish", "line", "rotation", "stamp", "start", "weight")

    def __init__(self, bot: str, weight: float, rotation: Rotation) -> None:
        self.bot = bot
        self.weight = weight
        self.rotation = rotation
        self.start = 0.0
        self.finish = 0.0
        self.line: int | None = None
        self.stamp = 0


class _Lines:
    """The start-time fair queue, in several lines that share the virtual time."""

    def __init__(self, count: int) -> None:
        self._heaps: list[list[tuple[float, int, _Share]]] = [[] for _ in range(count)]
        self._virtual = 0.0
        self._last_finish = 0.0
        self._stamp = 0
        self.members = 0
        self.weights = 0.0

    def stand(self, share: _Share, line: int | None) -> None:
        """The bot stands in this line from now on, or in none."""
        if share.line == line:
            return
        if share.line is None:
            share.start = max(self._virtual, share.finish)
        self._count(share, (line is not None) - (share.line is not None))
        share.line = line
        if line is not None:
            self._push(share)
        elif not self.members:
            self._virtual = self._last_finish

    def first(self, line: int) -> _Share | None:
        """The bot of this line that is next."""
        heap = self._heaps[line]
        while heap:
            _, stamp, share = heap[0]
            if share.stamp == stamp and share.line == line:
                return share
            heappop(heap)
        return None

    def serve(self, share: _Share) -> None:
        """The bot has its turn: time is where its tag was."""
        self._virtual = max(self._virtual, share.start)
        self.charge(share, 1.0)

    def charge(self, share: _Share, turns: float) -> None:
        """The bot's next turn comes that much later."""
        share.finish = (share.finish if share.line is None else share.start) + turns / share.weight
        self._last_finish = max(self._last_finish, share.finish)
        if share.line is not None:
            share.start = share.finish
            self._push(share)

    def reweigh(self, share: _Share, weight: float) -> None:
        if share.line is not None:
            self.weights += weight - share.weight
        share.weight = weight

    def _count(self, share: _Share, more: int) -> None:
        self.members += more
        self.weights = self.weights + more * share.weight if self.members else 0.0

    def _push(self, share: _Share) -> None:
        assert share.line is not None
        heap = self._heaps[share.line]
        self._stamp += 1
        share.stamp = self._stamp
        if len(heap) > 64 + 4 * self.members:
            heap[:] = [entry for entry in heap if entry[2].stamp == entry[1] and entry[2].line == share.line]
            heapify(heap)
        heappush(heap, (share.start, share.stamp, share))


@dataclass(slots=True)
class _Bot:
    asks: _Share
    records: _Share
    reserve: int = 0
    paused: bool = False
    waiting: int = 0


_WITHIN, _OWNS = 1, 2
"""Bits of a line's number."""


class Fairness:
    """Chooses turns for one organisation. Pure bookkeeping: never blocks, knows no clock."""

    def __init__(
        self, *, records_per_conversation: int = 50, turn_messages: int = 20, turn_size: int = 8000
    ) -> None:
        self._most_records = records_per_conversation
        self._most, self._size = turn_messages, turn_size
        self._bots: dict[str, _Bot] = {}
        self._heads: dict[str, Head] = {}
        self._waiting = 0
        self._asks, self._records = _Lines(4), _Lines(1)
        self._pacing = Pacing()
        self._alarms: list[tuple[float, int, Kind, ConversationKey]] = []
        self._alarm_count = 0
        self._stale: dict[str, None] = {}
        """Bots whose line has to be looked at again, in order."""
        self._reserves_of: Quota | None = None
        """The budget that knows our reserves; None: they changed."""

    # --- configuration ---

    def set_bot(
        self,
        bot: str,
        *,
        weight: float = 1.0,
        reserve_per_hour: int = 0,
        coalesce: float | None = 0.0,
        paused: bool = False,
    ) -> None:
        """A bot's settings, at any time. A paused bot keeps its messages and lends its reserve."""
        entry = self._bot(bot)
        self._asks.reweigh(entry.asks, weight)
        self._records.reweigh(entry.records, weight)
        entry.asks.rotation.change_hold(coalesce)
        entry.reserve, entry.paused = reserve_per_hour, paused
        self._reserves_of = None
        self._stale[bot] = None

    def remove_bot(self, bot: str) -> list[Head]:
        """The bot is gone; returns what waited for it."""
        entry = self._bots.pop(bot, None)
        if entry is None:
            return []
        self._asks.stand(entry.asks, None)
        self._records.stand(entry.records, None)
        self._reserves_of = None
        self._stale[bot] = None
        self._waiting -= entry.waiting
        heads = [*entry.asks.rotation.heads(), *entry.records.rotation.heads()]
        for head in heads:
            del self._heads[head.id]
        return heads

    # --- what waits ---

    def offer(self, head: Head, now: float) -> Head | None:
        """A message waits. Idempotent by id, also while its turn is in flight.

        Returns the oldest record of the conversation when it had to make room: it will not be stored.
        """
        bot = self._bot(head.key.bot)
        rotation = self._share(bot, head.kind).rotation
        if head.id in self._heads or rotation.flies(head):
            return None
        self._heads[head.id] = head
        rotation.add(head, now)
        self._stale[head.key.bot] = None
        if head.kind == "ask":
            bot.waiting += 1
            self._waiting += 1
            return None
        oldest = rotation.beyond(head.key, self._most_records)
        if oldest is not None:
            self.remove(oldest.id)
        return oldest

    def remove(self, message_id: str) -> None:
        """A message waits no more: taken back, expired, or answered otherwise. Unknown ids are fine."""
        head = self._heads.get(message_id)
        if head is not None:
            self._share(self._bots[head.key.bot], head.kind).rotation.discard(head)
            self._forget(head)

    def requeue(self, heads: Sequence[Head], now: float) -> None:
        """A started turn was not asked after all: it is next in its bot again, and was not charged."""
        head = heads[0]
        bot = self._bot(head.key.bot)
        share, lines = self._share(bot, head.kind), self._lines(head.kind)
        share.rotation.bounce(heads, now)
        lines.charge(share, -1.0)
        self._heads.update((head.id, head) for head in heads)
        if head.kind == "ask":
            bot.waiting += len(heads)
            self._waiting += len(heads)
        self._stale[head.key.bot] = None

    # --- choosing ---

    def next(self, now: float, quota: Quota) -> Pick | float | None:
        """The turn that may leave now; else when to ask again; None while only an event can change that.

        Asking changes nothing that shows. `quota` is asked and told of the reserves, not charged.
        """
        while True:
            self._refresh(now, quota)
            share, later = self._next_ask(now, quota)
            if share is None:
                share, spare = self._next_record(now, quota)
                later = min(later, spare)
            if share is None:
                later = min(later, self._alarms[0][0] if self._alarms else inf)
                return None if later == inf else later
            heads = share.rotation.first(now)
            if heads:
                return Pick(heads)
            self._stale[share.bot] = None

    def started(self, pick: Pick, now: float) -> None:
        """The pick leaves, at the same moment as `quota.take(…, bot=pick.bot)`; it is in flight until `finished`."""
        key, kind = pick.key, pick.kind
        share = self._share(self._bots[key.bot], kind)
        share.rotation.charge(key)
        share.rotation.fly(key, pick.heads)
        self._lines(kind).serve(share)
        if kind == "ask":
            self._pacing.started(key.bot, share.weight, now)
        for head in pick.heads:
            self._forget(head)

    def started_key(self, key: ConversationKey) -> None:
        """A turn of the conversation that an earlier process asked is in flight."""
        self._bot(key.bot).asks.rotation.fly(key)
        self._stale[key.bot] = None

    def finished(self, key: ConversationKey, now: float, kind: Kind = "ask") -> None:
        """The turn in flight is over, however it ended. Idempotent."""
        bot = self._bots.get(key.bot)
        if bot is not None:
            self._share(bot, kind).rotation.land(key, now)
            self._stale[key.bot] = None

    def charge(self, bot: str, requests: float = 1.0) -> None:
        """A turn of the bot cost further requests (a retry, a user to create): the bot's next turn comes later."""
        entry = self._bots.get(bot)
        if entry is not None:
            self._asks.charge(entry.asks, requests)

    # --- telling ---

    def estimate(self, message_id: str, now: float, quota: Quota) -> Estimate | None:
        """How long a waiting message will wait for quota; None if it does not wait.

        By now's order, weights and budget: newcomers, answers' own time and pacing may change it.
        """
        head = self._heads.get(message_id)
        if head is None:
            return None
        self._refresh(now, quota)
        bot = self._bots[head.key.bot]
        share = self._share(bot, head.kind)
        own = share.rotation.ahead(head)
        rivals = (self._asks.weights - (share.weight if share.line is not None else 0.0)) / share.weight
        others = min(self._waiting - bot.waiting, round((own + 0.5) * rivals))
        held = 0 if self._pacing.within(head.key.bot) else self._pacing.held()
        at = quota.ready_at(now, bot=head.key.bot, held=held, ahead=own + others)
        return Estimate(1 + own + others, at - now)

    def depth(self) -> dict[str, Depth]:
        """What waits for each bot."""
        oldest: dict[str, float] = {}
        busy = sum(1 for bot in self._bots.values() if bot.waiting)
        for head in self._heads.values():
            if len(oldest) == busy:
                break
            if head.kind == "ask":
                oldest.setdefault(head.key.bot, head.accepted_at)
        return {name: Depth(bot.waiting, oldest.get(name)) for name, bot in self._bots.items()}

    # --- inside ---

    def _next_ask(self, now: float, quota: Quota) -> tuple[_Share | None, float]:
        """The smallest tag among the lines that may go; else the time at which one of them may."""
        best, later = None, inf
        for line in range(4):
            share = self._asks.first(line)
            if share is None or (best is not None and (best.start, best.stamp) < (share.start, share.stamp)):
                continue
            held = 0 if line & _WITHIN else self._pacing.held()
            at = quota.ready_at(now, bot=share.bot, held=held)
            if at <= now:
                best = share
            else:
                later = min(later, at, self._pacing.next_change(now) if held else inf)
        return best, later

    def _next_record(self, now: float, quota: Quota) -> tuple[_Share | None, float]:
        share = self._records.first(0)
        if share is None:
            return None, inf
        at = quota.ready_at(now, "record", completion=False, bot=share.bot, held=self._pacing.held())
        return (share, inf) if at <= now else (None, at)

    def _refresh(self, now: float, quota: Quota) -> None:
        """Bring the lines up to date: alarms that rang, budgets that changed, bots that were touched."""
        self._pacing.limit = quota.minute.limit
        self._pacing.pass_time(now, quota.minute.length)
        if self._reserves_of is not quota:
            self._reserves_of = quota
            quota.reserve({name: bot.reserve for name, bot in self._bots.items() if not bot.paused})
        while self._alarms and self._alarms[0][0] <= now:
            _, _, kind, key = heappop(self._alarms)
            if (bot := self._bots.get(key.bot)) is not None:
                self._share(bot, kind).rotation.look(key, now)
                self._stale[key.bot] = None
        for name in sorted(quota.changed(now)):
            self._stale[name] = None
        if self._stale:
            stale, self._stale = self._stale, {}
            for name in stale:
                self._line_up(name, quota)

    def _line_up(self, name: str, quota: Quota) -> None:
        bot, spent = self._bots.get(name), quota.minute.bots.get(name, 0)
        if bot is None:
            self._pacing.update(name, 1.0, waits=False, spent=spent)
            return
        waits = bot.asks.rotation.ready and not bot.paused
        self._pacing.update(name, bot.asks.weight, waits=waits, spent=spent)
        line = _OWNS * quota.owns(name) + _WITHIN * self._pacing.within(name) if waits else None
        self._asks.stand(bot.asks, line)
        self._records.stand(bot.records, 0 if bot.records.rotation.ready and not bot.paused else None)

    def _bot(self, name: str) -> _Bot:
        bot = self._bots.get(name)
        if bot is None:
            asks = Rotation(
                self._alarm_for("ask"), hold=0.0, most=self._most, size=self._size, by_sender=True
            )
            records = Rotation(self._alarm_for("record"), hold=None, most=1, size=0, by_sender=False)
            bot = self._bots[name] = _Bot(_Share(name, 1.0, asks), _Share(name, 1.0, records))
        return bot

    def _alarm_for(self, kind: Kind) -> Alarm:
        def alarm(when: float, key: ConversationKey) -> None:
            self._alarm_count += 1
            heappush(self._alarms, (when, self._alarm_count, kind, key))

        return alarm

    def _share(self, bot: _Bot, kind: Kind) -> _Share:
        return bot.asks if kind == "ask" else bot.records

    def _lines(self, kind: Kind) -> _Lines:
        return self._asks if kind == "ask" else self._records

    def _forget(self, head: Head) -> None:
        del self._heads[head.id]
        if head.kind == "ask":
            self._bots[head.key.bot].waiting -= 1
            self._waiting -= 1
        self._stale[head.key.bot] = None
