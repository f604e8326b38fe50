"""Conversations and chats: what all users said to a replica, for whoever owns it or took part."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from gateway.sandbox.sensay.calls import Call, answer, stated
from gateway.sandbox.sensay.queries import Cursor, TalkQuery
from gateway.sandbox.sensay.replies import (
    ChatItem,
    ChatList,
    ChatShown,
    ConversationItem,
    ConversationList,
    ConversationShown,
    Mention,
    Mentions,
    Messages,
    MessageShown,
    Placeholder,
)
from gateway.sandbox.sensay.state import iso
from gateway.sandbox.sensay.talk import Chat, Conversation, Group, Message, groups
from gateway.sandbox.sensay.wire import Refusal

# --- conversations ---


async def list_conversations(call: Call) -> web.StreamResponse:
    return _conversations(call, [one for chat in _chats(call) for one in chat.conversations])


async def get_conversation(call: Call) -> web.StreamResponse:
    item = _conversation_item(_conversation(call))
    return answer(ConversationShown(**msgspec.structs.asdict(item)))


async def list_messages(call: Call) -> web.StreamResponse:
    return _messages(call, _conversation(call).messages)


async def list_mentions(call: Call) -> web.StreamResponse:
    """Newest first. A page has up to `limit` mentions, and what lies between them as placeholders.

    It ends with a mention, unless it ends the conversation: so the next one may begin at its last message.
    """
    query: Cursor = call.query
    found = list(groups(_conversation(call).messages))
    start, end = _bounds([[m.uuid for m in group.messages] for group in found], query)
    within = found[start:end]
    forward = query.after is not UNSET and query.before is UNSET
    page = _up_to(within if forward else within[::-1], query.limit)
    items = [_group(group) for group in (reversed(page) if forward else page)]
    return answer(Mentions(items=items, has_more=len(page) < len(within), count=len(items)))


def _up_to(found: Sequence[Group], limit: int) -> list[Group]:
    page: list[Group] = []
    for group in found:
        page.append(group)
        limit -= group.mention
        if limit == 0:
            break
    return page


def _group(group: Group) -> Mention | Placeholder:
    if not group.mention:
        return Placeholder(count=len(group.messages))
    return Mention(messages=[_message(message) for message in group.messages])


# --- chats ---


async def list_chats(call: Call) -> web.StreamResponse:
    query: TalkQuery = call.query
    items = [_chat_item(chat) for chat in _chats(call) if chat.messages]
    items.sort(key=lambda item: _rank(item, query, "replicaReplies"), reverse=query.sort_order == "desc")
    return answer(ChatList(items=items[query.window], total=len(items)))


async def get_chat(call: Call) -> web.StreamResponse:
    return answer(ChatShown(chat=_chat_item(_chat(call))))


async def list_chat_messages(call: Call) -> web.StreamResponse:
    return _messages(call, _chat(call).messages)


async def list_chat_conversations(call: Call) -> web.StreamResponse:
    return _conversations(call, _chat(call).conversations)


# --- finding ---


def _chats(call: Call) -> list[Chat]:
    """Those that may be seen: all by the owner and the organisation, their own by everybody else."""
    replica, user = call.replica, call.user
    chats = call.organization.talk.chats(replica)
    if user is None or user is replica.owner:
        return chats
    return [chat for chat in chats if user.uuid in chat.people]


def _chat(call: Call) -> Chat:
    wanted = call.request.match_info["chat"].lower()
    for chat in _chats(call):
        if chat.uuid == wanted and chat.messages:
            return chat
    raise Refusal(404, "Cannot find chat")


def _conversation(call: Call) -> Conversation:
    wanted = call.request.match_info["conversation"].lower()
    chats = [_chat(call)] if "chat" in call.request.match_info else _chats(call)
    for chat in chats:
        for conversation in chat.conversations:
            if conversation.uuid == wanted and conversation.messages:
                return conversation
    raise Refusal(404, "Cannot find conversation")


def _bounds(units: Sequence[Sequence[str]], query: Cursor) -> tuple[int, int]:
    """What lies between the cursors, which may be any message of a unit."""
    start = 0 if query.after is UNSET else _index(units, query.after) + 1
    return start, len(units) if query.before is UNSET else _index(units, query.before)


def _index(units: Sequence[Sequence[str]], cursor: UUID | UnsetType) -> int:
    for index, unit in enumerate(units):
        if str(cursor) in unit:
            return index
    raise Refusal(400, f"The message {cursor} is not in this conversation")


# --- showing ---


def _messages(call: Call, messages: list[Message]) -> web.Response:
    """Oldest first: the newest ones, or with `afterUUID` alone those that come next."""
    query: Cursor = call.query
    start, end = _bounds([[message.uuid] for message in messages], query)
    forward = query.after is not UNSET and query.before is UNSET
    within = messages[start:end]
    page = within[: query.limit] if forward else within[-query.limit :]
    return answer(Messages(items=[_message(message) for message in page]))


def _message(message: Message) -> MessageShown:
    return MessageShown(
        uuid=message.uuid,
        content=message.content,
        role=message.role,
        created_at=iso(message.created_at),
        source=message.source,
        replica_uuid=message.replica.uuid,
        sender_name=stated(message.speaker),
    )


def _conversations(call: Call, conversations: Sequence[Conversation]) -> web.Response:
    query: TalkQuery = call.query
    items = [_conversation_item(one) for one in conversations if one.messages]
    items.sort(key=lambda item: _rank(item, query, "lastReplicaReplyAt"), reverse=query.sort_order == "desc")
    return answer(ConversationList(items=items[query.window], total=len(items)))


def _rank(item: ConversationItem | ChatItem, query: TalkQuery, by_default: str) -> tuple[object, str]:
    by = by_default if query.sort_by is UNSET else query.sort_by
    keys: dict[str, object] = {
        "replicaReplies": item.replica_reply_count,
        "firstMessageAt": item.first_message_at,
        "lastReplicaReplyAt": item.last_replica_reply_at or "",
    }
    return keys[by], item.uuid


def _conversation_item(conversation: Conversation) -> ConversationItem:
    messages, chat, last = conversation.messages, conversation.chat, conversation.last_reply_at
    return ConversationItem(
        uuid=conversation.uuid,
        chat_uuid=chat.uuid,
        source=chat.source,
        message_count=len(messages),
        replica_reply_count=conversation.replies,
        assistant_reply_count=conversation.replies,
        first_message_at=iso(messages[0].created_at),
        last_message_at=iso(messages[-1].created_at),
        last_replica_reply_at=UNSET if last is None else iso(last),
        conversation_name=stated(chat.name),
        conversation_type="group" if chat.group else "individual",
    )


def _chat_item(chat: Chat) -> ChatItem:
    messages = chat.messages
    replies = [message for message in messages if message.role == "assistant"]
    return ChatItem(
        uuid=chat.uuid,
        source=chat.source,
        message_count=len(messages),
        replica_reply_count=len(replies),
        first_message_at=iso(messages[0].created_at),
        last_message_at=iso(messages[-1].created_at),
        last_replica_reply_at=iso(replies[-1].created_at) if replies else UNSET,
        chat_name=stated(chat.name),
        chat_type="group" if chat.group else "individual",
    )
