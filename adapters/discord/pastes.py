"""Long pastes: Discord's apps turn what is over their limit into a file, `message.txt`, and it is read like any text.

Only that file, only from where Discord keeps attachments, and only as much as anybody would paste.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import structlog
import yarl

from gateway.messages import Facts

_log = structlog.get_logger()

NAME = "message.txt"
LARGEST = 100_000
"""Bytes."""
TIMEOUT = 5.0
HOSTS = ("cdn.discordapp.com", "media.discordapp.net")


class Pastes:
    """One bot's. `api`: the REST API's address; a Discord of one's own keeps its attachments on the same server."""

    def __init__(self, session: Callable[[], aiohttp.ClientSession], api: str, bot: str) -> None:
        self._session, self._bot = session, bot
        self._own = yarl.URL(api).origin()

    async def into(self, message: Facts, timeout: float = TIMEOUT) -> Facts:
        """The message with what was pasted as its text; as it is where that cannot be had."""
        pasted = next(_pasted(message))
        try:
            text = await self._fetched(yarl.URL(str(pasted["url"])), timeout)
        except (aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            cause = str(error) if isinstance(error, ValueError) else type(error).__name__
            _log.warning("paste.unread", bot=self._bot, platform="discord", cause=cause[:200])
            return message
        others = [one for one in message["attachments"] if one is not pasted]
        whole = f"{message.get('content') or ''}\n\n{text}".strip()
        return {**message, "content": whole, "attachments": others}

    async def _fetched(self, address: yarl.URL, timeout: float) -> str:
        """Raises ValueError for what is not to be fetched, or is no text."""
        if address.origin() != self._own and (address.scheme != "https" or address.host not in HOSTS):
            raise ValueError("it is not where Discord keeps attachments")
        async with (
            asyncio.timeout(timeout),
            self._session().get(address, allow_redirects=False, raise_for_status=True) as response,
        ):
            if response.status != 200:
                raise ValueError(f"Discord answered {response.status}")
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > LARGEST:
                    raise ValueError("it is longer than Discord said")
        return _decoded(bytes(data))


def brings_paste(message: Any) -> bool:
    """Whether there is one. Never raises."""
    try:
        return next(_pasted(message), None) is not None
    except (AttributeError, TypeError):
        return False


def _pasted(message: Facts) -> Iterator[Facts]:
    for attached in message.get("attachments") or ():
        kind = str(attached.get("content_type") or "text/plain").partition(";")[0]
        fits = 0 < (attached.get("size") or 0) <= LARGEST
        if attached.get("filename") == NAME and kind == "text/plain" and fits:
            yield attached


def _decoded(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
    if "\0" in text:
        raise ValueError("it is not text")
    return text.strip()
