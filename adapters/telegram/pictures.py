"""Pictures for the replica: addresses of ours that show one file for a while.

Telegram's own file addresses contain the bot token, so they never leave the process. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

from telegram import Message

LIFETIME = 3600.0
"""Seconds that an address works: longer than a question may wait and be asked again, with the default limits."""
LARGEST = 20 * 1024 * 1024
"""Bytes; the Bot API hands out no larger files."""
TYPES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
}
_SIGNED = re.compile(
    r"(?P<until>[0-9a-f]{1,12})\.(?P<file>[A-Za-z0-9_-]{1,256})\.(?P<seal>[A-Za-z0-9_-]{43})"
)


class Pictures:
    """Makes and reads the addresses of one bot. `key` is the bot's own, the same in every process."""

    def __init__(self, key: bytes, prefix: str) -> None:
        self._key, self._prefix = key, prefix

    def url(self, file_id: str, now: float) -> str:
        """An address of the file that works until `LIFETIME` from now."""
        plain = f"{int(now + LIFETIME):x}.{file_id}"
        return f"{self._prefix}/{plain}.{self._seal(plain)}"

    def file_id(self, signed: str, now: float) -> str | None:
        """The file that an address stands for; None when it is not ours, or too old."""
        found = _SIGNED.fullmatch(signed)
        if found is None:
            return None
        seal = self._seal(f"{found['until']}.{found['file']}")
        if not hmac.compare_digest(seal.encode(), found["seal"].encode()):
            return None
        return found["file"] if now <= int(found["until"], 16) else None

    def _seal(self, plain: str) -> str:
        digest = hmac.digest(self._key, plain.encode(), hashlib.sha256)
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


def picture_of(message: Message) -> str | None:
    """The file id of a message's picture in its largest size, sent as a photo or as a file."""
    for size in sorted(message.photo, key=lambda size: size.width * size.height, reverse=True):
        if (size.file_size or 0) <= LARGEST:
            return size.file_id
    document = message.document
    if document and document.mime_type in TYPES.values() and (document.file_size or 0) <= LARGEST:
        return document.file_id
    return None
