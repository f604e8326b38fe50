"""Who may talk to the bot where, and which group messages are meant for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from gateway.messages import Said

Verdict: TypeAlias = Literal["ask", "record", "answer", "deny", "ignore"]


@dataclass(frozen=True)
class People:
    """Ids of users, roles, channels and guilds, as the platform writes them."""

    users: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    guilds: frozenset[str] = frozenset()

    def names(self, said: Said) -> bool:
        """Whether any list has the sender, a role of theirs, or the place; an unknown place is in all lists."""
        unknown = said.place.channel is None and not said.place.direct
        return (
            (unknown and bool(self.channels))
            or said.sender.id in self.users
            or not self.roles.isdisjoint(said.sender.roles)
            or said.place.channel in self.channels
            or said.place.guild in self.guilds
        )

    def admits(self, said: Said) -> bool:
        """Whether every list that has entries lets the message through; users and roles count as one list."""
        persons = self.users | self.roles
        if persons and persons.isdisjoint((said.sender.id, *said.sender.roles)):
            return False
        if self.channels and said.place.channel not in self.channels:
            return False
        return not self.guilds or said.place.guild in self.guilds


@dataclass(frozen=True)
class Rules:
    """One bot's rules on one platform. `max_age` in seconds: an older message is recorded, not answered."""

    dm: Literal["open", "allowed", "off"] = "open"
    groups: Literal["mention", "listen", "open", "off"] = "mention"
    reply_ping: bool = True
    allow: People = People()
    deny: People = People()
    max_age: float = 3600.0


def judge(said: Said, rules: Rules, now: float) -> Verdict:
    """Decide what becomes of a message. Deny wins; bots are never heard, so that no two of them talk for ever."""
    if said.sender.is_bot:
        return "ignore"
    meant = said.place.direct or _addressed(said, rules)
    if not _allowed(said, rules):
        return "deny" if meant else "ignore"
    if not said.place.direct and rules.groups == "off":
        return "ignore"
    if not meant:
        return "record" if rules.groups == "listen" and not said.answer_with else "ignore"
    if said.answer_with is not None:
        return "answer"
    return "record" if now - said.sent_at > rules.max_age else "ask"


def _allowed(said: Said, rules: Rules) -> bool:
    if rules.deny.names(said):
        return False
    if not said.place.direct:
        return rules.allow.admits(said)
    return rules.dm == "open" or (rules.dm == "allowed" and said.sender.id in rules.allow.users)


def _addressed(said: Said, rules: Rules) -> bool:
    if said.addressed == "reply_ping":
        return rules.reply_ping
    return said.addressed is not None or (rules.groups == "open" and said.answer_with is None)
