"""The bot's commands, and telling Discord of them: one call for all, and only when they have changed.

They are global, so that they work in direct messages and where a person has brought the bot along. Discord counts 200
new commands a day; writing what is there already is free, and a refusal is no reason not to serve.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import discord
import msgspec
import structlog

from adapters.discord.gate import Gate
from gateway.errors import GatewayError
from gateway.ports import Host

_log = structlog.get_logger()

ASK, HELP, PRIVACY, ASK_ABOUT = "ask", "help", "privacy", "Ask"
PAUSE, RESUME, FOR = "pause", "resume", "for"
QUESTION = "question"
_FOR_MODERATORS = {"contexts": [0, 1], "default_member_permissions": str(1 << 13)}
"""Shown to who may manage messages, which a server may change; the bot obeys its own admins only."""
_EVERYWHERE = {"integration_types": [0, 1], "contexts": [0, 1, 2]}
_SLASH, _ON_MESSAGE, _TEXT = 1, 3, 3
_KEY = "commands"
TIMEOUT, TRY_AGAIN = 600.0, 3600.0

COMMANDS: tuple[dict[str, Any], ...] = (
    {
        "name": ASK,
        "type": _SLASH,
        "description": "Ask a question",
        "options": [
            {
                "name": QUESTION,
                "type": _TEXT,
                "description": "What would you like to know?",
                "required": True,
                "max_length": 4000,
            }
        ],
        **_EVERYWHERE,
    },
    {"name": HELP, "type": _SLASH, "description": "What I can do", **_EVERYWHERE},
    {"name": PRIVACY, "type": _SLASH, "description": "What happens to your messages", **_EVERYWHERE},
    {
        "name": PAUSE,
        "type": _SLASH,
        "description": "Let a person take over here",
        "options": [
            {
                "name": FOR,
                "type": _TEXT,
                "description": "How long at most, as in 30m or 2h",
                "required": False,
                "max_length": 10,
            }
        ],
        **_FOR_MODERATORS,
    },
    {"name": RESUME, "type": _SLASH, "description": "Have the bot answer again", **_FOR_MODERATORS},
    {"name": ASK_ABOUT, "type": _ON_MESSAGE, **_EVERYWHERE},
)


def fingerprint(application: int, commands: tuple[dict[str, Any], ...]) -> bytes:
    """The same for the same commands of the same application."""
    encoded = msgspec.json.encode((application, commands), order="deterministic")
    return hashlib.sha256(encoded).hexdigest().encode()


async def register(client: discord.Client, host: Host, gate: Gate, *, wanted: bool) -> None:
    """Have Discord know them, or no longer know them once they were ours. Returns when it does; never raises."""
    assert client.application_id is not None
    commands = COMMANDS if wanted else ()
    mark = fingerprint(client.application_id, commands)
    while True:
        try:
            known = await host.recall(_KEY)
            if known == mark or (known is None and not wanted):
                return
            await gate.enter("other")
            async with asyncio.timeout(TIMEOUT):
                await client.http.bulk_upsert_global_commands(client.application_id, [*commands])
            await host.remember(_KEY, mark)
        except (discord.DiscordException, GatewayError, OSError) as error:
            code = getattr(error, "code", None)
            _log.warning(
                "commands.refused", bot=host.bot, platform="discord", error=type(error).__name__, code=code
            )
            await host.clock.sleep(TRY_AGAIN)
        else:
            _log.info("commands.registered", bot=host.bot, platform="discord", count=len(commands))
            return
