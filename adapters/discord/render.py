"""Reply → parts: Discord's markdown, cut into messages, or one file when there would be too many. Pure."""

from __future__ import annotations

from adapters.discord.markdown import adapt, whole
from adapters.discord.split import LIMIT, split
from gateway.messages import Address, Part, Reply

FILE_NAME = "answer.md"


class DiscordRenderer:
    """Names of people and roles in a reply stay as text: each send forbids all mentions."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:  # noqa: ARG002
        chunks = split(adapt(reply.text)) or _as_it_is(reply.text)
        if len(chunks) > max_parts:
            document = {"filename": FILE_NAME, "content": whole(reply.text)}
            return [_part(reply, chunks[0]), _part(reply, FILE_NAME, {"document": document})]
        return [_part(reply, chunk) for chunk in chunks]


def _as_it_is(text: str) -> list[str]:
    """Nothing but the marks of empty code blocks: odd, but a person waits for it."""
    return [whole(text)[:LIMIT]] if text.strip() else []


def _part(reply: Reply, text: str, payload: dict[str, object] | None = None) -> Part:
    return Part(text=text, purpose=reply.purpose, notice=reply.notice, payload=payload or {})
