"""A Discord that the real library cannot tell from the real one: REST, gateway, and people who write."""

from __future__ import annotations

import mimetypes
import time
from typing import Any

from aiohttp import web

from gateway.sandbox.discord_control import DiscordControl
from gateway.sandbox.discord_gateway import GatewaySandbox
from gateway.sandbox.discord_rest import RestSandbox
from gateway.sandbox.discord_world import Bot, Channel, Json, World, snowflake
from gateway.sandbox.faults import Faults
from gateway.sandbox.telegram_files import PICTURE


class DiscordSandbox:
    """REST under `/api/v10`, a websocket under `/gateway`, control under `/_control/discord/{bot_token}`.

    Any token that is not empty is a bot. `gateway` and `rest` carry counters and switches for tests.
    """

    def __init__(self) -> None:
        self.gateway_url = ""
        self.world = World()
        self.gateway = GatewaySandbox(self.world, lambda: self.gateway_url)
        self.rest = RestSandbox(self.world, self.gateway)
        self._faults = self.gateway.faults
        self._files: dict[str, bytes] = {}

    @property
    def faults(self) -> Faults:
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = self.gateway.faults = self.rest.faults = faults

    def routes(self) -> list[web.RouteDef]:
        # the library adds a slash behind a bare host, an operator may add one behind the path
        return [
            *self.rest.routes(),
            *(web.get(path, self.gateway.serve) for path in ("/gateway", "/gateway/")),
            web.get("/attachments/{channel}/{id}/{name}", self._attached),
        ]

    def control_routes(self) -> list[web.RouteDef]:
        at = "/_control/discord/{token}"
        return [
            web.post(f"{at}/messages", self._say),
            web.get(f"{at}/sent", self._sent),
            web.post(f"{at}/revoke", self._revoke),
            web.get("/_control/discord-gateway", self._counters),
            web.post("/_control/discord-gateway/drop", self._drop),
            *DiscordControl(self).routes(),
        ]

    def reset(self) -> None:
        """As new: nobody, nothing said; connected bots stay."""
        self._files.clear()
        self.world.clear()
        self.gateway.reset()
        self.rest.reset()

    # the world, from a test in the same process

    def bot(self, token: str) -> Bot:
        return self.world.bot(token)

    def sent(self, token: str, kind: str = "message") -> list[Json]:
        """What the bot did so far, oldest first."""
        return [item for item in self.world.bot(token).sent if item["kind"] == kind]

    async def revoke(self, token: str) -> None:
        """The operator resets the token: 401, and 4004 on the gateway."""
        self.world.bot(token).revoked = True

    async def say(self, token: str, said: Json) -> Json:
        """A person says something; returns the message as the bot is shown it. A reply pings unless `ping` is false.

        `attachments` are names of files, as in `["cat.png"]`, or `{name, text}`; `extra` is put into the message
        as it is.
        """
        bot = self.world.bot(token)
        person = self.world.person(said.get("user") or {"id": 1, "name": "somebody"})
        channel = await self._enter(bot, person, said)
        text = str(said.get("text", ""))
        if said.get("mention"):
            text = f"<@{bot.id}> {text}"
        answers = channel.messages.get(str(said.get("reply_to"))) if said.get("reply_to") else None
        attached = [self._attachment(channel, given) for given in said.get("attachments") or ()]
        extra = {"attachments": attached, **(said.get("extra") or {})}
        message = self.world.write(
            channel, person, text, answers=answers, ping=bool(said.get("ping", True)), extra=extra
        )
        await self.gateway.publish(channel, "MESSAGE_CREATE", self._event(channel, person, message))
        return message

    def _attachment(self, channel: Channel, given: Any) -> Json:
        """A file that somebody sent, with an address as Discord signs it."""
        name = str(given["name"] if isinstance(given, dict) else given)
        kind = mimetypes.guess_type(name)[0]
        data = PICTURE if str(kind).startswith("image/") else b""
        if isinstance(given, dict):
            data = str(given.get("text", "")).encode()
        identity = self.world.new_id()
        self._files[identity] = data
        base = self.gateway_url.replace("ws", "http", 1).removesuffix("/gateway")
        address = f"{base}/attachments/{channel.id}/{identity}/{name}?ex=1&is=1&hm=1"
        facts = {"id": identity, "filename": name, "size": len(data), "url": address, "proxy_url": address}
        return {**facts, **({"content_type": kind} if kind else {})}

    async def interact(self, token: str, said: Json) -> Json:
        """A person uses a command; returns `{id, token}`.

        `interaction` is `{command, options: {name: text}}`, or `{command, target: message id}` for one in the menu of
        a message; `user_installed`: the person brought the bot along, it is no member there.
        """
        bot = self.world.bot(token)
        person = self.world.person(said.get("user") or {"id": 1, "name": "somebody"})
        channel = await self._enter(bot, person, said)
        used = said["interaction"]
        event = self._interaction(bot, channel, person, used)
        known = {"bot": token, "channel": channel.id, "user_installed": bool(used.get("user_installed"))}
        self.rest.interactions[event["token"]] = known
        await self.gateway.interacted(token, channel, event)
        return {"id": event["id"], "token": event["token"]}

    def _interaction(self, bot: Bot, channel: Channel, person: Json, used: Json) -> Json:
        identity = self.world.new_id()
        foreign = bool(used.get("user_installed"))
        event: Json = {
            "id": identity,
            "application_id": bot.id,
            "type": int(used.get("type", 2)),
            "token": f"interaction-{identity}",
            "version": 1,
            "channel": {"position": 0, **channel.json()},
            "channel_id": channel.id,
            "data": self._used(bot, channel, used),
            "locale": str(used.get("locale", "en-US")),
            "entitlements": [],
            "app_permissions": "0",
            "authorizing_integration_owners": {"1": person["id"]} if foreign else {"0": channel.guild or "0"},
            "context": (2 if foreign else 1) if channel.kind == "dm" else 0,
            "attachment_size_limit": 10 * 2**20,
        }
        if channel.guild is None:
            return {**event, "user": person}
        member = self._event(channel, person, {})["member"]
        guild = {"id": channel.guild, "locale": "en-US", "features": []}
        return {
            **event,
            "guild_id": channel.guild,
            "guild": guild,
            "member": {**member, "user": person, "permissions": "0"},
        }

    def _used(self, bot: Bot, channel: Channel, used: Json) -> Json:
        known = {command["name"]: command["id"] for command in bot.commands}
        command = {"id": known.get(used["command"], self.world.new_id()), "name": used["command"]}
        if used.get("target"):
            target = channel.messages[str(used["target"])]
            resolved = {"messages": {target["id"]: target}}
            return {**command, "type": 3, "target_id": target["id"], "resolved": resolved}
        options = [
            {"name": name, "type": 3, "value": value} for name, value in used.get("options", {}).items()
        ]
        return {**command, "type": 1, "options": options}

    def expire(self, interaction: Json) -> None:
        """Fifteen minutes have gone by: the token is good for nothing."""
        self.rest.interactions.pop(interaction["token"], None)

    async def edit(self, message: Json, text: str) -> None:
        """The person changes their message."""
        channel = self.world.channels[message["channel_id"]]
        message |= {"content": text, "edited_timestamp": "2026-01-01T00:00:01+00:00"}
        event = self._event(channel, message["author"], message)
        await self.gateway.publish(channel, "MESSAGE_UPDATE", event)

    async def delete(self, message: Json) -> None:
        """The person takes their message back."""
        channel = self.world.channels[message["channel_id"]]
        channel.messages.pop(message["id"], None)
        gone = {"id": message["id"], "channel_id": channel.id}
        gone |= {"guild_id": channel.guild} if channel.guild else {}
        await self.gateway.publish(channel, "MESSAGE_DELETE", gone)

    async def _enter(self, bot: Bot, person: Json, said: Json) -> Channel:
        """The channel that is meant; the bot is told of what did not exist before."""
        guilds, channels = self.world.guilds_of(bot), set(self.world.channels)
        channel = self._where(bot, person, said)
        if channel.guild is not None and channel.guild not in guilds:
            await self.gateway.joined(bot, channel.guild)
        elif channel.guild is not None and channel.id not in channels:
            await self.gateway.opened(bot, channel)
        return channel

    def _where(self, bot: Bot, person: Json, said: Json) -> Channel:
        given: Any = said.get("channel", said.get("chat"))
        wanted = given if isinstance(given, dict) else {"id": given}
        if wanted.get("id") is None or wanted.get("type") == "dm":
            return self.world.direct(bot, person)
        known = self.world.channels.get(snowflake(wanted["id"]))
        if known is None and wanted.get("type") == "thread":
            parent = self.world.text_channel(bot, wanted.get("parent", f"parent of {wanted['id']}"))
            parent.kind = "forum" if wanted.get("forum") else parent.kind
            known = self.world.thread(parent, wanted["id"])
        channel = known or self.world.text_channel(bot, wanted["id"], wanted.get("guild"))
        if channel.guild is not None:
            self.world.guild(bot, channel.guild)
        return self.world.thread(channel, said["thread"]) if said.get("thread") else channel

    def _event(self, channel: Channel, author: Json, message: Json) -> Json:
        if channel.guild is None:
            return message
        roles = self.world.roles.get(author["id"], [])
        member = {"roles": roles, "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False}
        return {**message, "guild_id": channel.guild, "member": {**member, "flags": 0, "nick": None}}

    # the control API

    async def _say(self, request: web.Request) -> web.Response:
        try:
            said, now = await request.json(), time.time()
            if "interaction" in said:
                return web.json_response(await self.interact(request.match_info["token"], said))
            message = await self.say(request.match_info["token"], said)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            return web.json_response({"error": f"not a message: {error}"}, status=422)
        return web.json_response({"id": message["id"], "channel": message["channel_id"], "at": now})

    async def _sent(self, request: web.Request) -> web.Response:
        return web.json_response({"items": self.world.bot(request.match_info["token"]).sent})

    async def _revoke(self, request: web.Request) -> web.Response:
        token = request.match_info["token"]
        await self.revoke(token)
        await self.gateway.expel(self.world.bot(token))
        return web.json_response({})

    async def _attached(self, request: web.Request) -> web.StreamResponse:
        """What somebody sent; files have no bytes unless they were given a text, and every picture is the same."""
        kind = mimetypes.guess_type(request.match_info["name"])[0] or "application/octet-stream"

        async def send() -> web.StreamResponse:
            data = self._files.get(request.match_info["id"])
            return web.Response(status=404) if data is None else web.Response(body=data, content_type=kind)

        return await self.faults.around(request, "discord", "attachment", send, self.rest.error)

    async def _counters(self, _: web.Request) -> web.Response:
        gateway = self.gateway
        counted = {"identifies": gateway.identifies, "resumes": gateway.resumes, "connects": gateway.connects}
        return web.json_response({**counted, "connected": len(gateway.wires)})

    async def _drop(self, _: web.Request) -> web.Response:
        self.gateway.drop()
        return web.json_response({})
