"""Gateway payloads → arrivals. Pure, and on ids only: a resumed session has no cache to look anything up in."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.messages import (
    Address,
    Addressed,
    Arrival,
    ConversationKey,
    Deleted,
    Edited,
    Facts,
    Place,
    Said,
    Sender,
    TextName,
    Unreadable,
    Value,
)

MESSAGE_EVENTS = ("MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE", "MESSAGE_DELETE_BULK")
_EPOCH_MS = 1_420_070_400_000
_SAID_TYPES = (0, 19)
"""What people write; all other types are notices of Discord itself (joins, pins, boosts, thread starts)."""
_REPLY = 19
_THREADS = (10, 11, 12)
_USER_MENTION = re.compile(r"<@!?(\d+)>")
_NOT_TEXT = ("attachments", "sticker_items", "poll", "message_snapshots")


class Me(Value, frozen=True):
    """The bot: its name in the configuration, its own Discord id and name."""

    bot: str
    id: str
    name: str = ""


class Around(Value, frozen=True):
    """What is known of where a message was said; None where Discord has not told."""

    channel: str | None = None
    parent: str | None = None
    guild: str | None = None
    own_role: str | None = None


def around(channel: Facts | None, guild: Facts | None, me: Me) -> Around:
    """Read Discord's channel and guild objects."""
    roles = guild.get("roles", ()) if guild else ()
    own = (str(role["id"]) for role in roles if (role.get("tags") or {}).get("bot_id") == me.id)
    inside = channel is not None and channel.get("type") in _THREADS
    return Around(
        channel=channel.get("name") if channel else None,
        parent=_text(channel.get("parent_id")) if channel and inside else None,
        guild=guild.get("name") if guild else None,
        own_role=next(own, None),
    )


def may_concern(data: Facts, me: Me, *, listening: bool) -> bool:
    """Whether a guild message is worth asking Discord for its channel and guild."""
    if "guild_id" not in data or not _by_a_person(data, me):
        return False
    spoken_to = me.id in _mentioned(data) or bool(data.get("mention_roles")) or _answers(data, me)
    return spoken_to or (listening and bool(data.get("content")))


def convert(event: str, data: Facts, me: Me, where: Around | None = None) -> tuple[Arrival, ...]:
    """One event → what the gateway is told; never raises: what cannot be read is handed on as it came."""
    try:
        return _convert(event, data, me, where or Around())
    except Exception as error:  # noqa: BLE001 - a malformed payload must not cost the messages around it
        return (_unreadable(event, data, me, error),)


def _convert(event: str, data: Facts, me: Me, where: Around) -> tuple[Arrival, ...]:
    match event:
        case "MESSAGE_CREATE":
            return _said(data, me, where)
        case "MESSAGE_UPDATE":
            return _edited(data, me, where)
        case "MESSAGE_DELETE":
            return (_deleted(data, me, data["id"]),)
        case "MESSAGE_DELETE_BULK":
            return tuple(_deleted(data, me, identity) for identity in data["ids"])
        case _:
            return ()


def _said(data: Facts, me: Me, where: Around) -> tuple[Arrival, ...]:
    if not _by_a_person(data, me):
        return ()
    identity, channel, author = str(data["id"]), str(data["channel_id"]), data["author"]
    guild = _text(data.get("guild_id"))
    addressed = _addressed(data, me, where)
    text = _words(data, me, where)
    answer_with = None if text else _instead(data, addressed)
    if not text and answer_with is None:
        return ()
    return (
        Said(
            key=_key(data, me),
            address=Address(
                to=channel, data={"channel_id": channel, "message_id": identity, "guild_id": guild}
            ),
            sender=Sender(
                id=str(author["id"]),
                name=_name(author, data.get("member")),
                username=author.get("username"),
                roles=tuple(str(role) for role in (data.get("member") or {}).get("roles", ())),
            ),
            message_id=identity,
            text=text,
            sent_at=said_at(identity),
            addressed=addressed,
            place=Place(direct=guild is None, guild=guild, channel=where.parent or channel),
            dedupe=(f"message:{identity}",),
            answer_with=answer_with,
            context=_context(data, where),
            raw=_raw(data),
        ),
    )


def _edited(data: Facts, me: Me, where: Around) -> tuple[Arrival, ...]:
    """Discord also sends an update when it has fetched a link's preview: then nobody edited anything."""
    if not data.get("edited_timestamp") or "content" not in data or not _by_a_person(data, me):
        return ()
    identity, text = str(data["id"]), _words(data, me, where)
    if not text:
        return ()
    dedupe = (f"edit:{identity}:{data['edited_timestamp']}",)
    return (Edited(key=_key(data, me), message_id=identity, text=text, dedupe=dedupe, raw=_raw(data)),)


