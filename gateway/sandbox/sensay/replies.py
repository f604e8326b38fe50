"""What an answer may hold: written by the handlers, and described by the same classes at `/schema`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType, field

from gateway.sandbox.sensay.bodies import AccountType, EntryStatus, EntryType, LlmShown, Source

Role = Literal["user", "assistant"]
Optional = str | UnsetType


class Reply(msgspec.Struct, kw_only=True):
    """Keys as they are spelt here."""


class CamelReply(Reply, rename="camel", kw_only=True):
    """Keys in camel case, but for those that name themselves."""


class Done(Reply, kw_only=True):
    success: bool = True


class Accepted(Done, kw_only=True):
    """Will be done, but is not yet."""

    message: str


# --- users ---


class Account(CamelReply, kw_only=True):
    account_id: str = field(name="accountID")
    account_type: AccountType


class UserShown(CamelReply, kw_only=True):
    success: bool = True
    id: str
    linked_accounts: list[Account]
    email: Optional = UNSET
    name: Optional = UNSET


class ConversationUsage(CamelReply, kw_only=True):
    current_month_total: int
    current_month_by_replica: dict[str, int]


class KnowledgeUsage(CamelReply, kw_only=True):
    total: int
    by_replica: dict[str, int]


class Usage(CamelReply, kw_only=True):
    success: bool = True
    conversations: ConversationUsage
    knowledge_base_entries: KnowledgeUsage


# --- replicas ---


class ReplicaMade(Reply, kw_only=True):
    success: bool = True
    uuid: str


class TelegramHosting(Reply, kw_only=True):
    """A bot that Sensay runs itself. Its token is there in plain, as it is in the real answers."""

    id: int
    service_name: str
    telegram_token: str


class DiscordHosting(Reply, kw_only=True):
    id: int
    service_name: str
    is_active: bool


class ReplicaItem(Reply, kw_only=True):
    """Both spellings: those with an underscore are the guide's, deprecated but still there."""

    uuid: str
    name: str
    slug: str
    type: Literal["individual", "character", "brand"] = "character"
    purpose: str = ""
    short_description_: str = field(name="shortDescription")
    greeting: str
    owner_id: str = field(name="ownerID")
    private: bool
    whitelist_emails: list[str] = field(name="whitelistEmails")
    profile_image_: str = field(name="profileImage")
    suggested_questions: list[str] = field(name="suggestedQuestions")
    tags: list[str]
    llm: LlmShown
    profile_image: str
    short_description: str
    introduction: str
    created_at: str
    owner_uuid: str
    voice_enabled: bool = False
    video_enabled: bool = False
    chat_history_count: int
    system_message: str
    telegram_service_name: str | None
    discord_service_name: str | None
    discord_is_active: bool | None
    telegram_integration: TelegramHosting | None
    discord_integration: DiscordHosting | None


class ReplicaShown(ReplicaItem, kw_only=True):
    success: bool = True


class ReplicaList(Reply, kw_only=True):
    success: bool = True
    type: Literal["array"] = "array"
    items: list[ReplicaItem]
    total: int


# --- completions and histories ---


class Completed(Reply, kw_only=True):
    success: bool = True
    content: str


class OpenAiMessage(Reply, kw_only=True):
    role: Literal["assistant"] = "assistant"
    content: str


class OpenAiChoice(Reply, kw_only=True):
    index: int = 0
    message: OpenAiMessage
    finish_reason: Literal["stop"] = "stop"


