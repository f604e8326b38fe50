"""What a request body may hold. Bodies are closed: an unknown key, a wrong type or a null is a 400."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

Content = Annotated[str, Meta(min_length=1, max_length=100_000)]
Text = Annotated[str, Meta(min_length=1)]
Number: TypeAlias = int | float
Email = Annotated[str, Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
PersonName = Annotated[str, Meta(max_length=50, pattern=r"^[A-Za-z0-9 ().,'/-]*$")]
AccountType = Literal["discord", "telegram", "embed"]
Source = Literal["discord", "telegram", "embed", "web", "telegram_autopilot"]
WebURL = Annotated[str, Meta(pattern=r"^https?://[^/\s]+\.[^/\s]+")]
Positive = Annotated[int, Meta(gt=0)]
EntryType = Literal["file", "text", "website", "youtube"]
EntryStatus = Literal[
    "NEW", "FILE_UPLOADED", "RAW_TEXT", "PROCESSED_TEXT", "VECTOR_CREATED", "READY", "UNPROCESSABLE"
]
LongText = Annotated[str, Meta(min_length=1, max_length=5_000_000, pattern=r"\S")]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Keys as they are spelt here."""


class CamelBody(Body, rename="camel"):
    """Keys in camel case, but for those that name themselves."""


class Nothing(Body):
    pass


class LinkedAccount(CamelBody):
    account_id: Text = field(name="accountID")
    account_type: AccountType


class ChangedUser(CamelBody):
    """What is left out stays as it is."""

    id: Text
    email: Email | UnsetType = UNSET
    name: PersonName | UnsetType = UNSET
    linked_accounts: list[LinkedAccount] | UnsetType = UNSET


class NewUser(CamelBody):
    id: Text | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    name: PersonName | UnsetType = UNSET
    linked_accounts: list[LinkedAccount] | UnsetType = UNSET


class Llm(CamelBody):
    model: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    """Only the guide has it."""
    memory_mode: Literal["prompt-caching", "rag-search"] | UnsetType = UNSET
    system_message: str | UnsetType = UNSET
    tools: list[str] | UnsetType = UNSET


class LlmShown(CamelBody):
    """As it is answered: what is not set is left out."""

    model: str
    provider: str | UnsetType = UNSET
    memory_mode: str | UnsetType = UNSET
    system_message: str | UnsetType = UNSET
    tools: list[str] | UnsetType = UNSET


class NewReplica(CamelBody):
    name: Text
    short_description: str
    greeting: str
    owner_id: Text = field(name="ownerID")
    slug: Text
    llm: Llm
    purpose: str | UnsetType = UNSET
    type: Literal["individual", "character", "brand"] | UnsetType = UNSET
    private: bool = False
    whitelist_emails: list[str] | UnsetType = UNSET
    tags: list[str] = []
    profile_image: WebURL | UnsetType = UNSET
    suggested_questions: list[str] = []
    voice_preview_text: str | UnsetType = UNSET


class Conversations(CamelBody):
    monthly_quota: Number


class UsageLimits(CamelBody):
    conversations: Conversations


class DiscordData(Body):
    """Ids are strings here."""

    channel_id: Text
    channel_name: str
    author_id: Text
    author_name: str
    message_id: Text
    created_at: str | UnsetType = UNSET
    server_id: str | UnsetType = UNSET
    server_name: str | UnsetType = UNSET


class TelegramData(Body):
    """Ids are numbers here, and a thread id is above zero or left out."""

    chat_type: Literal["private", "group", "supergroup", "channel"]
    chat_id: Number
    message_id: Number
    chat_name: str | UnsetType = UNSET
    user_id: Number | UnsetType = UNSET
    username: str | UnsetType = UNSET
    message_thread_id: Positive | UnsetType = UNSET


class Completion(Body):
    content: Content
    skip_chat_history: bool = False
    source: Source = "web"
    discord_data: DiscordData | UnsetType = UNSET
    usage_limits: UsageLimits | UnsetType = field(default=UNSET, name="usageLimits")


class TelegramCompletion(Body):
    content: Content
    telegram_data: TelegramData
    skip_chat_history: bool = False
    image_url: WebURL | UnsetType = field(default=UNSET, name="imageURL")


class GuideTelegramCompletion(CamelBody):
    content: Content
    telegram_user_id: Text
    telegram_chat_id: Text


class Saved(Body):
    content: Content
    source: Source = "web"
    discord_data: DiscordData | UnsetType = UNSET


class TelegramSaved(Body):
    content: Content
    telegram_data: TelegramData


class OpenAiMessage(Body):
    role: Literal["assistant", "developer", "system", "tool", "user"]
    content: Content
    name: str | UnsetType = UNSET


class OpenAiCompletion(Body):
    """Only the last message counts."""

    messages: Annotated[list[OpenAiMessage], Meta(min_length=1)]
    store: bool = True
    source: Literal["discord", "embed", "web"] = "web"
    discord_data: DiscordData | UnsetType = UNSET


class Knowledge(CamelBody):
    """Exactly one of `text`, `url` and `filename`."""

    text: LongText | UnsetType = UNSET
    url: WebURL | UnsetType = UNSET
    filename: Text | UnsetType = UNSET
    auto_refresh: bool | UnsetType = UNSET


class ChunkGiven(CamelBody):
    content: str | UnsetType = UNSET
    chunk_index: int | UnsetType = UNSET
    chunk_tokens: int | UnsetType = UNSET
    chunk_chars: int | UnsetType = UNSET


class ChangedKnowledge(CamelBody):
    """At least one of them."""

    raw_text: LongText | UnsetType = UNSET
    processed_text: LongText | UnsetType = UNSET
    generated_facts: list[str] | UnsetType = UNSET
    generated_chunks: list[ChunkGiven] | UnsetType = UNSET
    title: str | UnsetType = UNSET
    summary: str | UnsetType = UNSET


class Training(CamelBody):
    raw_text: LongText


class TelegramIntegration(Body):
    telegram_token: Text
    mention: Text


class GuideTelegramIntegration(CamelBody):
    bot_token: Text
    service_name: Text


class DiscordIntegration(CamelBody):
    discord_token: Annotated[str, Meta(min_length=50, max_length=80)]


class Redemption(CamelBody):
    organization_name: Text
    name: Text
    email: Email
