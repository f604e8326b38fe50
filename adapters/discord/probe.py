"""Whether a bot's section works at Discord: token, intents, what is left of its sessions. Three requests to read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import discord
from discord.http import HTTPClient, Route

from adapters.discord.errors import INTENT_REMEDY, translate
from adapters.discord.starts import RESERVE
from gateway.errors import GatewayError
from gateway.ports import Finding, Probed
from gateway.settings.models import DiscordSettings

CONTENT = 1 << 18 | 1 << 19
"""Flags of an application that may read messages: verified, or in few servers."""
HEARING = ("listen", "open")
_RESETS = (
    "the last ones are spread over the time until there are new ones: find out what makes it connect so often"
)


async def probe(section: DiscordSettings) -> Probed:
    """Through a client of its own, that never opens a gateway connection."""
    http = HTTPClient(asyncio.get_running_loop())
    try:
        me = await http.static_login(section.token.get_secret_value())
        application = await http.request(Route("GET", "/applications/@me"))
        shards, _, limit = await http.get_bot_gateway()
    except (discord.DiscordException, aiohttp.ClientError, OSError, KeyError, TypeError) as error:
        return Probed(findings=(_failed(translate(error, "probe")),))
    finally:
        await http.close()
    name = Finding(severity="ok", what=f"the token is that of {me['username']}", path="token")
    return Probed(
        findings=(
            name,
            *_intents(application, section),
            *_interactions(application, section),
            *_sessions(shards, limit, section),
        )
    )


def _failed(error: GatewayError) -> Finding:
    remedy = getattr(error, "remedy", None)
    if remedy:
        return Finding(severity="error", what=str(error), remedy=remedy, path="token")
    network = "check the network and platforms.discord.api_url, or look again later"
    return Finding(severity="error", what=str(error), remedy=network)


def _intents(application: dict[str, Any], section: DiscordSettings) -> Iterator[Finding]:
    granted = bool(int(application.get("flags") or 0) & CONTENT)
    if section.message_content and not granted:
        yield Finding(
            severity="error",
            what="the Message Content intent is asked for and not enabled: Discord will close the connection (4014)",
            remedy=INTENT_REMEDY,
            path="message_content",
        )
    elif section.message_content:
        yield Finding(severity="ok", what="the Message Content intent is enabled", path="message_content")
    elif granted and section.groups.mode in HEARING:
        yield Finding(
            severity="warning",
            what=f"the Message Content intent is enabled and not asked for: mode {section.groups.mode} hears mentions",
            remedy="set message_content: true",
            path="message_content",
        )


def _interactions(application: dict[str, Any], section: DiscordSettings) -> Iterator[Finding]:
    if section.commands and application.get("interactions_endpoint_url"):
        yield Finding(
            severity="error",
            what="the application has an Interactions Endpoint URL: commands go there and not to this gateway",
            remedy="clear it in the developer portal, General Information; or set commands: false",
            path="commands",
        )


def _sessions(shards: int, limit: Any, section: DiscordSettings) -> Iterator[Finding]:
    left, total = limit["remaining"], limit["total"]
    hours = limit["reset_after"] / 3_600_000
    severity, what = "ok", f"{left} of {total} new sessions are left for today"
    if left <= RESERVE:
        severity = "warning" if left else "error"
        what = f"{what}; {hours:.1f} h until there are new ones"
    remedy = None if severity == "ok" else _RESETS
    yield Finding(severity=severity, what=what, remedy=remedy, path="token")  # type: ignore[arg-type]
    if section.shards is not None and section.shards < shards:
        yield Finding(
            severity="warning",
            what=f"Discord recommends {shards} shards and {section.shards} are configured",
            remedy="leave shards out: the gateway then takes what Discord recommends",
            path="shards",
        )
    elif shards > 1:
        yield Finding(severity="ok", what=f"Discord recommends {shards} shards", path="shards")