class OpenAiUsage(Reply, kw_only=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class OpenAiCompleted(Reply, kw_only=True):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[OpenAiChoice]
    usage: OpenAiUsage


class HistoryItem(Reply, kw_only=True):
    id: int
    created_at: str
    content: str
    role: Role
    is_private: bool
    source: Source
    replica_uuid: str
    is_archived: bool = False
    replica_slug: str
    user_uuid: str
    sources: list[dict[str, Any]] = []
    original_message_id: str | None = None


class History(Reply, kw_only=True):
    success: bool = True
    type: Literal["array"] = "array"
    items: list[HistoryItem]


# --- knowledge ---


class EntryMade(CamelReply, kw_only=True):
    """Either it has an id, or it is not `enqueued` and has an error."""

    enqueued: bool
    type: EntryType
    knowledge_base_id: int | UnsetType = field(default=UNSET, name="knowledgeBaseID")
    signed_url: Optional = field(default=UNSET, name="signedURL")
    """Where the file has to be PUT."""
    error: Optional = UNSET


class EntriesMade(Reply, kw_only=True):
    """207: some may have failed."""

    success: bool = True
    results: list[EntryMade]


class Chunk(CamelReply, kw_only=True):
    content: str
    chunk_index: int
    chunk_chars: int
    chunk_tokens: int


class Website(CamelReply, kw_only=True):
    url: str
    title: Optional = UNSET
    text: Optional = UNSET
    auto_refresh: bool = False


class Youtube(CamelReply, kw_only=True):
    url: str
    title: Optional = UNSET
    playlist_id: Optional = field(default=UNSET, name="playlistID")


class File(CamelReply, kw_only=True):
    name: str
    size: int | None
    mime_type: str | None


class EntryError(Reply, kw_only=True):
    fingerprint: str
    message: str


class EntryItem(CamelReply, kw_only=True):
    id: int
    replica_uuid: str = field(name="replicaUUID")
    type: EntryType
    status: EntryStatus
    url: Optional = UNSET
    title: Optional = UNSET
    summary: Optional = UNSET
    website: Website | UnsetType = UNSET
    youtube: Youtube | UnsetType = UNSET
    file: File | UnsetType = UNSET
    error: EntryError | UnsetType = UNSET
    created_at: str
    updated_at: str


class EntryShown(EntryItem, kw_only=True):
    success: bool = True
    raw_text: Optional = UNSET
    processed_text: Optional = UNSET
    generated_title: Optional = UNSET
    generated_facts: list[str]
    raw_text_chunks: list[Chunk]


class EntryList(Reply, kw_only=True):
    success: bool = True
    type: Literal["array"] = "array"
    items: list[EntryItem]
    total: int


class TrainingStarted(CamelReply, kw_only=True):
    success: bool = True
    knowledge_base_id: int = field(name="knowledgeBaseID")


class UploadStarted(TrainingStarted, kw_only=True):
    signed_url: str = field(name="signedURL")


class TrainingShown(EntryShown, kw_only=True):
    """The guide knows less states."""

    status: Literal["BLANK", "AWAITING_UPLOAD", "PROCESSING", "READY", "ERR_FILE_PROCESSING"]  # type: ignore[assignment]


# --- integrations ---


class Integrated(Reply, kw_only=True):
    success: bool = True
    id: int


class IntegratedLater(Integrated, kw_only=True):
    message: str


# --- conversations and chats ---


class MessageShown(CamelReply, kw_only=True):
    uuid: str
    content: str
    role: Role
    created_at: str
    source: Source
    replica_uuid: str = field(name="replicaUUID")
    sender_name: Optional = UNSET


class Messages(Reply, kw_only=True):
    success: bool = True
    items: list[MessageShown]


class Mention(Reply, tag_field="type", tag="mention", kw_only=True):
    messages: list[MessageShown]


class Placeholder(Reply, tag_field="type", tag="placeholder", kw_only=True):
    count: int
    """So many messages of users are left out here."""


class Mentions(CamelReply, kw_only=True):
    """Newest first; `hasMore` as published, `count` as the guide has it."""

    success: bool = True
    items: list[Mention | Placeholder]
    has_more: bool
    count: int


class ConversationItem(CamelReply, kw_only=True):
    uuid: str
    chat_uuid: str = field(name="chatUUID")
    source: Source
    message_count: int
    replica_reply_count: int
    assistant_reply_count: int
    first_message_at: str
    last_message_at: str
    last_replica_reply_at: Optional = UNSET
    conversation_name: Optional = UNSET
    conversation_type: Literal["individual", "group"]


class ConversationShown(ConversationItem, kw_only=True):
    success: bool = True


class ConversationList(Reply, kw_only=True):
    success: bool = True
    items: list[ConversationItem]
    total: int


class ChatItem(CamelReply, kw_only=True):
    uuid: str
    source: Source
    message_count: int
    replica_reply_count: int
    first_message_at: str
    last_message_at: str
    last_replica_reply_at: Optional = UNSET
    chat_name: Optional = UNSET
    chat_type: Literal["individual", "group"]


class ChatShown(Reply, kw_only=True):
    success: bool = True
    chat: ChatItem


class ChatList(Reply, kw_only=True):
    success: bool = True
    items: list[ChatItem]
    total: int


# --- analytics ---


class Day(CamelReply, kw_only=True):
    date: str
    cumulative_conversations: int


class Growth(Reply, kw_only=True):
    success: bool = True
    items: list[Day]


class Share(Reply, kw_only=True):
    source: Source
    conversations: int


class Shares(Reply, kw_only=True):
    success: bool = True
    items: list[Share]


# --- keys and health ---


class KeyRedeemed(CamelReply, kw_only=True):
    success: bool = True
    api_key: str
    organization_id: str = field(name="organizationID")
    valid_until: str | None


class ServiceHealth(Reply, kw_only=True):
    status: int
    message: str


class Health(Reply, kw_only=True):
    success: bool = True
    time: int
    services: dict[str, ServiceHealth]


# --- errors ---


class Error(Reply, kw_only=True):
    """As published."""

    success: Literal[False] = False
    error: str
    error_code: str
    fingerprint: str
    request_id: str


class GuideError(CamelReply, kw_only=True):
    """As the guide has it."""

    success: Literal[False] = False
    message: str
    code: str
    fingerprint: str
    request_id: str = field(name="requestID")
    details: dict[str, Any]
