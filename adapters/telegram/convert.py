"""From updates to arrivals. Pure: it states who said what to whom; whether that is answered is decided elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from telegram import Chat, Message, MessageEntity, Update
from telegram.constants import ChatType

from gateway.messages import (
    Address,
    Addressed,
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
NEAR_FULL = 4000
"""UTF-16 units from which a message may be the first piece of a paste that the user's client had to split."""
PASTE_WAIT = 1.5
ALBUM_WAIT = 1.0
MEDIA = (
    *("animation", "audio", "contact", "dice", "document", "game", "location", "photo"),
    *("poll", "sticker", "story", "venue", "video", "video_note", "voice"),
)
FIXED: dict[str, TextName] = {"start": "greeting", "help": "help", "privacy": "privacy"}
_PAYLOAD = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Me:
    """The bot's own account."""

    id: int
    username: str


@dataclass(frozen=True)
class Spoken:
    """What a message says to the bot: its text less commands to and mentions of the bot."""

    text: str
    addressed: Addressed | None
    command: str | None = None
    """The command's name when it is meant for this bot."""


def convert_batch(updates: Iterable[dict[str, Any]], me: Me, bot: str, now: float) -> list[Arrival]:
    """Convert each update in its own try, so that one which cannot be read stays alone."""
    arrivals: list[Arrival] = []
    for update in updates:
        try:
            arrivals += convert(update, me, bot, now)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it must not stop the next one
            arrivals.append(_unreadable(update, bot, error))
    return _albums_once(arrivals)


def convert(update: dict[str, Any], me: Me, bot: str, now: float) -> list[Arrival]:
    """Convert one update. Raises anything when it is not what Telegram promises."""
    parsed = Update.de_json(update, None)
    dedupe, raw = f"update:{parsed.update_id}", json.dumps(update)
    if (message := parsed.message) is not None:
        return _moved(message, bot, dedupe, raw) or _said(message, me, bot, now, dedupe, raw)
    if (edited := parsed.edited_message) is not None:
        spoken = None if _not_a_person(edited, me) else spoken_to(edited, me)
        if spoken and spoken.text:
            key = conversation(bot, edited.chat.id, topic(edited))
            return [
                Edited(
                    key=key, message_id=str(edited.message_id), text=spoken.text, dedupe=(dedupe,), raw=raw
                )
            ]
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
    fixed = FIXED.get(spoken.command or "")
    text = spoken.text
    if not text and not fixed:
        fixed = (
            "unsupported"
            if _has_media(message)
            else "help"
            if spoken.addressed and _has_text(message)
            else None
        )
        if fixed is None or spoken.addressed is None:
            return []
    chat, thread = message.chat, topic(message)
    join_key, hold = _belongs(message)
    keys = [dedupe, f"message:{chat.id}:{message.message_id}"]
    if join_key and fixed == "unsupported":
        keys.append(join_key)
    said = Said(
        key=conversation(bot, chat.id, thread),
        address=address(chat.id, thread, None if chat.type == ChatType.PRIVATE else message.message_id),
        sender=sender(message),
        message_id=str(message.message_id),
        text=text,
        sent_at=message.date.timestamp(),
        addressed=spoken.addressed,
        place=Place(direct=chat.type == ChatType.PRIVATE, channel=str(chat.id)),
        dedupe=tuple(keys),
        answer_with=fixed,
        not_before=now + hold if join_key and not fixed else None,
        join_key=join_key,
        context=context(message, start=text if fixed == "greeting" else ""),
        raw=raw,
    )
    return [said]


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


def _has_text(message: Message) -> bool:
    return bool(message.text or message.caption)


def _belongs(message: Message) -> tuple[str | None, float]:
    """What a message may be a piece of, and how long to wait for the rest."""
    if message.media_group_id:
        return f"album:{message.media_group_id}", ALBUM_WAIT
    if message.text and len(message.text.encode("utf-16-le")) // 2 >= NEAR_FULL:
        return f"paste:{message.chat.id}:{sender(message).id}", PASTE_WAIT
    return None, 0.0


def _albums_once(arrivals: list[Arrival]) -> list[Arrival]:
    """Of an album in one batch keep the captions, or else one picture to say that pictures are not read."""
    seen: set[str] = {
        a.join_key for a in arrivals if isinstance(a, Said) and a.join_key and a.answer_with is None
    }
    kept: list[Arrival] = []
    for arrival in arrivals:
        if isinstance(arrival, Said) and arrival.join_key and arrival.answer_with == "unsupported":
            if arrival.join_key in seen:
                continue
            seen.add(arrival.join_key)
        kept.append(arrival)
    return kept


