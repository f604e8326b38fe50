"""What was said: messages in conversations, conversations in chats. Pure; times come from outside.

A chat is where a replica meets somebody: a person on one platform, or a group. A pause of six hours ends a
conversation. Whatever is kept here is bounded: what is oldest goes first.
"""

from __future__ import annotations

import uuid
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.sandbox.sensay.bodies import Source
from gateway.sandbox.sensay.replies import Role

if TYPE_CHECKING:
    from gateway.sandbox.sensay.state import Replica, User

PAUSE = 6 * 3600.0
MOST_MESSAGES = 2_000
"""In one conversation, and in one user's history with a replica."""
MOST_CONVERSATIONS = 200
"""In one chat."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is said. Without a `group` it is between the replica and one user."""

    group: str | None = None
    name: str | None = None
    speaker: str | None = None
    """What the platform calls who speaks."""


ALONE = Place()


@dataclass(frozen=True, slots=True)
class Message:
    """`user` is who the turn belongs to, also when the replica speaks."""

    id: int
    uuid: str
    role: Role
    content: str
    source: Source
    created_at: float
    user: User
    replica: Replica
    speaker: str | None = None


@dataclass(slots=True)
class Conversation:
    uuid: str
    chat: Chat
    began_at: float
    messages: list[Message] = field(default_factory=list)

    @property
    def replies(self) -> int:
        return sum(message.role == "assistant" for message in self.messages)

    @property
    def last_reply_at(self) -> float | None:
        return next((m.created_at for m in reversed(self.messages) if m.role == "assistant"), None)


@dataclass(slots=True)
class Chat:
    uuid: str
    replica: Replica
    source: Source
    group: bool
    name: str | None
    conversations: list[Conversation] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    """The users who spoke here, by UUID."""

    @property
    def messages(self) -> list[Message]:
        return [message for conversation in self.conversations for message in conversation.messages]


class Talk:
    """All that is said in an organisation. `most` messages are kept; then the chat that slept longest is forgotten."""

    def __init__(self, most: int = 100_000) -> None:
        self._most, self._kept, self._said = most, 0, 0
        self._chats: OrderedDict[tuple[str, str, str], Chat] = OrderedDict()
        self._histories: dict[tuple[str, str], list[Message]] = {}
        self.begun: Counter[tuple[str, Source, str]] = Counter()
        """Conversations ever begun, by replica, source and UTC day."""

    def say(
        self,
        replica: Replica,
        user: User,
        role: Role,
        content: str,
        source: Source,
        now: float,
        place: Place = ALONE,
        seed: str | None = None,
    ) -> Message:
        """`seed` gives the message, and what it begins, the same UUIDs in every organisation."""
        conversation = self._conversation(replica, user, source, now, place, seed)
        self._said += 1
        speaker = (place.speaker or user.name) if role == "user" else replica.name
        message = Message(
            self._said, _name(seed, "message"), role, content, source, now, user, replica, speaker
        )
        conversation.messages.append(message)
        conversation.chat.people.add(user.uuid)
        self._histories.setdefault((replica.uuid, user.uuid), []).append(message)
        replica.said += 1
        self._kept += 1
        self._trim(conversation, (replica.uuid, user.uuid))
        return message

    def history(self, replica: Replica, user: User) -> list[Message]:
        return self._histories.get((replica.uuid, user.uuid), [])

    def chats(self, replica: Replica) -> list[Chat]:
        return [chat for chat in self._chats.values() if chat.replica is replica]

    def conversations(self, replica: Replica) -> list[Conversation]:
        return [one for chat in self.chats(replica) for one in chat.conversations]

    def forget(self, *, replica: Replica | None = None, user: User | None = None) -> None:
        """All chats of a replica; or of a user, and what they said in groups."""
        for key, chat in list(self._chats.items()):
            if chat.replica is replica or (user and not chat.group and user.uuid in chat.people):
                self._drop(key)
        if user is None:
            return
        for chat in self._chats.values():
            chat.people.discard(user.uuid)
            for conversation in chat.conversations:
                left = [message for message in conversation.messages if message.user is not user]
                self._kept -= len(conversation.messages) - len(left)
                conversation.messages[:] = left
        for history in [key for key in self._histories if key[1] == user.uuid]:
            del self._histories[history]

    def _conversation(
        self, replica: Replica, user: User, source: Source, now: float, place: Place, seed: str | None
    ) -> Conversation:
        key = (replica.uuid, source, place.group or user.uuid)
        chat = self._chats.get(key)
        if chat is None:
            name = place.name if place.group else (place.speaker or user.name)
            chat = self._chats[key] = Chat(
                _name(seed, "chat"), replica, source, place.group is not None, name
            )
        self._chats.move_to_end(key)
        latest = chat.conversations[-1] if chat.conversations else None
        if latest is None or not latest.messages or now - latest.messages[-1].created_at >= PAUSE:
            latest = Conversation(_name(seed, "conversation"), chat, now)
            chat.conversations.append(latest)
            self.begun[replica.uuid, source, day(now)] += 1
        return latest

    def _trim(self, conversation: Conversation, history: tuple[str, str]) -> None:
        if len(conversation.messages) > MOST_MESSAGES:
            self._kept -= MOST_MESSAGES // 2
            del conversation.messages[: MOST_MESSAGES // 2]
        if len(self._histories[history]) > MOST_MESSAGES:
            del self._histories[history][: MOST_MESSAGES // 2]
        if len(conversation.chat.conversations) > MOST_CONVERSATIONS:
            self._kept -= len(conversation.chat.conversations.pop(0).messages)
        while self._kept > self._most and len(self._chats) > 1:
            self._drop(next(iter(self._chats)))

    def _drop(self, key: tuple[str, str, str]) -> None:
        chat = self._chats.pop(key)
        gone = {message.id for message in chat.messages}
        self._kept -= len(gone)
        for history in [(chat.replica.uuid, person) for person in chat.people]:
            left = [message for message in self._histories.pop(history, []) if message.id not in gone]
            if left:
                self._histories[history] = left


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _name(seed: str | None, kind: str) -> str:
    return str(uuid.uuid4() if seed is None else uuid.uuid5(uuid.NAMESPACE_OID, f"{kind} {seed}"))


# --- mentions ---


@dataclass(frozen=True, slots=True)
class Group:
    """Messages of one conversation that are shown together: a question and its answers, or users among themselves."""

    messages: tuple[Message, ...]
    mention: bool


def groups(messages: Iterable[Message]) -> Iterator[Group]:
    """Oldest first. A mention is answers of the replica and what was said right before them."""
    among, mention = list[Message](), list[Message]()
    for message in messages:
        if message.role == "assistant":
            mention += [among.pop()] if among else []
            if among:
                yield Group(tuple(among), mention=False)
                among = []
            mention.append(message)
        else:
            if mention:
                yield Group(tuple(mention), mention=True)
                mention = []
            among.append(message)
    for left, is_mention in ((mention, True), (among, False)):
        if left:
            yield Group(tuple(left), mention=is_mention)
