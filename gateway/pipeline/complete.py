"""2. Inbox → Sensay → outbox. One dispatcher per organisation decides whose turn it is; each turn is a task of its
own.

The dispatcher feeds waiting heads to the fairness policy, takes what fairness and quota let go, and starts it. All
deciding is synchronous and pure (`policy/`); this file only moves. How room in the budget is given out is in `door.py`,
what a turn does in `asking.py`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from functools import partial
from typing import Any

from msgspec.structs import replace

from gateway.errors import Superseded, Transient
from gateway.messages import ConversationKey, Head, Kind, Profile, SpendClass, Turn
from gateway.pipeline.asking import Asking
from gateway.pipeline.bell import Bell
from gateway.pipeline.door import Door
from gateway.pipeline.operating import Operating
from gateway.pipeline.queued import Queued
from gateway.pipeline.tools import Tools
from gateway.policy.breaker import Breaker
from gateway.policy.fairness import Estimate, Fairness, Pick
from gateway.ports import Lease, Noted
from gateway.settings.models import Organization, Settings

MOST_IN_FLIGHT = 1024
FEW, MANY = 100, 1000
"""Waiting messages that are read at a time: usually there are few that are new; after a restart there may be many."""


class Dispatcher:
    """Asks for one organisation, while it holds the lease `dispatcher/{organization}`."""

    def __init__(self, organization: str, tools: Tools) -> None:
        self.organization = organization
        self._tools = tools
        self._known = tools.current().organizations[organization]
        self._bell = Bell(tools.clock)
        self.door = Door(organization, lambda: self._settings, tools, self._bell.ring)
        self.fairness = Fairness()
        self._breaker = Breaker()
        self._queued = Queued(tools.journal, tools.notices, tools.current, self._expect)
        self._asking = Asking(organization, tools, self.door, self._queued, self._lease_now, self._heard)
        self._lease: Lease | None = None
        self._seen = 0
        self._waiting: dict[str, Head] = {}
        self._held: dict[str, Head] = {}
        self._hold_changed = False
        self._expiries: list[tuple[float, str]] = []
        self._turns: set[asyncio.Task[None]] = set()
        self._flying: set[ConversationKey] = set()
        self._freed: OrderedDict[ConversationKey, float] = OrderedDict()
        self._blocked_since: float | None = None
        self._draining = False
        self._settings_seen: Settings | None = None

    @property
    def _settings(self) -> Organization:
        """Its own; what it had, once a reload took it out: its last turns still have to end."""
        self._known = self._tools.current().organizations.get(self.organization, self._known)
        return self._known

    @property
    def in_flight(self) -> int:
        """Turns that are being asked."""
        return len(self._turns)

    @property
    def holding(self) -> bool:
        """Whether this process asks for the organisation."""
        return self._lease is not None

    @property
    def waiting(self) -> int:
        """Messages that wait to be asked."""
        return len(self._waiting) + len(self._held)

    @property
    def trouble(self) -> str | None:
        """Why no answer can come until a person acts."""
        return self._asking.trouble

    # --- life ---

    async def run(self) -> None:
        """Until cancelled; once. Raises Superseded when the lease is lost: another process may have taken over."""
        journal = self._tools.journal
        hold = self._tools.hold or journal.hold
        async with (
            hold(f"dispatcher/{self.organization}") as lease,
            journal.watch(f"inbox/{self.organization}") as inbox,
        ):
            self._lease = lease
            follow = asyncio.ensure_future(self._bell.follow(inbox))
            lost = asyncio.ensure_future(lease.wait_lost())
            lost.add_done_callback(lambda _: self._bell.ring())
            try:
                await self._restore(lease)
                while not lease.lost:
                    await self._bell.wait(await self._step())
                raise Superseded("lost the lease", lease=lease.name)
            finally:
                lost.cancel()
                follow.cancel()
                await self._stop_turns()
                self._lease = None

    def ring(self) -> None:
        """Something changed (a reload, a pause or its end): look again."""
        self._hold_changed = True
        self._bell.ring()

    def drain(self) -> None:
        """Start nothing new; turns in flight go on."""
        self._draining = True

    async def _restore(self, lease: Lease) -> None:
        """What an earlier process spent and left behind."""
        await self.door.restore()
        for turn in await self._tools.journal.inherit_turns(lease):
            self._tools.presence.begin(turn.key, turn.address, turn.id)
            self._fly(turn.key)
            self._start(self._resume(turn))

    async def _stop_turns(self) -> None:
        for task in self._turns:
            task.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)

    async def profile(self, replica: str) -> Profile:
        """What Sensay knows of a replica; one request at most, of the lowest class. Raises GatewayError."""
        operating = Operating(self.organization, self.door, self._tools.journal, self._tools.clock)
        return await operating.profile(self._tools.completions, replica)

    # --- what waits ---

    async def _step(self) -> float | None:
        """Read what is new, start what may go; returns after how many seconds to look again."""
        try:
            await self._read()
        except Transient:
            return 1.0
        self._configure()
        self._hold_and_release()
        now = self.door.now()
        times = [self.door.serve(now, "reply", "user"), self._expire(now), self._start_turns(now)]
        times += [self.door.serve(now, "record", "operator"), self._tell_waiting(now)]
        at = min((at for at in times if at is not None), default=None)
        return None if at is None else at - now

    async def _read(self) -> None:
        most = FEW
        while True:
            heads = await self._tools.journal.waiting(self.organization, self._seen, most)
            for head in heads:
                self._seen = head.seq
                self._place(head, self.door.now())
            if len(heads) < most:
                return
            most = MANY

    def _place(self, head: Head, now: float) -> None:
        """Where a waiting message waits: in the queue, on hold, or not at all because its bot is gone."""
        if self._unknown(head) and not self._tools.elsewhere(head.key.bot):
            self._start(self._asking.dropped(head, "bot_removed"))
        elif self._unknown(head) or self._tools.held(head.key):
            self._held[head.id] = head
        else:
            self._offer(head, now)

    def _hold_and_release(self) -> None:
        """A pause began or ended, or the configuration is new. Who was on hold has the whole `max_wait` again."""
        if not self._hold_changed:
            return
        self._hold_changed, now = False, self.door.now()
        for head in [head for head in self._waiting.values() if self._has_to_leave(head)]:
            del self._waiting[head.id]
            self.fairness.remove(head.id)
            self._place(head, now)
        for head in [head for head in self._held.values() if not self._stays(head)]:
            del self._held[head.id]
            self._place(replace(head, accepted_at=now), now)

    def _has_to_leave(self, head: Head) -> bool:
        """Whether it may not be in the queue any more."""
        return self._tools.held(head.key) or self._unknown(head)

    def _unknown(self, head: Head) -> bool:
        """Whether its bot is not in the configuration."""
        return head.key.bot not in self._tools.current().bots

    def _stays(self, head: Head) -> bool:
        """Whether it is still on hold."""
        bot = head.key.bot
        return self._tools.elsewhere(bot) if self._unknown(head) else self._tools.held(head.key)

    def _offer(self, head: Head, now: float) -> None:
        dropped = self.fairness.offer(head, now)
        if dropped is not None:
            self._start(self._asking.dropped(dropped))
        if head.kind == "ask":
            self._waiting[head.id] = head
            self._queued.offered(head, now)
            heapq.heappush(self._expiries, (self._expires(head), head.id))

    def _leaves(self, head: Head) -> None:
        """It waits no longer."""
        self._waiting.pop(head.id, None)
        self._queued.started(head)

    def _expires(self, head: Head) -> float:
        bot = self._tools.current().bots.get(head.key.bot)
        at = head.accepted_at + (bot.max_wait if bot else 300.0)
        return min(at, head.deadline) if head.deadline is not None else at

    def _expire(self, now: float) -> float | None:
        """End what waited too long. While its conversation has a turn in flight it keeps waiting: the next one may
        still take it.
        """
        late: dict[ConversationKey, list[Head]] = {}
        while self._expiries and self._expiries[0][0] <= now:
            head = self._waiting.get(heapq.heappop(self._expiries)[1])
            if head is None:
                continue
            if head.key in self._flying:
                heapq.heappush(self._expiries, (now + 1.0, head.id))
            else:
                late.setdefault(head.key, []).append(head)
        for key, heads in late.items():
            for head in heads:
                self._leaves(head)
                self.fairness.remove(head.id)
            self._fly(key)
            self._start(self._expired(heads))
        return self._expiries[0][0] if self._expiries else None

    def _configure(self) -> None:
        """Weights, reserves and limits of the current settings; only when they are new."""
        settings = self._tools.current()
        if settings is self._settings_seen:
            return
        self._settings_seen = settings
        self.door.configure()
        for name, bot in settings.bots.items():
            if bot.organization == self.organization:
                self.fairness.set_bot(
                    name,
                    weight=bot.weight,
                    reserve_per_hour=bot.reserve_per_hour,
                    coalesce=bot.coalesce,
                    paused=not bot.enabled,
                )

    # --- whose turn it is ---

    def _start_turns(self, now: float) -> float | None:
        """Start what fairness and quota let go."""
        if self._draining or self.door.somebody_goes_first(now):
            return None
        most = min(MOST_IN_FLIGHT, max(16, self._settings.quota.requests_per_minute))
        while len(self._turns) < most:
            at = self._breaker.ready_at(now)
            if at is None or at > now:
                return at
            pick = self.fairness.next(now, self.door.quota)
            if not isinstance(pick, Pick):
                self._blocked_since = (self._blocked_since or now) if pick is not None else None
                return pick
            kind: SpendClass = "reply" if pick.kind == "ask" else "record"
            slot = self.door.take(now, kind, kind == "reply", pick.bot)
            self.fairness.started(pick, now)
            if pick.kind == "ask":
                self._flying.add(pick.key)
            for head in pick.heads:
                self._leaves(head)
            waited = self._waited(pick.heads[0], now)
            self.door.granted(kind, waited)
            self._start(self._turn(pick, slot, waited, probe=self._breaker.probe()))
        return None

    def _waited(self, head: Head, now: float) -> float:
        """How much of a head's wait was for quota or for its own conversation's turn, not for us."""
        freed = self._freed.get(head.key, 0.0)
        if self._blocked_since is not None or freed > head.accepted_at:
            return now - head.accepted_at
        return 0.0

    def _tell_waiting(self, now: float) -> float | None:
        for head, expected in self._queued.due(now):
            self._start(self._queued.tell(head, expected))
        return self._queued.next_at

    def _expect(self, message_id: str, now: float) -> Estimate | None:
        estimate = self.fairness.estimate(message_id, now, self.door.quota)
        down = self._breaker.expected(now)
        return estimate and Estimate(estimate.position, max(estimate.seconds, down))

    def _heard(self, answered: bool) -> None:
        """A completion was answered, or got no answer."""
        now, fields = self.door.now(), {"organization": self.organization}
        if answered and self._breaker.answered():
            self._tools.observer(Noted(event="circuit.closed", fields=fields))
            self._bell.ring()
        elif not answered and self._breaker.failed(now, self._tools.jitter()):
            self._tools.observer(Noted(event="circuit.opened", level="warning", fields=fields))
            self._queued.look_again(self._waiting.values(), now)

    # --- turns ---

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._turns.add(task)
        task.add_done_callback(self._turn_done)

    def _turn_done(self, task: asyncio.Task[None]) -> None:
        self._turns.discard(task)
        self._bell.ring()
        if not task.cancelled() and (error := task.exception()) is not None:
            fields = {"organization": self.organization, "error": repr(error)[:300]}
            self._tools.observer(Noted(event="turn.crashed", level="error", fields=fields))

    async def _turn(self, pick: Pick, slot: str, waited: float, *, probe: bool) -> None:
        try:
            if pick.kind == "ask":
                claimed = await self._asking.asked(pick.heads, slot, pick.bot, waited)
            else:
                claimed = await self._asking.recorded(pick.heads, slot)
            if not claimed:
                self.door.unused(slot)
                self._start(self._look_again(pick))
        finally:
            if probe:
                self._breaker.probed()
            self._free(pick.heads[0].key, pick.kind)

    async def _look_again(self, pick: Pick) -> None:
        """It could not be claimed: its senders took it back, or its chat became another one that has a turn in
        flight. In that case it waits on.
        """
        await self._tools.clock.sleep(1.0)
        for head in pick.heads:
            if await self._tools.surely(partial(self._tools.journal.peek, head.id)) is not None:
                self._offer(head, self.door.now())

    async def _resume(self, turn: Turn) -> None:
        try:
            await self._asking.resumed(turn)
        finally:
            self._free(turn.key)

    async def _expired(self, heads: list[Head]) -> None:
        try:
            await self._asking.expired(heads)
        finally:
            self._free(heads[0].key)

    def _fly(self, key: ConversationKey) -> None:
        """A turn of the conversation is in flight that fairness did not choose."""
        self._flying.add(key)
        self.fairness.started_key(key)

    def _free(self, key: ConversationKey, kind: Kind = "ask") -> None:
        now = self.door.now()
        self.fairness.finished(key, now, kind)
        if kind == "record":
            return
        self._flying.discard(key)
        self._freed[key] = now
        self._freed.move_to_end(key)
        if len(self._freed) > 10_000:
            self._freed.popitem(last=False)

    def _lease_now(self) -> Lease:
        if self._lease is None:
            raise Superseded("the dispatcher is not running")
        return self._lease
