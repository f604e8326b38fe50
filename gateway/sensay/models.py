"""Sensay's answers, as far as they are read: unknown fields are passed over, missing ones are not invented."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """Base: `success` is checked wherever it is there."""

    success: bool = True

    @property
    def good(self) -> bool:
        """Whether it says what was asked for."""
        return self.success


class Nothing(Wire, frozen=True):
    """An answer of which only the success matters."""


class Completion(Wire, frozen=True):
    content: str | None = None

    @property
    def good(self) -> bool:
        return self.success and bool((self.content or "").strip())


class HistoryItem(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    content: str = ""
    created_at: str | None = None
    source: str | None = None
    id: int | str | None = None

    @property
    def at(self) -> float:
        """Seconds since the epoch; 0 when it cannot be read, which is older than anything looked for."""
        try:
            moment = datetime.fromisoformat(self.created_at or "")
        except ValueError:
            return 0.0
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class History(Wire, frozen=True):
    items: tuple[HistoryItem, ...] = ()


class Replica(Wire, frozen=True, rename="camel"):
    """Both spellings: the older names are deprecated upstream and the only ones in the guide."""

    name: str | None = None
    greeting: str | None = None
    introduction: str | None = None
    suggested_questions: tuple[str, ...] | None = None
    profile_image: str | None = None
    profile_image_before: str | None = msgspec.field(default=None, name="profile_image")
    private: bool | None = None


class Problem(msgspec.Struct, frozen=True):
    """What an error says of itself, in either documented shape. `message` may quote the user: only for who asked."""

    code: str | None = None
    request_id: str | None = None
    fingerprint: str | None = None
    message: str | None = None

    @classmethod
    def read(cls, body: bytes, header_id: str | None) -> Problem:
        """Read anything: JSON of either spelling, HTML, nothing at all."""
        try:
            said = msgspec.json.decode(body)
        except msgspec.DecodeError:
            said = None
        if not isinstance(said, dict):
            said = {}
        return cls(
            code=_text(said, "error_code", "code"),
            request_id=_text(said, "request_id", "requestID") or header_id,
            fingerprint=_text(said, "fingerprint"),
            message=_text(said, "error", "message"),
        )


def _text(said: dict[str, Any], *names: str) -> str | None:
    found = (said.get(name) for name in names)
    return next((value[:200] for value in found if isinstance(value, str) and value), None)
