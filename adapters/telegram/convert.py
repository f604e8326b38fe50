"""From updates to arrivals. Pure: it states who said what to whom; whether that is answered is decided elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from telegram import BusinessMessagesDeleted, Chat, Message, Update
from telegram.constants import ChatType

from adapters.telegram.addressing import FIXED, Me, Spoken, spoken_to
from adapters.telegram.business import NONE, Connection
from adapters.telegram.joining import Joiner, album
from adapters.telegram.pictures import picture_of
from gateway.messages import (
    Address,
    Arrival,
    ConversationKey,
    Deleted,
    Edited,
    Facts,
    Moved,
    Place,
    Said,
    Sender,
    TextName,
    Unreadable,
)

ALLOWED_UPDATES = (
    *("message", "edited_message", "business_connection"),
    *("business_message", "edited_business_message", "deleted_business_messages"),
)
MEDIA = (
    *("animation", "audio", "contact", "dice", "document", "game", "location", "photo"),
    *("paid_media", "checklist", "poll", "sticker", "story", "venue", "video", "video_note", "voice"),
)
CAPTIONED = {
    "photo": "a picture",
    "animation": "an animation",
    "video": "a video",
    "voice": "a voice message",
    "audio": "an audio file",
    "paid_media": "paid media",
    "document": "a document",
}
"""What has words of its own beside it, the document last: an animation is one, too."""
NAME_LIMIT = 100
_PAYLOAD = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Reading:
    """What has to be known to read an update. `picture` makes an address for a file id, when pictures are shown."""

    me: Me
    bot: str
    now: float
    business: Mapping[str, Connection]
    picture: Callable[[str], str] | None = None


def convert_batch(updates: Iterable[Any], reading: Reading, joiner: Joiner) -> list[Arrival]:
    """Convert each update in its own try, so that one which cannot be read stays alone."""
    arrivals: list[Arrival] = []
    for update in updates:
        try:
            for arrival in convert(update, reading):
                kept = joiner.mark(arrival, reading.now) if isinstance(arrival, Said) else arrival
                arrivals += [kept] if kept is not None else []
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it must not stop the next one
            number = update.get("update_id") if isinstance(update, dict) else None
            dedupe = (f"update:{number}",) if isinstance(number, int) else ()
            arrivals.append(unreadable(json.dumps(update), reading.bot, error, dedupe))
    return arrivals


def convert(update: dict[str, Any], reading: Reading) -> list[Arrival]:
    """Convert one update. Raises anything when it is not what Telegram promises."""
    parsed = Update.de_json(update, None)
    dedupe, raw = f"update:{parsed.update_id}", msgspec.json.encode(update).decode()
    if message := parsed.message or parsed.business_message:
        return _moved(message, reading.bot, dedupe, raw) or _said(message, reading, dedupe, raw)
    if edited := parsed.edited_message or parsed.edited_business_message:
        return _edited(edited, reading, dedupe, raw)
    if (deleted := parsed.deleted_business_messages) is not None:
        return _deleted(deleted, reading.bot, dedupe)
    return []


def unreadable(raw: str, bot: str, error: Exception, dedupe: tuple[str, ...] = ()) -> Unreadable:
    return Unreadable(bot=bot, platform="telegram", raw=raw, error=type(error).__name__, dedupe=dedupe)


# --- messages ---------------------------------------------------------------------------------------------------


def _said(message: Message, reading: Reading, dedupe: str, raw: str) -> list[Arrival]:
    spoken = None if _not_for_us(message, reading) else spoken_to(message, reading.me)
    if spoken is None:
        return []
    images = _images(message, reading)
    text, fixed = spoken.text, None if images else _instead_of_an_answer(message, spoken)
    if not (text or fixed or images or message.media_group_id):
        return []
    where = _place(message)
    said = Said(
        key=where.key(reading.bot),
        address=where.address(None if where.direct else message.message_id),
        sender=sender(message),
        message_id=str(message.message_id),
        text=text if fixed or images else _with_note(message, text),
        sent_at=message.date.timestamp(),
        addressed=spoken.addressed,
        place=Place(direct=where.direct, channel=str(where.chat)),
        dedupe=(dedupe, f"message:{where.account}:{message.message_id}"),
        answer_with=fixed,
        images=images,
        context=context(message, start=text if fixed == "greeting" else ""),
        raw=raw,
    )
    return [album(message.media_group_id, said)]


def _images(message: Message, reading: Reading) -> tuple[str, ...]:
    if reading.picture is None or (file_id := picture_of(message)) is None:
        return ()
    return (reading.picture(file_id),)


def _with_note(message: Message, text: str) -> str:
    """Words about something that the replica is not shown: told so, it can say so instead of making something up."""
    kind = next((kind for kind in CAPTIONED if getattr(message, kind)), None)
    if not text or kind is None:
        return text
    name = str(getattr(getattr(message, kind), "file_name", None) or "")[:NAME_LIMIT]
    return f"{text}\n\n(with {CAPTIONED[kind]} that you cannot open{f': {name}' if name else ''})"


def _instead_of_an_answer(message: Message, spoken: Spoken) -> TextName | None:
    """The fixed text for a command that has one, and for what was said to the bot without words. A picture of an
    album may have its words with another one: that is known when all are here.
    """
    if spoken.command in FIXED:
        return FIXED[spoken.command]
    if spoken.text or spoken.addressed is None or message.media_group_id:
        return None
    if _has_media(message):
        return "unsupported"
    return "help" if message.text or message.caption else None


def _edited(message: Message, reading: Reading, dedupe: str, raw: str) -> list[Arrival]:
    """The new text. Its key is the update's alone: the message's own stands for what was said first."""
    spoken = None if _not_for_us(message, reading) else spoken_to(message, reading.me)
    if spoken is None or not spoken.text:
        return []
    return [
        Edited(
            key=_place(message).key(reading.bot),
            message_id=str(message.message_id),
            text=spoken.text if _images(message, reading) else _with_note(message, spoken.text),
            dedupe=(dedupe,),
            raw=raw,
        )
    ]


def _deleted(deleted: BusinessMessagesDeleted, bot: str, dedupe: str) -> list[Arrival]:
    """Telegram tells bots of deletions in business chats only."""
    key = Where(deleted.chat.id, business=deleted.business_connection_id).key(bot)
    return [
        Deleted(key=key, message_id=str(number), dedupe=(f"{dedupe}:{number}",))
        for number in deleted.message_ids
    ]


def _not_for_us(message: Message, reading: Reading) -> bool:
    """Bots, our own echoes, channel posts and their automatic copies: answering them would make loops. In a business
    chat, what the account's owner writes, and all of it where the bot may not write.
    """
    user = message.from_user
    if message.chat.type == ChatType.CHANNEL or message.is_automatic_forward or user is None:
        return True
    if user.id == reading.me.id or message.sender_business_bot is not None:
        return True
    if id_ := message.business_connection_id:
        connection = reading.business.get(id_, NONE)
        if not connection.may_reply or user.id == connection.owner:
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


@dataclass(frozen=True)
class Where:
    """A chat, a topic of it, or a chat of somebody's business account."""

    chat: int
    thread: int | None = None
    business: str | None = None
    direct: bool = True

    @property
    def account(self) -> str:
        """What message numbers are counted in."""
        return f"business:{self.business}:{self.chat}" if self.business else f"{self.chat}"

    @property
    def lane(self) -> str:
        return self.account if self.thread is None else f"{self.account}:{self.thread}"

    def key(self, bot: str) -> ConversationKey:
        return ConversationKey(bot=bot, platform="telegram", chat=self.lane)

    def address(self, reply_to: int | None = None) -> Address:
        facts = {
            "chat_id": self.chat,
            "thread_id": self.thread,
            "business": self.business,
            "reply_to": reply_to,
        }
        return Address(to=self.lane, data={name: fact for name, fact in facts.items() if fact is not None})


def _place(message: Message) -> Where:
    return Where(
        message.chat.id,
        topic(message),
        message.business_connection_id,
        direct=message.chat.type == ChatType.PRIVATE,
    )


def topic(message: Message) -> int | None:
    """The forum topic. Without the flag the thread id is that of a reply chain, and General has none."""
    thread = message.message_thread_id
    return thread if message.is_topic_message and thread and thread > 1 else None


def moved(bot: str, old: int, new: int, *, dedupe: tuple[str, ...] = (), raw: str | None = None) -> Moved:
    """A group continues as a supergroup."""
    return Moved(
        old=Where(old).key(bot),
        new=Where(new).key(bot),
        old_to=Where(old).lane,
        address=Where(new).address(),
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
