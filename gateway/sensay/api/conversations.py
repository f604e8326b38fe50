"""Conversations of a replica: their messages, the mentions among them, and what placeholders stand for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, field

from gateway.sensay.api.operation import (
    ADMIN,
    Auth,
    Door,
    Id,
    OfReplica,
    Operation,
    everywhere,
)
from gateway.sensay.api.paging import by_cursor, by_number
from gateway.sensay.api.values import Page, Said, Thing

PAGE_SIZE, LIMIT = 24, 20
SortBy = Literal["replicaReplies", "firstMessageAt", "lastReplicaReplyAt"]
Order = Literal["asc", "desc"]
Limit = Annotated[int, Meta(ge=1, le=100)]
GONE = {404: "there is no such conversation, or no such replica in this organisation"}
CURSOR = GONE | {400: "the cursor is no message of this conversation: begin again without one"}


class Conversation(Said, frozen=True):
    uuid: str
    source: str | None = None
    message_count: int | None = None
    replica_reply_count: int | None = None
    assistant_reply_count: int | None = None
    first_message_at: str | None = None
    last_message_at: str | None = None
    last_replica_reply_at: str | None = None
    conversation_name: str | None = None
    conversation_type: str | None = None
    conversation_image_url: str | None = field(default=None, name="conversationImageURL")
    chat_uuid: str | None = field(default=None, name="chatUUID")
    summary: str | None = None
    common_questions: tuple[str, ...] | None = None
    common_topics: tuple[str, ...] | None = None


class Message(Thing, frozen=True):
    uuid: str
    content: str
    role: str
    created_at: str | None = None
    source: str | None = None
    sender_name: str | None = None
    sender_profile_image_url: str | None = field(default=None, name="senderProfileImageURL")
    replica_uuid: str | None = field(default=None, name="replicaUUID")

    @property
    def at(self) -> datetime | None:
        try:
            return datetime.fromisoformat(self.created_at or "")
        except ValueError:
            return None


class Group(Thing, frozen=True):
    """`mention`: messages around an answer of the replica; `placeholder`: `count` messages that are left out;
    `message`: a single one, as it was before.
    """

    type: str
    count: int | None = None
    members: tuple[Message, ...] | None = field(default=None, name="messages")
    uuid: str | None = None
    content: str | None = None
    role: str | None = None
    created_at: str | None = None
    source: str | None = None
    sender_name: str | None = None
    replica_uuid: str | None = field(default=None, name="replicaUUID")

    @property
    def messages(self) -> tuple[Message, ...]:
        if self.members is not None:
            return self.members
        if self.uuid is None:
            return ()
        return (
            Message(
                uuid=self.uuid,
                content=self.content or "",
                role=self.role or "",
                created_at=self.created_at,
                source=self.source,
                sender_name=self.sender_name,
                replica_uuid=self.replica_uuid,
            ),
        )

    @property
    def placeholder(self) -> bool:
        return self.type == "placeholder"


class Listing(OfReplica, frozen=True):
    page: Annotated[int, Meta(ge=1)] = 1
    page_size: Limit = PAGE_SIZE
    sort_by: SortBy | None = None
    sort_order: Order | None = None


class OfConversation(OfReplica, frozen=True):
    conversation: Id


class Reading(OfConversation, frozen=True):
    limit: Limit = LIMIT
    before_uuid: UUID | None = None
    after_uuid: UUID | None = None


_ALL = "/v1/replicas/{replica}/conversations"
_ONE = _ALL + "/{conversation}"
LIST: Operation[Listing, Page[Conversation]] = Operation(
    "conversations.list",
    "Conversations of a replica, a page at a time",
    Listing,
    Page[Conversation],
    everywhere("GET", _ALL),
    repeatable=True,
)
GET = Operation(
    "conversations.get",
    "One conversation",
    OfConversation,
    Conversation,
    everywhere("GET", _ONE),
    repeatable=True,
    remedies=GONE,
)
MESSAGES: Operation[Reading, Page[Message]] = Operation(
    "conversations.messages",
    "Messages of a conversation, before or after one of them",
    Reading,
    Page[Message],
    everywhere("GET", f"{_ONE}/messages"),
    repeatable=True,
    remedies=CURSOR,
)
MENTIONS: Operation[Reading, Page[Group]] = Operation(
    "conversations.mentions",
    "Mentions of the replica, and placeholders for what lies between",
    Reading,
    Page[Group],
    everywhere("GET", f"{_ONE}/mentions"),
    repeatable=True,
    remedies=CURSOR,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (LIST, GET, MESSAGES, MENTIONS)


class Conversations:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def page(self, replica: str, auth: Auth = ADMIN, **query: Any) -> Page[Conversation]:
        """One page; beyond the end it has no items."""
        return (await self._door(LIST, LIST.read({"replica": replica} | query), auth)).value

    def list(
        self, replica: str, auth: Auth = ADMIN, *, page_size: int = PAGE_SIZE, **order: Any
    ) -> AsyncIterator[Conversation]:
        """All of them, each once. `order`: sort_by, sort_order."""
        LIST.read({"replica": replica} | order)

        async def fetch(page: int, _: int) -> Page[Conversation]:
            return await self.page(replica, auth, page=page, page_size=page_size, **order)

        return by_number(fetch, page_size, lambda conversation: conversation.uuid)

    async def get(self, replica: str, conversation: str, auth: Auth = ADMIN) -> Conversation:
        arguments = OfConversation(replica=replica, conversation=conversation)
        return (await self._door(GET, arguments, auth)).value

    async def messages_page(
        self, replica: str, conversation: str, auth: Auth = ADMIN, **cursor: Any
    ) -> Page[Message]:
        """The newest, those right before (`before_uuid`) or right after (`after_uuid`) one; `limit` at most."""
        arguments = MESSAGES.read({"replica": replica, "conversation": conversation} | cursor)
        return (await self._door(MESSAGES, arguments, auth)).value

    async def mentions_page(
        self, replica: str, conversation: str, auth: Auth = ADMIN, **cursor: Any
    ) -> Page[Group]:
        """As `messages_page`; `limit` counts groups."""
        arguments = MENTIONS.read({"replica": replica, "conversation": conversation} | cursor)
        return (await self._door(MENTIONS, arguments, auth)).value

    async def messages(
        self, replica: str, conversation: str, auth: Auth = ADMIN, *, limit: int = LIMIT
    ) -> AsyncIterator[Message]:
        """All of them, each once, from the newest back."""

        async def fetch(before: str | None) -> Page[Message]:
            return await self.messages_page(replica, conversation, auth, limit=limit, before_uuid=before)

        async for page in by_cursor(fetch, oldest, lambda message: message.uuid):
            for message in newest_first(page):
                yield message

    async def mentions(
        self, replica: str, conversation: str, auth: Auth = ADMIN, *, limit: int = LIMIT
    ) -> AsyncIterator[Group]:
        """All of them, from the newest back, placeholders in their places."""
        last: Group | None = None
        async for page in self._mention_pages(replica, conversation, auth, limit):
            for group in page:
                if not (
                    last and last.placeholder and group == last
                ):  # a page may begin as the one before ended
                    yield group
                last = group

    async def expanded(
        self, replica: str, conversation: str, auth: Auth = ADMIN, *, limit: int = LIMIT
    ) -> AsyncIterator[Group]:
        """As `mentions`, with what placeholders stand for in their place (as groups of type `opened`)."""
        newer: Group | None = None
        async for page in self._mention_pages(replica, conversation, auth, limit):
            for index, group in enumerate(page):
                shown = group
                if group.placeholder:
                    older = next((one for one in page[index + 1 :] if one.messages), None)
                    opened = await self.expand(replica, conversation, group, newer, older, auth)
                    shown = Group(type="opened", count=len(opened), members=opened)
                if shown.messages:
                    yield shown
                    newer = shown

    async def expand(
        self,
        replica: str,
        conversation: str,
        placeholder: Group,
        newer: Group | None,
        older: Group | None,
        auth: Auth = ADMIN,
    ) -> tuple[Message, ...]:
        """The messages of a placeholder, oldest first. `newer` and `older` are the groups next to it, if known."""
        wanted = placeholder.count or 0
        found: list[Message] = []
        stop = {message.uuid for group in (newer, older) if group for message in group.messages}
        before, after = _end(newer, -1), _end(older, 0)
        while len(found) < wanted:
            size = min(100, wanted - len(found))
            if before is not None or after is None:
                page = await self.messages_page(replica, conversation, auth, limit=size, before_uuid=before)
                taken = _until(newest_first(page.items), stop)[:size]
                found = [*reversed(taken), *found]
            else:
                page = await self.messages_page(replica, conversation, auth, limit=size, after_uuid=after)
                taken = _until(tuple(reversed(newest_first(page.items))), stop)[:size]
                found = [*found, *taken]
            if not taken:
                break
            stop.update(message.uuid for message in taken)
            before, after = (
                (taken[-1].uuid, None) if before is not None or after is None else (None, taken[-1].uuid)
            )
        return tuple(found)

    async def _mention_pages(
        self, replica: str, conversation: str, auth: Auth, limit: int
    ) -> AsyncIterator[Sequence[Group]]:
        """Newest first, whichever way round Sensay gives them."""
        seen: set[str] = set()

        async def fetch(before: str | None) -> Page[Group]:
            return await self.mentions_page(replica, conversation, auth, limit=size, before_uuid=before)

        size = max(2, limit)  # a placeholder alone has no message to go on from

        async for page in by_cursor(fetch, _oldest_of_groups, _group_identity):
            fresh = [
                group
                for group in groups_newest_first(page)
                if not seen.issuperset(_uuids(group)) or group.placeholder
            ]
            seen.update(uuid for group in fresh for uuid in _uuids(group))
            yield fresh


# --- order: documents differ in which way round a page is, so the times decide ---


def newest_first(messages: Sequence[Message]) -> tuple[Message, ...]:
    """A page in one order, whichever it came in; without times it is taken for oldest first, as documented."""
    return tuple(messages) if _descending(messages) else tuple(reversed(messages))


def oldest(messages: Sequence[Message]) -> str | None:
    """The cursor for what comes before a page."""
    return newest_first(messages)[-1].uuid if messages else None


def _descending(messages: Sequence[Message]) -> bool:
    if len(messages) < 2:
        return False
    first, last = messages[0].at, messages[-1].at
    return first is not None and last is not None and first > last


def groups_newest_first(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Mentions are documented newest first."""
    with_messages = [group for group in groups if group.messages]
    if len(with_messages) > 1:
        first, last = with_messages[0].messages[0].at, with_messages[-1].messages[0].at
        if first is not None and last is not None and first < last:
            return tuple(reversed(groups))
    return tuple(groups)


def _oldest_of_groups(groups: Sequence[Group]) -> str | None:
    last = next((group for group in reversed(groups_newest_first(groups)) if group.messages), None)
    return None if last is None else oldest(last.messages)


def _uuids(group: Group) -> set[str]:
    return {message.uuid for message in group.messages}


def _group_identity(group: Group) -> object:
    """A placeholder is nobody in particular."""
    return tuple(sorted(_uuids(group))) or object()


def _end(group: Group | None, index: int) -> str | None:
    """A neighbour's message that is next to the placeholder: the newer one's oldest, the older one's newest."""
    return None if group is None or not group.messages else newest_first(group.messages)[index].uuid


def _until(messages: Sequence[Message], stop: set[str]) -> list[Message]:
    found: list[Message] = []
    for message in messages:
        if message.uuid in stop:
            break
        found.append(message)
    return found
