"""How each operation is spelt: one frozen table per dialect, so that the client knows operations only.

`openapi` is what Sensay publishes, `guide` what the user's documents say, `generic` the path that all of them share.
Bodies are closed on the other side: nothing leaves but allowed keys, without nulls and in the documented types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from gateway.messages import Facts, PlatformName, Question, SpendClass
from gateway.sensay.identity import DialectName, platform_id
from gateway.sensay.models import Completion, History, Nothing, Replica, Wire

T = TypeVar("T", bound=Wire)
OperationName = Literal["complete", "record", "history", "ensure_user", "profile"]
Channel = Literal["telegram", "discord", "embed"]
Body: TypeAlias = Callable[[Question], Mapping[str, Any]]

_PICTURE = "imageURL"
_CHANNELS: Mapping[PlatformName, Channel] = {
    "telegram": "telegram",
    "discord": "discord",
    "web": "embed",
    "webhook": "embed",
}
_TELEGRAM_DATA: Mapping[str, Callable[[Any], Any]] = {
    "chat_type": str,
    "chat_id": int,
    "message_id": int,
    "chat_name": str,
    "user_id": int,
    "username": str,
    "message_thread_id": int,
}
_DISCORD_REQUIRED = ("channel_id", "channel_name", "author_id", "author_name", "message_id")
_DISCORD_DATA: Mapping[str, Callable[[Any], Any]] = dict.fromkeys(
    (*_DISCORD_REQUIRED, "created_at", "server_id", "server_name"), str
)


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """`repeatable`: doing it twice is as good as once, so an unknown outcome may simply be tried again.

    `kind` and `completion` are what it costs. `source` is the filing under which a history has to be filtered.
    """

    name: OperationName
    method: Literal["GET", "POST"]
    path: str
    reply: type[T]
    kind: SpendClass
    completion: bool = False
    repeatable: bool = False
    keys: frozenset[str] = frozenset()
    build: Body | None = None
    source: str | None = None

    def body(self, question: Question) -> dict[str, Any] | None:
        """The request's body; None for a request without one."""
        if self.build is None:
            return None
        built = self.build(question)
        return {key: value for key, value in built.items() if key in self.keys and value is not None}


@dataclass(frozen=True, slots=True)
class Dialect:
    complete: Mapping[Channel, Operation[Completion]]
    history: Mapping[Channel, Operation[History]]
    record: Mapping[Channel, Operation[Nothing]]

    def filed(self, question: Question) -> Channel:
        """Where a question is asked and looked up: where it came from, or with a picture where Sensay looks at one."""
        own = channel_of(question.platform)
        shows = bool(question.images) and own == "discord" and _discord_data(question.context) is not None
        return "telegram" if shows and _PICTURE in self.complete["telegram"].keys else own


def channel_of(platform: PlatformName) -> Channel:
    """Where Sensay files what comes from a platform; the webhook's callers are embedding, like a website."""
    return _CHANNELS[platform]


# --- bodies ---


def _shaped(context: Facts, shape: Mapping[str, Callable[[Any], Any]]) -> Facts:
    """The allowed keys in their documented types."""
    return {key: to(context[key]) for key, to in shape.items() if context.get(key) is not None}


def _telegram_data(question: Question) -> Facts:
    context = question.context if question.platform == "telegram" else _as_on_telegram(question.context)
    data = _shaped(context, _TELEGRAM_DATA)
    if data.get("message_thread_id", 0) <= 0:
        data.pop("message_thread_id", None)  # outside of a topic there is none, and zero is refused
    return data


def _as_on_telegram(discord: Facts) -> Facts:
    """A message of Discord's in the words of the only path that takes pictures."""
    return {
        "chat_type": "group" if "server_id" in discord else "private",
        "chat_id": _number(discord["channel_id"]),
        "message_id": _number(discord["message_id"]),
        "chat_name": discord.get("channel_name"),
        "user_id": _number(discord["author_id"]),
        "username": discord.get("author_name"),
    }


def _number(snowflake: str) -> int:
    """The leading bits, as many as a JSON number keeps everywhere; the ten others count within a millisecond."""
    return int(snowflake) >> 10


