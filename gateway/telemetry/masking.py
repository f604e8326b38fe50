"""Secrets never leave in a line: known ones, and whatever has the shape of one, in a finished text."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from urllib.parse import quote

_SHAPES = re.compile(
    r"(?<!\d)\d{3,}:[A-Za-z0-9_-]{20,}"  # Telegram token, also in a URL: /bot1234:…
    r"|\b[\w-]{20,30}\.[\w-]{6,7}\.[\w-]{27,45}\b"  # Discord token
    r"|whsec_[A-Za-z0-9+/=]+"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]+"  # JSON web token
    r"|(?i:\b(?:authorization|x-organization-secret|x-telegram-bot-api-secret-token)[\"']?\s*[:=]\s*)[^\s,}]+(?:\s+[^\s,}]+)?"
)
_TOKENS = (re.compile(r":[A-Za-z0-9_-]{20}"), re.compile(r"\.[\w-]{6,7}\.[\w-]{27}"))
_MARKS = ("whsec_", "eyJ")
_HEADERS = ("authorization", "x-organization-secret", "x-telegram-bot-api-secret-token")


def _suspect(line: str) -> bool:
    """Whether a shape can be in it at all: every line is looked at, and hardly any has one."""
    return (
        any(mark in line for mark in _MARKS)
        or any(token.search(line) for token in _TOKENS)
        or any(header in line.lower() for header in _HEADERS)
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
        self._known = re.compile(_either(sorted(spelled))) if spelled else None

    def __call__(self, line: str) -> str:
        if self._known is not None:
            line = self._known.sub("***", line)
        return _SHAPES.sub("***", line) if _suspect(line) else line


def _either(words: Sequence[str]) -> str:
    """Match the longest of these sorted words. What several begin with is looked at once, so that a line's price does
    not grow with the number of bots.
    """
    start = os.path.commonprefix([words[0], words[-1]])  # noqa: RUF071 - characters are what is meant
    rests = [word[len(start) :] for word in words]
    branches = [_either(list(same)) for _, same in groupby(filter(None, rests), key=itemgetter(0))]
    ends = "" if all(rests) else "?"
    return re.escape(start) + (f"(?:{'|'.join(branches)}){ends}" if branches else "")


def _spellings(secret: str) -> Iterator[str]:
    """As a secret stands in a text, a repr or a URL, and each of these inside a JSON string."""
    for spelling in (secret, repr(secret)[1:-1], quote(secret, safe="")):
        yield spelling
        yield json.dumps(spelling, ensure_ascii=False)[1:-1]
