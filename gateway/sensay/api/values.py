"""What Sensay's answers have in common. Fields that are missing stay away, those that nobody knows are passed over."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from gateway.sensay.models import Wire

T = TypeVar("T")


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
