"""Secrets never leave in a line: known ones, and whatever has the shape of one, in a finished text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

_SHAPES = re.compile(
    r"(?<!\d)\d{3,}:[A-Za-z0-9_-]{20,}"  # Telegram token, also in a URL: /bot1234:…
    r"|\b[\w-]{20,30}\.[\w-]{6,7}\.[\w-]{27,45}\b"  # Discord token
    r"|whsec_[A-Za-z0-9+/=]+"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]+"  # JSON web token
    r"|(?i:\b(?:authorization|x-organization-secret|x-telegram-bot-api-secret-token)[\"']?\s*[:=]\s*)[^\s,}]+(?:\s+[^\s,}]+)?"
)


class Mask:
    """Replaces known secrets, and whatever has the shape of one, in a finished line."""

    def __init__(self) -> None:
        self._known: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[str]) -> None:
        """Take the secrets of the current configuration; short ones would hide ordinary words and are left to the
        shapes.
        """
        spelled = {spelling for secret in secrets if len(secret) >= 6 for spelling in _spellings(secret)}
        words = sorted(spelled, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, words))) if words else None

    def __call__(self, line: str) -> str:
        if self._known is not None:
            line = self._known.sub("***", line)
        return _SHAPES.sub("***", line)


def _spellings(secret: str) -> Iterator[str]:
    """As a secret stands in a text, a repr or a URL, and each of these inside a JSON string."""
    for spelling in (secret, repr(secret)[1:-1], quote(secret, safe="")):
        yield spelling
        yield json.dumps(spelling, ensure_ascii=False)[1:-1]
