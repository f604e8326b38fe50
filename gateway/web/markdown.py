"""What a replica wrote, as a page shows it: its emphasis, lists and code; nothing that loads, leads away or is HTML."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

LONGEST = 6_000
"""Characters; what is longer is shown as it was written."""
_NOT = ["html_block", "html_inline", "image", "link", "autolink", "reference", "heading", "lheading", "hr"]


def shown(text: str) -> Markup | None:
    """HTML that is safe as it is; None when the text is better left as it was written."""
    if len(text) > LONGEST:
        return None
    return Markup(_parser().render(text))  # noqa: S704 - made with HTML off: what is written is escaped


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 12}).disable(_NOT)
