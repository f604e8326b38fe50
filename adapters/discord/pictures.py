"""Pictures in a message, by Discord's own addresses: signed, good for a day, and without anything secret. Pure."""

from __future__ import annotations

from adapters.discord.words import brought
from gateway.messages import Facts

TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
LARGEST = 20 * 1024 * 1024
"""Bytes; as on Telegram."""


def pictures_of(data: Facts, own_id: str) -> tuple[str, ...]:
    """Addresses of what is attached to a message, and then to the messages that it forwards or answers."""
    return tuple(
        attached["url"]
        for message in (data, *brought(data, own_id))
        for attached in message.get("attachments") or ()
        if _shows(attached)
    )


def _shows(attached: Facts) -> bool:
    kind = (attached.get("content_type") or "").partition(";")[0]
    return kind in TYPES and bool(attached.get("url")) and (attached.get("size") or 0) <= LARGEST
