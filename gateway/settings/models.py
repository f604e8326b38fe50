"""The configuration's shape, as frozen models; reading files is `load.py`'s work.

Every model forbids unknown keys. The text under a key is what an editor shows for it (`config/schema.json`), so it
speaks to the operator. Durations are floats in seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.settings.addresses import (
    CallbackUrl,
    Color,
    HttpUrl,
    JournalUrl,
    Network,
    Origin,
    PublicUrl,
    WebSocketUrl,
)
from gateway.settings.values import (
    NAME,
    RESERVED,
    BotName,
    CountOrOff,
    Duration,
    DurationOrOff,
    Ids,
    OrganizationName,
    PositiveDuration,
    Rate,
    RateLimit,
    ReplicaId,
    Secret,
    SharedKey,
    SigningKey,
    Text,
    duration,
    rate,
    switch,
)

__all__ = ["NAME", "RESERVED", "Duration", "Ids", "Rate", "RateLimit", "duration", "rate", "switch"]


class Section(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


# --- the process ----------------------------------------------------------------------------------------------


class Listener(Section):
    host: str = Field("0.0.0.0", min_length=1)  # noqa: S104 - the public listener is public
    """Address to listen on."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""


class Public(Listener):
    base_url: PublicUrl | None = None
    """The https address at which users reach this listener."""


