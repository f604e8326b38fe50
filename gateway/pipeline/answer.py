"""Asking one turn's question until it has an end, by the table in `policy/retry.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.errors import Ambiguous, GatewayError, Permanent, RateLimited, Transient
from gateway.messages import Question, Reply
from gateway.pipeline.admission import Admission
from gateway.pipeline.bell import done_within
from gateway.pipeline.drafting import Drafting
from gateway.policy.retry import ATTEMPTS, Again, GiveUp, LookUp, after_question
from gateway.ports import Clock, Completions

LOOK_FIRST, LOOK_CAP = 1.0, 10.0
"""Seconds between look-ups of a question that Sensay has and still works on: doubled each time, up to the cap."""


class Answering:
    """One turn at Sensay. `timeout` is Sensay's: an answer that is still missing that long after asking will not
    come.

    `refused` is told of a 429 (spend id, error), so that the budget learns from it; `heard` of each completion,
    whether Sensay answered it. `noted` hears how look-ups ended: answered, pending, absent or failed. `drafting` shows
    the answer while it is written. `upstream` counts the seconds spent on requests.
    """

    def __init__(
        self,
        completions: Completions,
        admission: Admission,
        clock: Clock,
        timeout: float,
        jitter: Callable[[], float],
        refused: Callable[[str | None, RateLimited], Awaitable[None]],
        heard: Callable[[bool], None] = lambda _: None,
        noted: Callable[[str], None] = lambda _: None,
        drafting: Drafting | None = None,
    ) -> None:
        self._completions, self._admission, self._clock = completions, admission, clock
        self._timeout, self._jitter, self._refused = timeout, jitter, refused
        self._heard, self._noted, self._drafting = heard, noted, drafting
        self._pause = LOOK_FIRST
        self.upstream = 0.0

    async def answer(self, question: Question, *, look_first: bool = False) -> Reply | GiveUp:
        """Ask, look up and ask again until there is an answer or a reason to give up. Bounded in time and requests."""
        limit = 2 * self._timeout + 20.0
        asking = asyncio.ensure_future(
            self._until_settled(question, LookUp(0.0) if look_first else Again(0.0))
        )
        try:
            if await done_within(self._clock, limit, asking):
                return asking.result()
            return GiveUp("failed", f"no answer within {limit:g} s")
        finally:
            if asking.cancel():  # it has no end yet
                await asyncio.gather(asking, return_exceptions=True)
            if self._drafting:
                await self._drafting.end()

    async def _until_settled(self, question: Question, step: Again | LookUp) -> Reply | GiveUp:
        while True:
            if step.wait:
                await self._clock.sleep(step.wait)
            outcome = await self._try(question, step)
            if not isinstance(outcome, Again | LookUp):
                return outcome
            step = outcome

    async def _try(self, question: Question, step: Again | LookUp) -> Reply | GiveUp | Again | LookUp:
        waited, began = self._admission.waited, self._clock.monotonic()
        requests = self._admission.requests
        try:
            if isinstance(step, LookUp):
                return await self._look(question)
            on_delta = self._drafting.begin() if self._drafting else None
            reply = await self._completions.complete(question, self._admission, on_delta)
        except GatewayError as error:
            if isinstance(step, LookUp):
                self._noted("failed")
            elif self._admission.requests > requests:  # else the request never left: Sensay has no part in it
                self._heard(isinstance(error, RateLimited) or not isinstance(error, Transient | Ambiguous))
            if isinstance(error, RateLimited):
                await self._refused(self._admission.last_spend, error)
                self._admission.uncount()
            decision = after_question(error, self._admission.requests, self._jitter())
            if isinstance(step, LookUp) and isinstance(decision, Again):
                return LookUp(decision.wait)  # not knowing is no reason to ask a second time
            return decision
        else:
            self._heard(True)  # noqa: FBT003 - the only fact it takes
            return reply
        finally:
            self.upstream += self._clock.monotonic() - began - (self._admission.waited - waited)

    async def _look(self, question: Question) -> Reply | GiveUp | Again | LookUp:
        asked_at = self._admission.turn.asked_at or self._clock.now()
        try:
            found = await self._completions.find(question, asked_at, self._admission)
        except Permanent:
            found = None  # no history in this dialect, or none for this user: as good as not found
        self._noted("answered" if isinstance(found, Reply) else found or "absent")
        if isinstance(found, Reply):
            return found
        if found == "pending" and self._clock.now() < asked_at + self._timeout:
            pause, self._pause = self._pause, min(LOOK_CAP, 2 * self._pause)
            return LookUp(pause * (0.75 + 0.5 * self._jitter()))
        if self._admission.requests >= ATTEMPTS and found is None:
            return GiveUp("failed", "asked, and Sensay's history does not have it")
        return Again(0.0)
