"""What Sensay's answers have in common. Fields that are missing stay away, those that nobody knows are passed over."""

from __future__ import annotations

import hashlib
from typing import Generic, TypeVar

import msgspec

from gateway.sensay.models import Wire

T = TypeVar("T")
_HASHED = "sha256:"


class Thing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Base of what lists hold: keys in camel case, but for those that name themselves."""


class Said(Wire, frozen=True, omit_defaults=True, rename="camel"):
    """Base of answers with such keys."""


class Page(Said, Generic[T], frozen=True):
    """One page of a list. `total` counts all pages; `has_more` is there where cursors are."""

    items: tuple[T, ...]
    total: int | None = None
    has_more: bool | None = None


class Done(Said, frozen=True):
    """It is done, or (status 202) will be: `message` then says so."""

    message: str | None = None


class Hosted(Thing, frozen=True, rename=None):
    """A Telegram bot that Sensay runs. Sensay tells its token in plain; from here on it is a fingerprint."""

    service_name: str | None = None
    telegram_token: str | None = None

    def __post_init__(self) -> None:
        if self.telegram_token is not None:
            msgspec.structs.force_setattr(self, "telegram_token", fingerprint(self.telegram_token))


def fingerprint(token: str) -> str:
    """Tells tokens apart without telling them; of a fingerprint it is the same again."""
    if token.startswith(_HASHED):
        return token
    return _HASHED + hashlib.sha256(token.strip().encode()).hexdigest()
