"""The pretended Discord's REST API, under `/api/v10`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, web

from gateway.sandbox.discord_gateway import GatewaySandbox
from gateway.sandbox.discord_world import Bot, Channel, Guild, Json, World
from gateway.sandbox.faults import Faults

API = "/api/v10"
CONTENT_LIMIT = 2000
MESSAGES = {
    0: "401: Unauthorized",
    10003: "Unknown Channel",
    10004: "Unknown Guild",
    10008: "Unknown Message",
    10015: "Unknown Webhook",
    10062: "Unknown interaction",
    50001: "Missing Access",
    50006: "Cannot send an empty message",
    50007: "Cannot send messages to this user",
    50027: "Invalid Webhook Token",
    50013: "Missing Permissions",
    50035: "Invalid Form Body",
    160002: "Cannot reply without permission to read message history",
    160005: "This thread is locked",
    30034: "Max number of daily application command creates has been reached (200)",
    40060: "Interaction has already been acknowledged.",
    40094: "Maximum number of follow-up messages has been reached",
    160004: "A thread has already been created for this message",
}
STATUSES = {0: 401, 10003: 404, 10004: 404, 10008: 404, 10015: 404, 10062: 404}
STATUSES |= {50027: 401, 50278: 403, 160005: 403}
STATUSES |= {20016: 429, 20028: 429, 200000: 400, 40005: 413}
STATUSES |= {50001: 403, 50007: 403, 50013: 403}
CODES = {401: 0, 403: 50013, 404: 10003}

Answer = Callable[[web.Request, Bot], Awaitable[web.Response]]


@dataclass
class Refusal(Exception):
    """Discord's own error, by its code."""

    code: int
    field: str | None = None
    reason: str = ""


