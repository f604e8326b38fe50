"""Answers to interactions, by their token: the first word within three seconds, the answer within fifteen minutes.

These requests carry no bot token and count against no limit of the bot, and nothing recognises a follow-up that is sent
twice. The library would repeat one after a bad gateway, so they are made here: each once, with what came of it raised
in the library's own errors. A token stands in the address, so the address is never logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import discord
import msgspec

from adapters.discord.gate import Gate
from gateway.messages import Address, Facts, Part

CALLBACK_TIMEOUT = 5.0
ANSWER_TIMEOUT = 20.0
_SAY, _DEFER, _CHOICES = 4, 5, 8
_SILENT = 1 << 2
"""No previews of links."""
_EPHEMERAL = 1 << 6
"""Only who asked can see it."""


class Responses:
    """One bot's. Raises discord.HTTPException, aiohttp.ClientError or TimeoutError."""

    def __init__(
        self, session: Callable[[], aiohttp.ClientSession], api: str, agent: str, gate: Gate
    ) -> None:
        self._session, self._api, self._agent, self._gate = session, api, agent, gate

    async def defer(self, interaction: Facts, *, private: bool) -> None:
        """Show that an answer is coming; whether others see it is settled here."""
        flags = _EPHEMERAL if private else 0
        await self._call_back(interaction, {"type": _DEFER, "data": {"flags": flags}})

    async def say(self, interaction: Facts, text: str) -> None:
        """Answer at once, to nobody but who asked."""
        data = {"content": text, "flags": _EPHEMERAL, "allowed_mentions": {"parse": []}}
        await self._call_back(interaction, {"type": _SAY, "data": data})

    async def no_choices(self, interaction: Facts) -> None:
        await self._call_back(interaction, {"type": _CHOICES, "data": {"choices": []}})

    async def edit(self, address: Address, part: Part) -> str:
        """Put the part in the place of the deferral, or of what stood there before. Returns the message's id."""
        return await self._answer("PATCH", address, "/messages/@original", part)

    async def replace(self, address: Address, text: str) -> None:
        """Put a fixed text in the place of the deferral."""
        await self.edit(address, Part(text=text))

    async def follow_up(self, address: Address, part: Part) -> str:
        """Say more. Not idempotent."""
        return await self._answer("POST", address, "", part)

    async def _call_back(self, interaction: Facts, body: Facts) -> None:
        url = f"{self._api}/interactions/{interaction['id']}/{interaction['token']}/callback"
        async with asyncio.timeout(CALLBACK_TIMEOUT):
            await self._request("POST", url, body)

    async def _answer(self, method: str, address: Address, path: str, part: Part) -> str:
        url = f"{self._api}/webhooks/{address.data['application_id']}/{address.secret['token']}{path}"
        body: Facts = {"allowed_mentions": {"parse": []}, "flags": _SILENT}
        document = part.payload.get("document")
        async with asyncio.timeout(ANSWER_TIMEOUT):
            if document is None:
                message = await self._request(method, url, {**body, "content": part.text})
            else:
                message = await self._request(method, url, body, document)
        return str(message["id"])

    async def _request(self, method: str, url: str, body: Facts, document: Facts | None = None) -> Any:
        headers = {"User-Agent": self._agent}
        if document is None:
            sent: dict[str, Any] = {"json": body}
        else:
            form = aiohttp.FormData()
            form.add_field(
                "payload_json", msgspec.json.encode(body).decode(), content_type="application/json"
            )
            form.add_field(
                "files[0]",
                document["content"].encode(),
                filename=document["filename"],
                content_type="text/markdown",
            )
            sent = {"data": form}
        async with self._session().request(method, url, headers=headers, **sent) as response:
            self._gate.answered(response)
            answer = _read(await response.text())
            if response.status < 300:
                return answer
            raise discord.HTTPException(response, answer)


def _read(text: str) -> Any:
    try:
        return msgspec.json.decode(text) if text else {}
    except msgspec.MsgspecError:
        return text[:200]
