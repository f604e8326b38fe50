"""The journal's entries → what a visitor sees: one message an answer, however many parts it has. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from adapters.http import timestamp
from adapters.tree import Node, plain, tree
from gateway.messages import Entry, Part


def messages(entries: Sequence[Entry]) -> list[tuple[int, dict[str, Any]]]:
    """Each message with the number of its last entry; one that is cut off at either end is left out."""
    joined = [list(group) for _, group in itertools.groupby(entries, key=_answer)]
    return [
        (group[-1].seq, _message(group))
        for group in joined
        if group[0].index == 0 and group[-1].index == group[-1].count - 1
    ]


def _answer(entry: Entry) -> tuple[str, str]:
    return (entry.owner, entry.part.purpose) if entry.count > 1 else (entry.id, "")


def _message(entries: Sequence[Entry]) -> dict[str, Any]:
    first = entries[0]
    message: dict[str, Any] = {
        "id": first.id,
        "role": first.role,
        "text": "\n\n".join(entry.part.text for entry in entries),
        "content": [node for entry in entries for node in _content(entry.role, entry.part)],
        "created_at": timestamp(first.created_at),
    }
    if first.in_reply_to is not None:
        message["in_reply_to"] = first.in_reply_to
    if first.part.notice is not None:
        message["notice"] = first.part.notice
    return message


def _content(role: str, part: Part) -> list[Node]:
    """What a visitor typed is never read as markup."""
    if role == "user":
        return plain(part.text)
    content: list[Node] | None = part.payload.get("content")
    return tree(part.text) if content is None else content
