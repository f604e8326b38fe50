"""The one door for Discord's errors: what the library raises → what has to happen next."""

from __future__ import annotations

from typing import Any

import aiohttp
import discord

from adapters.discord.breaker import SHIELD_WAIT, retry_after
from gateway.errors import Ambiguous, GatewayError, Misconfigured, Permanent, RateLimited, Transient

RENEW_REMEDY = "set a current bot token: developer portal, Bot, Reset Token"
INTENT_REMEDY = "enable the Message Content intent in the developer portal or set message_content: false"
FATAL_CLOSES = {
    4004: ("the gateway refused the bot token", RENEW_REMEDY),
    4010: ("the gateway refused the shard", "set shards to what Discord recommends, or leave it out"),
    4011: ("the bot is in too many servers for one connection", "set shards to what Discord recommends"),
    4012: ("the gateway no longer speaks this API version", "update the gateway"),
    4013: ("the gateway refused the intents", "update the gateway"),
    4014: ("the bot may not have an intent that it asked for", INTENT_REMEDY),
}
ALREADY_A_THREAD = 160004
_NO_REFERENCE = {160002, 10008}
_FORM = 50035
_NO_THREAD = {10008, 50001, 50013, 50024, _FORM, 160006}
"""The question is gone, no right, no such channel, a notice, too many threads: the channel will do."""
_SPENT_TOKEN = {10008, 10015, 10062, 50027}
"""Unknown original, webhook, interaction; invalid token."""
_BLOCKED = {200000, 240000}
_GONE = {10003, 10004}
_UNCHANGEABLE = {10008, 50083}
"""Deleted, or in an archived thread: a new message opens that again."""
_SLOW = {20016, 20028}
"""Slow mode, and the channel's own limit of messages."""
SHORTLY = 5.0
MEANINGS = {
    10003: "the channel is gone",
    10004: "the bot is no longer in the server",
    50001: "the bot cannot see the channel",
    50007: "the person takes no direct messages from the bot",
    50013: "the bot may not write in the channel: allow it to send messages (in threads, too)",
    50083: "the thread is archived",
    50278: "the bot and the person have no server in common any more",
    160005: "the thread is locked",
    200000: "the server's AutoMod blocked the text",
    240000: "Discord blocked a link in the text",
}


def closed(code: int) -> Misconfigured | None:
    """Judge a close code of the gateway: None if connecting again can help."""
    if code not in FATAL_CLOSES:
        return None
    message, remedy = FATAL_CLOSES[code]
    return Misconfigured(f"{message} ({code})", remedy=remedy, operation="gateway", code=code)


def refuses_reference(error: Exception) -> bool:
    """Whether the message would be taken if it did not quote the one that it answers."""
    if not isinstance(error, discord.HTTPException):
        return False
    return error.code in _NO_REFERENCE or (error.code == _FORM and "message_reference" in error.text)


def refused_token(operation: str) -> Misconfigured:
    return Misconfigured(
        "Discord refused the bot token", remedy=RENEW_REMEDY, operation=operation, status=401
    )


def token_spent(error: Exception) -> bool:
    """Whether an interaction's token is good for nothing any more."""
    return isinstance(error, discord.HTTPException) and error.code in _SPENT_TOKEN


def no_thread(error: discord.HTTPException) -> bool:
    """Whether there will be no thread, however often one is asked for."""
    return error.code in _NO_THREAD


def unchangeable(error: discord.HTTPException) -> bool:
    """Whether a message of ours will not be changed any more."""
    return error.code in _UNCHANGEABLE


def translate(error: Exception, operation: str) -> GatewayError:
    """Judge what a REST call raised.

    A lost answer (5xx, reset, timeout) is `Transient` and not `Ambiguous`: the nonce of a message is the same each
    time and Discord enforces it, so a repeat within its few minutes of memory cannot make a second message.
    """
    match error:
        case GatewayError():
            return error
        case discord.LoginFailure():
            return refused_token(operation)
        case discord.RateLimited():
            return RateLimited(
                "Discord asks to wait", retry_after=error.retry_after, scope="lane", operation=operation
            )
        case discord.HTTPException():
            return _answered(error, operation)
        case OSError() | aiohttp.ClientError():
            return Transient(f"no answer from Discord: {type(error).__name__}", operation=operation)
        case _:
            return Ambiguous(
                f"an answer that cannot be understood: {type(error).__name__}", operation=operation
            )


def _answered(error: discord.HTTPException, operation: str) -> GatewayError:
    facts: dict[str, Any] = {"operation": operation, "status": error.status, "code": error.code or None}
    text = f"Discord answered {error.status} (error code {error.code})"
    if error.code in MEANINGS:
        text = f"{text}: {MEANINGS[error.code]}"
    match error.status:
        case 401:
            return refused_token(operation)
        case _ if error.status == 429 or error.code in _SLOW:
            return _limited(error, facts)
        case status if status >= 500:
            return Transient(text, **facts)
        case status:
            closed = error.code in _GONE or (status == 403 and error.code not in _BLOCKED)
            return Permanent(text, scope="lane" if closed else "part", **facts)


def _limited(error: discord.HTTPException, facts: dict[str, Any]) -> RateLimited:
    """Without `Via` it is not Discord but the shield before it, and it means the whole address."""
    headers = error.response.headers
    shield = error.status == 429 and "Via" not in headers
    everywhere = shield or headers.get("X-RateLimit-Scope") == "global"
    return RateLimited(
        "Discord's shield blocks this address" if shield else "Discord asks to wait",
        retry_after=retry_after(headers, SHIELD_WAIT if shield else SHORTLY),
        scope="channel" if everywhere else "lane",
        **facts,
    )
