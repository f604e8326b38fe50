"""Beside the flow: a waiting user sees that an answer is coming.

One task per conversation that waits, and it always ends: with the last waiting message, with the channel, or at the
deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from gateway.messages import Address, Channel, ConversationKey, Facts, Turn, delivery_id
from gateway.pipeline.drafting import Drafting
from gateway.ports import Clock, ShowsDraft, ShowsTyping

PATIENCE = 0.7
"""Seconds without an answer from which typing is shown. A fast answer needs none: it would cost a request of its own,
and a place in the platform's limits that the answer wants."""
AT_ONCE = 32
"""Requests under way beyond which nobody new is shown typing: in a crowd they would only keep the answers waiting."""
LONGEST = 300.0
"""Seconds after which typing stops whatever happens."""


@dataclass
class _Waiting:
    address: Address
    ids: set[str] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    forget: Callable[[], object] = lambda: None
    """What stops the alarm of its patience."""

    def end(self) -> None:
        self.forget()
        if self.task is not None:
            self.task.cancel()


class Presence:
    """Shows typing while messages of a conversation wait, and lends what shows answers while they are written.

    Never raises, never delays anything. Whoever runs a channel shows what goes on in it: with several processes, `tell`
    lets that one know, and `elsewhere` finds what shows drafts from anywhere.
    """

    def __init__(
        self,
        clock: Clock,
        tell: Callable[[str, Facts], None] | None = None,
        elsewhere: Callable[[Channel], ShowsDraft | None] = lambda _: None,
    ) -> None:
        self._clock, self._tell, self._elsewhere = clock, tell, elsewhere
        self._here: set[Channel] = set()
        self._channels: dict[Channel, ShowsTyping] = {}
        self._drafts: dict[Channel, ShowsDraft] = {}
        self._waiting: dict[ConversationKey, _Waiting] = {}
        self._under_way = 0

    def attach(self, channel: Channel, adapter: object) -> None:
        """The channel's connection is up: typing and drafts can be shown through it."""
        self._here.add(channel)
        if isinstance(adapter, ShowsTyping):
            self._channels[channel] = adapter
        if isinstance(adapter, ShowsDraft):
            self._drafts[channel] = adapter

    def detach(self, channel: Channel) -> None:
        self._here.discard(channel)
        self._channels.pop(channel, None)
        self._drafts.pop(channel, None)

    def drafting(self, turn: Turn) -> Drafting | None:
        """What shows a turn's answer while it is written; None where that cannot be shown."""
        channel = Channel(bot=turn.key.bot, platform=turn.key.platform)
        adapter = self._drafts.get(channel) or self._elsewhere(channel)
        part_id = delivery_id(turn.id, "answer", 0)
        return None if adapter is None else Drafting(adapter, turn.address, part_id, self._clock)

    def begin(self, key: ConversationKey, address: Address, message_id: str) -> None:
        """A message waits for its answer."""
        if self._is_here(key):
            self._begin(key, address, message_id)
        else:
            self._pass_on(key, {"begin": message_id, "address": msgspec.to_builtins(address)})

    def hear(self, fact: Facts) -> None:
        """What another process has told of a channel that runs here."""
        if "key" not in fact:
            return
        key = ConversationKey.parse(fact["key"])
        if "begin" in fact:
            self._begin(key, msgspec.convert(fact["address"], Address), fact["begin"])
        else:
            self._end(key, fact["end"])

    def _is_here(self, key: ConversationKey) -> bool:
        """Or it is another process's to show."""
        return self._tell is None or Channel(bot=key.bot, platform=key.platform) in self._here

    def _pass_on(self, key: ConversationKey, fact: Facts) -> None:
        if self._tell is not None:
            self._tell(f"presence/{key.bot}/{key.platform}", {"key": str(key), **fact})

    def _begin(self, key: ConversationKey, address: Address, message_id: str) -> None:
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(address)
            waiting.forget = self._clock.alarm(PATIENCE, partial(self._start, key, waiting))
        waiting.address = address
        waiting.ids.add(message_id)

    def end(self, key: ConversationKey, message_ids: list[str]) -> None:
        """They are answered."""
        if not self._is_here(key):
            self._pass_on(key, {"end": message_ids})
        self._end(key, message_ids)

    def _end(self, key: ConversationKey, message_ids: list[str]) -> None:
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        waiting.ids.difference_update(message_ids)
        if not waiting.ids:
            del self._waiting[key]
            waiting.end()

    def close(self) -> None:
        for waiting in self._waiting.values():
            waiting.end()
        self._waiting.clear()

    def _start(self, key: ConversationKey, waiting: _Waiting) -> None:
        waiting.task = asyncio.get_running_loop().create_task(self._show(key, waiting))

    async def _show(self, key: ConversationKey, waiting: _Waiting) -> None:
        channel = Channel(bot=key.bot, platform=key.platform)
        until = self._clock.monotonic() + LONGEST
        while waiting.ids and self._clock.monotonic() < until:
            adapter = self._channels.get(channel)
            if adapter is not None and self._under_way < AT_ONCE:
                await self._type(adapter, waiting.address)
            await self._clock.sleep(adapter.typing_every if adapter else 1.0)
        if self._waiting.get(key) is waiting:
            del self._waiting[key]

    async def _type(self, adapter: ShowsTyping, address: Address) -> None:
        self._under_way += 1
        try:
            with contextlib.suppress(Exception):
                await adapter.typing(address)
        finally:
            self._under_way -= 1