def _moved(message: Message, bot: str, dedupe: str, raw: str) -> list[Arrival]:
    """Both chats tell of a move; either may come first or be missed."""
    if message.migrate_to_chat_id:
        return [moved(bot, message.chat.id, message.migrate_to_chat_id, dedupe=(dedupe,), raw=raw)]
    if message.migrate_from_chat_id:
        return [moved(bot, message.migrate_from_chat_id, message.chat.id, dedupe=(dedupe,), raw=raw)]
    return []


# --- who is spoken to ---------------------------------------------------------------------------------------------


def spoken_to(message: Message, me: Me) -> Spoken | None:
    """Read the text as said to this bot; None for a command that names another bot."""
    text = message.text or message.caption or ""
    entities = message.entities or message.caption_entities
    command, named = _command(text, entities)
    if named and named.lower() != me.username.lower():
        return None
    private = message.chat.type == ChatType.PRIVATE
    ours = command is not None and (private or bool(named) or command == "ask")
    rest, mentioned = _without_mentions(text, entities, me)
    if command is not None and ours:
        rest = _arguments(rest, command)
    addressed: Addressed | None = None
    if private:
        addressed = "direct"
    elif ours:
        addressed = "command"
    elif mentioned:
        addressed = "mention"
    elif _answers_us(message, me):
        addressed = "reply"
    if addressed and not rest and mentioned and message.reply_to_message is not None:
        rest = message.reply_to_message.text or message.reply_to_message.caption or ""
    return Spoken(_quoted(message, rest), addressed, command if ours else None)


def _command(text: str, entities: Iterable[MessageEntity]) -> tuple[str | None, str]:
    """The command that a text begins with and the bot that it names."""
    for entity in entities:
        if entity.type == MessageEntity.BOT_COMMAND and entity.offset == 0:
            name, _, named = text[1 : entity.length].partition("@")
            return name.lower(), named
    return None, ""


def _arguments(text: str, command: str) -> str:
    """What follows a command of ours; a command that is not ours to interpret stays, without the bot's name."""
    word, *rest = text.split(maxsplit=1)
    if command == "ask" or command in FIXED:
        return rest[0].rstrip() if rest else ""
    return text.replace(word, word.partition("@")[0], 1)


def _without_mentions(text: str, entities: Iterable[MessageEntity], me: Me) -> tuple[str, bool]:
    """Cut mentions of the bot out, with one space at most: indentation and line breaks are the user's."""
    units = text.encode("utf-16-le")
    pieces, end = [], 0
    for entity in sorted(entities, key=lambda entity: entity.offset):
        start, stop = entity.offset * 2, (entity.offset + entity.length) * 2
        if start >= end and _is_me(entity, units[start:stop].decode("utf-16-le", "replace"), me):
            pieces.append(units[end:start].decode("utf-16-le"))
            end = stop
    if not pieces:
        return text.strip(), False
    joined = pieces[0]
    for piece in [*pieces[1:], units[end:].decode("utf-16-le")]:
        joined = _joined(joined, piece)
    return joined.strip("\n").rstrip(), True


def _is_me(entity: MessageEntity, text: str, me: Me) -> bool:
    if entity.type == MessageEntity.TEXT_MENTION:
        return entity.user is not None and entity.user.id == me.id
    return entity.type == MessageEntity.MENTION and text.lower() == f"@{me.username}".lower()


def _joined(before: str, after: str) -> str:
    if not before.strip():
        return before + after.lstrip(",:").removeprefix(" ")
    if before.endswith(" ") and (not after or after[0].isspace() or after[0] in ",.;:!?"):
        return before[:-1] + after
    return before + after


def _answers_us(message: Message, me: Me) -> bool:
    """A reply to one of our messages. In a topic every message seems to reply to the one that opened it."""
    replied = message.reply_to_message
    if replied is None or replied.from_user is None or replied.forum_topic_created is not None:
        return False
    return replied.from_user.id == me.id


def _quoted(message: Message, text: str) -> str:
    """Put the passage that the user picked out of another message before what they say about it."""
    if not text or message.quote is None or not message.quote.text:
        return text
    quote = "\n".join(f"> {line}" for line in message.quote.text.splitlines())
    return f"{quote}\n\n{text}"


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
