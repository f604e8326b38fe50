"""What is attached to a message. Pure.

Pictures are shown by Discord's own addresses: signed, good for a day, and without anything secret. Of all else the
replica is told, so that it can say that it does not see it instead of guessing.
"""

from __future__ import annotations

from adapters.discord.words import brought
from gateway.messages import Facts

TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif")
LARGEST = 20 * 1024 * 1024
"""Bytes; as on Telegram."""
NAME_LIMIT = 100
_KINDS = {"image": "a picture", "video": "a video", "audio": "an audio file"}
_VOICE = 1 << 13


def pictures_of(data: Facts, own_id: str) -> tuple[str, ...]:
    """Addresses of what is attached to a message, and then to the messages that it forwards or answers."""
    return tuple(
        attached["url"]
        for message in (data, *brought(data, own_id))
        for attached in message.get("attachments") or ()
        if _shows(attached)
    )


def unseen(data: Facts, images: bool) -> list[str]:
    """A line for each file that the replica is not shown."""
    return [
        f"(with {_kind(data, attached)} that you cannot open{_named(attached)})"
        for attached in data.get("attachments") or ()
        if not (images and _shows(attached))
    ]


def _kind(data: Facts, attached: Facts) -> str:
    if (data.get("flags") or 0) & _VOICE:
        return "a voice message"
    return _KINDS.get((attached.get("content_type") or "").partition("/")[0], "a document")


def _named(attached: Facts) -> str:
    name = str(attached.get("filename") or "")[:NAME_LIMIT]
    known = (attached.get("content_type") or "").partition("/")[0] in _KINDS
    return f": {name}" if name and not known else ""


def _shows(attached: Facts) -> bool:
    kind = (attached.get("content_type") or "").partition(";")[0]
    return kind in TYPES and bool(attached.get("url")) and (attached.get("size") or 0) <= LARGEST
