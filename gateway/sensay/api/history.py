"""What a user and a replica said to each other, and what is added to it without an answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec import field

from gateway.errors import InvalidArguments
from gateway.sensay.api.chat import Content, DiscordData, TelegramData
from gateway.sensay.api.operation import (
    ADMIN,
    ALL,
    Arguments,
    Auth,
    Channel,
    Door,
    Id,
    Operation,
    Spelling,
)
from gateway.sensay.api.values import Done, Said, Thing
from gateway.sensay.identity import DialectName

_REPLICA = "/v1/replicas/{replica}"
_HISTORY = f"{_REPLICA}/chat/history"


class Source(Thing, frozen=True, rename=None):
    """A piece of knowledge that an answer was made of."""

    id: int | str | None = None
    name: str | None = None
    score: float | None = None
    status: str | None = None
    created_at: str | None = None
    content: str | None = None


class Entry(Thing, frozen=True, rename=None):
    role: str
    content: str = ""
    id: int | str | None = None
    created_at: str | None = None
    source: str | None = None
    is_private: bool | None = None
    is_archived: bool | None = None
    user_uuid: str | None = None
    replica_uuid: str | None = None
    replica_slug: str | None = None
    original_message_id: str | None = None
    sources: tuple[Source, ...] | None = None


class History(Said, frozen=True):
    """Not paged. A history that is empty may come without `items`."""

    items: tuple[Entry, ...] = field(default=())


class Reading(Arguments, frozen=True):
    """`dialect`: spelt as another one has it, to see which of them is served."""

    replica: Id
    channel: Channel | None = None
    dialect: DialectName | None = None


class Saved(Arguments, frozen=True):
    replica: Id
    content: Content
    channel: Channel = "web"
    telegram_data: TelegramData | None = None
    discord_data: DiscordData | None = None


def _path(own: DialectName, reading: Reading) -> str:
    """The guide has no history of the web alone, the generic dialect only one for all."""
    dialect, channel = reading.dialect or own, reading.channel
    if channel is None or dialect == "generic" or (dialect == "guide" and channel == "web"):
        return _HISTORY
    return f"{_HISTORY}/{channel}" if dialect == "openapi" else f"{_REPLICA}/{channel}/history"


def _no_fields(_: Arguments) -> Mapping[str, Any]:
    return {}


def _save_path(saved: Saved) -> str:
    return f"{_HISTORY}/telegram" if saved.channel == "telegram" else _HISTORY


def _saved(saved: Saved) -> Mapping[str, Any]:
    if saved.channel != "telegram":
        discord = saved.discord_data if saved.channel == "discord" else None
        return {"content": saved.content, "source": saved.channel, "discord_data": discord}
    if saved.telegram_data is None:
        raise InvalidArguments("history.save: telegram_data is required on the channel telegram")
    return {"content": saved.content, "telegram_data": saved.telegram_data}


LIST = Operation(
    "history.list",
    "What was said, on one channel or on all",
    Reading,
    History,
    {dialect: Spelling("GET", partial(_path, dialect), _no_fields) for dialect in ALL},
    repeatable=True,
)
SAVE = Operation(
    "history.save",
    "Keep a message without an answer",
    Saved,
    Done,
    {"openapi": Spelling("POST", _save_path, _saved)},
    instead="only the dialect openapi can save without an answer",
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (LIST, SAVE)


class Histories:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def list(self, replica: str, auth: Auth = ADMIN, channel: Channel | None = None) -> list[Entry]:
        """Oldest first, of the user that one asks as."""
        arguments = LIST.read({"replica": replica, "channel": channel})
        items = (await self._door(LIST, arguments, auth)).value.items
        return [entry for entry in items if _of(entry, channel)]

    async def save(self, replica: str, content: str, auth: Auth = ADMIN, **fields: Any) -> None:
        """`fields` are those of `Saved`."""
        await self._door(SAVE, SAVE.read({"replica": replica, "content": content} | fields), auth)


def _of(entry: Entry, channel: Channel | None) -> bool:
    """Where a dialect has one history for all, its entries say where they are from."""
    return channel is None or entry.source is None or entry.source.startswith(channel)
