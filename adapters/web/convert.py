"""What a visitor sent → an arrival. Pure."""

from __future__ import annotations

import hashlib
import re

import msgspec

from adapters.http import Problem, is_blank
from adapters.web.sessions import Session
from gateway.messages import Address, ConversationKey, Said, Sender

TEXT_LIMIT = 4000
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,4}")


class Post(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a posted message."""

    text: str


def conversation_key(session: Session) -> ConversationKey:
    return ConversationKey(bot=session.bot, platform="web", chat=session.conversation)


def idempotency_key(header: str | None) -> str:
    """Raises Problem 400."""
    if header is None or not _KEY.fullmatch(header):
        raise Problem(400, "Idempotency-Key is required: 1 to 200 visible ASCII characters.")
    return header


def dedupe_key(session: Session, key: str) -> str:
    """What a repeated post is recognised by, scoped to the session."""
    return f"key:{session.conversation}:{key}"


def said(session: Session, post: Post, key: str, *, locale: str | None, now: float) -> Said:
    """Raises Problem 422 for a text that nobody could answer."""
    if is_blank(post.text):
        raise Problem(422, "The text is blank.")
    if len(post.text) > TEXT_LIMIT:
        raise Problem(422, f"The text may have at most {TEXT_LIMIT} characters.")
    return Said(
        key=conversation_key(session),
        address=Address(to=session.conversation),
        sender=Sender(id=session.visitor, locale=locale),
        message_id=key,
        text=post.text,
        sent_at=now,
        dedupe=(dedupe_key(session, key),),
        body_hash=hashlib.sha256(post.text.encode()).hexdigest(),
    )


def language(accept_language: str | None) -> str | None:
    """The first language of `Accept-Language`: browsers list them in order of preference."""
    first = (accept_language or "").partition(",")[0].partition(";")[0].strip()
    return first if _LANGUAGE.fullmatch(first) else None
