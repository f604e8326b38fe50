"""Rows as the scripts keep them, and how they become the values of `gateway.messages`.

Fields are added with a default and never renamed, so that the versions of a rolling upgrade read each other's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from gateway.messages import (
    Address,
    ConversationKey,
    Delivery,
    Entry,
    Head,
    Kind,
    Message,
    Part,
    PlatformName,
    Purpose,
    Said,
    Spend,
    Turn,
    decode,
    delivery_id,
    encode,
)

VERSION = 1
"""Of all that is stored: a journal of a greater one is not touched."""

_T = TypeVar("_T")


def text(value: object) -> str:
    """Write a value as JSON text, which no script looks into."""
    return encode(value).decode()


class Row(msgspec.Struct):
    """Base of the rows: what a newer version wrote into them is passed over."""


class ConversationRow(Row, kw_only=True):
    bot: str
    platform: PlatformName
    chat: str

    @property
    def key(self) -> ConversationKey:
        return ConversationKey(bot=self.bot, platform=self.platform, chat=self.chat)


class BodyRow(Row, kw_only=True):
    """What was said, its address apart; `text` and `chat` are there once it was edited or moved."""

    said: str
    address: str
    text: str | None = None
    chat: str | None = None

    def restored(self) -> Said:
        said = replace(decode(self.said, Said), address=decode(self.address, Address))
        if self.text is not None:
            said = replace(said, text=self.text)
        if self.chat is not None:
            said = replace(said, key=replace(said.key, chat=self.chat))
        return said


class MessageRow(Row, kw_only=True):
    id: str
    seq: int
    bot: str
    platform: PlatformName
    kind: Kind = "ask"
    state: Literal["waiting", "claimed", "ended"]
    accepted_at: float
    waiting_since: float | None = None
    chat: str = ""
    log_seq: int | None = None
    sender: str | None = None
    direct: bool = False
    size: int = 0
    sent_at: float = 0.0
    not_before: float | None = None
    join_key: str | None = None
    deadline: float | None = None
    turn: str | None = None
    ended_at: float | None = None
    outcome: str | None = None
    cause: str | None = None

    @property
    def since(self) -> float:
        return self.accepted_at if self.waiting_since is None else self.waiting_since

    def head(self) -> Head:
        return Head(
            id=self.id,
            seq=self.seq,
            key=ConversationKey(bot=self.bot, platform=self.platform, chat=self.chat),
            sender=self.sender or "",
            kind=self.kind,
            direct=self.direct,
            sent_at=self.sent_at,
            accepted_at=self.since,
            size=self.size,
            not_before=self.not_before,
            join_key=self.join_key,
            deadline=self.deadline,
        )


class TurnRow(Row, kw_only=True):
    id: str
    state: Literal["claimed", "asked", "ended"]
    claimed_at: float
    attempt: int = 0
    asked_at: float | None = None
    cause: str | None = None
    request_id: str | None = None
    quota_wait: float | None = None
    upstream: float | None = None

    def life(self) -> dict[str, Any]:
        """What it adds to the life of its messages."""
        return {
            "claimed_at": self.claimed_at,
            "asked_at": self.asked_at,
            "attempts": self.attempt,
            "request_id": self.request_id,
            "quota_wait": self.quota_wait,
            "upstream": self.upstream,
        }


class PartRow(Row, kw_only=True):
    id: str
    seq: int
    log_seq: int
    owner: str
    index: int
    count: int
    purpose: Purpose
    address: str
    in_reply_to: str | None = None
    created_at: float
    state: Literal["waiting", "sending", "sent", "unknown", "dead"]
    attempt: int = 0
    sending_at: float | None = None
    ended_at: float | None = None
    platform_ids: str | None = None
    cause: str | None = None


# --- rows that belong together ---


class Stored(Row, kw_only=True):
    """A message with its text."""

    message: MessageRow
    body: BodyRow | None = None

    def restored(self, *, since: bool = True) -> Message | None:
        if self.body is None:
            return None
        at = self.message.since if since else self.message.accepted_at
        return Message(id=self.message.id, said=self.body.restored(), accepted_at=at)


class LoadedTurn(Row, kw_only=True):
    turn: TurnRow
    conversation: ConversationRow
    messages: tuple[Stored, ...]

    def restored(self, organization: str) -> Turn:
        row = self.turn
        messages = (stored.restored() for stored in self.messages)
        return Turn(
            id=row.id,
            organization=organization,
            key=self.conversation.key,
            messages=tuple(message for message in messages if message is not None),
            state=row.state,
            claimed_at=row.claimed_at,
            attempt=row.attempt,
            asked_at=row.asked_at,
        )


class Outgoing(Row, kw_only=True):
    part: PartRow
    conversation: ConversationRow
    text: str

    def delivery(self, organization: str) -> Delivery:
        row = self.part
        return Delivery(
            id=row.id,
            organization=organization,
            key=self.conversation.key,
            address=decode(row.address, Address),
            part=decode(self.text, Part),
            owner=row.owner,
            index=row.index,
            count=row.count,
            created_at=row.created_at,
            attempt=row.attempt,
            in_reply_to=row.in_reply_to,
        )


class Logged(Row, kw_only=True):
    """One line of a log: a message or a part."""

    message: MessageRow | None = None
    body: BodyRow | None = None
    part: PartRow | None = None
    text: str = ""

    def entry(self) -> Entry:
        if self.part is not None:
            row = self.part
            return Entry(
                seq=row.log_seq,
                id=row.id,
                role="assistant",
                part=decode(self.text, Part),
                created_at=row.created_at,
                owner=row.owner,
                index=row.index,
                count=row.count,
                in_reply_to=row.in_reply_to,
            )
        said = Stored(message=_there(self.message), body=_there(self.body))
        message = _there(said.restored(since=False))
        return Entry(
            seq=said.message.log_seq or 0,
            id=message.id,
            role="user",
            part=Part(text=message.said.text),
            created_at=message.accepted_at,
            owner=message.id,
        )


def _there(value: _T | None) -> _T:
    assert value is not None
    return value


# --- what scripts are given ---


def key_of(key: ConversationKey) -> dict[str, str]:
    return {"bot": key.bot, "platform": key.platform, "chat": key.chat}


def parts_of(owner: str, parts: Sequence[Part]) -> list[dict[str, str]]:
    """The parts of one reply, with the ids that follow from whom they answer."""
    return [
        {"id": delivery_id(owner, part.purpose, index), "purpose": part.purpose, "text": text(part)}
        for index, part in enumerate(parts)
    ]


def spend_of(spend: Spend) -> dict[str, object]:
    return {
        "id": spend.id,
        "organization": spend.organization,
        "kind": spend.kind,
        "completion": spend.completion,
        "at": spend.at,
        "bot": spend.bot,
        "upload": spend.upload,
    }
