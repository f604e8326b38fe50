"""The one door for python-telegram-bot's errors: each becomes one of ours, by what has to happen next.

Order matters: `BadRequest` and `TimedOut` are both `NetworkError`s to PTB, one final, the other unknown.
"""

from __future__ import annotations

from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, TelegramError

from adapters.telegram.transport import FloodError, NotSentError, RefusedError
from gateway.errors import Ambiguous, GatewayError, Misconfigured, Permanent, RateLimited, Transient

DEAD_CHAT = (
    "chat not found",
    "thread not found",
    "topic_closed",
    "topic_deleted",
    "not enough rights",
    "have no rights",
    "chat_write_forbidden",
    "user is deactivated",
    "group chat was deactivated",
    "peer_id_invalid",
    "business_connection_invalid",
    "business connection not found",
    "business_peer_invalid",
    "business_peer_usage_missing",
)
"""Refusals that every later message to this chat or topic would meet too."""


def translate(error: TelegramError, operation: str) -> GatewayError:
    """Say what an error of a call means for the gateway; the caller raises it `from` the original."""
    said = f"{operation}: {error.message}"[:300]
    answer: GatewayError
    match error:
        case FloodError():
            answer = RateLimited(said, retry_after=error.seconds, scope="lane", operation=operation)
        case NotSentError():
            answer = Transient(said, operation=operation)
        case InvalidToken():
            answer = rejected_token()
        case Conflict():
            answer = Transient(said, scope="channel", operation=operation, status=409)
        case RefusedError():
            answer = Permanent(said, scope="part", operation=operation)
        case Forbidden():
            answer = Permanent(said, scope="lane", operation=operation, status=403)
        case BadRequest():
            dead = any(words in error.message.lower() for words in DEAD_CHAT)
            answer = Permanent(said, scope="lane" if dead else "part", operation=operation, status=400)
        case _:
            answer = Ambiguous(said, operation=operation)
    return answer


def rejected_token() -> Misconfigured:
    return Misconfigured(
        "Telegram rejects the bot token",
        remedy="ask @BotFather for the bot's current token and put it into the configuration",
        status=401,
    )
