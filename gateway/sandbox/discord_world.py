"""What the pretended Discord remembers: bots, people, channels and messages. No sockets, no requests."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Json = dict[str, Any]
ChannelKind = Literal["dm", "text", "thread", "forum"]

EPOCH_MS = 1_420_070_400_000
CHANNEL_TYPES: dict[ChannelKind, int] = {"text": 0, "dm": 1, "thread": 11, "forum": 15}
_USER_MENTION = re.compile(r"<@!?(\d+)>")
_ROLE_MENTION = re.compile(r"<@&(\d+)>")


def snowflake(value: object) -> str:
    """An id as it is when it is a number, else one derived from it, always the same."""
    text = str(value)
    if text.isdecimal():
        return text
    return str(int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big"))


def bot_id(token: str) -> str:
    """The id that the first part of a real token carries; any other token gets one of its own."""
    first = token.split(".", 1)[0]
    try:
        decoded = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        decoded = ""
    return decoded if decoded.isdecimal() else snowflake(f"bot {token}")


@dataclass
class Bot:
    """An application with its bot user. `privileged`: whether the message content intent is enabled."""

    token: str
    id: str
    name: str
    privileged: bool = True
    revoked: bool = False
    sent: list[Json] = field(default_factory=list)
    commands: list[Json] = field(default_factory=list)
    registrations: int = 0
    shards: int = 1
    """How many connections Discord recommends."""
    nonces: dict[str, Json] = field(default_factory=dict)

    @property
    def user(self) -> Json:
        return {**user_json(self.id, self.name, is_bot=True), "verified": True, "mfa_enabled": False}

    @property
    def role(self) -> str:
        """The managed role that Discord makes for a bot in each guild."""
        return snowflake(f"role of {self.id}")


@dataclass
class Guild:
    id: str
    name: str
    bots: dict[str, Bot] = field(default_factory=dict)

    def json(self) -> Json:
        roles = [_role(self.id, "@everyone"), *(_role(b.role, b.name, bot=b.id) for b in self.bots.values())]
        return {
            "id": self.id,
            "name": self.name,
            "owner_id": "1",
            "roles": roles,
            "emojis": [],
            "features": [],
            "verification_level": 0,
            "default_message_notifications": 0,
            "explicit_content_filter": 0,
            "mfa_level": 0,
            "afk_timeout": 300,
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "nsfw_level": 0,
            "system_channel_flags": 0,
            "stickers": [],
        }


@dataclass
class Channel:
    id: str
    kind: ChannelKind
    name: str
    guild: str | None = None
    parent: str | None = None
    owner: str | None = None
    """Of a direct channel: the token of its bot."""
    person: Json | None = None
    messages: dict[str, Json] = field(default_factory=dict)
    creator: str = "1"
    """Of a thread: the id of whoever opened it."""
    locked: bool = False
    archived: bool = False

    def json(self) -> Json:
        last = next(reversed(self.messages), None)
        shared: Json = {"id": self.id, "type": CHANNEL_TYPES[self.kind], "last_message_id": last}
        if self.kind == "dm":
            return {**shared, "recipients": [self.person]}
        named = {**shared, "guild_id": self.guild, "name": self.name, "parent_id": self.parent}
        if self.kind in ("text", "forum"):
            return {**named, "position": 0, "permission_overwrites": [], "topic": None, "nsfw": False}
        since = "2026-01-01T00:00:00+00:00"
        metadata = {"archived": self.archived, "auto_archive_duration": 1440, "archive_timestamp": since}
        return {
            **named,
            "owner_id": self.creator,
            "message_count": 0,
            "member_count": 1,
            "thread_metadata": {**metadata, "locked": self.locked},
        }


class World:
    """Everything that exists; made on first mention."""

    def __init__(self) -> None:
        self._last_id = 0
        self.clear()

    def clear(self) -> None:
        """Forget everybody and everything; ids go on."""
        self.bots: dict[str, Bot] = {}
        self.guilds: dict[str, Guild] = {}
        self.channels: dict[str, Channel] = {}
        self.people: dict[str, Json] = {}
        self.roles: dict[str, list[str]] = {}

    def new_id(self) -> str:
        """A snowflake of now, never the same twice."""
        self._last_id = max(self._last_id + 1, (int(time.time() * 1000) - EPOCH_MS) << 22)
        return str(self._last_id)

    def bot(self, token: str) -> Bot:
        if token not in self.bots:
            identity = bot_id(token)
            self.bots[token] = Bot(token=token, id=identity, name=f"bot-{identity[-4:]}")
        return self.bots[token]

    def person(self, user: Mapping[str, Any]) -> Json:
        """A user as the control API names them; their roles are remembered."""
        given = str(user.get("name") or user.get("id") or "somebody")
        identity = snowflake(user.get("id", given))
        self.people[identity] = user_json(identity, given, is_bot=bool(user.get("bot")))
        self.roles[identity] = [snowflake(role) for role in user.get("roles", ())]
        return self.people[identity]

    def guild(self, bot: Bot, given: object = None) -> Guild:
        """The named guild, or the bot's own; the bot is a member from now on."""
        identity = snowflake(given if given is not None else f"guild of {bot.id}")
        guild = self.guilds.setdefault(identity, Guild(id=identity, name=f"Guild {identity[-4:]}"))
        guild.bots[bot.token] = bot
        return guild

    def guilds_of(self, bot: Bot) -> list[str]:
        return [guild.id for guild in self.guilds.values() if bot.token in guild.bots]

    def direct(self, bot: Bot, person: Json) -> Channel:
        identity = snowflake(f"dm {bot.id} {person['id']}")
        return self.channels.setdefault(
            identity,
            Channel(identity, "dm", str(person["username"]), owner=bot.token, person=person),
        )

    def text_channel(self, bot: Bot, given: object, guild: object = None) -> Channel:
        identity = snowflake(given)
        if identity not in self.channels:
            home = self.guild(bot, guild)
            self.channels[identity] = Channel(identity, "text", f"channel-{identity[-4:]}", guild=home.id)
        return self.channels[identity]

    def thread(self, parent: Channel, given: object) -> Channel:
        identity = snowflake(given)
        made = Channel(identity, "thread", f"thread-{identity[-4:]}", guild=parent.guild, parent=parent.id)
        return self.channels.setdefault(identity, made)

    def audience(self, channel: Channel) -> list[Bot]:
        """The bots that see the channel."""
        if channel.owner is not None:
            return [self.bots[channel.owner]]
        return list(self.guilds[channel.guild].bots.values()) if channel.guild else []

    def write(
        self,
        channel: Channel,
        author: Json,
        content: str,
        *,
        answers: Json | None = None,
        ping: bool = False,
        extra: Json | None = None,
    ) -> Json:
        """Put a message into a channel and return it as the REST API shows it."""
        named = [*_USER_MENTION.findall(content), *([answers["author"]["id"]] if answers and ping else [])]
        message: Json = {
            "id": self.new_id(),
            "channel_id": channel.id,
            "author": author,
            "content": content,
            "timestamp": datetime.now(UTC).isoformat(),
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [self._known(identity) for identity in dict.fromkeys(named)],
            "mention_roles": list(dict.fromkeys(_ROLE_MENTION.findall(content))),
            "attachments": [],
            "embeds": [],
            "components": [],
            "pinned": False,
            "type": 19 if answers else 0,
            "flags": 0,
            **(extra or {}),
        }
        if answers is not None:
            message["message_reference"] = {"message_id": answers["id"], "channel_id": channel.id, "type": 0}
            message["referenced_message"] = answers
        channel.messages[message["id"]] = message
        return message

    def _known(self, identity: str) -> Json:
        for bot in self.bots.values():
            if bot.id == identity:
                return bot.user
        return self.people.get(identity) or user_json(identity, f"user-{identity[-4:]}")


def user_json(identity: str, name: str, *, is_bot: bool = False) -> Json:
    return {
        "id": identity,
        "username": name.lower().replace(" ", "_"),
        "global_name": None if is_bot else name,
        "discriminator": "0",
        "avatar": None,
        "bot": is_bot,
        "public_flags": 0,
    }


def _role(identity: str, name: str, *, bot: str | None = None) -> Json:
    return {
        "id": identity,
        "name": name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "position": 0,
        "permissions": "0",
        "managed": bot is not None,
        "mentionable": True,
        "flags": 0,
        **({"tags": {"bot_id": bot}} if bot else {}),
    }