def _discord_data(context: Facts) -> Facts | None:
    data = _shaped(context, _DISCORD_DATA)
    return data if all(key in data for key in _DISCORD_REQUIRED) else None


def _with_telegram_data(question: Question) -> Facts:
    return {
        "content": question.text,
        "telegram_data": _telegram_data(question),
        _PICTURE: next(iter(question.images), None),
    }


def _with_source(question: Question) -> Facts:
    channel = channel_of(question.platform)
    data = _discord_data(question.context) if channel == "discord" else None
    return {"content": question.text, "source": channel, "discord_data": data}


def _with_guide_ids(question: Question) -> Facts:
    user = question.context.get("user_id", platform_id(question.user))
    chat = question.context.get("chat_id", user)
    return {"content": question.text, "telegramUserId": str(user), "telegramChatId": str(chat)}


def _new_user(question: Question) -> Facts:
    user = question.user
    if user.type is None:
        return {"id": user.id}
    return {"linkedAccounts": [{"accountID": user.id, "accountType": user.type}]}


# --- operations ---

_REPLICA = "/v1/replicas/{replica}"
_CHAT = f"{_REPLICA}/chat/completions"
_HISTORY = f"{_REPLICA}/chat/history"


def _complete(path: str, build: Body, *keys: str) -> Operation[Completion]:
    allowed = frozenset(("content", *keys))
    return Operation(
        "complete", "POST", path, Completion, "reply", completion=True, keys=allowed, build=build
    )


def _record(path: str, build: Body, *keys: str) -> Operation[Nothing]:
    return Operation(
        "record", "POST", path, Nothing, "record", keys=frozenset(("content", *keys)), build=build
    )


def _history(path: str, source: str | None = None) -> Operation[History]:
    return Operation("history", "GET", path, History, "reply", repeatable=True, source=source)


ENSURE_USER: Operation[Nothing] = Operation(
    "ensure_user",
    "POST",
    "/v1/users",
    Nothing,
    "user",
    repeatable=True,
    keys=frozenset(("id", "linkedAccounts")),
    build=_new_user,
)
PROFILE: Operation[Replica] = Operation("profile", "GET", _REPLICA, Replica, "operator", repeatable=True)

_FILED = _complete(_CHAT, _with_source, "source", "discord_data")
_PLAIN = _complete(_CHAT, _with_source, "source")
_BARE = _complete(_CHAT, _with_source)

DIALECTS: Mapping[DialectName, Dialect] = {
    "openapi": Dialect(
        complete={
            "telegram": _complete(
                f"{_CHAT}/telegram", _with_telegram_data, "telegram_data", _PICTURE
            ),
            "discord": _FILED,
            "embed": _FILED,
        },
        history={
            "telegram": _history(f"{_HISTORY}/telegram"),
            "discord": _history(f"{_HISTORY}/discord"),
            "embed": _history(f"{_HISTORY}/embed"),
        },
        record={
            "telegram": _record(f"{_HISTORY}/telegram", _with_telegram_data, "telegram_data"),
            "discord": _record(_HISTORY, _with_source, "source", "discord_data"),
            "embed": _record(_HISTORY, _with_source, "source"),
        },
    ),
    "guide": Dialect(
        complete={
            "telegram": _complete(
                f"{_REPLICA}/telegram/completions", _with_guide_ids, "telegramUserId", "telegramChatId"
            ),
            "discord": _BARE,
            "embed": _BARE,
        },
        # What is asked without a source is filed under the web, so the channels' own histories do not have it.
        history={
            "telegram": _history(f"{_REPLICA}/telegram/history"),
            "discord": _history(_HISTORY),
            "embed": _history(_HISTORY),
        },
        record={},
    ),
    "generic": Dialect(
        complete={"telegram": _PLAIN, "discord": _PLAIN, "embed": _PLAIN},
        history={
            "telegram": _history(_HISTORY, "telegram"),
            "discord": _history(_HISTORY, "discord"),
            "embed": _history(_HISTORY, "embed"),
        },
        record={},
    ),
}  # fmt: skip
