"""What a model thinks before it speaks: some models write it down, and it is for nobody's eyes. Pure."""

from __future__ import annotations

import re

_NAMES = "think|thinking|reasoning"
_WHOLE = re.compile(rf"<({_NAMES})>.*?</\1>\s*", re.DOTALL | re.IGNORECASE)


def without_thoughts(text: str) -> str:
    """The answer alone, on every platform: this is asked before anything is rendered."""
    return _WHOLE.sub("", text) if "<" in text else text