class RestSandbox:
    """Routes and their handlers. `refuse` and the switches are for tests; `reset` sets them back."""

    def __init__(self, world: World, gateway: GatewaySandbox) -> None:
        self.world = world
        self.gateway = gateway
        self.faults = Faults()
        self.reset()

    def reset(self) -> None:
        self.refused: dict[str, int] = {}
        """Error codes by channel id: nothing can be sent there."""
        self.lost_answers: list[int] = []
        """Statuses that answer the next created messages in place of 200: stored, but nobody is told."""
        self.limited = "bucket"
        """What a 429 looks like: `bucket`, `global` or `cloudflare`."""
        self.starts_left = 1000
        self.concurrency = 1
        self.unthreaded: int | None = None
        """The error code that answers whoever opens a thread."""
        self.commands_refused: int | None = None
        self.interactions: dict[str, Json] = {}
        self.calls: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        table: list[tuple[str, str, str, Answer]] = [
            ("GET", "/users/@me", "get_me", self._me),
            ("GET", "/oauth2/applications/@me", "get_application", self._application),
            ("GET", "/applications/@me", "get_application", self._application),
            ("GET", "/gateway/bot", "gateway_bot", self._gateway_bot),
            ("GET", "/applications/{application}/commands", "commands", self._commands),
            ("PUT", "/applications/{application}/commands", "commands", self._put_commands),
            ("POST", "/users/@me/channels", "create_dm", self._create_dm),
            ("GET", "/users/@me/guilds", "list_guilds", self._guilds),
            ("GET", "/guilds/{guild}", "get_guild", self._guild),
            ("GET", "/guilds/{guild}/channels", "list_channels", self._guild_channels),
            ("GET", "/guilds/{guild}/threads/active", "list_threads", self._guild_threads),
            ("GET", "/guilds/{guild}/members/{user}", "get_member", self._member),
            ("GET", "/channels/{channel}", "get_channel", self._channel),
            ("GET", "/channels/{channel}/messages", "list_messages", self._messages),
            ("GET", "/channels/{channel}/messages/{message}", "get_message", self._message),
            ("POST", "/channels/{channel}/messages", "create_message", self._create_message),
            ("PATCH", "/channels/{channel}/messages/{message}", "edit_message", self._edit_message),
            ("POST", "/channels/{channel}/typing", "typing", self._typing),
            ("POST", "/channels/{channel}/messages/{message}/threads", "create_thread", self._create_thread),
        ]
        tokenless: list[tuple[str, str, str, Answer]] = [
            ("POST", "/interactions/{interaction}/{token}/callback", "interaction_callback", self._callback),
            ("POST", "/webhooks/{application}/{token}", "followup", self._followup),
            ("PATCH", "/webhooks/{application}/{token}/messages/@original", "edit_original", self._original),
        ]
        routes = [web.route(m, API + path, self._door(name, handler)) for m, path, name, handler in table]
        routes += [
            web.route(m, API + path, self._door(name, handler, by_token=True))
            for m, path, name, handler in tokenless
        ]
        return [*routes, web.get(API + "/gateway", self._gateway)]

    def _door(self, operation: str, handler: Answer, *, by_token: bool = False) -> Any:
        """Faults first, then who asks, then the handler; every refusal in Discord's own words."""

        async def answer(request: web.Request) -> web.StreamResponse:
            self.calls[operation] += 1

            async def inner() -> web.StreamResponse:
                try:
                    bot = self._by_interaction(request) if by_token else self._by_header(request)
                    return await handler(request, bot)
                except Refusal as refusal:
                    return _refused(refusal)

            return await self.faults.around(request, "discord", operation, inner, self.error)

        return answer

    def error(self, status: int, retry_after: float | None) -> web.Response:
        if status != 429:
            code = CODES.get(status, 0)
            return _json({"message": MESSAGES.get(code, "Error"), "code": code}, status)
        seconds = 1.0 if retry_after is None else retry_after
        if self.limited == "cloudflare":
            headers = {"Retry-After": str(int(seconds))}
            return web.Response(status=429, text="error code: 1015", headers=headers)
        everywhere = self.limited == "global"
        body = {"message": "You are being rate limited.", "retry_after": seconds, "global": everywhere}
        scope = "global" if everywhere else "user"
        headers = {"Via": "1.1 sandbox", "Retry-After": str(seconds), "X-RateLimit-Scope": scope}
        return _json(body, 429, headers)

    def _by_header(self, request: web.Request) -> Bot:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bot" or not token.strip() or self.world.bot(token).revoked:
            raise Refusal(0)
        return self.world.bot(token)

    def _by_interaction(self, request: web.Request) -> Bot:
        known = self.interactions.get(request.match_info["token"])
        if known is None:
            raise Refusal(10062 if "interaction" in request.match_info else 50027)
        return self.world.bot(known["bot"])

    def _found(self, request: web.Request) -> Channel:
        channel = self.world.channels.get(request.match_info["channel"])
        if channel is None:
            raise Refusal(10003)
        return channel

    def _found_message(self, request: web.Request) -> Json:
        message = self._found(request).messages.get(request.match_info["message"])
        if message is None:
            raise Refusal(10008)
        return message

    # who and where

    async def _me(self, _: web.Request, bot: Bot) -> web.Response:
        return _json(bot.user)

    async def _application(self, _: web.Request, bot: Bot) -> web.Response:
        return _json(
            {
                "id": bot.id,
                "name": bot.name,
                "icon": None,
                "description": "",
                "bot_public": True,
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "flags": 1 << 18 if bot.privileged else 0,
                "owner": bot.user,
                "team": None,
                "interactions_endpoint_url": None,
            }
        )

    async def _gateway(self, _: web.Request) -> web.Response:
        return _json({"url": self.gateway.url()})

    async def _gateway_bot(self, _: web.Request, bot: Bot) -> web.Response:
        limit = {"total": 1000, "remaining": self.starts_left, "reset_after": 3_600_000}
        limit["max_concurrency"] = self.concurrency
        return _json({"url": self.gateway.url(), "shards": bot.shards, "session_start_limit": limit})

    async def _commands(self, _: web.Request, bot: Bot) -> web.Response:
        return _json(bot.commands)

    async def _put_commands(self, request: web.Request, bot: Bot) -> web.Response:
        if self.commands_refused is not None:
            raise Refusal(self.commands_refused)
        bot.registrations += 1
        bot.commands = [
            {"description": "", **given, "id": self.world.new_id(), "application_id": bot.id, "version": "1"}
            for given in await request.json()
        ]
        return _json(bot.commands)

    async def _create_dm(self, request: web.Request, bot: Bot) -> web.Response:
        recipient = str((await request.json())["recipient_id"])
        person = self.world.people.get(recipient) or self.world.person({"id": recipient})
        return _json(self.world.direct(bot, person).json())

    async def _guilds(self, _: web.Request, bot: Bot) -> web.Response:
        mine = (self.world.guilds[guild] for guild in self.world.guilds_of(bot))
        return _json([{"id": guild.id, "name": guild.name, "permissions": "0"} for guild in mine])

    def _own_guild(self, request: web.Request, bot: Bot) -> Guild:
        guild = self.world.guilds.get(request.match_info["guild"])
        if guild is None or bot.token not in guild.bots:
            raise Refusal(10004)
        return guild

    async def _guild(self, request: web.Request, bot: Bot) -> web.Response:
        return _json(self._own_guild(request, bot).json())

    async def _guild_channels(self, request: web.Request, bot: Bot) -> web.Response:
        inside = self._inside(request, bot)
        return _json([channel.json() for channel in inside if channel.kind != "thread"])

    async def _guild_threads(self, request: web.Request, bot: Bot) -> web.Response:
        inside = self._inside(request, bot)
        threads = [channel.json() for channel in inside if channel.kind == "thread"]
        return _json({"threads": threads, "members": []})

    def _inside(self, request: web.Request, bot: Bot) -> list[Channel]:
        guild = self._own_guild(request, bot).id
        return [channel for channel in self.world.channels.values() if channel.guild == guild]

    async def _member(self, request: web.Request, bot: Bot) -> web.Response:
        self._own_guild(request, bot)
        user = self.world.people.get(request.match_info["user"])
        if user is None:
            raise Refusal(10004)
        return _json({"user": user, "roles": self.world.roles.get(user["id"], []), "nick": None})

    async def _channel(self, request: web.Request, _: Bot) -> web.Response:
        return _json(self._found(request).json())

    # messages

    async def _messages(self, request: web.Request, _: Bot) -> web.Response:
        found = list(self._found(request).messages.values())
        after, limit = int(request.query.get("after", 0)), int(request.query.get("limit", 50))
        if request.match_info["channel"] in self.refused:
            raise Refusal(self.refused[request.match_info["channel"]])
        newer = [message for message in found if int(message["id"]) > after]
        chosen = newer[:limit] if after else newer[-limit:]
        return _json(chosen[::-1])

    async def _message(self, request: web.Request, _: Bot) -> web.Response:
        return _json(self._found_message(request))

    async def _create_message(self, request: web.Request, bot: Bot) -> web.Response:
        channel = self._found(request)
        body, files = await _body(request)
        if channel.id in self.refused:
            raise Refusal(self.refused[channel.id])
        if channel.locked:
            raise Refusal(160005)
        channel.archived = False  # whoever writes into a thread opens it again
        nonce = str(body["nonce"]) if body.get("nonce") else None
        if nonce is not None and len(nonce) > 25:
            raise Refusal(50035, "nonce", "Must be 25 or fewer in length.")
        if nonce is not None and body.get("enforce_nonce") and nonce in bot.nonces:
            return _json(bot.nonces[nonce])
        _check_content(body, files)
        answers = self._answered(channel, body)
        extra: Json = {"attachments": [self._attachment(name, data) for name, data in files]}
        extra |= {"nonce": nonce} if nonce is not None else {}
        content = str(body.get("content") or "")
        message = self.world.write(channel, bot.user, content, answers=answers, extra=extra)
        if nonce is not None:
            bot.nonces[nonce] = message
        self._record(bot, "message", message, body, files)
        await self._show(channel, message)
        if self.lost_answers:
            return _json({"message": "Bad gateway", "code": 0}, self.lost_answers.pop(0))
        return _json(message)

    async def _edit_message(self, request: web.Request, bot: Bot) -> web.Response:
        message = self._found_message(request)
        body, files = await _body(request)
        if message["author"]["id"] != bot.id:
            raise Refusal(50013)
        if self.world.channels[message["channel_id"]].archived:
            raise Refusal(50083)
        _check_content(body, files)
        message["content"] = str(body.get("content") or "")
        self._record(bot, "edit", message, body, files)
        return _json(message)

    async def _typing(self, request: web.Request, bot: Bot) -> web.Response:
        channel = self._found(request)
        if channel.id in self.refused:
            raise Refusal(self.refused[channel.id])
        self._record(bot, "typing", {"id": None, "channel_id": channel.id}, {})
        return web.Response(status=204)

    async def _create_thread(self, request: web.Request, bot: Bot) -> web.Response:
        channel, message = self._found(request), self._found_message(request)
        if self.unthreaded is not None:
            raise Refusal(self.unthreaded)
        if message["id"] in self.world.channels:
            raise Refusal(160004)
        thread = self.world.thread(channel, message["id"])
        body = await request.json()
        thread.name, thread.creator = str(body["name"]), bot.id
        self._record(bot, "thread", {"id": thread.id, "channel_id": channel.id, "content": thread.name}, body)
        return _json(thread.json(), 201)

    # interactions

    async def _callback(self, request: web.Request, bot: Bot) -> web.Response:
        known = self.interactions[request.match_info["token"]]
        if known.get("answered"):
            raise Refusal(40060)
        known["answered"] = True
        body, _ = await _body(request)
        data = body.get("data") or {}
        if body["type"] == 8:
            self._record(bot, "choices", {"id": None, "channel_id": known["channel"]}, data)
            return _json({"interaction": {"id": request.match_info["interaction"], "type": 4}})
        channel = self.world.channels[known["channel"]]
        message = self.world.write(channel, bot.user, str(data.get("content") or ""))
        known["original"] = message["id"]
        self._record(bot, "deferred" if body["type"] == 5 else "interaction", message, data)
        interaction = {"id": request.match_info["interaction"], "type": 2}
        interaction |= {"response_message_id": message["id"], "response_message_loading": body["type"] == 5}
        return _json({"interaction": interaction, "resource": {"type": body["type"], "message": message}})

    async def _followup(self, request: web.Request, bot: Bot) -> web.Response:
        known = self.interactions[request.match_info["token"]]
        body, files = await _body(request)
        _check_content(body, files)
        known["followups"] = known.get("followups", 0) + 1
        if known.get("user_installed") and known["followups"] > 5:
            raise Refusal(40094)
        channel = self.world.channels[known["channel"]]
        message = self.world.write(channel, bot.user, str(body.get("content") or ""))
        self._record(bot, "followup", message, body, files)
        return _json(message)

    async def _original(self, request: web.Request, bot: Bot) -> web.Response:
        known = self.interactions[request.match_info["token"]]
        channel = self.world.channels[known["channel"]]
        if known.get("original") not in channel.messages:
            raise Refusal(10008)
        body, files = await _body(request)
        _check_content(body, files)
        message = channel.messages[known["original"]]
        message["content"] = str(body.get("content") or "")
        self._record(bot, "edit_original", message, body, files)
        return _json(message)

    # helpers

    def _record(
        self, bot: Bot, kind: str, message: Json, body: Json, files: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Note what the bot did, for `/sent`."""
        bot.sent.append(
            {
                "id": message["id"],
                "at": time.time(),
                "kind": kind,
                "chat": message["channel_id"],
                "text": message.get("content"),
                "reply_to": (message.get("message_reference") or {}).get("message_id"),
                "nonce": message.get("nonce"),
                "allowed_mentions": body.get("allowed_mentions"),
                "flags": body.get("flags", 0),
                "files": [{"name": name, "text": data.decode("utf-8", "replace")} for name, data in files],
            }
        )

    def _answered(self, channel: Channel, body: Json) -> Json | None:
        reference = body.get("message_reference")
        if not reference:
            return None
        target = channel.messages.get(str(reference.get("message_id")))
        if target is None and reference.get("fail_if_not_exists", True):
            raise Refusal(50035, "message_reference", "Unknown message")
        if target is not None and target["type"] not in (0, 19, 20, 23):
            raise Refusal(50035, "message_reference", "Cannot reply to a system message")
        return target

    def _attachment(self, name: str, data: bytes) -> Json:
        address = f"{self.gateway.url()}/attachments/{name}"
        return {"id": self.world.new_id(), "filename": name, "size": len(data)} | {
            "url": address,
            "proxy_url": address,
        }

    async def _show(self, channel: Channel, message: Json) -> None:
        event = {**message, **({"guild_id": channel.guild} if channel.guild else {})}
        await self.gateway.publish(channel, "MESSAGE_CREATE", event)


async def _body(request: web.Request) -> tuple[Json, list[tuple[str, bytes]]]:
    """JSON, or a form of `payload_json` and files."""
    if request.content_type != "multipart/form-data":
        return await request.json(), []
    body: Json = {}
    files: list[tuple[str, bytes]] = []
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        data = bytes(await part.read(decode=False))
        if part.name == "payload_json":
            body = json.loads(data)
        else:
            files.append((part.filename or "unnamed", data))
    return body, files


def _check_content(body: Json, files: list[tuple[str, bytes]]) -> None:
    content = str(body.get("content") or "")
    if len(content) > CONTENT_LIMIT:
        raise Refusal(50035, "content", f"Must be {CONTENT_LIMIT} or fewer in length.")
    if not content.strip() and not files and not body.get("embeds"):
        raise Refusal(50006)


def _refused(refusal: Refusal) -> web.Response:
    body: Json = {"message": MESSAGES.get(refusal.code, "Error"), "code": refusal.code}
    if refusal.field:
        errors = [{"code": "BASE_TYPE_BAD_LENGTH", "message": refusal.reason}]
        body["errors"] = {refusal.field: {"_errors": errors}}
    status = STATUSES.get(refusal.code, 400)
    return _json(body | ({"retry_after": 60.0} if status == 429 else {}), status, {"Via": "1.1 sandbox"})


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with exactly `application/json`: with a charset behind it the library takes the body for text."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    return web.Response(body=json.dumps(body).encode(), status=status, headers=sent)
