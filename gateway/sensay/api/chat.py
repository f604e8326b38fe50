"""Asking a replica: on every channel's own path, or in the words of OpenAI's API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from gateway.errors import InvalidArguments, Permanent
from gateway.sensay.api.operation import (
    ADMIN,
    Arguments,
    Auth,
    Channel,
    Door,
    Id,
    Operation,
    Spelling,
)
from gateway.sensay.api.values import Thing
from gateway.sensay.models import Completion, Wire

Content = Annotated[str, Meta(min_length=1, max_length=100_000, description="1 to 100,000 characters")]
NOT_ACCEPTABLE = 406
_REPLICA = "/v1/replicas/{replica}"
_CHAT = f"{_REPLICA}/chat/completions"


class TelegramData(Thing, frozen=True, rename=None):
    chat_type: Literal["private", "group", "supergroup", "channel"]
    chat_id: int
    message_id: int
    chat_name: str | None = None
    user_id: int | None = None
    username: str | None = None
    message_thread_id: Annotated[int, Meta(gt=0)] | None = None


class DiscordData(Thing, frozen=True, rename=None):
    channel_id: str
    channel_name: str
    author_id: str
    author_name: str
    message_id: str
    created_at: str | None = None
    server_id: str | None = None
    server_name: str | None = None


class Question(Arguments, frozen=True):
    """`channel` is where it is filed. `image_url` goes with Telegram only, `monthly_quota` with the others."""

    replica: Id
    content: Content
    channel: Channel = "web"
    skip_chat_history: bool | None = None
    telegram_data: TelegramData | None = None
    discord_data: DiscordData | None = None
    image_url: str | None = None
    monthly_quota: Annotated[float, Meta(ge=0)] | None = None


class OpenAiMessage(Thing, frozen=True):
    role: Literal["assistant", "developer", "system", "tool", "user"]
    content: Content
    name: str | None = None


class OpenAiQuestion(Arguments, frozen=True):
    """Only the last message counts upstream."""

    replica: Id
    messages: Annotated[tuple[OpenAiMessage, ...], Meta(min_length=1, description="one message at least")]
    store: bool | None = None
    source: Literal["discord", "embed", "web"] | None = None
    discord_data: DiscordData | None = None


class OpenAiText(Thing, frozen=True):
    content: str | None = None
    role: str | None = None


class OpenAiChoice(Thing, frozen=True):
    message: OpenAiText
    index: int | None = None
    finish_reason: str | None = field(default=None, name="finish_reason")


class OpenAiUsage(Thing, frozen=True, rename=None):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class OpenAiCompletion(Wire, frozen=True, omit_defaults=True):
    choices: tuple[OpenAiChoice, ...]
    id: str | None = None
    object: str | None = None
    created: int | None = None
    model: str | None = None
    usage: OpenAiUsage | None = None

    @property
    def content(self) -> str:
        return next((choice.message.content or "" for choice in self.choices), "")

    @property
    def good(self) -> bool:
        return self.success and bool(self.content.strip())


# --- spelling ---


def _refuse(question: Question, *fields: str) -> None:
    """What would be without effect. What only tells of the platform is left out where nobody takes it."""
    for name in fields:
        if getattr(question, name) is not None:
            raise InvalidArguments(
                f"chat.complete: {name} does not go with the channel {question.channel} in this dialect"
            )


def _telegram(question: Question) -> Mapping[str, Any]:
    _refuse(question, "monthly_quota")
    if question.telegram_data is None:
        raise InvalidArguments("chat.complete: telegram_data is required on the channel telegram")
    return {
        "content": question.content,
        "telegram_data": question.telegram_data,
        "skip_chat_history": question.skip_chat_history,
        "imageURL": question.image_url,
    }


def _filed(question: Question) -> Mapping[str, Any]:
    _refuse(question, "image_url")
    quota = question.monthly_quota
    return {
        "content": question.content,
        "source": question.channel,
        "skip_chat_history": question.skip_chat_history,
        "discord_data": question.discord_data if question.channel == "discord" else None,
        "usageLimits": None if quota is None else {"conversations": {"monthlyQuota": quota}},
    }


def _published(question: Question) -> Mapping[str, Any]:
    return _telegram(question) if question.channel == "telegram" else _filed(question)


def _as_in_guide(question: Question) -> Mapping[str, Any]:
    _refuse(question, "image_url", "monthly_quota")
    if question.channel != "telegram":
        return {"content": question.content, "skip_chat_history": question.skip_chat_history}
    _refuse(question, "skip_chat_history")
    data = question.telegram_data
    if data is None or data.user_id is None:
        raise InvalidArguments(
            "chat.complete: telegram_data with user_id is required on the channel telegram"
        )
    return {
        "content": question.content,
        "telegramUserId": str(data.user_id),
        "telegramChatId": str(data.chat_id),
    }


def _path(question: Question) -> str:
    return f"{_CHAT}/telegram" if question.channel == "telegram" else _CHAT


def _guide_path(question: Question) -> str:
    return f"{_REPLICA}/telegram/completions" if question.channel == "telegram" else _CHAT


def _openai(question: OpenAiQuestion) -> Mapping[str, Any]:
    return {
        "messages": question.messages,
        "store": question.store,
        "source": question.source,
        "discord_data": question.discord_data,
    }


COMPLETE = Operation(
    "chat.complete",
    "Ask a replica, on any channel",
    Question,
    Completion,
    {
        "openapi": Spelling("POST", _path, _published),
        "generic": Spelling("POST", _CHAT, _filed),
        "guide": Spelling("POST", _guide_path, _as_in_guide),
    },
    completion=True,
)
OPENAI = Operation(
    "chat.openai",
    "Ask a replica in the words of OpenAI's API",
    OpenAiQuestion,
    OpenAiCompletion,
    dict.fromkeys(
        ("openapi", "guide", "generic"),
        Spelling("POST", "/v1/experimental/replicas/{replica}/chat/completions", _openai),
    ),
    "user",
    completion=True,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (COMPLETE, OPENAI)


class Chat:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def complete(
        self,
        replica: str,
        content: str,
        auth: Auth = ADMIN,
        *,
        on_delta: Callable[[str], None] | None = None,
        **fields: Any,
    ) -> str:
        """The answer. `fields` are those of `Question`. A lost answer (Ambiguous) may be in the history.

        With `on_delta` Sensay is asked for a stream, of which it hears each piece; one that cannot stream answers as
        always.
        """
        arguments = COMPLETE.read({"replica": replica, "content": content} | fields)
        if on_delta is not None:
            try:
                return (await self._door(COMPLETE, arguments, auth, on_delta)).value.content or ""
            except Permanent as error:
                if error.context.get("status") != NOT_ACCEPTABLE:
                    raise
        return (await self._door(COMPLETE, arguments, auth)).value.content or ""

    async def openai(self, replica: str, messages: Any, auth: Auth, **fields: Any) -> OpenAiCompletion:
        """`messages` are mappings with `role` and `content`; only a user may ask like this."""
        arguments = OPENAI.read({"replica": replica, "messages": messages} | fields)
        return (await self._door(OPENAI, arguments, auth)).value
