"""Who a message is said to: direct, by mention, by reply or by command, and its text without that. Pure.

Mentions are found by entity, never by searching the text: `@bot_two` begins with `@bot`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from telegram import Message, MessageEntity
from telegram.constants import ChatType

from gateway.messages import Addressed, TextName

FIXED: dict[str, TextName] = {"start": "greeting", "help": "help", "privacy": "privacy"}
IN_GROUPS = ("ask", "help", "privacy")
"""Commands that the menu offers in groups: they are meant for this bot also without its name. Telegram itself passes a
bare command on to the bot that spoke last.
"""
QUOTED = 1000
"""Characters of another message that are quoted as context."""


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


def spoken_to(message: Message, me: Me) -> Spoken | None:
    """Read the text as said to this bot; None for a command that names another bot."""
    text = message.text or message.caption or ""
    entities = message.entities or message.caption_entities
    command, named = _command(text, entities)
    if named and named.lower() != me.username.lower():
        return None
    private = message.chat.type == ChatType.PRIVATE
    ours = command is not None and (private or bool(named) or command in IN_GROUPS)
    rest, mentioned = _without_mentions(text, entities, me)
    if command is not None and ours:
        rest = _arguments(rest, command)
    addressed: Addressed | None = (
        "direct" if private else "command" if ours else "mention" if mentioned else _as_reply(message, me)
    )
    if addressed and not rest and mentioned and message.reply_to_message is not None:
        rest = message.reply_to_message.text or message.reply_to_message.caption or ""
    elif addressed and not (ours and command in FIXED):
        rest = _quoted(message, rest, me)
    return Spoken(rest, addressed, command if ours else None)


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
        return before[:-1].removesuffix(",") + after
    return before + after


def _as_reply(message: Message, me: Me) -> Addressed | None:
    """A reply to one of our messages. In a topic every message seems to reply to the one that opened it."""
    replied = message.reply_to_message
    if replied is None or replied.from_user is None or replied.forum_topic_created is not None:
        return None
    return "reply" if replied.from_user.id == me.id else None


def _quoted(message: Message, text: str, me: Me) -> str:
    """Put what the user speaks about before what they say: the passage that they picked, or else the message that they
    reply to. What the bot said itself, the replica knows.
    """
    about = message.quote.text if message.quote else _replied_text(message, me)
    if not text or not about.strip():
        return text
    if len(about) > QUOTED:
        about = about[: QUOTED - 1].rstrip() + "…"
    quote = "\n".join(f"> {line}" for line in about.splitlines())
    return f"{quote}\n\n{text}"


def _replied_text(message: Message, me: Me) -> str:
    replied = message.reply_to_message
    if replied is None or (replied.from_user is not None and replied.from_user.id == me.id):
        return ""
    return replied.text or replied.caption or ""
