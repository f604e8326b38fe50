"""An observer for `trace`: what was decided about the messages of late, also about those that left nothing in the
journal because they are not for the bot. Bounded; gone with the process.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.ports import Fact, MessageReceived

MOST = 20_000


class Decisions:
    """By the message's id."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, MessageReceived] = OrderedDict()

    def __call__(self, fact: Fact) -> None:
        if isinstance(fact, MessageReceived) and fact.message is not None and fact.outcome != "duplicate":
            self._known[fact.message] = fact
            if len(self._known) > MOST:
                self._known.popitem(last=False)

    def get(self, message: str) -> MessageReceived | None:
        return self._known.get(message)
