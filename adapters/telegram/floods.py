"""Flood waits that outlive the process: asking too early makes Telegram's wait longer.

The part that was refused waits in the journal. This is for the rest of its chat: other topics, later messages.
"""

from __future__ import annotations

import json

from adapters.telegram.limits import Pacer
from gateway.ports import Host

LONG = 30.0
"""Shorter waits are not worth remembering."""
_KEY = "floods"


async def remember(pacer: Pacer, host: Host) -> None:
    """Write down which chats are to be left alone. Raises Transient."""
    elapsed, now = host.clock.monotonic(), host.clock.now()
    waits = {str(chat): now + until - elapsed for chat, until in pacer.pauses(elapsed).items()}
    ttl = max([until - now for until in waits.values()], default=0.0)
    await host.remember(_KEY, json.dumps(waits).encode() if waits else None, ttl=ttl or None)


async def recall(pacer: Pacer, host: Host) -> None:
    """Leave those chats alone that an earlier process was told to."""
    elapsed, now = host.clock.monotonic(), host.clock.now()
    try:
        waits = {
            int(chat): float(until) for chat, until in json.loads(await host.recall(_KEY) or b"{}").items()
        }
    except (ValueError, TypeError, AttributeError):
        return
    for chat, until in waits.items():
        if until > now:
            pacer.pause(chat, elapsed + until - now)
