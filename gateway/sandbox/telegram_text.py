"""What the Bot API server makes of text: entities it finds in what people write, and checks of what bots send. Pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

MAX_CODE_POINTS = 4096
MAX_BYTES = 32 * 1024
MAX_ENTITIES = 100

_FOUND = re.compile(
    r"(?P<url>https?://[^\s<>\"]+)"
    r"|(?<![\w/@])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?)(?!\w)"
    r"|(?<!\w)(?P<mention>@[A-Za-z0-9_]{3,32})(?!\w)"
    r"|(?<!\w)(?P<hashtag>#\w{1,128})"
)


class Refused(Exception):
    """The server's own refusal: what goes into `error_code`, `description` and `parameters`."""

    def __init__(self, description: str, code: int = 400, **parameters: Any) -> None:
        super().__init__(description)
        self.description, self.code, self.parameters = description, code, parameters


def utf16(text: str) -> int:
    """Length as entities count it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def found_entities(text: str) -> list[dict[str, Any]]:
    """Entities of what a person typed: links, commands, mentions, hashtags."""
    return [
        {"type": match.lastgroup, "offset": utf16(text[: match.start()]), "length": utf16(match[0])}
        for match in _FOUND.finditer(text)
    ]


def checked_text(text: Any) -> str:
    """Raise what the server says to an empty or overlong text. It counts code points, not UTF-16 units."""
    if not isinstance(text, str) or not text.strip():
        raise Refused("Bad Request: message text is empty")
    if len(text) > MAX_CODE_POINTS or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise Refused("Bad Request: message is too long")
    return text


def checked_entities(text: str, entities: Any) -> list[dict[str, Any]]:
    """Entities as the server keeps them: one bad range or link rejects the message, those over 100 vanish silently."""
    if not isinstance(entities, list):
        raise Refused("Bad Request: can't parse entities: expected an Array")
    for entity in entities:
        _check_range(text, entity)
        if entity["type"] == "text_link" and not _valid_link(entity.get("url")):
            raise Refused("Bad Request: Entity URL invalid")
    return entities[:MAX_ENTITIES]


def _check_range(text: str, entity: Any) -> None:
    if not isinstance(entity, dict) or not isinstance(entity.get("type"), str):
        raise Refused("Bad Request: can't parse entities: expected an Object")
    offset, length = entity.get("offset"), entity.get("length")
    if not isinstance(offset, int) or not isinstance(length, int) or offset < 0 or length <= 0:
        raise Refused("Bad Request: can't parse entities: field offset or length is invalid")
    units = utf16(text)
    where = f"Bad Request: entity beginning at UTF-16 offset {offset}"
    if offset + length > units:
        raise Refused(f"{where} ends after the end of the text at UTF-16 offset {units}")
    if _inside_pair(text, offset) or _inside_pair(text, offset + length):
        raise Refused(f"{where} begins or ends in the middle of a UTF-16 symbol")


def _inside_pair(text: str, offset: int) -> bool:
    unit = text.encode("utf-16-le", "surrogatepass")[offset * 2 : offset * 2 + 2]
    return len(unit) == 2 and 0xDC00 <= int.from_bytes(unit, "little") <= 0xDFFF


def _valid_link(url: Any) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url if "://" in url or url.startswith("tg:") else f"http://{url}")
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme in ("tg", "ton"):
        return True
    return (
        parts.scheme in ("http", "https", "ftp")
        and "." in host.strip(".")
        and not url.startswith((".", "#", "/"))
    )
