"""A pretended Telegram Bot API server: real client libraries poll it, send through it and get its refusals.

Any token `digits:text` is a bot until it is revoked. Flood control, the limit of new sessions and the server's delays
for impatient pollers are off until they are turned on (`limits`); faults make 429s, too.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.sandbox.faults import Faults
from gateway.sandbox.telegram_bot import BotAccount, Json
from gateway.sandbox.telegram_control import TelegramControl
from gateway.sandbox.telegram_files import PICTURE
from gateway.sandbox.telegram_limits import Sessions
from gateway.sandbox.telegram_text import Refused, checked_entities, checked_text
from gateway.sandbox.telegram_webhook import WebhookSender, checked_url

_TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]+")
_PHRASES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}

Method = Callable[[BotAccount, Json], Awaitable[Any]]


class TelegramSandbox:
    """The server's state and routes; in process, tests may also revoke, block and migrate."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.bots: dict[str, BotAccount] = {}
        self.webhooks = WebhookSender()
        self.sessions: Sessions | None = None
        self.monotonic: Callable[[], float] = time.monotonic
        # Clients remember ids, also over our restart and reset: begin where no earlier run can have been.
        self._ids = itertools.count(int(time.time() * 1000) % 2**31)
        methods: list[Method] = [
            self.getMe,
            self.getUpdates,
            self.sendMessage,
            self.sendDocument,
            self.sendMessageDraft,
            self.sendChatAction,
            self.editMessageText,
            self.deleteMessage,
            self.setMyCommands,
            self.getMyCommands,
            self.deleteMyCommands,
            self.setWebhook,
            self.deleteWebhook,
            self.getWebhookInfo,
            self.getChat,
            self.getFile,
            self.getBusinessConnection,
            self.logOut,
            self.close,
        ]
        self._methods = {method.__name__.lower(): method for method in methods}

    # --- the world's side ------------------------------------------------------------------------------------

    def bot(self, token: str) -> BotAccount:
        """The account of a token, made when first seen."""
        if token not in self.bots:
            self.bots[token] = BotAccount(token, self._ids)
        return self.bots[token]

    def revoke(self, token: str) -> None:
        """From now on 401, also for a poll that waits."""
        self.bot(token).revoked = True
        self.bot(token).interrupt()

    def block(self, token: str, chat: int) -> None:
        """The user blocks the bot: 403."""
        self.bot(token).blocked.add(chat)

    def migrate(self, token: str, old: int, new: int) -> None:
        """A group becomes a supergroup: its old id is refused with the new one, and both chats tell."""
        bot = self.bot(token)
        bot.migrated[old] = new
        base = {"from": {"id": 1, "is_bot": False, "first_name": "Admin"}, "date": int(time.time())}
        before = bot.chats.pop(old, {"id": old, "type": "group", "title": "Group"})
        bot.chats[new] = {**before, "id": new, "type": "supergroup"}
        for chat, fact in (
            (before, {"migrate_to_chat_id": new}),
            (bot.chats[new], {"migrate_from_chat_id": old}),
        ):
            bot.push({"message": {"message_id": next(self._ids), "chat": chat, **base, **fact}})

    def sent(self, token: str) -> list[Json]:
        """What the bot did, oldest first."""
        return self.bot(token).sent

    def reset(self) -> None:
        """Forget all bots; ids go on."""
        self.webhooks.cancel()
        for bot in self.bots.values():
            bot.forget()
        self.bots.clear()

    def control_routes(self) -> list[web.RouteDef]:
        return TelegramControl(self).routes()

    # --- the bots' side --------------------------------------------------------------------------------------

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/file/bot{token}/{path:.+}", self._file, allow_head=False),
            web.route("*", "/bot{token}/{method}", self._call),
        ]

    async def _file(self, request: web.Request) -> web.StreamResponse:
        async def send() -> web.StreamResponse:
            return web.Response(body=PICTURE, content_type="application/octet-stream")

        bot = self.bots.get(request.match_info["token"])
        if bot is None or request.match_info["path"] not in bot.files:
            return _failed(404)
        return await self.faults.around(request, "telegram", "file", send, _failed)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        token = request.match_info["token"]
        method = self._methods.get(request.match_info["method"].lower())
        if not _TOKEN.fullmatch(token):
            return _failed(404)
        if self.bot(token).revoked:
            return _failed(401)
        if method is None:
            return _failed(404)
        self.bot(token).calls[method.__name__.lower()] += 1
        await self.bot(token).answering.wait()
        return await self.faults.around(
            request, "telegram", method.__name__, lambda: self._answer(request, method), _failed
        )

    async def _answer(self, request: web.Request, method: Method) -> web.StreamResponse:
        bot = self.bot(request.match_info["token"])
        try:
            if self.sessions is not None:
                self.sessions.check(bot.token, self.monotonic())
            return web.json_response({"ok": True, "result": await method(bot, await _parameters(request))})
        except Refused as refused:
            body: Json = {"ok": False, "error_code": refused.code, "description": refused.description}
            if refused.parameters:
                body["parameters"] = refused.parameters
            return web.json_response(body, status=refused.code)

    async def getMe(self, bot: BotAccount, _: Json) -> Json:  # noqa: N802 - the method's name on the wire
        return bot.user() | {
            "can_join_groups": True,
            "can_read_all_group_messages": bot.hears_groups,
            "supports_inline_queries": False,
        }

    async def getUpdates(self, bot: BotAccount, given: Json) -> list[Json]:  # noqa: N802
        if "allowed_updates" in given:
            bot.allowed = list(given["allowed_updates"] or [])
        limit = min(max(int(given.get("limit") or 100), 1), 100)
        timeout = min(max(float(given.get("timeout") or 0), 0.0), 50.0)
        return await bot.poll(int(given.get("offset") or 0), limit, timeout)

    async def sendMessage(self, bot: BotAccount, given: Json) -> Json:  # noqa: N802
        chat = self._lets_write(bot, given)
        text = checked_text(given.get("text"))
        content: Json = {"text": text}
        if entities := checked_entities(text, given.get("entities") or []):
            content["entities"] = entities
        thread = bot.known_thread(chat, given.get("message_thread_id"))
        reply_to = bot.known_reply(chat, given.get("reply_parameters"))
        message = bot.say("message", chat, thread, reply_to, content, given.get("business_connection_id"))
        if given.get("parse_mode"):
            bot.sent[-1]["parse_mode"] = given["parse_mode"]
        return message

    async def sendMessageDraft(self, bot: BotAccount, given: Json) -> bool:  # noqa: N802
        chat = self._lets_write(bot, given)
        if chat["type"] != "private":
            raise Refused("Bad Request: drafts can be sent to private chats only")
        if not int(given.get("draft_id") or 0):
            raise Refused("Bad Request: draft_id must be non-zero")
        text = str(given.get("text") or "")
        if text:
            checked_entities(checked_text(text), given.get("entities") or [])
        thread = bot.known_thread(chat, given.get("message_thread_id"))
        bot.note("draft", chat, thread, text=text, draft=int(given["draft_id"]))
        return True

    def _lets_write(self, bot: BotAccount, given: Json) -> Json:
        """The chat, if the bot may write there now."""
        chat = bot.known_chat(given.get("chat_id"))
        bot.known_business(given.get("business_connection_id"))
        if bot.flood is not None:
            bot.flood.check(chat["id"], self.monotonic())
        return chat

    async def sendDocument(self, bot: BotAccount, given: Json) -> Json:  # noqa: N802
        chat = self._lets_write(bot, given)
        document = given.get("document")
        if isinstance(document, str) and document.startswith("attach://"):
            document = given.get(document.removeprefix("attach://"))
        if not isinstance(document, web.FileField):
            raise Refused("Bad Request: there is no document in the request")
        data = document.file.read()
        fact = {
            "file_id": "sent-1",
            "file_unique_id": "sent",
            "file_name": document.filename,
            "file_size": len(data),
        }
        content: Json = {"document": fact}
        if given.get("caption"):
            content["caption"] = str(given["caption"])
        thread = bot.known_thread(chat, given.get("message_thread_id"))
        reply_to = bot.known_reply(chat, given.get("reply_parameters"))
        message = bot.say("document", chat, thread, reply_to, content, given.get("business_connection_id"))
        bot.sent[-1] |= {"filename": document.filename, "content": data.decode("utf-8", "replace")}
        return message

    async def sendChatAction(self, bot: BotAccount, given: Json) -> bool:  # noqa: N802
        chat = self._lets_write(bot, given)
        thread = bot.known_thread(chat, given.get("message_thread_id"))
        business = {"business": id_} if (id_ := given.get("business_connection_id")) else {}
        bot.note(str(given.get("action") or "typing"), chat, thread, **business)
        return True

    async def editMessageText(self, bot: BotAccount, given: Json) -> Json:  # noqa: N802
        chat = self._lets_write(bot, given)
        message = bot.messages.get((chat["id"], int(given.get("message_id") or 0)))
        if message is None:
            raise Refused("Bad Request: message to edit not found")
        text = checked_text(given.get("text"))
        entities = checked_entities(text, given.get("entities") or [])
        if (message.get("text"), message.get("entities", [])) == (text, entities):
            raise Refused("Bad Request: message is not modified")
        message |= {"text": text, "entities": entities, "edit_date": int(time.time())}
        bot.note("edit", chat, None, id=message["message_id"], text=text, entities=entities)
        return message

    async def deleteMessage(self, bot: BotAccount, given: Json) -> bool:  # noqa: N802
        chat = bot.known_chat(given.get("chat_id"))
        if bot.messages.pop((chat["id"], int(given.get("message_id") or 0)), None) is None:
            raise Refused("Bad Request: message to delete not found")
        return True

    async def setMyCommands(self, bot: BotAccount, given: Json) -> bool:  # noqa: N802
        bot.commands[_scope(given)] = list(given.get("commands") or [])
        return True

    async def getMyCommands(self, bot: BotAccount, given: Json) -> list[Json]:  # noqa: N802
        return bot.commands.get(_scope(given), [])

    async def deleteMyCommands(self, bot: BotAccount, given: Json) -> bool:  # noqa: N802
        bot.commands.pop(_scope(given), None)
        return True

    async def setWebhook(self, bot: BotAccount, given: Json) -> bool:  # noqa: N802
        url = checked_url(str(given.get("url") or ""))
        if "allowed_updates" in given:
            bot.allowed = list(given["allowed_updates"] or [])
        bot.webhook = {"url": url, "secret": given.get("secret_token")} if url else {}
        self._changed(bot, given)
        return True

    async def deleteWebhook(self, bot: BotAccount, given: Json) -> bool:  # noqa: N802
        bot.webhook = {}
        self._changed(bot, given)
        return True

    def _changed(self, bot: BotAccount, given: Json) -> None:
        if given.get("drop_pending_updates") in (True, "true", "True"):
            bot.updates.clear()
        bot.interrupt()
        self.webhooks.wake(bot)

    async def getWebhookInfo(self, bot: BotAccount, _: Json) -> Json:  # noqa: N802
        info: Json = {
            "url": bot.webhook.get("url", ""),
            "has_custom_certificate": False,
            "pending_update_count": len(bot.updates),
        }
        if bot.allowed:
            info["allowed_updates"] = bot.allowed
        return {**info, **bot.webhook.get("trouble", {})}

    async def getChat(self, bot: BotAccount, given: Json) -> Json:  # noqa: N802
        chat = bot.known_chat(given.get("chat_id"))
        return {**chat, "accent_color_id": 0, "max_reaction_count": 11}

    async def getFile(self, bot: BotAccount, given: Json) -> Json:  # noqa: N802
        file_id = str(given.get("file_id") or "")
        path = f"photos/{file_id}.{bot.file_suffix}"
        if not re.fullmatch(r"[\w-]{1,256}", file_id):
            raise Refused("Bad Request: invalid file_id")
        bot.files.add(path)
        facts = {"file_id": file_id, "file_unique_id": file_id, "file_size": len(PICTURE)}
        return {**facts, "file_path": path}

    async def getBusinessConnection(self, bot: BotAccount, given: Json) -> Json:  # noqa: N802
        connection = bot.connections.get(str(given.get("business_connection_id") or ""))
        if connection is None:
            raise Refused("Bad Request: business connection not found")
        return connection

    async def logOut(self, _bot: BotAccount, _: Json) -> bool:  # noqa: N802
        return True

    async def close(self, _bot: BotAccount, _: Json) -> bool:
        return True