class Admin(Listener):
    host: str = Field("127.0.0.1", min_length=1)
    """Address to listen on; off loopback a token is needed."""
    port: int = Field(9090, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    token: Secret | None = None
    """Bearer token, or the password of Basic, for everything but the probes."""


class Server(Section):
    public: Public = Public()
    """Widget, web and webhook routes."""
    admin: Admin = Admin()
    """Health, metrics, status and control."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks whose X-Forwarded-For is believed."""


class RetentionSettings(Section):
    text: Duration = 86_400.0
    """Texts of messages and answers, after their turn ended."""
    web_history: Duration = 604_800.0
    """Transcripts of web conversations."""
    dedupe: Duration = 172_800.0
    """Keys by which a redelivered message is recognised."""
    traces: Duration = 604_800.0
    """What `trace` tells of a message."""


class Cluster(Section):
    lease: PositiveDuration = 10.0
    """How long a pod may be silent before another one takes over."""


class Telemetry(Section):
    otlp_endpoint: HttpUrl | None = None
    """Where traces are sent (OTLP over HTTP; /v1/traces is added). Needs `pip install sensay-gateway[otel]`."""


class LogSettings(Section):
    format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people; LOG_FORMAT overrides it."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """LOG_LEVEL overrides it."""
    message_text: bool = False
    """Whether what people write may stand in the log."""


# --- the services around it -----------------------------------------------------------------------------------


class TelegramServer(Section):
    api_url: HttpUrl = "https://api.telegram.org"
    """A self-hosted Bot API server, or a test's."""


class DiscordServer(Section):
    api_url: HttpUrl = "https://discord.com/api/v10"
    """Address of the REST API."""
    gateway_url: WebSocketUrl = "wss://gateway.discord.gg"
    """Address of the event gateway."""


class Platforms(Section):
    telegram: TelegramServer = TelegramServer()
    """Where Telegram is."""
    discord: DiscordServer = DiscordServer()
    """Where Discord is."""


class Sensay(Section):
    base_url: HttpUrl = "https://api.sensay.io"
    """Where the Sensay API is."""
    api_version: str = Field(
        "2025-03-25",
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        json_schema_extra={"pattern": r"^\d{4}-\d{2}-\d{2}$|\$\{"},
    )
    """Sent as X-API-Version."""
    dialect: Literal["openapi", "guide", "generic"] = "openapi"
    """Which paths are used: the published ones, the integration guide's, or the generic ones only."""
    timeout: PositiveDuration = 95.0
    """Longest wait for one answer."""
    identity: Literal["linked", "native"] = "linked"
    """Users as accounts linked by platform, or with ids of their own (tg:123)."""


class Windows(Section):
    minute: PositiveDuration = 60.0
    """Length of the minute."""
    hour: PositiveDuration = 3600.0
    """Length of the hour."""


class QuotaSettings(Section):
    requests_per_minute: int = Field(100, ge=1)
    """Every request counts."""
    completions_per_hour: int = Field(1000, ge=1)
    """Every completion request counts."""
    uploads_per_hour: int = Field(10, ge=1)
    """Every knowledge upload counts."""
    windows: Windows = Windows()
    """Shorter windows, for tests and simulations only."""


class Organization(Section):
    secret: Secret
    """The organisation's Sensay secret."""
    quota: QuotaSettings = QuotaSettings()
    """What Sensay grants the organisation."""


# --- a bot ----------------------------------------------------------------------------------------------------


class ReplySettings(Section):
    max_parts: int = Field(10, ge=1, le=100)
    """Longer answers follow as one file after the first part."""


class QueueSettings(Section):
    per_conversation: int = Field(20, ge=1)
    """Messages of one conversation that may wait; beyond, texts.busy."""
    per_bot: int = Field(1000, ge=1)
    """Messages of the bot that may wait; beyond, texts.busy."""


class UserLimits(Section):
    user: RateLimit = Rate(count=10, seconds=10.0)
    """Messages of one user per duration (10/10s), or off; beyond, texts.busy once."""


class AccessList(Section):
    users: Ids = ()
    """Ids of users."""
    roles: Ids = ()
    """Ids of Discord roles."""
    channels: Ids = ()
    """Ids of chats or channels."""
    guilds: Ids = ()
    """Ids of Discord servers."""


class Access(Section):
    dm: switch("open", "allowed", "off") = "open"  # type: ignore[valid-type]
    """Who may write to the bot directly: everyone, the allowed, nobody."""
    admins: Ids = ()
    """Users who may /pause and /resume the bot, in groups and direct chats of Telegram and Discord."""
    allow: AccessList = AccessList()
    """Only these, where a list is given."""
    deny: AccessList = AccessList()
    """Never these; deny wins over allow."""


class Texts(Section):
    """Fixed texts: built in for 8 languages; a plain string overrides all of them, {en: …, de: …} some."""

    busy: Text | None = None
    """Too much is waiting, or a user is over the limit."""
    failed: Text | None = None
    """No answer came; {reference} stands for the id that `trace` accepts."""
    expired: Text | None = None
    """The message waited longer than max_wait."""
    queued: Text | None = None
    """The answer will take a while; {seconds} stands for how long."""
    unsupported: Text | None = None
    """The message cannot be read as text or picture."""
    denied: Text | None = None
    """The user may not talk to this bot."""
    greeting: Text | None = None
    """Answers /start and opens the widget; left out: the replica's own."""
    help: Text | None = None
    """Answers /help."""
    privacy: Text | None = None
    """Answers /privacy."""
    quota: Text | None = None
    """Sensay's allowance is used up."""
    paused: Text | None = None
    """Confirms an admin's /pause."""
    resumed: Text | None = None
    """Confirms an admin's /resume."""


class TelegramGroups(Section):
    mode: switch("mention", "listen", "open", "off") = "mention"  # type: ignore[valid-type]
    """What is answered in groups: mentions, mentions with the rest as context, everything, nothing."""


class DiscordGroups(TelegramGroups):
    reply_ping: bool = True
    """Whether a reply that pings the bot addresses it."""


class TelegramSettings(Section):
    token: Secret
    """From @BotFather."""
    mode: Literal["polling", "webhook"] = "polling"
    """webhook needs server.public.base_url."""
    groups: TelegramGroups = TelegramGroups()
    stream: switch("off", "on") = "off"  # type: ignore[valid-type]
    """Drafts while the answer is written."""
    unknown_send: Literal["drop", "retry_once"] = "drop"
    """What becomes of a part when nobody knows whether it was sent."""


class DiscordSettings(Section):
    token: Secret
    """From the Developer Portal, page Bot."""
    message_content: bool = False
    """Ask for the privileged intent (turn it on in the Developer Portal, too)."""
    groups: DiscordGroups = DiscordGroups()
    stream: switch("off", "on") = "off"  # type: ignore[valid-type]
    """Edit the answer while it is written."""
    threads: switch("off", "auto") = "off"  # type: ignore[valid-type]
    """Answer in threads."""
    commands: bool = True
    """/ask, /help and the "Ask" context menu."""
    shards: int | None = Field(None, ge=1)
    """Left out: as many as Discord recommends."""


class WebLimits(Section):
    sessions_per_address: RateLimit = Rate(count=60, seconds=60.0)
    """New sessions of one address block (/24 or /48) per duration, or off."""
    messages_per_session: RateLimit = Rate(count=20, seconds=60.0)
    """Messages of one session per duration, or off."""
    messages_per_day: CountOrOff = 10_000
    """Messages of the bot's whole web channel in a day, or off."""


class WebSettings(Section):
    allowed_origins: tuple[Origin, ...] = ()
    """Websites that may embed the widget (https://host[:port]); none by default."""
    title: str | None = None
    """Heading of the panel; left out: the replica's name."""
    theme: Literal["light", "dark", "auto"] = "auto"
    """auto follows the visitor's system."""
    position: Literal["bottom-right", "bottom-left", "top-right", "top-left", "inline"] = "bottom-right"
    """Corner of the page, or where its container stands."""
    suggestions: tuple[str, ...] | None = None
    """First questions to choose from; left out: the replica's own."""
    color: Color | None = None
    """Accent colour ("#0a84ff", quoted)."""
    storage: Literal["none", "session", "local"] = "local"
    """Where the browser keeps the session."""
    consent: bool = False
    """Stay inert until the page says so."""
    stream: switch("off", "on") = "off"  # type: ignore[valid-type]
    """Show the answer while it is written."""
    limits: WebLimits = WebLimits()
    proof_of_work: switch("off", "auto", "always") = "off"  # type: ignore[valid-type]
    """Let browsers work for a session: over a soft threshold, or always."""
    identity_secret: SharedKey | None = None
    """Shared with the website, which signs who its visitor is."""


def _one_or_more(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


class WebhookSettings(Section):
    secret: Annotated[
        tuple[SigningKey, ...],
        BeforeValidator(_one_or_more, json_schema_input_type=SigningKey | tuple[SigningKey, ...]),
        Field(min_length=1),
    ]
    """whsec_ and base64 of 24 to 64 bytes; a list while rotating."""
    callback_url: CallbackUrl | None = None
    """Where answers are sent."""
    callback_allow: tuple[Network, ...] = ()
    """Private networks that a callback may reach."""


class Bot(Section):
    organization: str = ""
    """May be left out when there is only one (the loader fills it in)."""
    replica: ReplicaId
    """Id of the Sensay replica that answers."""
    enabled: bool = True
    """false keeps the bot in the file without running it."""
    weight: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Share of the organisation's quota under load."""
    reserve_per_hour: int = Field(0, ge=0)
    """Completions per hour that other bots may not use up."""
    coalesce: DurationOrOff = 0.0
    """Messages that wait together become one turn; a duration also holds the first one; off: never."""
    max_wait: PositiveDuration = 300.0
    """An older waiting turn is answered with texts.expired."""
    queued_after: Duration = 15.0
    """Expected wait beyond which texts.queued is sent, once a turn."""
    reply: ReplySettings = ReplySettings()
    max_age: PositiveDuration = 3600.0
    """Backlog older than this is recorded, not answered."""
    queue: QueueSettings = QueueSettings()
    limits: UserLimits = UserLimits()
    access: Access = Access()
    """Who may talk to the bot where."""
    images: switch("off", "signed_url") = "off"  # type: ignore[valid-type]
    """signed_url shows pictures to the replica; needs server.public.base_url."""
    texts: Texts = Texts()
    telegram: TelegramSettings | None = None
    discord: DiscordSettings | None = None
    web: WebSettings | None = None
    webhook: WebhookSettings | None = None


class Settings(Section):
    """The effective configuration. `config/gateway.yaml` explains each key."""

    version: Annotated[Literal[1], BeforeValidator(lambda value: 1 if value == "1" else value)] = 1
    """Of this file's format."""
    server: Server = Server()
    journal: JournalUrl = Field("sqlite:///data/gateway.db", repr=False)
    """sqlite:///relative or sqlite:////absolute, or memory: for tests."""
    shutdown_grace: Duration = 25.0
    """Time that SIGTERM leaves for what is under way."""
    watch: bool = False
    """Reload when the file changes."""
    retention: RetentionSettings = RetentionSettings()
    """How long things are kept."""
    cluster: Cluster = Cluster()
    """Several pods only."""
    telemetry: Telemetry = Telemetry()
    log: LogSettings = LogSettings()
    platforms: Platforms = Platforms()
    """Where the platforms are."""
    sensay: Sensay = Sensay()
    organizations: dict[OrganizationName, Organization] = {}
    """Sensay organisations by name; all bots of one share its quota."""
    bots: dict[BotName, Bot] = {}
    """Bots by name, which is their key in logs, metrics and the journal."""
