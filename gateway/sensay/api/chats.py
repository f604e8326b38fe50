"""Chats: what a user, or a group, has with a replica on one platform. The successor of the plain conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from msgspec import field

from gateway.sensay.api.conversations import (
    CURSOR,
    GONE,
    LIMIT,
    PAGE_SIZE,
    Conversation,
    Limit,
    Listing,
    Message,
    newest_first,
    oldest,
)
from gateway.sensay.api.operation import ADMIN, Auth, Door, Id, OfReplica, Operation, published
from gateway.sensay.api.paging import by_cursor, by_number
from gateway.sensay.api.values import Page, Said, Thing

_INSTEAD = "the guide knows no chats: use conversations"


class Chat(Thing, frozen=True):
    uuid: str
    source: str | None = None
    message_count: int | None = None
    replica_reply_count: int | None = None
    first_message_at: str | None = None
    last_message_at: str | None = None
    last_replica_reply_at: str | None = None
    chat_name: str | None = None
    chat_type: str | None = None
    chat_image_url: str | None = field(default=None, name="chatImageURL")


class OneChat(Said, frozen=True):
    chat: Chat


class OfChat(OfReplica, frozen=True):
    chat: Id


class ChatListing(Listing, frozen=True, kw_only=True):
    chat: Id


class OfConversation(OfChat, frozen=True):
    conversation: Id


class ChatReading(OfChat, frozen=True):
    limit: Limit = LIMIT
    before_uuid: UUID | None = None
    after_uuid: UUID | None = None


class Reading(ChatReading, frozen=True, kw_only=True):
    conversation: Id


_ALL = "/v1/replicas/{replica}/chats"
_ONE = _ALL + "/{chat}"
_WITHIN = _ONE + "/conversations/{conversation}"
_NO_CHAT = {404: "there is no such chat, or no such replica in this organisation"}
LIST: Operation[Listing, Page[Chat]] = Operation(
    "chats.list",
    "Chats of a replica, a page at a time",
    Listing,
    Page[Chat],
    published("GET", _ALL),
    repeatable=True,
    instead=_INSTEAD,
)
GET = Operation(
    "chats.get",
    "One chat",
    OfChat,
    OneChat,
    published("GET", _ONE),
    repeatable=True,
    instead=_INSTEAD,
    remedies=_NO_CHAT,
)
CONVERSATIONS: Operation[ChatListing, Page[Conversation]] = Operation(
    "chats.conversations",
    "Conversations of a chat, a page at a time",
    ChatListing,
    Page[Conversation],
    published("GET", f"{_ONE}/conversations"),
    repeatable=True,
    instead=_INSTEAD,
    remedies=_NO_CHAT,
)
CONVERSATION = Operation(
    "chats.conversation",
    "One conversation of a chat",
    OfConversation,
    Conversation,
    published("GET", _WITHIN),
    repeatable=True,
    instead=_INSTEAD,
    remedies=GONE,
)
MESSAGES: Operation[ChatReading, Page[Message]] = Operation(
    "chats.messages",
    "Messages of a chat, before or after one of them",
    ChatReading,
    Page[Message],
    published("GET", f"{_ONE}/messages"),
    repeatable=True,
    instead=_INSTEAD,
    remedies=CURSOR | _NO_CHAT,
)
CONVERSATION_MESSAGES: Operation[Reading, Page[Message]] = Operation(
    "chats.conversation_messages",
    "Messages of a conversation of a chat, before or after one of them",
    Reading,
    Page[Message],
    published("GET", f"{_WITHIN}/messages"),
    repeatable=True,
    instead=_INSTEAD,
    remedies=CURSOR,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (
    LIST,
    GET,
    CONVERSATIONS,
    CONVERSATION,
    MESSAGES,
    CONVERSATION_MESSAGES,
)


class Chats:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def page(self, replica: str, auth: Auth = ADMIN, **query: Any) -> Page[Chat]:
        """One page; beyond the end it has no items."""
        return (await self._door(LIST, LIST.read({"replica": replica} | query), auth)).value

    def list(
        self, replica: str, auth: Auth = ADMIN, *, page_size: int = PAGE_SIZE, **order: Any
    ) -> AsyncIterator[Chat]:
        """All of them, each once. `order`: sort_by, sort_order."""
        LIST.read({"replica": replica} | order)

        async def fetch(page: int, _: int) -> Page[Chat]:
            return await self.page(replica, auth, page=page, page_size=page_size, **order)

        return by_number(fetch, page_size, lambda chat: chat.uuid)

    async def get(self, replica: str, chat: str, auth: Auth = ADMIN) -> Chat:
        return (await self._door(GET, OfChat(replica=replica, chat=chat), auth)).value.chat

    def conversations(
        self, replica: str, chat: str, auth: Auth = ADMIN, *, page_size: int = PAGE_SIZE, **order: Any
    ) -> AsyncIterator[Conversation]:
        """All of a chat, each once. `order`: sort_by, sort_order."""
        fixed = {"replica": replica, "chat": chat, "page_size": page_size} | order
        CONVERSATIONS.read(fixed)

        async def fetch(page: int, _: int) -> Page[Conversation]:
            return (await self._door(CONVERSATIONS, CONVERSATIONS.read(fixed | {"page": page}), auth)).value

        return by_number(fetch, page_size, lambda conversation: conversation.uuid)

    async def conversation(
        self, replica: str, chat: str, conversation: str, auth: Auth = ADMIN
    ) -> Conversation:
        arguments = OfConversation(replica=replica, chat=chat, conversation=conversation)
        return (await self._door(CONVERSATION, arguments, auth)).value

    async def messages_page(
        self, replica: str, chat: str, auth: Auth = ADMIN, *, conversation: str | None = None, **cursor: Any
    ) -> Page[Message]:
        """The newest, those right before (`before_uuid`) or right after (`after_uuid`) one; `limit` at most."""
        fields = {"replica": replica, "chat": chat} | cursor
        if conversation is None:
            return (await self._door(MESSAGES, MESSAGES.read(fields), auth)).value
        arguments = CONVERSATION_MESSAGES.read(fields | {"conversation": conversation})
        return (await self._door(CONVERSATION_MESSAGES, arguments, auth)).value

    async def messages(
        self,
        replica: str,
        chat: str,
        auth: Auth = ADMIN,
        *,
        conversation: str | None = None,
        limit: int = LIMIT,
    ) -> AsyncIterator[Message]:
        """All of a chat or of one conversation in it, each once, from the newest back."""

        async def fetch(before: str | None) -> Page[Message]:
            return await self.messages_page(
                replica, chat, auth, conversation=conversation, limit=limit, before_uuid=before
            )

        async for page in by_cursor(fetch, oldest, lambda message: message.uuid):
            for message in newest_first(page):
                yield message
