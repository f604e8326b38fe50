"""The configuration's shape: `interface.md` section 2 as frozen pydantic models. Reading files is `load.py`'s work.

Every model forbids unknown keys. Durations are floats in seconds, written `250ms 30s 5m 1h 7d` (or a plain number of seconds).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(value: Any) -> float:
    """`"1m30s"` → 90.0. Raises ValueError in words."""
    if isinstance(value, bool):
        raise ValueError("is not a duration (write 250ms, 30s, 5m, 1h or 7d)")
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip()
    if text == "0":
        return 0.0
    if not re.fullmatch(f"(?:{_DURATION.pattern})+", text):
        raise ValueError(f"{text!r} is not a duration (write 250ms, 30s, 5m, 1h or 7d)")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


Duration = Annotated[
    float,
    BeforeValidator(duration),
    Field(ge=0),
    WithJsonSchema({"type": ["string", "number"], "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$|^0$"}),
]


class Rate(BaseModel):
    """So many in so many seconds."""

    model_config = ConfigDict(frozen=True)
    count: int
    seconds: float


def rate(value: Any) -> Any:
    """`"10/10s"` → Rate(10, 10.0); `off` → None."""
    if value is None or value is False or value == "off" or isinstance(value, Rate):
        return None if not isinstance(value, Rate) else value
    match = re.fullmatch(r"(\d+)\s*/\s*(.+)", str(value).strip())
    if not match or int(match[1]) < 1:
        raise ValueError(f"{value!r} is not a rate (write 10/10s, or off)")
    seconds = duration(match[2] if match[2][0].isdigit() else f"1{match[2]}")
    if seconds <= 0:
        raise ValueError(f"{value!r} is not a rate: its duration must be above zero")
    return Rate(count=int(match[1]), seconds=seconds)


RateLimit = Annotated[Rate | None, BeforeValidator(rate), WithJsonSchema({"type": ["string", "boolean"]})]


def _off(value: Any) -> Any:
    """An unquoted `off` may be read as false."""
    return "off" if value is False else value


def switch(*words: str) -> Any:
    """A word out of a few; `off` may come as false."""
    return Annotated[Literal[words], BeforeValidator(_off)]  # type: ignore[valid-type]


OffOrOn = Annotated[Literal["off", "on"], BeforeValidator(lambda v: {False: "off", True: "on"}.get(v, v))]
Ids = tuple[
    Annotated[
        str, BeforeValidator(lambda v: str(v) if isinstance(v, int) and not isinstance(v, bool) else v)
    ],
    ...,
]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
RESERVED = {"v1", "widget", "chat"}


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Listener(Section):
    host: str = "0.0.0.0"  # noqa: S104 - the public listener is public
    port: int = Field(8080, ge=0, le=65535)


class Public(Listener):
    base_url: str | None = None


class Admin(Listener):
    host: str = "127.0.0.1"
    port: int = Field(9090, ge=0, le=65535)
    token: SecretStr | None = None


class Server(Section):
    public: Public = Public()
    admin: Admin = Admin()
    trusted_proxies: tuple[str, ...] = ()


class RetentionSettings(Section):
    text: Duration = 86_400.0
    web_history: Duration = 604_800.0
    dedupe: Duration = 172_800.0
    traces: Duration = 604_800.0


class Cluster(Section):
    lease: Duration = 10.0


class Telemetry(Section):
    otlp_endpoint: str | None = None


class LogSettings(Section):
    format: Literal["json", "text"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"
    message_text: bool = False


class TelegramServer(Section):
    api_url: str = "https://api.telegram.org"


class DiscordServer(Section):
    api_url: str = "https://discord.com/api/v10"
    gateway_url: str = "wss://gateway.discord.gg"


class Platforms(Section):
    telegram: TelegramServer = TelegramServer()
    discord: DiscordServer = DiscordServer()


class Sensay(Section):
    base_url: str = "https://api.sensay.io"
    api_version: str = "2025-03-25"
    dialect: Literal["openapi", "guide", "generic"] = "openapi"
    timeout: Duration = 95.0
    identity: Literal["linked", "native"] = "linked"


class Windows(Section):
    minute: Duration = 60.0
    hour: Duration = 3600.0


class QuotaSettings(Section):
    requests_per_minute: int = Field(100, ge=1)
    completions_per_hour: int = Field(1000, ge=1)
    uploads_per_hour: int = Field(10, ge=1)
    windows: Windows = Windows()


class Organization(Section):
    secret: SecretStr
    quota: QuotaSettings = QuotaSettings()


class ReplySettings(Section):
    max_parts: int = Field(10, ge=1, le=100)


class QueueSettings(Section):
    per_conversation: int = Field(20, ge=1)
    per_bot: int = Field(1000, ge=1)


class UserLimits(Section):
    user: RateLimit = Rate(count=10, seconds=10.0)


class AccessList(Section):
    users: Ids = ()
    roles: Ids = ()
    channels: Ids = ()
    guilds: Ids = ()


class Access(Section):
    dm: switch("open", "allowed", "off") = "open"  # type: ignore[valid-type]
    admins: Ids = ()
    allow: AccessList = AccessList()
    deny: AccessList = AccessList()


Text = str | dict[str, str] | None


class Texts(Section):
    busy: Text = None
    failed: Text = None
    expired: Text = None
    queued: Text = None
    unsupported: Text = None
    denied: Text = None
    greeting: Text = None
    help: Text = None
    privacy: Text = None
    quota: Text = None


class TelegramGroups(Section):
    mode: switch("mention", "listen", "open", "off") = "mention"  # type: ignore[valid-type]


class DiscordGroups(TelegramGroups):
    reply_ping: bool = True


class TelegramSettings(Section):
    token: SecretStr
    mode: Literal["polling", "webhook"] = "polling"
    groups: TelegramGroups = TelegramGroups()
    stream: OffOrOn = "off"
    unknown_send: Literal["drop", "retry_once"] = "drop"


class DiscordSettings(Section):
    token: SecretStr
    message_content: bool = False
    groups: DiscordGroups = DiscordGroups()
    stream: OffOrOn = "off"
    threads: switch("off", "auto") = "off"  # type: ignore[valid-type]
    commands: bool = True
    shards: int | None = Field(None, ge=1)


class WebLimits(Section):
    sessions_per_address: RateLimit = Rate(count=60, seconds=60.0)
    messages_per_session: RateLimit = Rate(count=20, seconds=60.0)
    messages_per_day: Annotated[int | None, BeforeValidator(lambda v: None if v in (False, "off") else v)] = (
        10_000
    )


class WebSettings(Section):
    allowed_origins: tuple[str, ...] = ()
    title: str | None = None
    theme: Literal["light", "dark", "auto"] = "auto"
    position: Literal["bottom-right", "bottom-left", "top-right", "top-left", "inline"] = "bottom-right"
    suggestions: tuple[str, ...] | None = None
    color: str | None = None
    storage: Literal["none", "session", "local"] = "local"
    consent: bool = False
    stream: OffOrOn = "off"
    limits: WebLimits = WebLimits()
    proof_of_work: switch("off", "auto", "always") = "off"  # type: ignore[valid-type]
    identity_secret: SecretStr | None = None


def _secrets(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


class WebhookSettings(Section):
    secret: Annotated[tuple[SecretStr, ...], BeforeValidator(_secrets), Field(min_length=1)]
    callback_url: str | None = None
    callback_allow: tuple[str, ...] = ()


def _uuid(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError("is not a UUID (8-4-4-4-12 hexadecimal digits)") from None


class Bot(Section):
    organization: str = ""
    """Filled in by the loader when there is only one."""
    replica: Annotated[str, AfterValidator(_uuid)]
    enabled: bool = True
    weight: float = Field(1.0, gt=0)
    reserve_per_hour: int = Field(0, ge=0)
    coalesce: Annotated[Duration | None, BeforeValidator(lambda v: None if v in (False, "off") else v)] = 0.0
    """None: never."""
    max_wait: Duration = 300.0
    queued_after: Duration = 15.0
    reply: ReplySettings = ReplySettings()
    max_age: Duration = 3600.0
    queue: QueueSettings = QueueSettings()
    limits: UserLimits = UserLimits()
    access: Access = Access()
    images: switch("off", "signed_url") = "off"  # type: ignore[valid-type]
    texts: Texts = Texts()
    telegram: TelegramSettings | None = None
    discord: DiscordSettings | None = None
    web: WebSettings | None = None
    webhook: WebhookSettings | None = None


class Settings(Section):
    """The effective configuration. `config/gateway.yaml` explains each key."""

    version: Literal[1] = 1
    server: Server = Server()
    journal: str = "sqlite:///data/gateway.db"
    shutdown_grace: Duration = 25.0
    watch: bool = False
    retention: RetentionSettings = RetentionSettings()
    cluster: Cluster = Cluster()
    telemetry: Telemetry = Telemetry()
    log: LogSettings = LogSettings()
    platforms: Platforms = Platforms()
    sensay: Sensay = Sensay()
    organizations: dict[str, Organization] = {}
    bots: dict[str, Bot] = {}
