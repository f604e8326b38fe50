"""What the pretended Sensay remembers of an organisation. Times come from outside."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeAlias

from gateway.sandbox.sensay.persona import Persona, answer
from gateway.sandbox.sensay.samples import OWNER, SAMPLES

Json: TypeAlias = dict[str, Any]
_PROGRESS = ("NEW", "RAW_TEXT", "PROCESSED_TEXT", "VECTOR_CREATED", "READY")
PICTURES = "/_control/sensay/pictures"
_DEFAULT_PICTURE = "https://studio.sensay.io/assets/default-replica-profile.webp"


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def short(text: str, size: int = 60) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


@dataclass
class User:
    id: str
    uuid: str
    email: str | None = None
    name: str | None = None
    accounts: dict[str, str] = field(default_factory=dict)
    """Linked accounts: type → id."""

    def shown(self) -> Json:
        linked = [{"accountID": id_, "accountType": type_} for type_, id_ in self.accounts.items()]
        optional = {"email": self.email, "name": self.name}
        given = {key: value for key, value in optional.items() if value is not None}
        return {"success": True, "id": self.id, "linkedAccounts": linked} | given


@dataclass
class Entry:
    """A knowledge text. Its status moves on each time it is looked at, so that nobody has to wait for a clock."""

    id: int
    replica: str
    text: str
    created_at: float
    updated_at: float
    looks: int = 0

    @property
    def status(self) -> str:
        return _PROGRESS[min(self.looks, len(_PROGRESS) - 1)]

    def shown(self) -> Json:
        return {
            "id": self.id,
            "replicaUUID": self.replica,
            "type": "text",
            "status": self.status,
            "rawText": self.text,
            "rawTextChunks": [
                {
                    "content": self.text,
                    "chunkIndex": 0,
                    "chunkChars": len(self.text),
                    "chunkTokens": len(self.text) // 4,
                }
            ],
            "generatedTitle": short(self.text.lstrip("# ").partition("\n")[0]),
            "summary": short(" ".join(self.text.split()), 200),
            "createdAt": iso(self.created_at),
            "updatedAt": iso(self.updated_at),
        }


@dataclass
class Replica:
    uuid: str
    slug: str
    name: str
    description: str
    greeting: str
    owner: User
    created_at: float
    suggestions: tuple[str, ...] = ()
    picture: str = _DEFAULT_PICTURE
    private: bool = False
    tags: tuple[str, ...] = ()
    llm: Json = field(default_factory=lambda: {"model": "gpt-4o"})
    knowledge: dict[int, Entry] = field(default_factory=dict)
    said: int = 0

    def answer(self, question: str) -> str:
        persona = Persona(self.name, self.description, self.greeting, self.suggestions)
        return answer(persona, tuple(entry.text for entry in self.knowledge.values() if entry.text), question)

    def shown(self, origin: str) -> Json:
        """Both spellings: those of the guide are deprecated, but still there."""
        picture = origin + self.picture if self.picture.startswith("/") else self.picture
        return {
            "uuid": self.uuid,
            "name": self.name,
            "slug": self.slug,
            "shortDescription": self.description,
            "greeting": self.greeting,
            "ownerID": self.owner.id,
            "private": self.private,
            "profileImage": picture,
            "suggestedQuestions": list(self.suggestions),
            "tags": list(self.tags),
            "llm": self.llm,
            "profile_image": picture,
            "short_description": self.description,
            "introduction": self.greeting,
            "created_at": iso(self.created_at),
            "owner_uuid": self.owner.uuid,
            "voice_enabled": False,
            "video_enabled": False,
            "chat_history_count": self.said,
            "system_message": self.llm.get("systemMessage", ""),
            "telegram_service_name": None,
            "discord_service_name": None,
            "discord_is_active": None,
            "telegram_integration": None,
            "discord_integration": None,
        }


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the history between a user and a replica."""

    id: int
    role: str
    content: str
    source: str
    created_at: float
    user: User
    replica: Replica

    def shown(self) -> Json:
        return {
            "id": self.id,
            "created_at": iso(self.created_at),
            "content": self.content,
            "role": self.role,
            "is_private": False,
            "source": self.source,
            "replica_uuid": self.replica.uuid,
            "is_archived": False,
            "replica_slug": self.replica.slug,
            "user_uuid": self.user.uuid,
            "sources": [],
            "original_message_id": None,
        }


class Organization:
    """All that belongs to one secret. Nothing is visible to another organisation."""

    def __init__(self, now: float) -> None:
        self.users: dict[str, User] = {}
        self.replicas: dict[str, Replica] = {}
        self._accounts: dict[tuple[str, str], User] = {}
        self._emails: dict[str, User] = {}
        self._history: dict[tuple[str, str], list[Item]] = {}
        self._numbers = count(1)
        self.completions = 0
        owner = self.add_user(OWNER, None, None, {})
        for sample in SAMPLES:
            replica = Replica(
                sample.uuid, sample.slug, sample.name, sample.description, sample.greeting, owner, now
            )
            replica.suggestions = sample.suggestions
            replica.picture = f"{PICTURES}/{sample.slug}.svg"
            self.replicas[replica.uuid] = replica
            self.add_knowledge(replica, sample.knowledge, now)

    def user(self, id_: str, type_: str | None) -> User | None:
        """By native id, or by the id of a linked account."""
        return self.users.get(id_) if type_ is None else self._accounts.get((type_, id_))

    def taken(self, id_: str | None, email: str | None, accounts: dict[str, str]) -> bool:
        linked = any(account in self._accounts for account in accounts.items())
        return id_ in self.users or email in self._emails or linked

    def add_user(
        self, id_: str | None, email: str | None, name: str | None, accounts: dict[str, str]
    ) -> User:
        own = str(uuid.uuid4())
        user = User(id_ or own, own, email, name, accounts)
        self.users[user.id] = user
        if email is not None:
            self._emails[email] = user
        for account in accounts.items():
            self._accounts[account] = user
        return user

    def visible(self, replica: Replica, user: User | None) -> bool:
        """An organisation's secret alone sees everything; a user sees what is public or theirs."""
        return user is None or not replica.private or replica.owner is user

    def add_knowledge(self, replica: Replica, text: str, now: float) -> Entry:
        entry = Entry(next(self._numbers), replica.uuid, text, now, now)
        replica.knowledge[entry.id] = entry
        return entry

    def say(self, replica: Replica, user: User, role: str, content: str, source: str, now: float) -> Item:
        item = Item(next(self._numbers), role, content, source, now, user, replica)
        self._history.setdefault((replica.uuid, user.uuid), []).append(item)
        replica.said += 1
        return item

    def history(self, replica: Replica, user: User) -> list[Item]:
        return self._history.get((replica.uuid, user.uuid), [])
