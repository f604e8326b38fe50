"""What the pretended Sensay remembers of an organisation. Times come from outside; everything is bounded."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Literal

from gateway.sandbox.sensay.bodies import AccountType, EntryType, LlmShown
from gateway.sandbox.sensay.entry import Entry
from gateway.sandbox.sensay.persona import Persona, answer
from gateway.sandbox.sensay.talk import Talk

DEFAULT_PICTURE = "https://studio.sensay.io/assets/default-replica-profile.webp"
DEFAULT_MODEL = "gpt-4o"
MOST_USERS, MOST_REPLICAS, MOST_ENTRIES = 50_000, 1_000, 1_000


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def short(text: str, size: int = 60) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


@dataclass(eq=False)
class User:
    id: str
    uuid: str
    email: str | None = None
    name: str | None = None
    accounts: dict[AccountType, str] = field(default_factory=dict)
    """Linked accounts: type → id."""


@dataclass(frozen=True, slots=True)
class Hosting:
    """A bot that Sensay runs itself."""

    id: int
    token: str
    name: str
    since: float


@dataclass(eq=False)
class Replica:
    uuid: str
    slug: str
    name: str
    description: str
    greeting: str
    owner: User
    created_at: float
    suggestions: tuple[str, ...] = ()
    picture: str = DEFAULT_PICTURE
    private: bool = False
    whitelist: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    purpose: str = ""
    type: Literal["individual", "character", "brand"] = "character"
    llm: LlmShown = field(default_factory=lambda: LlmShown(model=DEFAULT_MODEL))
    knowledge: dict[int, Entry] = field(default_factory=dict)
    telegram: Hosting | None = None
    discord: Hosting | None = None
    said: int = 0

    def answer(self, question: str) -> str:
        persona = Persona(self.name, self.description, self.greeting, self.suggestions)
        return answer(persona, tuple(entry.text for entry in self.knowledge.values() if entry.text), question)


class Organization:
    """All that belongs to one secret. Nothing is visible to another organisation."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.replicas: dict[str, Replica] = {}
        self.talk = Talk()
        self._accounts: dict[tuple[str, str], User] = {}
        self._emails: dict[str, User] = {}
        self._numbers = count(1)
        self.completions = 0

    # --- users ---

    def user(self, id_: str, type_: str | None) -> User | None:
        """By native id, by the id of a linked account, or by e-mail address (type `email`)."""
        if type_ is None:
            return self.users.get(id_)
        return self._emails.get(id_) if type_ == "email" else self._accounts.get((type_, id_))

    def taken(
        self, id_: str | None, email: str | None, accounts: dict[AccountType, str], but: User | None = None
    ) -> bool:
        """Whether somebody else has one of these."""
        holders = [self.users.get(id_ or ""), self._emails.get(email or "")]
        holders += [self._accounts.get(account) for account in accounts.items()]
        return any(holder not in (None, but) for holder in holders)

    def add_user(
        self, id_: str | None, email: str | None, name: str | None, accounts: dict[AccountType, str]
    ) -> User:
        own = str(uuid.uuid4())
        if len(self.users) >= MOST_USERS:
            owners = {replica.owner for replica in self.replicas.values()}
            self.remove_user(next(user for user in self.users.values() if user not in owners))
        user = User(id_ or own, own, email, name, accounts)
        self._enter(user)
        return user

    def change_user(
        self, user: User, id_: str, email: str | None, name: str | None, accounts: dict[AccountType, str]
    ) -> None:
        self._leave(user)
        user.id, user.email, user.name, user.accounts = id_, email, name, accounts
        self._enter(user)

    def remove_user(self, user: User) -> None:
        """With replicas and everything that was said."""
        self._leave(user)
        for replica in [one for one in self.replicas.values() if one.owner is user]:
            self.remove_replica(replica)
        self.talk.forget(user=user)

    def _enter(self, user: User) -> None:
        self.users[user.id] = user
        if user.email is not None:
            self._emails[user.email] = user
        for account in user.accounts.items():
            self._accounts[account] = user

    def _leave(self, user: User) -> None:
        del self.users[user.id]
        if user.email is not None:
            del self._emails[user.email]
        for account in user.accounts.items():
            del self._accounts[account]

    # --- replicas ---

    def visible(self, replica: Replica, user: User | None) -> bool:
        """An organisation's secret alone sees everything; a user sees what is public, theirs or open to them."""
        if user is None or not replica.private or replica.owner is user:
            return True
        return user.email is not None and user.email in replica.whitelist

    def remove_replica(self, replica: Replica) -> None:
        del self.replicas[replica.uuid]
        self.talk.forget(replica=replica)

    # --- knowledge ---

    def add_entry(self, replica: Replica, type_: EntryType, now: float) -> Entry:
        entry = Entry(next(self._numbers), replica.uuid, type_, now, now)
        replica.knowledge[entry.id] = entry
        return entry

    def entries(self) -> Iterator[Entry]:
        for replica in self.replicas.values():
            yield from replica.knowledge.values()

    def number(self) -> int:
        """One that was not given yet."""
        return next(self._numbers)
