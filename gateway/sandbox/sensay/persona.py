"""How a replica talks: small talk, answers out of its knowledge, and an honest refusal. Deterministic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from gateway.sandbox.sensay.retrieval import knowledge, terms

NOT_ENOUGH = "I don't have enough information to answer that question."
_SMALL_TALK = """
    afternoon again bye evening fine going goodbye great greetings help howdy lot moin morning much name nice ok okay
    perfect really see soon start super there today very welcome well
"""
_SMALL_WORDS = frozenset(_SMALL_TALK.split())
_TALK: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bhow (are|is|do) (you|it|things)\b"), "I'm well, thank you for asking! What can I do for you?"),
    (re.compile(r"\b(who are you|your name)\b"), "I'm **{name}**. {description}"),
    (re.compile(r"\b(thank(s| you)?|great|perfect|super)\b"), "You're welcome! Is there anything else?"),
    (re.compile(r"\b(good)?bye\b|\bsee you\b"), "Goodbye, and take care!"),
    (re.compile(r"\b(help|start|what can you (do|tell)|what can i ask)\b"), "{greeting}\n\n{suggestions}"),
    (re.compile(r"\b(hello|hi|hey|moin|howdy|greetings|good (morning|afternoon|evening))\b"), "{greeting}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Persona:
    """What shows of a replica when it talks."""

    name: str
    description: str
    greeting: str
    suggestions: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def answer(persona: Persona, texts: tuple[str, ...], question: str) -> str:
    """What the replica says to `question`."""
    if all(word in _SMALL_WORDS for word in terms(question)):
        return _small_talk(persona, question.lower()) or NOT_ENOUGH
    return knowledge(texts).answer(question) or NOT_ENOUGH


def _small_talk(persona: Persona, question: str) -> str | None:
    for pattern, reply in _TALK:
        if pattern.search(question):
            suggestions = "\n".join(f"- {suggestion}" for suggestion in persona.suggestions)
            return reply.format(
                name=persona.name,
                description=persona.description,
                greeting=persona.greeting,
                suggestions=suggestions,
            ).strip()
    return None
