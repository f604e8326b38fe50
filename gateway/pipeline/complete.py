"""2. Inbox → Sensay → outbox. One dispatcher per organisation decides whose turn it is; each turn is a task of its
own.

The dispatcher feeds waiting heads to the fairness policy, takes what fairness and quota let go, and starts it. All
deciding is synchronous and pure (`policy/`); this file only moves.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace

from gateway.errors import GatewayError, RateLimited, Superseded, Transient
from gateway.messages import (
    ConversationKey,
    Ending,
    Head,
    Kind,
    Outcome,
    PlatformName,
    Profile,
    Question,
    Reply,
    Spend,
    SpendClass,
    Turn,
    User,
)
from gateway.pipeline.accept import new_id
from gateway.pipeline.admission import Admission
from gateway.pipeline.answer import Answering
from gateway.pipeline.bell import Bell
from gateway.pipeline.drafting import Drafting
from gateway.pipeline.notices import Notices
from gateway.pipeline.operating import Operating
from gateway.pipeline.presence import Presence
from gateway.pipeline.queued import Queued
from gateway.pipeline.rendering import Rendering
from gateway.policy.breaker import Breaker
from gateway.policy.fairness import Estimate, Fairness, Pick
from gateway.policy.quota import Quota, Steady
from gateway.policy.retry import GiveUp
from gateway.ports import (
    Clock,
    Completions,
    Journal,
    Lease,
    Noted,
    Observer,
    QuotaGranted,
    TurnEnded,
)
from gateway.settings.models import Organization, Settings
from gateway.telemetry import current

_T = TypeVar("_T")
MOST_IN_FLIGHT = 1024
FEW, MANY = 100, 1000
"""Waiting messages that are read at a time: usually there are few that are new; after a restart there may be many."""
PICTURE = "(picture)"
"""What is asked about a picture without words: Sensay takes no question without text."""


@dataclass(frozen=True)
class Tools:
    """What every dispatcher of a process shares."""

    journal: Journal
    completions: Completions
    current: Callable[[], Settings]
    notices: Notices
    rendering: Rendering
    presence: Presence
    clock: Clock
    observer: Observer
    jitter: Callable[[], float]
    user_for: Callable[[PlatformName, str, str], User]
    held: Callable[[ConversationKey], bool] = lambda _: False
    """Whether messages of this conversation have to wait, because an operator paused it."""
    hold: Callable[[str], AbstractAsyncContextManager[Lease]] | None = None
    """How a lease is had where it has to be this process's turn; None: as the journal gives it."""
    elsewhere: Callable[[str], bool] = lambda _: False
    """Whether a bot that this process does not know is in a newer configuration: its messages wait for that one."""


@dataclass
class _Claimant:
    """Somebody inside the process who waits for one request's room in the budget."""

    kind: SpendClass
    completion: bool
    bot: str
    since: float
    slot: asyncio.Future[str]
    upload: bool = False
    turn: str | None = None


