"""The control API's Telegram part: act as the people and as the server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.sandbox.telegram_limits import Flood

if TYPE_CHECKING:
    from gateway.sandbox.telegram import TelegramSandbox


class TelegramControl:
    """Routes under `/_control/telegram`."""

    def __init__(self, world: TelegramSandbox) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        root = "/_control/telegram/{token}"
        return [
            web.post(f"{root}/messages", self._say),
            web.get(f"{root}/sent", self._sent),
            web.post(f"{root}/revoke", self._revoke),
            web.post(f"{root}/block", self._block),
            web.post(f"{root}/migrate", self._migrate),
            web.post(f"{root}/business", self._business),
            web.post(f"{root}/limits", self._limits),
        ]

    async def _say(self, request: web.Request) -> web.Response:
        bot = self._world.bot(request.match_info["token"])
        try:
            body, now = await request.json(), time.time()
            number = bot.hear(body)
        except (TypeError, ValueError, AttributeError) as error:
            return web.json_response({"error": f"not a message: {error}"}, status=422)
        self._world.webhooks.wake(bot)
        return web.json_response({"id": number, "at": now})

    async def _sent(self, request: web.Request) -> web.Response:
        return web.json_response({"items": self._world.sent(request.match_info["token"])})

    async def _revoke(self, request: web.Request) -> web.Response:
        self._world.revoke(request.match_info["token"])
        return web.json_response({})

    async def _block(self, request: web.Request) -> web.Response:
        self._world.block(request.match_info["token"], int((await request.json())["chat"]))
        return web.json_response({})

    async def _migrate(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._world.migrate(request.match_info["token"], int(body["old"]), int(body["new"]))
        self._world.webhooks.wake(self._world.bot(request.match_info["token"]))
        return web.json_response({})

    async def _business(self, request: web.Request) -> web.Response:
        """Somebody connects the bot to their account: `{id, user, enabled?, can_reply?}`."""
        bot, body = self._world.bot(request.match_info["token"]), await request.json()
        bot.connect(
            str(body["id"]), int(body["user"]), body.get("enabled", True), body.get("can_reply", True)
        )
        self._world.webhooks.wake(bot)
        return web.json_response({})

    async def _limits(self, request: web.Request) -> web.Response:
        """The server becomes as strict as the real one: `{flood?, strict_polls?}`."""
        bot, body = self._world.bot(request.match_info["token"]), await request.json()
        bot.flood = Flood() if body.get("flood") else None
        bot.strict_polls = bool(body.get("strict_polls"))
        return web.json_response({})
