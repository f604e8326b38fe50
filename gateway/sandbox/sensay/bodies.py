"""What a request body may hold. Bodies are closed: an unknown key, a wrong type or a null is a 400."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

Content = Annotated[str, Meta(min_length=1, max_length=100_000)]
Text = Annotated[str, Meta(min_length=1)]
Number: TypeAlias = int | float
PersonName = Annotated[str, Meta(max_length=50, pattern=r"^[A-Za-z0-9 ().,'/-]*$")]
AccountType = Literal["discord", "telegram", "embed"]
Source = Literal["discord", "telegram", "embed", "web", "telegram_autopilot"]
ImageURL = Annotated[str, Meta(pattern=r"^https?://[^/\s]+\.[^/\s]+")]
Positive = Annotated[int, Meta(gt=0)]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Keys as they are spelt here."""


class CamelBody(Body, rename="camel"):
    """Keys in camel case, but for those that name themselves."""


class Nothing(Body):
    pass


class LinkedAccount(CamelBody):
    account_id: Text = field(name="accountID")
    account_type: AccountType


class NewUser(CamelBody):
    id: Text | UnsetType = UNSET
    email: Text | UnsetType = UNSET
    name: PersonName | UnsetType = UNSET
    linked_accounts: list[LinkedAccount] | UnsetType = UNSET


class Llm(CamelBody):
    model: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    """Only the guide has it."""
    memory_mode: Literal["prompt-caching", "rag-search"] | UnsetType = UNSET
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
    profile_image: ImageURL | UnsetType = UNSET
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
    image_url: ImageURL | UnsetType = field(default=UNSET, name="imageURL")


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


class Knowledge(Body):
    text: Text


class Training(CamelBody):
    raw_text: Text
