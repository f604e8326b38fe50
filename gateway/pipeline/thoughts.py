"""What a model thinks before it speaks: some models write it down, and it is for nobody's eyes. Pure."""

from __future__ import annotations

import re

_THOUGHTS = [
    re.compile(rf"<{name}>.*?</{name}>\s*", re.DOTALL | re.IGNORECASE)
    for name in ("think", "thinking", "reasoning")
]
_ENDS = [re.compile(rf"</{name}>\s*", re.IGNORECASE) for name in ("think", "thinking", "reasoning")]
_UNFINISHED = re.compile(r"<(?:think|thinking|reasoning)>.*\Z|</?[a-z]{0,9}\Z", re.DOTALL | re.IGNORECASE)
"""Thoughts that still go on, or the beginning of the tag that opens them."""


def without_thoughts(text: str) -> str:
    """The answer alone, on every platform: this is asked before anything is rendered."""
    if "<" not in text:
        return text
    for whole, end in zip(_THOUGHTS, _ENDS, strict=True):
        last = max((found.end() for found in end.finditer(text)), default=0)
        # Beyond the last end no thought is whole; looking for one there would take quadratic time.
        text = whole.sub("", text[:last]) + text[last:]
    return text


def without_thoughts_so_far(text: str) -> str:
    """The same for an answer that is still being written."""
    return _UNFINISHED.sub("", without_thoughts(text)) if "<" in text else text