def _deleted(data: Facts, me: Me, identity: Any) -> Deleted:
    return Deleted(key=_key(data, me), message_id=str(identity), dedupe=(f"delete:{identity}",))


def _unreadable(event: str, data: Any, me: Me, error: Exception) -> Unreadable:
    identity = data.get("id") if isinstance(data, dict) else None
    return Unreadable(
        bot=me.bot,
        platform="discord",
        raw=_raw({"t": event, "d": data}),
        error=f"{type(error).__name__}: {error}",
        dedupe=(f"unreadable:{event}:{identity}",) if identity else (),
    )


def said_at(identity: str) -> float:
    """When a message was written: its id says so."""
    return ((int(identity) >> 22) + _EPOCH_MS) / 1000


def _by_a_person(data: Facts, me: Me) -> bool:
    """Not the bot itself, another bot, a webhook or Discord: two bots must not answer each other for ever."""
    author = data["author"]
    if author["id"] == me.id or author.get("bot") or author.get("system") or data.get("webhook_id"):
        return False
    return data.get("type", 0) in _SAID_TYPES


def _addressed(data: Facts, me: Me, where: Around) -> Addressed | None:
    """How the bot was spoken to. A reply that pings it puts it among the mentions without a typed word."""
    if "guild_id" not in data:
        return "direct"
    pinged = me.id in _mentioned(data)
    if pinged and me.id in _USER_MENTION.findall(data["content"]):
        return "mention"
    if where.own_role is not None and where.own_role in data.get("mention_roles", ()):
        return "mention"
    if pinged:
        return "reply_ping" if data.get("type") == _REPLY else "mention"
    return "reply" if _answers(data, me) else None


def _answers(data: Facts, me: Me) -> bool:
    referenced = data.get("referenced_message") or {}
    return bool(data.get("type") == _REPLY and (referenced.get("author") or {}).get("id") == me.id)


def _mentioned(data: Facts) -> list[str]:
    return [str(user["id"]) for user in data.get("mentions", ())]


def _instead(data: Facts, addressed: Addressed | None) -> TextName | None:
    """What answers a message without words: a file or sticker cannot be read, a bare mention is a hello."""
    if addressed is None:
        return None
    if any(data.get(field) for field in _NOT_TEXT):
        return "unsupported"
    return "greeting" if addressed == "mention" else None


def _words(data: Facts, me: Me, where: Around) -> str:
    """The text without the mention of the bot, other people by name, and every other character as it was."""
    own = rf"<@!?{me.id}>" if where.own_role is None else rf"(?:<@!?{me.id}>|<@&{where.own_role}>)"
    text = re.sub(rf"\A\s*{own}[,:]?[ \t]*", "", data["content"])
    text = re.sub(rf"^{own}[ \t]?", "", text, flags=re.MULTILINE)
    text = re.sub(rf"[ \t]?{own}", "", text)
    names = {str(user["id"]): _name(user, user.get("member")) for user in data.get("mentions", ())}
    text = _USER_MENTION.sub(lambda m: f"@{names[m[1]]}" if names.get(m[1]) else m[0], text)
    return text.strip()


def _name(user: Facts, member: Facts | None) -> str | None:
    return (member or {}).get("nick") or user.get("global_name") or user.get("username")


def _key(data: Facts, me: Me) -> ConversationKey:
    """A thread has an id of its own among the channels: each is one conversation."""
    return ConversationKey(bot=me.bot, platform="discord", chat=str(data["channel_id"]))


def _context(data: Facts, where: Around) -> Facts:
    """`discord_data` as Sensay's schema closes it: strings only, and no key that is not known."""
    author = data["author"]
    direct = "guild_id" not in data
    known = {
        "channel_id": str(data["channel_id"]),
        "channel_name": "Direct Message" if direct else (where.channel or str(data["channel_id"])),
        "author_id": str(author["id"]),
        "author_name": _name(author, data.get("member")) or str(author["id"]),
        "message_id": str(data["id"]),
        "created_at": _text(data.get("timestamp")),
        "server_id": _text(data.get("guild_id")),
        "server_name": where.guild,
    }
    return {key: value for key, value in known.items() if value is not None}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _raw(data: Any) -> str:
    return msgspec.json.encode(data).decode()
