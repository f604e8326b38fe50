"""Gateway payloads → arrivals. Pure, and on ids only: a resumed session has no cache to look anything up in."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from adapters.discord.pictures import pictures_of, unseen
from adapters.discord.words import REPLY, plain, quotes, visible
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
EPOCH_MS = 1_420_070_400_000
_SAID_TYPES = (0, REPLY)
"""What people write; all other types are notices of Discord itself (joins, pins, boosts, thread starts)."""
THREADS = (10, 11, 12)
_THREADABLE = (0, 5)
"""Text and announcement channels."""
_USER_MENTION = re.compile(r"<@!?(\d+)>")
_ORDERS = ("/pause", "/resume")
_TITLE = 80
_NOT_TEXT = ("attachments", "sticker_items", "poll", "message_snapshots")


class Me(Value, frozen=True):
    """The bot: its name in the configuration, its own Discord id and name."""

    bot: str
    id: str
    name: str = ""
    threads: bool = False
    """Conversations in channels get a thread each."""
    images: bool = False
    """The replica is shown pictures."""

    def seeing(self, images: bool) -> Me:
        return self if images == self.images else msgspec.structs.replace(self, images=images)


class Around(Value, frozen=True):
    """What is known of where a message was said; None where Discord has not told."""

    kind: int | None = None
    owned: bool = False
    """A thread that the bot opened."""
    channel: str | None = None
    parent: str | None = None
    guild: str | None = None
    own_role: str | None = None


def around(channel: Facts | None, guild: Facts | None, me: Me) -> Around:
    """Read Discord's channel and guild objects."""
    roles = guild.get("roles", ()) if guild else ()
    own = (str(role["id"]) for role in roles if (role.get("tags") or {}).get("bot_id") == me.id)
    inside = channel is not None and channel.get("type") in THREADS
    return Around(
        kind=channel.get("type") if channel else None,
        owned=channel is not None and inside and _text(channel.get("owner_id")) == me.id,
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
    return spoken_to or (listening and any(data.get(field) for field in ("content", *_NOT_TEXT)))


def convert(event: str, data: Facts, me: Me, where: Around | None = None) -> tuple[Arrival, ...]:
    """One event → what the gateway is told; never raises: what cannot be read is handed on as it came.

    `where` is None when nobody asked, and has no `kind` when Discord was asked and did not tell.
    """
    try:
        return _convert(event, data, me, where)
    except Exception as error:  # noqa: BLE001 - a malformed payload must not cost the messages around it
        return (unreadable(event, data, me, f"{type(error).__name__}: {error}"),)


def _convert(event: str, data: Facts, me: Me, where: Around | None) -> tuple[Arrival, ...]:
    match event:
        case "MESSAGE_CREATE":
            return _said(data, me, where)
        case "MESSAGE_UPDATE":
            return _edited(data, me, where)
        case "MESSAGE_DELETE":
            return _deleted(data, me, data["id"])
        case "MESSAGE_DELETE_BULK":
            return tuple(one for identity in data["ids"] for one in _deleted(data, me, identity))
        case _:
            return ()


def _said(data: Facts, me: Me, where: Around | None) -> tuple[Arrival, ...]:
    if not _by_a_person(data, me):
        return ()
    asked, where = where is not None, where or Around()
    identity, channel, author = str(data["id"]), str(data["channel_id"]), data["author"]
    guild = _text(data.get("guild_id"))
    addressed = _addressed(data, me, where)
    text, images = read(data, me, where), pictures(data, me)
    asks = bool(text) or (bool(images) and addressed is not None)
    answer_with = None if asks else _instead(data, addressed)
    if not asks and answer_with is None:
        return ()
    address = {"channel_id": channel, "message_id": identity, "guild_id": guild}
    opens = me.threads and addressed is not None and asks and where.kind in _THREADABLE
    opens = opens and not text.startswith(_ORDERS)  # they are about the channel itself
    if opens:
        address["thread"] = title(text)
    place = None if asked and guild and where.kind is None else where.parent or channel
    chat = identity if opens else channel  # a thread has the id of the message that it begins with
    return (
        Said(
            key=ConversationKey(bot=me.bot, platform="discord", chat=chat),
            address=Address(to=chat, data=address),
            sender=Sender(
                id=str(author["id"]),
                name=name_of(author, data.get("member")),
                username=author.get("username"),
                roles=roles_of(data.get("member")),
            ),
            message_id=identity,
            text=text,
            sent_at=said_at(identity),
            addressed=addressed,
            place=Place(direct=guild is None, guild=guild, channel=place),
            dedupe=(f"message:{identity}",),
            answer_with=answer_with,
            images=images,
            context=context(data, author, where),
            raw=as_text(data),
        ),
    )


def _edited(data: Facts, me: Me, where: Around | None) -> tuple[Arrival, ...]:
    """Discord also sends an update when it has fetched a link's preview: then nobody edited anything."""
    if not data.get("edited_timestamp") or "content" not in data or not _by_a_person(data, me):
        return ()
    identity, text = str(data["id"]), read(data, me, where or Around())
    if not text:
        return ()
    dedupe = f"edit:{identity}:{data['edited_timestamp']}"
    return tuple(
        Edited(key=key, message_id=identity, text=text, dedupe=(dedupe + mark,), raw=as_text(data))
        for mark, key in _keys(data, me, identity)
    )


def _deleted(data: Facts, me: Me, identity: Any) -> tuple[Arrival, ...]:
    return tuple(
        Deleted(key=key, message_id=str(identity), dedupe=(f"delete:{identity}{mark}",))
        for mark, key in _keys(data, me, str(identity))
    )


def _keys(data: Facts, me: Me, identity: str) -> list[tuple[str, ConversationKey]]:
    """Where the message may wait: in its channel, or as the beginning of a thread."""
    chats = [("", str(data["channel_id"]))]
    if me.threads and "guild_id" in data:
        chats.append((":thread", identity))
    return [(mark, ConversationKey(bot=me.bot, platform="discord", chat=chat)) for mark, chat in chats]


def unreadable(event: str, data: Any, me: Me, error: str) -> Unreadable:
    """An event as it came."""
    identity = data.get("id") if isinstance(data, dict) else None
    return Unreadable(
        bot=me.bot,
        platform="discord",
        raw=as_text({"t": event, "d": data}),
        error=error,
        dedupe=(f"unreadable:{event}:{identity}",) if identity else (),
    )


def said_at(identity: str) -> float:
    """When a message was written: its id says so."""
    return ((int(identity) >> 22) + EPOCH_MS) / 1000


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
        return "reply_ping" if data.get("type") == REPLY else "mention"
    in_its_thread = me.threads and where.owned
    return "reply" if in_its_thread or _answers(data, me) else None


def _answers(data: Facts, me: Me) -> bool:
    referenced = data.get("referenced_message") or {}
    return bool(data.get("type") == REPLY and (referenced.get("author") or {}).get("id") == me.id)


def _mentioned(data: Facts) -> list[str]:
    return [str(user["id"]) for user in data.get("mentions", ())]


def _instead(data: Facts, addressed: Addressed | None) -> TextName | None:
    """What answers a message without words: a file or sticker cannot be read, a bare mention is a hello."""
    if addressed is None:
        return None
    unseen = data["content"] and addressed != "mention"
    if unseen or addressed == "direct" or any(data.get(field) for field in _NOT_TEXT):
        return "unsupported"
    return "greeting" if addressed == "mention" else None


def read(data: Facts, me: Me, where: Around) -> str:
    """What a message says: its own words, then what it brings along, quoted, and that there is more than can be read.
    Empty if nothing can be read.
    """
    text = words(data, me, where)
    parts = [*([text] if visible(text) else []), *quotes(data, me.id)]
    return "\n\n".join([*parts, *unseen(data, me.images)] if parts else [])


def pictures(data: Facts, me: Me) -> tuple[str, ...]:
    """Addresses of what the replica is shown."""
    return pictures_of(data, me.id) if me.images else ()


def words(data: Facts, me: Me, where: Around) -> str:
    """The text without the mention of the bot, other people by name, and every other character as it was."""
    if "<@" not in data["content"]:
        return plain(data["content"])
    own = rf"<@!?{me.id}>" if where.own_role is None else rf"(?:<@!?{me.id}>|<@&{where.own_role}>)"
    text = re.sub(rf"\A\s*{own}[,:]?[ \t]*", "", data["content"])
    text = re.sub(rf"^{own}[ \t]?", "", text, flags=re.MULTILINE)
    text = re.sub(rf"[ \t]?{own}", "", text)
    names = {str(user["id"]): name_of(user, user.get("member")) for user in data.get("mentions", ())}
    text = _USER_MENTION.sub(lambda m: f"@{names[m[1]]}" if names.get(m[1]) else m[0], text)
    return plain(text)


def title(text: str) -> str:
    """A thread's name from the question: its first line, cut at a word."""
    line = next((line for line in text.split("\n") if visible(line)), "").strip("#>*_`~ \t") or "…"
    if len(line) <= _TITLE:
        return line
    return line[:_TITLE].rsplit(" ", 1)[0].rstrip() + "…"


def name_of(user: Facts, member: Facts | None) -> str | None:
    return (member or {}).get("nick") or user.get("global_name") or user.get("username")


def roles_of(member: Facts | None) -> tuple[str, ...]:
    return tuple(str(role) for role in (member or {}).get("roles", ()))


def context(data: Facts, author: Facts, where: Around) -> Facts:
    """`discord_data` as Sensay's schema closes it: strings only, and no key that is not known."""
    direct = "guild_id" not in data
    known = {
        "channel_id": str(data["channel_id"]),
        "channel_name": "Direct Message" if direct else (where.channel or str(data["channel_id"])),
        "author_id": str(author["id"]),
        "author_name": name_of(author, data.get("member")) or str(author["id"]),
        "message_id": str(data["id"]),
        "created_at": _text(data.get("timestamp")),
        "server_id": _text(data.get("guild_id")),
        "server_name": where.guild,
    }
    return {key: value for key, value in known.items() if value is not None}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def as_text(data: Any) -> str:
    """JSON, as it is kept."""
    return msgspec.json.encode(data).decode()
