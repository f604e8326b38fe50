"""The HTTP side: a signed question, and a look at its answer.

Whatever is wrong with a signature, the bot's name included, has one answer. Nothing is parsed before it is
verified.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web
from msgspec import structs

from adapters.http import Problem, answer, answering, read_body
from adapters.webhook import render, signing
from adapters.webhook.convert import said, wait_preferred
from adapters.webhook.waiting import wait_ended
from gateway.messages import Life
from gateway.ports import Fleet, Host

_NOBODYS_KEYS = (bytes(32),)
"""Stand in for an unknown bot's, so that its refusal costs the same work."""


class Hooks:
    """The routes of all bots. `stopping` lets waiting callers go."""

    def __init__(self, fleet: Fleet, base_url: str, stopping: asyncio.Event) -> None:
        self._fleet, self._base_url, self._stopping = fleet, base_url, stopping

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(render.PATH, answering(self.ask)),
            web.get(render.PATH + "/{id}", answering(self.look), allow_head=False),
        ]

    async def ask(self, request: web.Request) -> web.Response:
        """Journal the question and answer 202, or hold the request as long as the caller prefers.

        A repeated `webhook-id` is told at once how the first one stands, and while it is open in the same bytes.
        """
        host, body = await self._verified(request)
        now = host.clock.now()
        question = said(host.bot, request.headers[signing.ID], body, now)
        (accepted,) = await host.accept(question)
        if accepted.outcome == "mismatch":
            raise Problem(422, "This webhook-id came before with another body.")
        is_new = accepted.outcome == "accepted"
        wait = wait_preferred(request.headers.getall("Prefer", [])) if is_new else 0
        if wait:
            await wait_ended(host, accepted.id, wait, self._stopping)
        life = await host.message(accepted.id) or Life(
            id=accepted.id,
            organization="",
            key=question.key,
            status=render.status_after(accepted.outcome),
            accepted_at=now,
        )
        if render.is_open(life) or (is_new and not wait):
            life = structs.replace(life, status="queued")  # the same 202 whenever it comes again
        return self._answer(host, life, {"Preference-Applied": f"wait={wait}"} if wait else None)

    async def look(self, request: web.Request) -> web.Response:
        """How a message stands, for those who may ask this bot."""
        host, _ = await self._verified(request)
        life = await host.message(request.match_info["id"])
        if life is None or (life.key.bot, life.key.platform) != (host.bot, "webhook"):
            raise Problem(404, "There is no such message.")
        return self._answer(host, life)

    async def _verified(self, request: web.Request) -> tuple[Host, bytes]:
        """Read the body and find who may have signed it. Raises Problem 401 or 413."""
        body = await read_body(request)
        channel = self._fleet.channel(request.match_info["bot"], "webhook")
        keys = channel[0].keys if channel else _NOBODYS_KEYS
        now = channel[1].clock.now() if channel else 0.0
        if not signing.verified(keys, request.headers, body, now) or channel is None:
            raise Problem(401, "There is no such webhook, or the request is not signed as it must be.")
        host = channel[1]
        host.beat()
        return host, body

    def _answer(self, host: Host, life: Life, headers: Mapping[str, str] | None = None) -> web.Response:
        url = render.status_url(self._base_url, host.bot, life.id)
        body = render.answer(life, url, host.text)
        return answer(body, 202 if render.is_open(life) else 200, headers=headers)
