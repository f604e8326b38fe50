"""One turn's way: claimed, asked, answered, ended. What is asked next is decided in `complete.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from gateway.errors import GatewayError, RateLimited
from gateway.messages import Ending, Head, Outcome, Question, Reply, Spend, Turn
from gateway.pipeline.accept import new_id
from gateway.pipeline.admission import Admission
from gateway.pipeline.answer import Answering
from gateway.pipeline.door import Door
from gateway.pipeline.drafting import Drafting
from gateway.pipeline.queued import Queued
from gateway.pipeline.tools import Tools
from gateway.policy.retry import GiveUp
from gateway.ports import Lease, Noted, TurnEnded
from gateway.telemetry import current

PICTURE = "(picture)"
"""What is asked about a picture without words: Sensay takes no question without text."""


class Asking:
    """One organisation's turns, each in a task of its own. `lease` is the dispatcher's, of this moment; raises
    Superseded. `heard` is told of each completion, whether Sensay answered it.
    """

    def __init__(
        self,
        organization: str,
        tools: Tools,
        door: Door,
        queued: Queued,
        lease: Callable[[], Lease],
        heard: Callable[[bool], None],
    ) -> None:
        self.organization = organization
        self.trouble: str | None = None
        """Why no answer can come until a person acts: a refused key, a spent allowance."""
        self._tools, self._door, self._queued = tools, door, queued
        self._lease_now, self._heard = lease, heard

    # --- what becomes of waiting messages ---

    async def asked(self, heads: Sequence[Head], slot: str, bot: str, waited: float) -> bool:
        """Claim these questions and have them answered; False if they cannot be claimed (now)."""
        ids, lease = [head.id for head in heads], self._lease_now()
        turn = await self._claim(ids, lease, self._spend(slot, bot))
        if turn is None:
            return False
        self._tools.presence.begin(turn.key, turn.address, ids[0])
        await self._ask(turn, self._admission(turn, lease, slot, written=True), waited)
        return True

    async def recorded(self, heads: Sequence[Head], slot: str) -> bool:
        """Claim these and have them stored as context; False if they cannot be claimed (now)."""
        lease = self._lease_now()
        turn = await self._claim([head.id for head in heads], lease)
        if turn is None:
            return False
        await self._record(turn, self._admission(turn, lease, slot))
        return True

    async def resumed(self, turn: Turn) -> None:
        """An earlier process asked this and died: look before asking again."""
        await self._ask(turn, self._admission(turn, self._lease_now(), None), 0.0, look_first=True)

    async def expired(self, heads: Sequence[Head]) -> None:
        """These of one conversation waited too long."""
        ending = Ending(outcome="expired", cause="waited too long for its turn")
        for head in heads:
            turn = await self._claim([head.id], self._lease_now())
            if turn is not None:
                await self._finish(turn, ending, 0.0, 0.0)

    async def dropped(self, head: Head, cause: str = "dropped: too many context records wait") -> None:
        """It will not be asked: a context record that made room for newer ones, a question to a bot that is gone."""
        turn = await self._claim([head.id], self._lease_now())
        while turn is None and await self._tools.journal.peek(head.id) is not None:
            await self._tools.clock.sleep(1.0)  # its conversation has a turn in flight
            turn = await self._claim([head.id], self._lease_now())
        if turn is not None:
            ending = Ending(outcome="failed", cause=cause)
            await self._tools.surely(lambda: self._tools.journal.finish(turn.id, self._lease_now(), ending))

    async def _claim(self, ids: list[str], lease: Lease, spend: Spend | None = None) -> Turn | None:
        """With a spend it is asked in the same transaction: its slot is here, so nothing comes in between."""
        claim, organization = self._tools.journal.claim, self.organization
        return await self._tools.surely(lambda: claim(new_id(organization), ids, lease, spend))

    def _spend(self, slot: str, bot: str) -> Spend:
        at = self._tools.clock.now()
        return Spend(id=slot, organization=self.organization, kind="reply", completion=True, at=at, bot=bot)

    def _admission(self, turn: Turn, lease: Lease, slot: str | None, *, written: bool = False) -> Admission:
        return Admission(
            turn, lease, self._tools.journal, self._tools.clock, self._door, slot, written=written
        )

    # --- asking ---

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
            self._door.refused,
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
            await self._queued.apart(turn, self._door.now(), tools.clock.sleep)
        began = tools.clock.now()
        ending = await self._ending(admission.turn, outcome)
        rendered = began, tools.clock.now()
        await self._finish(admission.turn, ending, answering.upstream, waited + admission.waited, rendered)

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

    def _drafting(self, turn: Turn) -> Drafting | None:
        """What shows the answer while it is written, where the bot's section for the platform says `stream: on`."""
        section = getattr(self._tools.current().bots.get(turn.key.bot), turn.key.platform, None)
        if getattr(section, "stream", "off") != "on":
            return None
        return self._tools.presence.drafting(turn)

    def _looked_up(self, turn: Turn, outcome: str) -> None:
        fields = {"turn": turn.id, "bot": turn.key.bot, "platform": turn.key.platform, "outcome": outcome}
        self._tools.observer(Noted(event="lookup.ended", fields=fields))

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

    async def _record(self, turn: Turn, admission: Admission) -> None:
        """Context only: whatever goes wrong costs nobody an answer."""
        cause = None
        try:
            if (question := self._question(turn)).text:
                await self._tools.completions.record(question, admission)
        except RateLimited as error:
            await self._door.refused(admission.last_spend, error)
            cause = str(error)
        except GatewayError as error:
            cause = str(error)
        await self._close(admission)
        ending = Ending(outcome="answered" if cause is None else "failed", cause=cause)
        await self._tools.surely(lambda: self._tools.journal.finish(turn.id, self._lease_now(), ending))

    async def _close(self, admission: Admission) -> None:
        """The turn sends nothing more: a slot that it did not use goes back."""
        admission.settle()
        slot = admission.slot
        if slot is not None:
            self._door.unused(slot)
            if admission.written:
                await self._tools.surely(lambda: self._tools.journal.refund(self.organization, slot))

    # --- ending ---

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
        await self._tools.surely(lambda: self._tools.journal.finish(turn.id, lease, ending))
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
