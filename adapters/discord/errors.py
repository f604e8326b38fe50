"""The one door for Discord's errors: what the library raises → what has to happen next."""

from __future__ import annotations

from typing import Any

import aiohttp
import discord

from gateway.errors import Ambiguous, GatewayError, Misconfigured, Permanent, RateLimited, Transient

RENEW_REMEDY = "set a current bot token: developer portal, Bot, Reset Token"
INTENT_REMEDY = "enable the Message Content intent in the developer portal or set message_content: false"
CLOUDFLARE_WAIT = 600.0
"""A ban by address says nothing useful about its length; it lasts about this long."""
FATAL_CLOSES = {
    4004: ("the gateway refused the bot token", RENEW_REMEDY),
    4010: ("the gateway refused the shard", "set shards to what Discord recommends, or leave it out"),
    4011: ("the bot is in too many servers for one connection", "set shards to what Discord recommends"),
    4012: ("the gateway no longer speaks this API version", "update the gateway"),
    4013: ("the gateway refused the intents", "update the gateway"),
    4014: ("the bot may not have an intent that it asked for", INTENT_REMEDY),
}
_NO_REFERENCE = {160002, 10008}
_FORM = 50035


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


def translate(error: Exception, operation: str) -> GatewayError:
    """Judge what a REST call raised.

    A lost answer (5xx, reset, timeout) is `Transient` and not `Ambiguous`: the nonce of a message is the same each
    time and Discord enforces it, so a repeat within its few minutes of memory cannot make a second message.
    """
    match error:
        case GatewayError():
            return error
        case discord.LoginFailure():
            return Misconfigured(
                "Discord refused the bot token", remedy=RENEW_REMEDY, operation=operation, status=401
            )
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
    match error.status:
        case 401:
            return Misconfigured("Discord refused the bot token", remedy=RENEW_REMEDY, **facts)
        case 429:
            return _limited(error, facts)
        case 403:
            return Permanent(text, scope="lane", **facts)
        case 404 if error.code == 10003:
            return Permanent(text, scope="lane", **facts)
        case status if status >= 500:
            return Transient(text, **facts)
        case _:
            return Permanent(text, **facts)


def _limited(error: discord.HTTPException, facts: dict[str, Any]) -> RateLimited:
    """Without `Via` it is not Discord but the shield before it, and it means the whole address."""
    headers = error.response.headers
    shield = "Via" not in headers
    everywhere = shield or headers.get("X-RateLimit-Scope") == "global"
    try:
        wait = float(headers["Retry-After"])
    except (KeyError, ValueError):
        wait = CLOUDFLARE_WAIT if shield else 5.0
    return RateLimited(
        "Discord's shield blocks this address" if shield else "Discord asks to wait",
        retry_after=wait,
        scope="channel" if everywhere else "lane",
        **facts,
    )