class Dispatcher:
    """Asks for one organisation, while it holds the lease `dispatcher/{organization}`."""

    def __init__(self, organization: str, tools: Tools) -> None:
        self.organization = organization
        self._tools = tools
        self._known = tools.current().organizations[organization]
        self.quota = Quota(**_quota_numbers(self._settings))
        self._now = Steady(tools.clock.now(), tools.clock.monotonic())
        self.fairness = Fairness()
        self.trouble: str | None = None
        """Why no answer can come until a person acts: a refused key, a spent allowance."""
        self._bell = Bell(tools.clock)
        self._lease: Lease | None = None
        self._seen = 0
        self._waiting: dict[str, Head] = {}
        self._held: dict[str, Head] = {}
        self._hold_changed = False
        self._expiries: list[tuple[float, str]] = []
        self._claimants: list[_Claimant] = []
        self._turns: set[asyncio.Task[None]] = set()
        self._flying: set[ConversationKey] = set()
        self._breaker = Breaker()
        self._queued = Queued(tools.journal, tools.notices, tools.current, self._expect)
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

    def used(self) -> dict[str, tuple[int, int]]:
        """Window → (requests in it, its limit)."""
        return self.quota.used(self.now())

    def relief(self) -> float:
        """Seconds until the budget has room for the next answer."""
        now = self.now()
        return max(0.0, self.quota.ready_at(now, "reply") - now)

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
        journal, clock = self._tools.journal, self._tools.clock
        past = clock.now() - self._settings.quota.windows.hour - 60.0
        self.quota.restore(await journal.spent_since(self.organization, past), self.now())
        for turn in await journal.inherit_turns(lease):
            self._tools.presence.begin(turn.key, turn.address, turn.id)
            self._fly(turn.key)
            self._start(self._resume(turn))

    async def _stop_turns(self) -> None:
        for task in self._turns:
            task.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)

    # --- deciding ---

    def now(self) -> float:
        """Time since the epoch that does not jump when the machine's clock is set."""
        return self._now(self._tools.clock.monotonic())

    async def _step(self) -> float | None:
        """Read what is new, start what may go; returns after how many seconds to look again."""
        try:
            await self._read()
        except Transient:
            return 1.0
        self._configure()
        self._hold_and_release()
        now = self.now()
        times = [self._serve(now, "reply", "user"), self._expire(now), self._start_turns(now)]
        times += [self._serve(now, "record", "operator"), self._tell_waiting(now)]
        at = min((at for at in times if at is not None), default=None)
        return None if at is None else at - now

    async def _read(self) -> None:
        most = FEW
        while True:
            heads = await self._tools.journal.waiting(self.organization, self._seen, most)
            for head in heads:
                self._seen = head.seq
                self._place(head, self.now())
            if len(heads) < most:
                return
            most = MANY

    def _place(self, head: Head, now: float) -> None:
        """Where a waiting message waits: in the queue, on hold, or not at all because its bot is gone."""
        if self._unknown(head) and not self._tools.elsewhere(head.key.bot):
            self._start(self._drop(head, "bot_removed"))
        elif self._unknown(head) or self._tools.held(head.key):
            self._held[head.id] = head
        else:
            self._offer(head, now)

    def _hold_and_release(self) -> None:
        """A pause began or ended, or the configuration is new. Who was on hold has the whole `max_wait` again."""
        if not self._hold_changed:
            return
        self._hold_changed, now = False, self.now()
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
            self._start(self._drop(dropped))
        if head.kind == "ask":
            self._waiting[head.id] = head
            self._queued.offered(head, now)
            heapq.heappush(self._expiries, (self._expires(head), head.id))

    def _expires(self, head: Head) -> float:
        bot = self._tools.current().bots.get(head.key.bot)
        at = head.accepted_at + (bot.max_wait if bot else 300.0)
        return min(at, head.deadline) if head.deadline is not None else at

    def _configure(self) -> None:
        """Weights, reserves and limits of the current settings; only when they are new."""
        settings = self._tools.current()
        if settings is self._settings_seen:
            return
        self._settings_seen = settings
        self.quota.reconfigure(**_quota_numbers(self._settings))
        for name, bot in settings.bots.items():
            if bot.organization == self.organization:
                self.fairness.set_bot(
                    name,
                    weight=bot.weight,
                    reserve_per_hour=bot.reserve_per_hour,
                    coalesce=bot.coalesce,
                    paused=not bot.enabled,
                )

    def _serve(self, now: float, *kinds: SpendClass) -> float | None:
        """Requests of turns in flight go before new turns: somebody waits for them already. Others go after.

        Whoever waits for an hour does not hold up those who need the minute only.
        """
        next_at: float | None = None
        for claimant in [waiting for waiting in self._claimants if waiting.kind in kinds]:
            what = claimant.kind, claimant.completion
            at = self.quota.ready_at(now, *what, bot=claimant.bot, upload=claimant.upload)
            if at > now and not claimant.slot.done():
                next_at = at if next_at is None else min(at, next_at)
                continue
            self._claimants.remove(claimant)
            if not claimant.slot.done():
                claimant.slot.set_result(self._take(now, *what, claimant.bot, upload=claimant.upload))
                self._granted(claimant.kind, now - claimant.since, claimant.turn)
        return next_at

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

    def _start_turns(self, now: float) -> float | None:
        """Start what fairness and quota let go."""
        if self._draining or self._somebody_goes_first(now):
            return None
        most = min(MOST_IN_FLIGHT, max(16, self._settings.quota.requests_per_minute))
        while len(self._turns) < most:
            at = self._breaker.ready_at(now)
            if at is None or at > now:
                return at
            pick = self.fairness.next(now, self.quota)
            if not isinstance(pick, Pick):
                self._blocked_since = (self._blocked_since or now) if pick is not None else None
                return pick
            kind: SpendClass = "reply" if pick.kind == "ask" else "record"
            slot = self._take(now, kind, kind == "reply", pick.bot)
            self.fairness.started(pick, now)
            if pick.kind == "ask":
                self._flying.add(pick.key)
            for head in pick.heads:
                self._leaves(head)
            waited = self._waited(pick.heads[0], now)
            self._granted(kind, waited)
            self._start(self._turn(pick, slot, waited, probe=self._breaker.probe()))
        return None

    def _fly(self, key: ConversationKey) -> None:
        """A turn of the conversation is in flight that fairness did not choose."""
        self._flying.add(key)
        self.fairness.started_key(key)

    def _leaves(self, head: Head) -> None:
        """It waits no longer."""
        self._waiting.pop(head.id, None)
        self._queued.started(head)

    def _tell_waiting(self, now: float) -> float | None:
        for head, expected in self._queued.due(now):
            self._start(self._queued.tell(head, expected))
        return self._queued.next_at

    def _expect(self, message_id: str, now: float) -> Estimate | None:
        estimate = self.fairness.estimate(message_id, now, self.quota)
        down = self._breaker.expected(now)
        return estimate and Estimate(estimate.position, max(estimate.seconds, down))

    def _heard(self, answered: bool) -> None:
        """A completion was answered, or got no answer."""
        now, fields = self.now(), {"organization": self.organization}
        if answered and self._breaker.answered():
            self._tools.observer(Noted(event="circuit.closed", fields=fields))
            self._bell.ring()
        elif not answered and self._breaker.failed(now, self._tools.jitter()):
            self._tools.observer(Noted(event="circuit.opened", level="warning", fields=fields))
            self._queued.look_again(self._waiting.values(), now)

    def _somebody_goes_first(self, now: float) -> bool:
        """A turn in flight waits for its next request and will have it soon; one that the hour blocks stops nobody."""
        soon = now + self._settings.quota.windows.minute
        return any(
            self.quota.ready_at(now, claimant.kind, claimant.completion, bot=claimant.bot) <= soon
            for claimant in self._claimants
            if claimant.kind in {"reply", "user"}
        )

    def _take(self, now: float, kind: SpendClass, completion: bool, bot: str, *, upload: bool = False) -> str:
        spend_id = new_id(self.organization)
        self.quota.take(now, spend_id, kind, completion, bot=bot, upload=upload)
        return spend_id

    def _granted(self, kind: SpendClass, waited: float, turn: str | None = None) -> None:
        fact = QuotaGranted(
            organization=self.organization,
            kind=kind,
            waited=max(0.0, waited),
            at=self._tools.clock.now(),
            turn=turn,
        )
        self._tools.observer(fact)

    def _waited(self, head: Head, now: float) -> float:
        """How much of a head's wait was for quota or for its own conversation's turn, not for us."""
        freed = self._freed.get(head.key, 0.0)
        if self._blocked_since is not None or freed > head.accepted_at:
            return now - head.accepted_at
        return 0.0

    async def slot(self, kind: SpendClass, completion: bool, bot: str, *, upload: bool = False) -> str:
        """Wait for room in the budget and take it; returns the spend's id."""
        slot: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._claimants.append(_Claimant(kind, completion, bot, self.now(), slot, upload, current.turn.get()))
        self._claimants.sort(key=lambda waiting: _RANK[waiting.kind])
        self._bell.ring()
        try:
            return await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.unused(slot.result())
            raise

    def room_in(self, *, completion: bool, upload: bool) -> float:
        """Seconds until there may be room for an operator's request; 0: now."""
        now = self.now()
        return self.quota.ready_at(now, "operator", completion, upload=upload) - now

    def unused(self, slot: str) -> None:
        """The request of this slot will not leave."""
        self.quota.refund(slot)

    async def refused(self, slot: str, error: RateLimited) -> None:
        """The request of this slot was answered with a 429."""
        await self._refused(slot, error)

    def sent(self, slot: str) -> None:
        """The request of this slot leaves now."""
        self.quota.sent(self.now(), slot)

    def settled(self, slot: str) -> None:
        """The request of this slot was answered, or failed."""
        self.quota.settle(self.now(), slot)

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
        key = pick.heads[0].key
        try:
            lease = self._lease_now()
            ids = [head.id for head in pick.heads]
            asks = pick.kind == "ask"
            turn = await self._claim(ids, lease, self._spend(slot, pick.bot) if asks else None)
            if turn is None:
                self.quota.refund(slot)
                self._start(self._look_again(pick))
                return
            admission = self._admission(turn, lease, slot, written=asks)
            if asks:
                self._tools.presence.begin(turn.key, turn.address, ids[0])
                await self._ask(turn, admission, waited)
            else:
                await self._record(turn, admission, lease)
        finally:
            if probe:
                self._breaker.probed()
            self._free(key, pick.kind)

    async def _resume(self, turn: Turn) -> None:
        """An earlier process asked this and died: look before asking again."""
        try:
            lease = self._lease_now()
            await self._ask(turn, self._admission(turn, lease, None), 0.0, look_first=True)
        finally:
            self._free(turn.key)

    async def _look_again(self, pick: Pick) -> None:
        """It could not be claimed: its senders took it back, or its chat became another one that has a turn in
        flight. In that case it waits on.
        """
        await self._tools.clock.sleep(1.0)
        for head in pick.heads:
            if await self._surely(partial(self._tools.journal.peek, head.id)) is not None:
                self._offer(head, self.now())

    async def _expired(self, heads: list[Head]) -> None:
        """These of one conversation waited too long."""
        ending = Ending(outcome="expired", cause="waited too long for its turn")
        try:
            for head in heads:
                turn = await self._claim([head.id], self._lease_now())
                if turn is not None:
                    await self._finish(turn, ending, 0.0, 0.0)
        finally:
            self._free(heads[0].key)

    async def _drop(self, head: Head, cause: str = "dropped: too many context records wait") -> None:
        """It will not be asked: a context record that made room for newer ones, a question to a bot that is gone."""
        turn = await self._claim([head.id], self._lease_now())
        while turn is None and await self._tools.journal.peek(head.id) is not None:
            await self._tools.clock.sleep(1.0)  # its conversation has a turn in flight
            turn = await self._claim([head.id], self._lease_now())
        if turn is not None:
            ending = Ending(outcome="failed", cause=cause)
            await self._surely(lambda: self._tools.journal.finish(turn.id, self._lease_now(), ending))

    async def _claim(self, ids: list[str], lease: Lease, spend: Spend | None = None) -> Turn | None:
        """With a spend it is asked in the same transaction: its slot is here, so nothing comes in between."""
        claim, organization = self._tools.journal.claim, self.organization
        return await self._surely(lambda: claim(new_id(organization), ids, lease, spend))

    def _spend(self, slot: str, bot: str) -> Spend:
        at = self._tools.clock.now()
        return Spend(id=slot, organization=self.organization, kind="reply", completion=True, at=at, bot=bot)

    async def _ask(
        self, turn: Turn, admission: Admission, waited: float, *, look_first: bool = False
    ) -> None:
        tools = self._tools
        current.turn.set(turn.id)
        timeout = tools.current().sensay.timeout
        answering = Answering(
            tools.completions,
            admission,
            tools.clock,
            timeout,
            tools.jitter,
            self._refused,
            self._heard,
            partial(self._looked_up, turn),
            self._drafting(turn),
        )
        try:
            question = self._question(turn)
            outcome: Reply | GiveUp = GiveUp("unsupported", "nothing in it can be read")
            if question.text:
                outcome = await answering.answer(question, look_first=look_first)
        except Exception as error:  # noqa: BLE001 - our own fault must not leave a person without a word
            outcome = GiveUp("failed", f"internal error: {type(error).__name__}")
            fields = {"turn": turn.id, "bot": turn.key.bot, "exception": repr(error)[:500]}
            tools.observer(Noted(event="turn.crashed", level="error", fields=fields))
        await self._close(admission)
        self._learn(outcome)
        if isinstance(outcome, GiveUp):
            await self._queued.apart(turn, self.now(), tools.clock.sleep)
        began = tools.clock.now()
        ending = await self._ending(admission.turn, outcome)
        rendered = began, tools.clock.now()
        await self._finish(admission.turn, ending, answering.upstream, waited + admission.waited, rendered)

    def _learn(self, outcome: Reply | GiveUp) -> None:
        """Whether the organisation needs a person: said once when it begins, and shown until an answer comes."""
        trouble = self.trouble
        if isinstance(outcome, Reply):
            self.trouble = None
        elif outcome.person:
            self.trouble = outcome.cause
        if self.trouble != trouble:
            event, level = (
                ("organization.failed", "error") if self.trouble else ("organization.recovered", "info")
            )
            fields = {"organization": self.organization, "error": self.trouble or trouble}
            self._tools.observer(Noted(event=event, level=level, fields=fields))  # type: ignore[arg-type]

    def _drafting(self, turn: Turn) -> Drafting | None:
        """What shows the answer while it is written, where the bot's section for the platform says `stream: on`."""
        section = getattr(self._tools.current().bots.get(turn.key.bot), turn.key.platform, None)
        if getattr(section, "stream", "off") != "on":
            return None
        return self._tools.presence.drafting(turn)

    def _looked_up(self, turn: Turn, outcome: str) -> None:
        fields = {"turn": turn.id, "bot": turn.key.bot, "platform": turn.key.platform, "outcome": outcome}
        self._tools.observer(Noted(event="lookup.ended", fields=fields))

    async def _ending(self, turn: Turn, outcome: Reply | GiveUp) -> Ending:
        bot = self._tools.current().bots.get(turn.key.bot)
        if isinstance(outcome, Reply):
            most = bot.reply.max_parts if bot else 10
            parts = await self._tools.rendering.parts(turn.key.platform, outcome, turn.address, most)
            if parts:
                return Ending(outcome="answered", parts=parts, request_id=outcome.request_id)
            outcome = GiveUp("failed", "the answer had nothing to show")
        parts = self._tools.notices.parts(
            turn.key.bot,
            turn.key.platform,
            outcome.text,
            turn.address,
            locale=turn.last.sender.locale,
            reference=turn.id,
        )
        ended: Outcome = "answered" if outcome.text == "unsupported" else "failed"
        return Ending(outcome=ended, parts=parts, cause=outcome.cause)

    async def _finish(
        self,
        turn: Turn,
        ending: Ending,
        upstream: float,
        waited: float,
        rendered: tuple[float, float] | None = None,
    ) -> None:
        if ending.outcome == "expired" and not ending.parts:
            parts = self._tools.notices.parts(
                turn.key.bot, turn.key.platform, "expired", turn.address, locale=turn.last.sender.locale
            )
            ending = Ending(outcome="expired", parts=parts, cause=ending.cause)
        lease = self._lease_now()
        ending = replace(ending, quota_wait=waited, upstream=upstream)
        await self._surely(lambda: self._tools.journal.finish(turn.id, lease, ending))
        self._tools.presence.end(turn.key, [turn.id, *(message.id for message in turn.messages)])
        self._tools.observer(
            TurnEnded(
                organization=self.organization,
                bot=turn.key.bot,
                platform=turn.key.platform,
                conversation=str(turn.key),
                turn=turn.id,
                outcome=ending.outcome,
                accepted_at=turn.accepted_at,
                ended_at=self._tools.clock.now(),
                parts=len(ending.parts),
                cause=ending.cause,
                attempts=turn.attempt,
                upstream_seconds=upstream,
                quota_wait_seconds=waited,
                messages=tuple(message.id for message in turn.messages),
                claimed_at=turn.claimed_at,
                rendered=rendered,
            )
        )

    async def _record(self, turn: Turn, admission: Admission, lease: Lease) -> None:
        """Context only: whatever goes wrong costs nobody an answer."""
        cause = None
        try:
            if (question := self._question(turn)).text:
                await self._tools.completions.record(question, admission)
        except RateLimited as error:
            await self._refused(admission.last_spend, error)
            cause = str(error)
        except GatewayError as error:
            cause = str(error)
        await self._close(admission)
        ending = Ending(outcome="answered" if cause is None else "failed", cause=cause)
        await self._surely(lambda: self._tools.journal.finish(turn.id, lease, ending))

    async def _close(self, admission: Admission) -> None:
        """The turn sends nothing more: a slot that it did not use goes back."""
        admission.settle()
        slot = admission.slot
        if slot is not None:
            self.quota.refund(slot)
            if admission.written:
                await self._surely(lambda: self._tools.journal.refund(self.organization, slot))

    async def _refused(self, spend_id: str | None, error: RateLimited) -> None:
        """A 429: it did not count, and we learn from it."""
        self.quota.limited(self.now(), error.retry_after, spend_id)
        if spend_id is not None:
            await self._surely(lambda: self._tools.journal.refund(self.organization, spend_id))

    # --- small things ---

    async def profile(self, replica: str) -> Profile:
        """What Sensay knows of a replica; one request at most, of the lowest class. Raises GatewayError."""
        operating = Operating(self.organization, self, self._tools.journal, self._tools.clock)
        return await operating.profile(self._tools.completions, replica)

    def _admission(self, turn: Turn, lease: Lease, slot: str | None, *, written: bool = False) -> Admission:
        return Admission(turn, lease, self._tools.journal, self._tools.clock, self, slot, written=written)

    def _question(self, turn: Turn) -> Question:
        bot, said = self._tools.current().bots[turn.key.bot], turn.last
        images = tuple(image for message in turn.messages for image in message.said.images)
        return Question(
            organization=self.organization,
            replica=bot.replica,
            platform=turn.key.platform,
            user=self._tools.user_for(turn.key.platform, turn.key.bot, said.sender.id),
            text=turn.text.strip("\n") or (PICTURE if images else ""),
            context=said.context,
            images=images,
        )

    def _free(self, key: ConversationKey, kind: Kind = "ask") -> None:
        now = self.now()
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

    async def _surely(self, write: Callable[[], Awaitable[_T]]) -> _T:
        """An answer in hand is not thrown away because the journal cannot write just now."""
        while True:
            try:
                return await write()
            except Transient:
                await self._tools.clock.sleep(1.0)


_RANK: dict[SpendClass, int] = {"reply": 0, "user": 1, "record": 2, "operator": 3}


def _quota_numbers(organization: Organization) -> dict[str, Any]:
    quota = organization.quota
    return {
        "requests_per_minute": quota.requests_per_minute,
        "completions_per_hour": quota.completions_per_hour,
        "uploads_per_hour": quota.uploads_per_hour,
        "minute": quota.windows.minute,
        "hour": quota.windows.hour,
    }
