"""Cut text with entities into messages. Pure.

Telegram counts entities in UTF-16 units and takes 4096 of them (it counts code points, so that is always safe) and 100
entities a message. A cut is looked for where a reader would put it: a blank line, a line's end, a sentence's end, a
space; only then between two characters as people see them. Links, code and blocks that fit into a message stay whole.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import regex

Entity = dict[str, Any]
LIMIT = 4096
MAX_ENTITIES = 100
LEAST = 2
"""A cut is taken only in the second half of what fits, so that no message is needlessly short."""
WHOLE = {"pre", "code", "text_link", "custom_emoji"}
"""Entities that are not cut when they fit into one message."""
_CUTS = [
    regex.compile(pattern)
    for pattern in (
        r"\n[^\S\n]*\n(?:[^\S\n]*\n)*",
        r"\n",
        r"[.!?…][)\]\"'»”’]*\s+|[。！？]",
        r"\s+",
    )
]
_BLANK = regex.compile(r"\s*\n|\s+")
_BLANK_LINES = regex.compile(r"\s*\n")
_JOINED = regex.compile(r"[\p{M}\u200d]")
_GRAPHEME = regex.compile(r"\X")


@dataclass(frozen=True)
class _Span:
    """An entity by indices of the string."""

    start: int
    end: int
    entity: Entity


def units(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def split(text: str, entities: list[Entity], *, limit: int = LIMIT) -> Iterator[tuple[str, list[Entity]]]:
    """Pieces of at most `limit` units and 100 entities, cut as they are taken; nothing but whitespace at the cuts is
    lost.
    """
    at = [0, *accumulate(2 if char > "\uffff" else 1 for char in text)]
    spans = sorted(_spans(entities, at), key=lambda span: (span.start, -span.end))
    for start, cut in _ranges(text, at, spans, limit):
        end = start + len(text[start:cut].rstrip())
        clipped = [clip for span in spans if (clip := _clipped(span, start, end, at))]
        if start < end:
            yield text[start:end], clipped[:MAX_ENTITIES]


def _spans(entities: list[Entity], at: list[int]) -> Iterator[_Span]:
    for entity in entities:
        start = bisect_left(at, entity["offset"])
        end = bisect_left(at, entity["offset"] + entity["length"])
        if start < end:
            yield _Span(start, min(end, len(at) - 1), entity)


def _clipped(span: _Span, start: int, end: int, at: list[int]) -> Entity | None:
    """The part of an entity that lies in a piece, counted from the piece's beginning."""
    first, last = max(span.start, start), min(span.end, end)
    if first >= last:
        return None
    return {**span.entity, "offset": at[first] - at[start], "length": at[last] - at[first]}


def _ranges(text: str, at: list[int], spans: list[_Span], limit: int) -> Iterator[tuple[int, int]]:
    start = 0
    while (start := _begin(text, start)) < len(text):
        end = _reach(at, spans, start, limit)
        if end < len(text):
            whole = [span for span in spans if _is_whole(span, at, limit)]
            end = _cut(text, whole, start, end)
        yield start, end
        start = end


def _begin(text: str, start: int) -> int:
    """Skip blank space, but not the indentation of the line that begins here."""
    fresh = start == 0 or text[start - 1] == "\n"
    blank = (_BLANK_LINES if fresh else _BLANK).match(text, start)
    return int(blank.end()) if blank else start


def _reach(at: list[int], spans: list[_Span], start: int, limit: int) -> int:
    """How far a piece could go by units and number of entities; always further than `start`."""
    end = bisect_right(at, at[start] + limit) - 1
    touched = [span for span in spans if span.end > start]
    if len(touched) > MAX_ENTITIES and start < touched[MAX_ENTITIES].start < end:
        end = touched[MAX_ENTITIES].start
    return end


def _is_whole(span: _Span, at: list[int], limit: int) -> bool:
    return span.entity["type"] in WHOLE and at[span.end] - at[span.start] <= limit


def _cut(text: str, whole: list[_Span], start: int, end: int) -> int:
    least = start + (end - start) // LEAST
    for pattern in _CUTS:
        found = [min(int(match.end()), end) for match in pattern.finditer(text, start, end + 1)]
        for cut in reversed(found):
            if least < cut and _is_good(text, whole, cut):
                return cut
    broken = [span.start for span in whole if start < span.start < end < span.end]
    return min(broken, default=0) or _between_characters(text, start, end)


def _is_good(text: str, whole: list[_Span], cut: int) -> bool:
    """Between two words rather than in a word, a character or something that stays whole."""
    at_space = text[cut].isspace() or text[cut - 1].isspace() or text[cut - 1] in "。！？"
    return (
        at_space and not _JOINED.match(text, cut) and not any(span.start < cut < span.end for span in whole)
    )


def _between_characters(text: str, start: int, end: int) -> int:
    """The last boundary between characters as people see them; inside one only if it fills the whole piece."""
    ends = [match.end() for match in _GRAPHEME.finditer(text, start, min(len(text), end + 64))]
    return max((cut for cut in ends if start < cut <= end), default=end)
