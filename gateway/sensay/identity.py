"""Who a sender is to Sensay. Pure, and the same in every process and after a lost journal."""

from __future__ import annotations

import hashlib
from typing import Literal

from gateway.messages import PlatformName, User

Identity = Literal["linked", "native"]
DialectName = Literal["openapi", "guide", "generic"]

_PREFIXES: dict[PlatformName, str] = {"telegram": "tg", "discord": "dc", "web": "web", "webhook": "hook"}


def user_for(
    platform: PlatformName, bot: str, sender: str, *, identity: Identity, dialect: DialectName
) -> User:
    """Linked: the account of that type. Native: an id of our own with a prefix; the guide knows no other.

    Telegram and Discord ids are the platform's own. A visitor of a website or a caller of a webhook is known by
    a hash of (bot, platform, id): two bots' user "1" are two users, and no secret is needed to derive it.
    """
    id_ = sender if platform in ("telegram", "discord") else _embedded(platform, bot, sender)
    if identity == "native" or dialect == "guide":
        return User(id=f"{_PREFIXES[platform]}:{id_}")
    match platform:
        case "telegram" | "discord":
            return User(id=id_, type=platform)
        case "web" | "webhook":
            return User(id=id_, type="embed")


def platform_id(user: User) -> str:
    """The platform's own id of a Telegram or Discord user."""
    return user.id if user.type else user.id.partition(":")[2]


def _embedded(platform: PlatformName, bot: str, sender: str) -> str:
    return hashlib.sha256(f"{bot}\0{platform}\0{sender}".encode()).hexdigest()[:32]
