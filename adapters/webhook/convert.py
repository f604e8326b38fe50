"""A signed request → what was said. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

import msgspec

from adapters.http import Problem, is_blank, parse
from gateway.messages import Address, ConversationKey, Said, Sender

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WEBHOOK_ID = re.compile(r"[!-~]{1,255}")
MAX_WAIT = 55
"""Seconds that a request is held: below the usual minute of a proxy in front of us."""
_WAIT = re.compile(r'\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:;.*)?', re.IGNORECASE)


class User(msgspec.Struct, frozen=True):
    """Who speaks, by the caller's own id. What else the caller knows of them is passed over."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    name: str | None = None
    locale: str | None = None


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be posted. `metadata` is the caller's own and not looked at."""

    user: User
    text: str
    conversation: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    metadata: dict[str, Any] | None = None


def said(bot: str, webhook_id: str, raw: bytes, now: float) -> Said:
    """Raises Problem 400 or 422."""
    if not _WEBHOOK_ID.fullmatch(webhook_id):
        raise Problem(422, "webhook-id must be 1 to 255 printable ASCII characters.")
    body = parse(raw, Body)
    for name, value in (("user.id", body.user.id), ("conversation", body.conversation or "")):
        if _CONTROL.search(value):
            raise Problem(422, f"{name} has control characters.")
    if is_blank(body.text):
        raise Problem(422, "text is blank.")
    conversation = body.conversation or conversation_of(body.user.id)
    return Said(
        key=ConversationKey(bot=bot, platform="webhook", chat=conversation),
        address=Address(to=conversation),
        sender=Sender(id=body.user.id, name=body.user.name, locale=body.user.locale),
        message_id=webhook_id,
        text=body.text,
        sent_at=now,
        dedupe=(f"hook:{webhook_id}",),
        body_hash=hashlib.sha256(raw).hexdigest(),
        raw=raw.decode(),
    )


def conversation_of(user_id: str) -> str:
    """The conversation of a user who is given none: one each, and nobody's id in a log."""
    return f"user-{hashlib.sha256(user_id.encode()).hexdigest()[:24]}"


def wait_preferred(prefer: list[str]) -> int:
    """Seconds of `Prefer: wait=N` (RFC 7240): the first one counts, what cannot be read is passed over."""
    for preference in ",".join(prefer).split(","):
        if match := _WAIT.fullmatch(preference):
            return min(int(match[1]), MAX_WAIT)
    return 0
