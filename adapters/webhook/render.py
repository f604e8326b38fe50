"""A reply → its one part, and a message's life → the answer that a caller reads. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from adapters.http import timestamp
from adapters.tree import tree
from gateway.messages import AcceptOutcome, Address, Life, Part, Reply, TextName

Status: TypeAlias = Literal["queued", "asking", "answered", "failed", "expired", "busy"]
PATH = "/v1/hooks/{bot}/messages"
OPEN: frozenset[str] = frozenset({"queued", "asking"})

_STATUS: dict[str, Status] = {
    "queued": "queued",
    "asking": "asking",
    "answered": "answered",
    "expired": "expired",
    "busy": "busy",
    "limited": "busy",
}
"""What callers are told of a life's status; all else is `failed`."""
_SILENT: dict[str, TextName] = {"busy": "busy", "limited": "busy", "expired": "expired", "denied": "denied"}
"""The fixed text of an ending that left none, being said only now and then: every call is answered."""


class WebhookRenderer:
    """Callers take an answer whole, as markdown."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:  # noqa: ARG002
        return [Part(text=reply.text, purpose=reply.purpose, notice=reply.notice)]


def status_url(base_url: str, bot: str, message_id: str) -> str:
    """Where to look; without a base URL, a path."""
    return f"{base_url}{PATH.format(bot=bot)}/{message_id}"


def is_open(life: Life) -> bool:
    """Whether an answer is still to come."""
    return life.status in OPEN


def status_after(outcome: AcceptOutcome) -> Literal["queued", "busy", "limited", "denied", "failed"]:
    """A life's status as far as the acceptance alone tells it."""
    match outcome:
        case "accepted":
            return "queued"
        case "busy" | "limited" | "denied":
            return outcome
        case _:
            return "failed"


def answer(life: Life, status_url: str, fixed: Callable[[TextName], str]) -> dict[str, Any]:
    """Describe a message as `interface.md` section 3 does; `text` and `content` are null while it is open.

    `fixed` gives a fixed text by name, its placeholders unfilled.
    """
    status = _STATUS.get(life.status, "failed")
    text = None if is_open(life) else _text(life, fixed)
    return {
        "id": life.id,
        "status": status,
        "conversation": life.key.chat,
        "text": text,
        "content": None if text is None else tree(text),
        "created_at": timestamp(life.accepted_at),
        "status_url": status_url,
        **({"reference": life.turn or life.id} if status == "failed" else {}),
    }


def _text(life: Life, fixed: Callable[[TextName], str]) -> str:
    """The answer without what was said while it was waited for; else the text that ended it."""
    if answers := [part.text for part in life.parts if part.purpose in ("answer", "error")]:
        return "\n\n".join(answers)
    if life.parts:
        return life.parts[-1].text
    if life.status == "answered":
        return ""
    return fixed(_SILENT.get(life.status, "failed")).replace("{reference}", life.turn or life.id)
