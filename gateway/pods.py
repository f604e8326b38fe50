"""What processes that share a journal tell and ask each other: at most once, and never the only copy of anything."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from gateway.errors import GatewayError, Transient
from gateway.messages import Facts
from gateway.ports import Clock, Journal

PATIENCE = 1.0
"""Seconds that another process has to answer: it does so at once, or is gone."""
MOST_WAITING = 1000
COUNT_EVERY = 5.0
"""Seconds between two looks at how long queues are."""

Answer: TypeAlias = Callable[[Facts], Awaitable[Facts | None]]


class Pods:
    """`pod` is this process, `others` are those that it knows of. `answers` are by what is asked; `missed` is called
    when something that was told may not have been heard.
    """

    def __init__(self, journal: Journal, pod: str, others: Callable[[], list[str]], clock: Clock) -> None:
        self.answers: dict[str, Answer] = {}
        self.missed: Callable[[], Awaitable[None]] | None = None
        self._journal, self._pod, self._others, self._clock = journal, pod, others, clock
        self._telling: asyncio.Queue[tuple[str, Facts]] = asyncio.Queue(MOST_WAITING)
        self._answering: set[asyncio.Task[None]] = set()

    def tell(self, topic: str, fact: Facts) -> None:
        """Publish it soon, in order. What there is no room for is dropped."""
        if not self._telling.full():
            self._telling.put_nowait((topic, fact))

    async def keep_telling(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(GatewayError):
                await self._journal.publish(*await self._telling.get())

    async def keep_answering(self) -> None:
        """Until cancelled."""
        async with self._journal.watch(_topic(self._pod)) as watch:
            while True:
                asked = await watch.next()
                task = asyncio.get_running_loop().create_task(self._answer(asked))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def _answer(self, asked: Facts) -> None:
        if "what" not in asked:  # the connection was lost and is back
            if self.missed is not None:
                with suppress(GatewayError):
                    await self.missed()
            return
        answer = self.answers.get(asked["what"])
        with suppress(GatewayError):  # who asked does not wait for long
            said = await answer(asked["facts"]) if answer else None
            await self._journal.publish(asked["reply"], {"pod": self._pod, "said": said})

    async def ask(
        self,
        what: str,
        facts: Facts | None = None,
        *,
        patience: float = PATIENCE,
        enough: Callable[[Mapping[str, Any]], bool] = lambda _: False,
    ) -> dict[str, Any]:
        """What all others say, by their names, as far as they do within `patience` seconds or until it is `enough`;
        without those that have nothing to say.
        """
        left = set(self._others())
        said: dict[str, Any] = {}
        if not left:
            return said
        reply = f"reply/{secrets.token_hex(8)}"
        async with self._journal.watch(reply) as watch:
            for pod in left:
                await self._journal.publish(_topic(pod), {"what": what, "facts": facts or {}, "reply": reply})
            alarm = asyncio.ensure_future(self._clock.sleep(patience))
            try:
                while left and not alarm.done() and not enough(said):
                    news = asyncio.ensure_future(watch.next())
                    await asyncio.wait({news, alarm}, return_when=asyncio.FIRST_COMPLETED)
                    if not news.done():
                        news.cancel()
                        break
                    if "pod" in (fact := news.result()):
                        left.discard(fact["pod"])
                        if fact["said"] is not None:
                            said[fact["pod"]] = fact["said"]
            finally:
                alarm.cancel()
        return said

    async def ask_one(self, what: str, facts: Facts, patience: float) -> Any:
        """What the one that knows says. Raises Transient if none does."""
        said = await self.ask(what, facts, patience=patience, enough=bool)
        if not said:
            raise Transient("no other process could be asked")
        return next(iter(said.values()))


class Queues:
    """How long the queues are that another process works off: of organisations that are asked about, so that thousands
    of others cost nothing. A new one counts as empty until the next look.
    """

    def __init__(self, count: Callable[[str], Awaitable[int]], clock: Clock) -> None:
        self._count, self._clock = count, clock
        self._asked: set[str] = set()
        self._known: dict[str, int] = {}

    def length(self, organization: str) -> int:
        self._asked.add(organization)
        return self._known.get(organization, 0)

    async def keep_counting(self) -> None:
        """Until cancelled."""
        while True:
            asked, self._asked = self._asked, set()
            for organization in asked:
                with suppress(Transient):
                    self._known[organization] = await self._count(organization)
            await self._clock.sleep(COUNT_EVERY)


def _topic(pod: str) -> str:
    return f"pod/{pod}"
