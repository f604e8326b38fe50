"""Beside the flow: whoever has to wait for quota knows it, once, with an honest estimate."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from gateway.errors import Transient
from gateway.messages import ConversationKey, Head, Turn
from gateway.pipeline.notices import Notices
from gateway.policy.fairness import Estimate
from gateway.ports import Journal
from gateway.settings.models import Settings

MOST = 10_000
"""Persons of whom it is remembered what they were told last."""


@dataclass(order=True)
class _Look:
    at: float
    id: str
    head: Head = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Quiet:
    """Somebody was told to wait (`queued`) or that it failed: until then they do not hear the other."""

    until: float
    queued: bool


class Queued:
    """Decides who is told. A message is looked at when it arrives and, if it still waits, after `queued_after`.

    `expect(message_id, now)` is the fairness policy's estimate; None for a message that does not wait.
    """

    def __init__(
        self,
        journal: Journal,
        notices: Notices,
        current: Callable[[], Settings],
        expect: Callable[[str, float], Estimate | None],
    ) -> None:
        self._journal, self._notices, self._current, self._expect = journal, notices, current, expect
        self._looks: list[_Look] = []
        self._told: set[tuple[ConversationKey, str]] = set()
        self._quiet: OrderedDict[tuple[ConversationKey, str], _Quiet] = OrderedDict()

    def offered(self, head: Head, now: float) -> None:
        """A question waits from now on."""
        heapq.heappush(self._looks, _Look(now, head.id, head))

    def started(self, head: Head) -> None:
        """It waits no longer: the next one of this sender may be told again."""
        self._told.discard((head.key, head.sender))

    def look_again(self, heads: Iterable[Head], now: float) -> None:
        """Sensay is down: what was expected of these is not true any more."""
        for head in heads:
            after = self._after(head.key.bot)
            if after is not None:
                heapq.heappush(self._looks, _Look(now + after, head.id, head))

    async def apart(self, turn: Turn, now: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Nobody hears that they have to wait and that it failed within `queued_after`: the second waits. A failure
        after a failure does not.
        """
        after = self._after(turn.key.bot)
        if after is not None:
            who = (turn.key, turn.last.sender.id)
            quiet = self._quiet.get(who)
            wait = max(0.0, quiet.until - now) if quiet and quiet.queued else 0.0
            self._keep_quiet(who, _Quiet(now + wait + after, queued=False))
            if wait:
                await sleep(wait)

    def _keep_quiet(self, who: tuple[ConversationKey, str], quiet: _Quiet) -> None:
        self._quiet[who] = quiet
        self._quiet.move_to_end(who)
        if len(self._quiet) > MOST:
            self._quiet.popitem(last=False)

    @property
    def next_at(self) -> float | None:
        """When to call `due` again."""
        return self._looks[0].at if self._looks else None

    def due(self, now: float) -> list[tuple[Head, Estimate]]:
        """Who has to be told now."""
        tell = []
        while self._looks and self._looks[0].at <= now:
            head = heapq.heappop(self._looks).head
            after, who = self._after(head.key.bot), (head.key, head.sender)
            expected = self._expect(head.id, now)
            if expected is None or after is None or who in self._told:
                continue
            if head.key.platform == "webhook":  # its caller sees the status
                continue
            quiet = self._quiet.get(who)
            if quiet and quiet.until > now:
                heapq.heappush(self._looks, _Look(quiet.until, head.id, head))
            elif expected.seconds > after:
                self._told.add(who)
                self._keep_quiet(who, _Quiet(now + after, queued=True))
                tell.append((head, expected))
            elif now < head.accepted_at + after:
                heapq.heappush(self._looks, _Look(head.accepted_at + after, head.id, head))
        return tell

    def _after(self, name: str) -> float | None:
        bot = self._current().bots.get(name)
        return bot.queued_after if bot else None

    async def tell(self, head: Head, expected: Estimate) -> None:
        """On the web an event of the stream, elsewhere a message."""
        seconds = round(expected.seconds)
        if head.key.platform == "web":
            fact = {"type": "queued", "position": expected.position, "seconds": seconds}
            await self._journal.publish(f"conversation/{head.key}", fact)
            return
        try:
            message = await self._journal.peek(head.id)
            if message is None:
                return
            said = message.said
            parts = self._notices.parts(
                said.key.bot,
                said.key.platform,
                "queued",
                said.address,
                locale=said.sender.locale,
                seconds=seconds,
            )
            await self._journal.notify(head.id, parts)
        except Transient:
            return
