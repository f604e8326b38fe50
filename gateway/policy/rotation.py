"""Whose turn it is inside one bot: conversations one after the other, and in each of them its senders.

Direct conversations and groups stand in two rings. While both have somebody ready, direct ones get at least every
second turn, and more when they are more: groups move once for max(1, direct / groups) moves of the others. So a person
who writes to the bot alone is not kept waiting by a thousand groups, nor a group by many persons.

A conversation with a turn in flight is in no ring. One whose messages are all held back (`coalesce.due`) is in none
either; its alarm brings it back.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from math import inf
from operator import attrgetter

from gateway.messages import ConversationKey, Head
from gateway.policy import coalesce

Alarm = Callable[[float, ConversationKey], None]
"""(when, whose): look at the conversation again then (`Rotation.look`)."""

_seq = attrgetter("seq")


class Conversation:
    """Waiting messages of one conversation by sender; the sender whose turn it is stands first."""

    __slots__ = ("direct", "flying", "key", "senders", "ticket")

    def __init__(self, key: ConversationKey, *, direct: bool) -> None:
        self.key = key
        self.direct = direct
        self.senders: dict[str, list[Head]] = {}
        self.flying: tuple[str, ...] | None = None
        """Ids of the messages of the turn in flight."""
        self.ticket: int | None = None
        """Its number in its ring."""


class Ring:
    """Ready conversations, the next one first. Its tag says how much of its part it had."""

    def __init__(self) -> None:
        self.ready: OrderedDict[ConversationKey, Conversation] = OrderedDict()
        self.tag = 0.0
        self._joined = 0
        self._passed = 0

    def first(self) -> Conversation:
        return next(iter(self.ready.values()))

    def join(self, conversation: Conversation, *, in_front: bool = False) -> None:
        self.ready[conversation.key] = conversation
        if in_front:
            self.ready.move_to_end(conversation.key, last=False)
            self._passed -= 1
            conversation.ticket = self._passed
        else:
            conversation.ticket = self._joined
            self._joined += 1

    def leave(self, conversation: Conversation) -> None:
        if conversation.ticket is not None and self.first() is conversation:
            self._passed = conversation.ticket + 1
        conversation.ticket = None
        del self.ready[conversation.key]

    def place(self, conversation: Conversation) -> int:
        """How many stand in front of it, at most (those that left from the middle are not subtracted)."""
        if conversation.ticket is None:
            return len(self.ready)
        return min(conversation.ticket - self._passed, len(self.ready) - 1)


class Rotation:
    """One bot's waiting messages of one kind."""

    def __init__(self, alarm: Alarm, *, hold: float | None, most: int, size: int, by_sender: bool) -> None:
        self.hold = hold
        self._by_sender = by_sender
        self._most = most
        self._size = size
        self._alarm = alarm
        self._conversations: dict[ConversationKey, Conversation] = {}
        self._direct, self._group = Ring(), Ring()

    @property
    def ready(self) -> bool:
        """Whether some conversation has a turn that may leave, as far as we know."""
        return bool(self._direct.ready or self._group.ready)

    def flies(self, head: Head) -> bool:
        """Whether the message is in its conversation's turn in flight."""
        conversation = self._conversations.get(head.key)
        return conversation is not None and conversation.flying is not None and head.id in conversation.flying

    def beyond(self, key: ConversationKey, most: int) -> Head | None:
        """The oldest message of a conversation that has more than `most` (of one sender)."""
        heads = next(iter(self._conversations[key].senders.values()))
        return heads[0] if len(heads) > most else None

    def heads(self) -> Iterable[Head]:
        """Every waiting message."""
        for conversation in self._conversations.values():
            for heads in conversation.senders.values():
                yield from heads

    # --- coming and going ---

    def add(self, head: Head, now: float) -> None:
        """A message waits."""
        conversation = self._open(head.key, direct=head.direct)
        if conversation.ticket is None:
            conversation.direct = head.direct
        heads = conversation.senders.setdefault(self._who(head), [])
        if not heads or heads[-1].seq < head.seq:
            heads.append(head)
        else:
            insort(heads, head, key=_seq)
        self._settle(conversation, now)

    def discard(self, head: Head) -> None:
        """A message waits no more."""
        conversation = self._conversations[head.key]
        self._drop(conversation, self._who(head), {head.id})
        if not conversation.senders:
            self._empty(conversation)

    def look(self, key: ConversationKey, now: float) -> None:
        """The time may have come for a conversation that was held back."""
        conversation = self._conversations.get(key)
        if conversation is not None and conversation.senders:
            self._settle(conversation, now)

    def change_hold(self, hold: float | None) -> None:
        """Another `coalesce`: everything that may be held back is looked at again."""
        if hold != self.hold:
            self.hold = hold
            for conversation in self._conversations.values():
                if conversation.ticket is None:
                    self._alarm(-inf, conversation.key)

    def fly(self, key: ConversationKey, heads: Sequence[Head] = (), *, direct: bool = True) -> None:
        """A turn of the conversation is in flight, made of these waiting messages of one sender."""
        conversation = self._open(key, direct=direct)
        if heads:
            who = self._who(heads[0])
            self._drop(conversation, who, {head.id for head in heads})
            if who in conversation.senders:
                conversation.senders[who] = conversation.senders.pop(who)
        conversation.flying = tuple(head.id for head in heads)
        if conversation.ticket is not None:
            self._ring(conversation).leave(conversation)

    def land(self, key: ConversationKey, now: float) -> None:
        """No turn of the conversation is in flight any more."""
        conversation = self._conversations.get(key)
        if conversation is None:
            return
        conversation.flying = None
        if conversation.senders:
            self._settle(conversation, now)
        else:
            self._empty(conversation)

    def bounce(self, heads: Sequence[Head], now: float) -> None:
        """The turn in flight was not asked after all: its messages are next again."""
        conversation = self._open(heads[0].key, direct=heads[0].direct)
        who = self._who(heads[0])
        waiting = sorted([*heads, *conversation.senders.pop(who, [])], key=_seq)
        conversation.senders = {who: waiting, **conversation.senders}
        conversation.flying = None
        self._settle(conversation, now, in_front=True)

    # --- choosing ---

    def first(self, now: float) -> tuple[Head, ...]:
        """The turn that is next; empty if none may leave. Looking changes nothing that shows."""
        while self.ready:
            conversation = self._next_ring().first()
            for heads in conversation.senders.values():
                if coalesce.due(heads, self.hold) <= now:
                    return coalesce.together(heads, now, self.hold, most=self._most, size=self._size)
            self._ring(conversation).leave(conversation)
            self._settle(conversation, now)
        return ()

    def charge(self, key: ConversationKey) -> None:
        """The conversation's ring had a turn."""
        if self._ring(self._conversations[key]) is self._group:
            self._group.tag += 1.0
        else:
            self._direct.tag += 1.0 / self._direct_for_a_group()

    def ahead(self, head: Head) -> int:
        """How many turns of this bot leave before the one that this message will be in, by now's order."""
        conversation = self._conversations[head.key]
        ring = self._ring(conversation)
        other = self._group if conversation.direct else self._direct
        behind = list(conversation.senders).index(self._who(head))
        own = ring.place(conversation) + behind * max(1, len(ring.ready))
        ratio = self._direct_for_a_group()
        among = (own + 1) / ratio if conversation.direct else (own + 1) * ratio
        return own + min(len(other.ready), round(among))

    def _next_ring(self) -> Ring:
        if not self._group.ready or (self._direct.ready and self._direct.tag <= self._group.tag):
            return self._direct
        return self._group

    def _direct_for_a_group(self) -> float:
        """How many direct turns go for one in a group."""
        return max(1.0, len(self._direct.ready) / max(1, len(self._group.ready)))

    # --- small things ---

    def _who(self, head: Head) -> str:
        return head.sender if self._by_sender else ""

    def _open(self, key: ConversationKey, *, direct: bool) -> Conversation:
        conversation = self._conversations.get(key)
        if conversation is None:
            conversation = self._conversations[key] = Conversation(key, direct=direct)
        return conversation

    def _drop(self, conversation: Conversation, sender: str, ids: set[str]) -> None:
        waiting = conversation.senders[sender]
        left = [head for head in waiting if head.id not in ids] if len(waiting) > 1 else []
        if left:
            conversation.senders[sender] = left
        else:
            del conversation.senders[sender]

    def _empty(self, conversation: Conversation) -> None:
        if conversation.ticket is not None:
            self._ring(conversation).leave(conversation)
        if conversation.flying is None:
            del self._conversations[conversation.key]

    def _ring(self, conversation: Conversation) -> Ring:
        return self._direct if conversation.direct else self._group

    def _settle(self, conversation: Conversation, now: float, *, in_front: bool = False) -> None:
        """Into its ring, if a turn of it may leave; else set the alarm."""
        if conversation.flying is not None or conversation.ticket is not None:
            return
        due = self._due(conversation, now)
        if due > now:
            self._alarm(due, conversation.key)
            return
        ring = self._ring(conversation)
        if not ring.ready:
            other = self._group if conversation.direct else self._direct
            ring.tag = max(ring.tag, other.tag)
        ring.join(conversation, in_front=in_front)

    def _due(self, conversation: Conversation, now: float) -> float:
        soonest = inf
        for heads in conversation.senders.values():
            soonest = min(soonest, coalesce.due(heads, self.hold))
            if soonest <= now:
                break
        return soonest