def _scope(given: Json) -> str:
    return json.dumps(
        [given.get("scope") or {"type": "default"}, given.get("language_code") or ""], sort_keys=True
    )


def _failed(status: int, retry_after: float | None = None) -> web.Response:
    """Telegram's error body; a 429 always says how long."""
    body: Json = {
        "ok": False,
        "error_code": status,
        "description": _PHRASES.get(status, "Internal Server Error"),
    }
    if status == 429:
        seconds = int(retry_after or 1)
        body |= {
            "description": f"Too Many Requests: retry after {seconds}",
            "parameters": {"retry_after": seconds},
        }
    return web.json_response(body, status=status)


_JSON_PARAMETERS = {
    "entities",
    "reply_parameters",
    "allowed_updates",
    "commands",
    "scope",
    "link_preview_options",
}


async def _parameters(request: web.Request) -> Json:
    """Parameters from the query, a form, multipart or JSON; nested ones may come as JSON text."""
    given: Json = dict(request.query)
    try:
        if request.content_type == "application/json":
            body = await request.json()
            given |= body if isinstance(body, dict) else {}
        elif request.method == "POST":
            given |= dict(await request.post())
        for name in _JSON_PARAMETERS & given.keys():
            if isinstance(given[name], str):
                given[name] = json.loads(given[name]) if given[name] else None
    except ValueError:
        raise Refused("Bad Request: can't parse parameters as JSON object") from None
    return given
