"""From updates to arrivals. Pure: it states who said what to whom; whether that is answered is decided elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from telegram import Chat, Message, Update
from telegram.constants import ChatType

from adapters.telegram.addressing import FIXED, Me, Spoken, spoken_to
from adapters.telegram.joining import Pastes, album, captions_only
from gateway.messages import (
    Address,
    Arrival,
    ConversationKey,
    Edited,
    Facts,
    Moved,
    Place,
    Said,
    Sender,
    TextName,
    Unreadable,
)

ALLOWED_UPDATES = ("message", "edited_message")
MEDIA = (
    *("animation", "audio", "contact", "dice", "document", "game", "location", "photo"),
    *("poll", "sticker", "story", "venue", "video", "video_note", "voice"),
)
_PAYLOAD = re.compile(r"[A-Za-z0-9_-]{1,64}")


def convert_batch(
    updates: Iterable[dict[str, Any]], me: Me, bot: str, now: float, pastes: Pastes
) -> list[Arrival]:
    """Convert each update in its own try, so that one which cannot be read stays alone."""
    arrivals: list[Arrival] = []
    for update in updates:
        try:
            found = [_marked(arrival, pastes, now) for arrival in convert(update, me, bot, now)]
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it must not stop the next one
            found = [_unreadable(update, bot, error)]
        arrivals += found
    return captions_only(arrivals)


def _marked(arrival: Arrival, pastes: Pastes, now: float) -> Arrival:
    return pastes.mark(arrival, now) if isinstance(arrival, Said) else arrival


def convert(update: dict[str, Any], me: Me, bot: str, now: float) -> list[Arrival]:
    """Convert one update. Raises anything when it is not what Telegram promises."""
    parsed = Update.de_json(update, None)
    dedupe, raw = f"update:{parsed.update_id}", json.dumps(update, ensure_ascii=False)
    if (message := parsed.message) is not None:
        return _moved(message, bot, dedupe, raw) or _said(message, me, bot, now, dedupe, raw)
    if (edited := parsed.edited_message) is not None:
        return _edited(edited, me, bot, dedupe, raw)
    return []


def _unreadable(update: Any, bot: str, error: Exception) -> Unreadable:
    number = update.get("update_id") if isinstance(update, dict) else None
    return Unreadable(
        bot=bot,
        platform="telegram",
        raw=json.dumps(update),
        error=type(error).__name__,
        dedupe=(f"update:{number}",) if isinstance(number, int) else (),
    )


# --- messages ---------------------------------------------------------------------------------------------------


def _said(message: Message, me: Me, bot: str, now: float, dedupe: str, raw: str) -> list[Arrival]:
    if _not_a_person(message, me):
        return []
    spoken = spoken_to(message, me)
    if spoken is None:
        return []
    text, fixed = spoken.text, _instead_of_an_answer(message, spoken)
    if not text and fixed is None:
        return []
    chat, thread = message.chat, topic(message)
    said = Said(
        key=conversation(bot, chat.id, thread),
        address=address(chat.id, thread, None if chat.type == ChatType.PRIVATE else message.message_id),
        sender=sender(message),
        message_id=str(message.message_id),
        text=text,
        sent_at=message.date.timestamp(),
        addressed=spoken.addressed,
        place=Place(direct=chat.type == ChatType.PRIVATE, channel=str(chat.id)),
        dedupe=(dedupe, f"message:{chat.id}:{message.message_id}"),
        answer_with=fixed,
        context=context(message, start=text if fixed == "greeting" else ""),
        raw=raw,
    )
    return [album(message.media_group_id, said, now)]


def _instead_of_an_answer(message: Message, spoken: Spoken) -> TextName | None:
    """The fixed text for a command that has one, and for what was said to the bot without words."""
    if spoken.command in FIXED:
        return FIXED[spoken.command]
    if spoken.text or spoken.addressed is None:
        return None
    if _has_media(message):
        return "unsupported"
    return "help" if message.text or message.caption else None


def _edited(message: Message, me: Me, bot: str, dedupe: str, raw: str) -> list[Arrival]:
    """The new text. Its key is the update's alone: the message's own stands for what was said first."""
    spoken = None if _not_a_person(message, me) else spoken_to(message, me)
    if spoken is None or not spoken.text:
        return []
    return [
        Edited(
            key=conversation(bot, message.chat.id, topic(message)),
            message_id=str(message.message_id),
            text=spoken.text,
            dedupe=(dedupe,),
            raw=raw,
        )
    ]


def _not_a_person(message: Message, me: Me) -> bool:
    """Bots, our own echoes, channel posts and their automatic copies: answering them would make loops."""
    user = message.from_user
    if message.chat.type == ChatType.CHANNEL or message.is_automatic_forward or user is None:
        return True
    if user.id == me.id or message.sender_business_bot is not None:
        return True
    # Anonymous admins and people who write as a channel come under a bot account of Telegram's.
    return user.is_bot and message.sender_chat is None


def _has_media(message: Message) -> bool:
    return any(getattr(message, kind) for kind in MEDIA) or "rich_message" in message.api_kwargs


def _moved(message: Message, bot: str, dedupe: str, raw: str) -> list[Arrival]:
    """Both chats tell of a move; either may come first or be missed."""
    if message.migrate_to_chat_id:
        return [moved(bot, message.chat.id, message.migrate_to_chat_id, dedupe=(dedupe,), raw=raw)]
    if message.migrate_from_chat_id:
        return [moved(bot, message.migrate_from_chat_id, message.chat.id, dedupe=(dedupe,), raw=raw)]
    return []


# --- where and who ------------------------------------------------------------------------------------------------


def topic(message: Message) -> int | None:
    """The forum topic. Without the flag the thread id is that of a reply chain, and General has none."""
    thread = message.message_thread_id
    return thread if message.is_topic_message and thread and thread > 1 else None


def conversation(bot: str, chat: int, thread: int | None) -> ConversationKey:
    return ConversationKey(bot=bot, platform="telegram", chat=_lane(chat, thread))


def _lane(chat: int, thread: int | None) -> str:
    return f"{chat}" if thread is None else f"{chat}:{thread}"


def address(chat: int, thread: int | None = None, reply_to: int | None = None) -> Address:
    data: Facts = {"chat_id": chat}
    if thread is not None:
        data["thread_id"] = thread
    if reply_to is not None:
        data["reply_to"] = reply_to
    return Address(to=_lane(chat, thread), data=data)


def moved(bot: str, old: int, new: int, *, dedupe: tuple[str, ...] = (), raw: str | None = None) -> Moved:
    """A group continues as a supergroup."""
    return Moved(
        old=conversation(bot, old, None),
        new=conversation(bot, new, None),
        old_to=_lane(old, None),
        address=address(new),
        dedupe=dedupe,
        raw=raw,
    )


def sender(message: Message) -> Sender:
    """The person, or the chat in whose name an anonymous admin writes."""
    chat, user = message.sender_chat, message.from_user
    if chat is not None or user is None:
        writer: Chat = chat or message.chat
        return Sender(id=str(writer.id), name=writer.title, username=writer.username)
    return Sender(
        id=str(user.id),
        name=user.full_name,
        username=user.username,
        locale=user.language_code,
        is_bot=user.is_bot,
    )


def context(message: Message, start: str = "") -> Facts:
    """Sensay's `telegram_data`: exactly its keys and types, nothing that is not there.

    `start_payload` is added to a `/start` from a deep link only, which never becomes a question.
    """
    user, who = message.from_user, sender(message)
    facts: dict[str, Any] = {
        "chat_type": str(message.chat.type),
        "chat_id": message.chat.id,
        "message_id": message.message_id,
        "chat_name": message.chat.title,
        "user_id": int(who.id) if user is not None else None,
        "username": who.username,
        "message_thread_id": topic(message),
        "start_payload": start if _PAYLOAD.fullmatch(start) else None,
    }
    return {name: value for name, value in facts.items() if value is not None}
