"""One long text → messages that Discord takes, each readable alone. Pure.

A cut is looked for from the back of the room: a blank line, a line end, the end of a sentence, a space, and only then
between two characters as people see them. A code block that has to be cut is closed and opened again in its language,
for which room is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import regex

from adapters.discord.words import visible

LIMIT = 2000
"""Code points, as Discord counts them."""
_FENCE = regex.compile(r"^(?P<prefix>[ \t>]{0,40})```(?P<language>[^`\n]{0,80})$")
_LONGEST_LANGUAGE = 24
"""A longer description of a code block is not repeated when it is opened again."""
_GAP = regex.compile(r"\A(?:(?:[ \t]*\n)+|[ \t]+)")
"""What is left of a cut in running text: the blank line or space that it was made at."""
_MARKER = r"[ \t>]*```"
_AHEAD = regex.compile(_MARKER)
_PREFERENCES = (
    (regex.compile(r"\n[ \t]*\n"), 0.3),
    (regex.compile(r"\n"), 0.3),
    (regex.compile(rf"(?<=[.!?…。！？])[^\S\n](?!{_MARKER})"), 0.3),
    (regex.compile(rf"\n|[^\S\n](?!{_MARKER})"), 0.1),
)
"""Where to cut, and the share of the room that a cut must at least use to be worth its place.

Never within a line before three backticks: at the start of a message they would mean something else.
"""
_IN_CODE = _PREFERENCES[1:2]
_WINDOW = 256
"""How far around the end of the room is looked."""


@dataclass(frozen=True)
class Fence:
    """An open code block: how its line begins, and its language as far as it is repeated."""

    prefix: str
    language: str

    @property
    def opening(self) -> str:
        return f"{self.prefix}```{self.language}\n"

    @property
    def closing(self) -> str:
        return f"\n{self.prefix}```"


def split(text: str, limit: int = LIMIT) -> list[str]:
    """Cut into chunks of at most `limit` code points, none of them blank, with every code block closed."""
    chunks: list[str] = []
    rest, fence = text, None
    while rest.strip():
        chunk, rest, fence = _next(rest, fence, limit)
        if _says_something(chunk):
            chunks.append(chunk)
    return chunks


def _next(rest: str, fence: Fence | None, limit: int) -> tuple[str, str, Fence | None]:
    """Take one chunk off the front: (chunk, what is left, the code block that goes on there)."""
    opening = fence.opening if fence else ""
    if (
        len(opening) + len(rest) <= limit
        and len(whole := _closed(opening + rest, _after(rest, fence))) <= limit
    ):
        return whole, "", None
    cut = _cut(rest, limit - len(opening) - _reserve(rest[:limit], fence), inside=fence is not None)
    inside = _after(rest[:cut], fence)
    start = _last_line(rest[:cut])
    if inside and start and _after(rest[:start], fence) is None:
        cut, inside = start, None  # it would open with nothing in it
    piece, left = rest[:cut], rest[cut:]
    if inside is None:
        return opening + piece.rstrip(), _GAP.sub("", left), None
    return _closed(opening + piece, inside), *_go_on(left.removeprefix("\n"), inside)


def _go_on(left: str, inside: Fence) -> tuple[str, Fence | None]:
    """What follows a cut in a code block; when that is only its end, the block has ended already."""
    first, _, after = left.partition("\n")
    if _FENCE.match(first) and _after(first, inside) is None:
        return _GAP.sub("", after), None
    return left, inside


def _after(text: str, fence: Fence | None) -> Fence | None:
    """The code block that is open at the end of the text."""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if found is None:
            continue
        if fence is None:
            language = found["language"].strip()
            fence = Fence(found["prefix"], language if len(language) <= _LONGEST_LANGUAGE else "")
        elif not found["language"].strip():
            fence = None
    return fence


def _reserve(text: str, fence: Fence | None) -> int:
    """Room for a closing line: a cut may fall into any code block that opens before it."""
    prefixes = [found["prefix"] for line in text.split("\n") if (found := _FENCE.match(line))]
    longest = max([len(prefix) for prefix in prefixes] + [len(fence.prefix) if fence else 0])
    return longest + len("\n```") if prefixes or fence else 0


def _last_line(piece: str) -> int:
    """Where the last line begins."""
    return piece.rstrip("\n").rfind("\n") + 1


def _cut(text: str, room: int, *, inside: bool) -> int:
    for pattern, least in _IN_CODE if inside else _PREFERENCES:
        found = pattern.finditer(text, int(room * least), room + _WINDOW)  # lookaheads see past the room
        *_, last = (None, *(match.start() for match in found if match.start() <= room))
        if last is not None:
            return int(last)
    return _between_characters(text, room)


def _between_characters(text: str, room: int) -> int:
    """The last boundary between two graphemes, unless one alone is longer than any message."""
    start = max(0, room - _WINDOW)
    ends = (start + found.end() for found in regex.finditer(r"\X", text[start : room + _WINDOW]))
    good = (end for end in ends if start < end <= room and not _AHEAD.match(text, end))
    return max(good, default=room)


def _closed(text: str, fence: Fence | None) -> str:
    return text if fence is None else text.rstrip("\n") + fence.closing


def _says_something(chunk: str) -> bool:
    """Not only white space and an empty code block."""
    return any(visible(line) and not _FENCE.match(line) for line in chunk.split("\n"))
