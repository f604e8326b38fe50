"""Waiting messages made by hand, for the tests of the policies."""

from __future__ import annotations

from itertools import count
from typing import Any

from gateway.messages import ConversationKey, Head

_numbers = count(1)


def chat(bot: str = "bot", name: str = "chat") -> ConversationKey:
    return ConversationKey(bot=bot, platform="telegram", chat=name)


def head(bot: str = "bot", name: str = "chat", sender: str = "ann", **facts: Any) -> Head:
    """A waiting message; numbered in the order of making."""
    seq = next(_numbers)
    defaults: dict[str, Any] = {
        "id": f"m{seq}",
        "seq": seq,
        "key": chat(bot, name),
        "sender": sender,
        "kind": "ask",
        "direct": True,
        "sent_at": 0.0,
        "accepted_at": 0.0,
        "size": 10,
    }
    return Head(**(defaults | facts))
