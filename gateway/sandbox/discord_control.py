"""What the world does to bots on the pretended Discord, over HTTP: for whoever tries a running gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from gateway.sandbox.discord import DiscordSandbox

AT = "/_control/discord/{token}"
Act = Callable[[web.Request], Awaitable[web.Response]]
T = TypeVar("T", bound="_Wish")


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a control request."""


class AccountWish(_Wish):
    """What the developer portal says of a bot."""

    privileged: bool | None = None
    """Whether it may have the message content intent."""
    shards: Annotated[int, msgspec.Meta(ge=1)] | None = None


class ChannelWish(_Wish):
    """`refuse` is the error code of everything that is sent there, 0 for none (50013, 50001, 10004)."""

    refuse: Annotated[int, msgspec.Meta(ge=0)] | None = None
    archived: bool | None = None
    locked: bool | None = None


class EditWish(_Wish):
    text: str


class GatewayWish(_Wish):
    """What happens to all connections. `close` takes a code; `forget` is a long outage's end: no session is left."""

    do: Literal["drop", "close", "reconnect", "invalidate", "forget"]
    code: int = 4000


class RestWish(_Wish):
    """Statuses that answer the next created messages in place of 200: stored, but nobody is told."""

    lose_answers: list[Annotated[int, msgspec.Meta(ge=500, le=599)]] = []
    starts_left: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """New sessions that each bot has left for the day."""


class DiscordControl:
    def __init__(self, discord: DiscordSandbox) -> None:
        self._discord = discord

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(f"{AT}/account", _told(self._account)),
            web.post(f"{AT}/channels/{{channel}}", _told(self._channel)),
            web.patch(f"{AT}/messages/{{message}}", _told(self._edit)),
            web.delete(f"{AT}/messages/{{message}}", _told(self._delete)),
            web.delete(f"{AT}/interactions/{{interaction}}", _told(self._expire)),
            web.post("/_control/discord-gateway", _told(self._gateway)),
            web.post("/_control/discord-rest", _told(self._rest)),
        ]

    async def _account(self, request: web.Request) -> web.Response:
        wish = await _read(request, AccountWish)
        bot = self._discord.world.bot(request.match_info["token"])
        bot.privileged = bot.privileged if wish.privileged is None else wish.privileged
        bot.shards = wish.shards or bot.shards
        return web.json_response({"privileged": bot.privileged, "shards": bot.shards})

    async def _channel(self, request: web.Request) -> web.Response:
        wish = await _read(request, ChannelWish)
        channel = self._discord.world.channels[request.match_info["channel"]]
        channel.archived = channel.archived if wish.archived is None else wish.archived
        channel.locked = channel.locked if wish.locked is None else wish.locked
        refused = self._discord.rest.refused
        if wish.refuse:
            refused[channel.id] = wish.refuse
        elif wish.refuse == 0:
            refused.pop(channel.id, None)
        state = {"archived": channel.archived, "locked": channel.locked, "refuse": refused.get(channel.id, 0)}
        return web.json_response(state)

    async def _edit(self, request: web.Request) -> web.Response:
        wish = await _read(request, EditWish)
        await self._discord.edit(self._message(request), wish.text)
        return web.json_response({})

    async def _delete(self, request: web.Request) -> web.Response:
        await self._discord.delete(self._message(request))
        return web.json_response({})

    async def _expire(self, request: web.Request) -> web.Response:
        """By the interaction's id: its fifteen minutes are over."""
        del self._discord.rest.interactions[f"interaction-{request.match_info['interaction']}"]
        return web.json_response({})

    async def _gateway(self, request: web.Request) -> web.Response:
        wish, gateway = await _read(request, GatewayWish), self._discord.gateway
        match wish.do:
            case "drop":
                gateway.drop()
            case "close":
                await gateway.close(wish.code)
            case "reconnect":
                await gateway.reconnect()
            case "invalidate":
                await gateway.invalidate()
            case "forget":
                gateway.forget_sessions()
                gateway.drop()
        return web.json_response({})

    async def _rest(self, request: web.Request) -> web.Response:
        wish, rest = await _read(request, RestWish), self._discord.rest
        rest.lost_answers += wish.lose_answers
        rest.starts_left = rest.starts_left if wish.starts_left is None else wish.starts_left
        return web.json_response({"lose_answers": rest.lost_answers, "starts_left": rest.starts_left})

    def _message(self, request: web.Request) -> dict[str, object]:
        channels = self._discord.world.channels.values()
        known = {id_: message for channel in channels for id_, message in channel.messages.items()}
        return known[request.match_info["message"]]


async def _read(request: web.Request, kind: type[T]) -> T:
    return msgspec.json.decode(await request.read() or b"{}", type=kind)


def _told(act: Act) -> Act:
    """Say what a request has wrong."""

    async def handler(request: web.Request) -> web.Response:
        try:
            return await act(request)
        except msgspec.MsgspecError as error:
            return web.json_response({"error": str(error)}, status=422)
        except KeyError:
            return web.json_response(
                {"error": "there is no such channel, message or interaction"}, status=404
            )

    return handler
