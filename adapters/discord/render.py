"""Reply → parts: Discord's markdown, cut into messages, or one file when there would be too many. Pure."""

from __future__ import annotations

from adapters.discord.markdown import adapt, whole
from adapters.discord.split import LIMIT, split
from adapters.discord.words import visible
from gateway.messages import Address, Part, Reply

FILE_NAME = "answer.md"
WORTH_SHOWING = 40
"""Characters of an answer before it is shown while it is written: a shorter one is there soon."""
GOES_ON = " …"
FOREIGN_PARTS = 6
"""Where the bot is no member an answer may have five follow-ups."""


class DiscordRenderer:
    """Names of people and roles in a reply stay as text: each send forbids all mentions."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:
        chunks = split(adapt(reply.text)) or _as_it_is(reply.text)
        if address.data.get("foreign"):
            max_parts = min(max_parts, FOREIGN_PARTS)
        if len(chunks) > max_parts:
            document = {"filename": FILE_NAME, "content": whole(reply.text)}
            return [_part(reply, chunks[0]), _part(reply, FILE_NAME, {"document": document})]
        return [_part(reply, chunk) for chunk in chunks]


def preview(text: str) -> str:
    """The beginning of an answer that is not finished, as one message; empty while that is not worth one."""
    chunks = split(adapt(text[: 2 * LIMIT])) if len(text) >= WORTH_SHOWING else []
    return f"{chunks[0][: LIMIT - len(GOES_ON)]}{GOES_ON}" if chunks else ""


def _as_it_is(text: str) -> list[str]:
    """Nothing but the marks of empty code blocks: odd, but a person waits for it."""
    text = whole(text)
    return [text[:LIMIT]] if visible(text) else []


def _part(reply: Reply, text: str, payload: dict[str, object] | None = None) -> Part:
    return Part(text=text, purpose=reply.purpose, notice=reply.notice, payload=payload or {})
