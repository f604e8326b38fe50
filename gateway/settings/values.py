"""The kinds of value that a configuration holds: durations, rates, switches, names, secrets, texts.

Every scalar comes from YAML as the text that was written, so `8080` and `"8080"`, `off` and `"off"` are the same.
No error text here repeats its value: it may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
)

# --- durations and rates --------------------------------------------------------------------------------------

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NOT_A_DURATION = "is not a duration (write 250ms, 30s, 5m, 1h or 7d)"


def duration(value: Any) -> float:
    """`"1m30s"` → 90.0; a plain number is seconds. Raises ValueError in words."""
    text = str(value).strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(f"(?:{_DURATION.pattern})+", text):
        raise ValueError(_NOT_A_DURATION)
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


def written(seconds: float) -> str:
    """90.0 → `"90s"`: the way back from `duration`."""
    unit = next((unit for unit, size in _UNITS.items() if seconds >= size and seconds % size == 0), None)
    if unit is None:
        return f"{round(seconds * 1000, 3):f}".rstrip("0").rstrip(".") + "ms" if seconds else "0s"
    return f"{seconds / _UNITS[unit]:.0f}{unit}"


def _is_off(value: Any) -> bool:
    """`off` is false to YAML 1.1, and some tool on the way here may have read it so."""
    return value is False or value in ("off", "false")


DURATION_SCHEMA = {
    "type": ["string", "number"],
    "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$|^\d+(\.\d+)?$|\$\{",
}
Duration = Annotated[
    float,
    BeforeValidator(duration),
    Field(ge=0, allow_inf_nan=False),
    PlainSerializer(written, return_type=str, when_used="json"),
    WithJsonSchema(DURATION_SCHEMA),
]
PositiveDuration = Annotated[Duration, Field(gt=0)]
DurationOrOff = Annotated[
    float | None,
    BeforeValidator(lambda value: None if _is_off(value) or value is None else duration(value)),
    PlainSerializer(lambda value: "off" if value is None else written(value), when_used="json"),
    WithJsonSchema({"anyOf": [DURATION_SCHEMA, {"enum": ["off", False]}]}),
]
CountOrOff = Annotated[
    Annotated[int, Field(ge=1)] | None,
    BeforeValidator(lambda value: None if _is_off(value) else value),
    PlainSerializer(lambda value: "off" if value is None else value, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["off", False]}]}),
]


class Rate(BaseModel):
    """So many in so many seconds."""

    model_config = ConfigDict(frozen=True)
    count: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.count}/{written(self.seconds)}"


def rate(value: Any) -> Rate | None:
    """`"10/10s"` → Rate(10, 10.0); `off` → None. Raises ValueError in words."""
    if value is None or _is_off(value):
        return None
    if isinstance(value, Rate):
        return value
    match = re.fullmatch(r"(\d+)\s*/\s*(\S+)", str(value).strip())
    if not match or int(match[1]) < 1:
        raise ValueError("is not a rate (write 10/10s, or off)")
    seconds = duration(match[2] if match[2][0].isdigit() else f"1{match[2]}")
    if seconds <= 0:
        raise ValueError("is not a rate: its duration must be above zero")
    return Rate(count=int(match[1]), seconds=seconds)


RateLimit = Annotated[
    Rate | None,
    BeforeValidator(rate),
    PlainSerializer(lambda value: "off" if value is None else str(value), return_type=str, when_used="json"),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d+\s*/|^off$|\$\{"}, {"const": False}]}),
]

# --- switches and lists of ids --------------------------------------------------------------------------------


def switch(*words: str) -> Any:
    """A word out of a few, of which one is `off`."""

    def read(value: Any) -> Any:
        if _is_off(value):
            return "off"
        return "on" if "on" in words and (value is True or value == "true") else value

    return Annotated[Literal[words], BeforeValidator(read)]


Id = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    Field(min_length=1),
    WithJsonSchema({"type": ["string", "integer"]}),
]
Ids = tuple[Id, ...]

# --- names ----------------------------------------------------------------------------------------------------

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
RESERVED = {"v1", "widget", "chat"}
"""First segments of our own paths: a bot may not be called like one."""


def _uuid(value: str) -> str:
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError("is not a UUID (8-4-4-4-12 hexadecimal digits)") from None


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("is not a name (1 to 64 of A-Z a-z 0-9 _ -, the first one a letter or digit)")
    return value


def _bot_name(value: str) -> str:
    if value in RESERVED:
        raise ValueError("is a reserved name (so are v1, widget and chat)")
    try:
        UUID(value)
    except ValueError:
        return _name(value)
    raise ValueError("looks like a replica's id; a bot needs a name of its own")


ReplicaId = Annotated[str, AfterValidator(_uuid)]
OrganizationName = Annotated[str, AfterValidator(_name)]
BotName = Annotated[str, AfterValidator(_bot_name)]

# --- secrets --------------------------------------------------------------------------------------------------


def _secret(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("must be visible ASCII without spaces: a header has to carry it")
    return value


def _signing_key(value: SecretStr) -> SecretStr:
    """Standard Webhooks 1.0: `whsec_` and base64 of 24 to 64 bytes."""
    prefix, _, key = value.get_secret_value().partition("_")
    try:
        size = len(b64decode(key, validate=True))
    except ValueError:
        size = 0
    if prefix != "whsec" or not 24 <= size <= 64:
        raise ValueError("is not a signing secret (whsec_ followed by base64 of 24 to 64 random bytes)")
    return value


Secret = Annotated[SecretStr, AfterValidator(_secret)]
SharedKey = Annotated[SecretStr, Field(min_length=1)]
SigningKey = Annotated[SecretStr, AfterValidator(_signing_key)]

# --- texts ----------------------------------------------------------------------------------------------------


def _texts(value: Any) -> Any:
    texts = list(value.values()) if isinstance(value, dict) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a text, or texts by language ({en: …, de: …})")
    if not texts or not all(text.strip() for text in texts):
        raise ValueError("is blank (leave it out for the built-in text)")
    if isinstance(value, dict) and not all(_LANGUAGE.fullmatch(str(tag)) for tag in value):
        raise ValueError("has a key that is not a language (en, de, pt-BR, …)")
    return value


_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
Text = Annotated[str | dict[str, str], BeforeValidator(_texts)]
