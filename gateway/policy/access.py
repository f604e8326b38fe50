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


@dataclass(frozen=True)
class Judgement:
    """`why` is for the operator, in the words of the configuration."""

    verdict: Verdict
    why: str


def judge(said: Said, rules: Rules, now: float) -> Judgement:
    """Decide what becomes of a message. Deny wins; bots are never heard, so that no two of them talk for ever."""
    meant = said.place.direct or _addressed(said, rules)
    if said.sender.is_bot:
        return Judgement("ignore", "written by a bot")
    if (refused := _refused(said, rules)) is not None:
        return Judgement("deny", refused) if meant else Judgement("ignore", f"not addressed, and {refused}")
    if not said.place.direct and rules.groups == "off":
        return Judgement("ignore", "groups.mode is off")
    if not meant:
        kept = rules.groups == "listen" and not said.answer_with
        why = f"not addressed to the bot, and groups.mode is {rules.groups}"
        return Judgement("record", why) if kept else Judgement("ignore", why)
    return _answered(said, rules, now)


def _answered(said: Said, rules: Rules, now: float) -> Judgement:
    """What becomes of a message that is for the bot."""
    if said.answer_with is not None:
        return Judgement("answer", f"answered with texts.{said.answer_with}")
    if now - said.sent_at > rules.max_age:
        return Judgement("record", "older than max_age")
    return Judgement("ask", _trigger(said))


def _trigger(said: Said) -> str:
    """What made it a question."""
    if said.place.direct:
        return "said in a direct chat"
    how = {
        "mention": "a mention",
        "reply": "a reply",
        "reply_ping": "a reply that pings",
        "command": "a command",
    }
    return how.get(said.addressed or "", "groups.mode is open")


def _refused(said: Said, rules: Rules) -> str | None:
    """Why this sender may not talk here."""
    if rules.deny.names(said):
        return "on a list of access.deny"
    if not said.place.direct:
        return None if rules.allow.admits(said) else "not on the lists of access.allow"
    if rules.dm == "off":
        return "access.dm is off"
    listed = rules.dm == "open" or said.sender.id in rules.allow.users
    return None if listed else "access.dm is allowed, and access.allow.users does not have the sender"


def _addressed(said: Said, rules: Rules) -> bool:
    if said.addressed == "reply_ping":
        return rules.reply_ping
    return said.addressed is not None or (rules.groups == "open" and said.answer_with is None)
