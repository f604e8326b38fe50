"""What a message says: which of it can be seen, and what it brings along from elsewhere, quoted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.messages import Facts

REPLY = 19
LARGEST_QUOTE, LARGEST_ANSWERED = 4000, 1000
_IGNORABLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff"
)
_NOTHING = re.compile(rf"[\s{_IGNORABLE}]*")
_FLOOD = re.compile(rf"[{_IGNORABLE}]{{17,}}")
"""More than any character or flag is made of."""


def plain(text: str) -> str:
    """Without what only fills it up."""
    return (text if text.isascii() else _FLOOD.sub("", text)).strip()


def visible(text: str) -> bool:
    """Whether a person sees anything of it."""
    return bool(text.strip()) if text.isascii() else _NOTHING.fullmatch(text) is None


def brought(data: Facts, own_id: str) -> list[Facts]:
    """Messages that come with this one: forwarded, or somebody else's that it answers (the bot knows its own)."""
    return [*_forwarded(data), *_answered(data, own_id)]


def quotes(data: Facts, own_id: str) -> list[str]:
    """What is forwarded, answered, or shown as the card of a link, as quotations."""
    if not (data.get("embeds") or data.get("message_snapshots") or data.get("type") == REPLY):
        return []
    forwarded = _forwarded(data)
    texts = [plain(message.get("content") or "")[:LARGEST_ANSWERED] for message in _answered(data, own_id)]
    texts += [(message.get("content") or "")[:LARGEST_QUOTE] for message in forwarded]
    cards = [card for message in (data, *forwarded) for card in message.get("embeds") or ()]
    texts += ["\n".join(_lines(card))[:LARGEST_QUOTE] for card in cards]
    return [_quoted(text) for text in texts if visible(text)]


def _forwarded(data: Facts) -> list[Facts]:
    return [snapshot.get("message") or {} for snapshot in data.get("message_snapshots") or ()]


def _answered(data: Facts, own_id: str) -> Iterator[Facts]:
    message = data.get("referenced_message") if data.get("type") == REPLY else None
    if message and (message.get("author") or {}).get("id") != own_id:
        yield message


def _lines(card: Facts) -> list[str]:
    fields = [f"{field.get('name')}: {field.get('value')}" for field in card.get("fields") or ()]
    return [line for line in (card.get("title"), card.get("description"), *fields) if line]


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.strip().split("\n"))
