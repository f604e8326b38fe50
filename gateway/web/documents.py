"""What operators are shown of a message's life and of dead letters, as JSON objects."""

from __future__ import annotations

from typing import Any

from gateway.messages import ConversationKey, DeadLetter, Life, PartLife
from gateway.ports import MessageReceived
from gateway.web.status import moment


def letter_document(letter: DeadLetter) -> dict[str, Any]:
    """One line of the list."""
    return {
        "id": letter.id,
        "kind": letter.kind,
        "bot": letter.key.bot,
        "platform": letter.key.platform,
        "conversation": letter.key.chat,
        "outcome": letter.outcome,
        "cause": letter.cause,
        "at": moment(letter.at),
        "message": letter.message,
    }


def life_document(life: Life, decision: MessageReceived | None = None) -> dict[str, Any]:
    """One message's life: what decided, its times, what each wait was for, and each part's way out. Durations in
    seconds.
    """
    return {
        "id": life.id,
        "turn": life.turn,
        "organization": life.organization,
        "bot": life.key.bot,
        "platform": life.key.platform,
        "conversation": life.key.chat,
        "sender": life.sender,
        "status": life.status,
        "cause": life.cause,
        "decision": decision.why if decision else None,
        "addressed": life.addressed,
        "text": life.text,
        "accepted_at": moment(life.accepted_at),
        "claimed_at": moment(life.claimed_at),
        "asked_at": moment(life.asked_at),
        "ended_at": moment(life.ended_at),
        "queue_wait": _between(life.accepted_at, life.claimed_at),
        "quota_wait": life.quota_wait,
        "upstream": life.upstream,
        "attempts": life.attempts,
        "request_id": life.request_id,
        "parts": [_part_document(part) for part in life.parts],
    }


def passed_over(decision: MessageReceived) -> dict[str, Any]:
    """A message that left nothing but the decision not to take it."""
    key = ConversationKey.parse(decision.conversation or f"{decision.bot}/{decision.platform}/")
    life = Life(
        id=decision.message or "",
        organization=decision.organization,
        key=key,
        status="deleted",
        accepted_at=decision.at,
    )
    return {**life_document(life, decision), "status": decision.outcome}


def _part_document(part: PartLife) -> dict[str, Any]:
    return {
        "id": part.id,
        "state": part.state,
        "purpose": part.purpose,
        "cause": part.cause,
        "attempt": part.attempt,
        "created_at": moment(part.created_at),
        "sending_at": moment(part.sending_at),
        "ended_at": moment(part.ended_at),
        "platform_ids": list(part.platform_ids),
        "text": part.text,
    }


def _between(start: float, end: float | None) -> float | None:
    return None if end is None else round(max(0.0, end - start), 3)
