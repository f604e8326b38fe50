"""One bot on Telegram: runs its poll loop, sends parts, shows typing. It does not retry and does not decide."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import structlog
from telegram import InputFile
from telegram.error import BadRequest, ChatMigrated, TelegramError

from adapters.telegram.convert import moved
from adapters.telegram.failures import translate
from adapters.telegram.limits import Pacer
from adapters.telegram.polling import POLL, Poller
from adapters.telegram.split import LIMIT, split
from adapters.telegram.transport import AiohttpRequest, Client, UnknownError
from gateway.errors import GatewayError, RateLimited, Transient
from gateway.messages import Address, Delivery, Facts, Receipt
from gateway.ports import Host
from gateway.settings.models import TelegramSettings

log = structlog.get_logger()

PATIENCE = 0.25
"""A longer wait for Telegram's limits is spent in the journal: a part under way when the process dies is unknown."""
COMMANDS = (
    ("ask", "Ask a question"),
    ("help", "What I can do"),
    ("privacy", "What happens to your messages"),
    ("start", "Say hello"),
)


class TelegramAdapter:
    """`gateway.ports.Adapter` and `ShowsTyping` for one bot token."""

    idempotent = False
    typing_every = 4.0

    def __init__(
        self,
        bot: str,
        section: TelegramSettings,
        request: AiohttpRequest,
        api_url: str,
        *,
        poll: float = POLL,
    ) -> None:
        self.bot = bot
        self._client = Client(section.token.get_secret_value(), api_url, request)
        self._pacer = Pacer()
        self._poll = poll
        self._host: Host | None = None

    async def run(self, host: Host) -> None:
        """Poll until cancelled."""
        self._host = host
        poller = Poller(self._client, host, poll=self._poll)
        beside = asyncio.create_task(self._keep_profile(poller, host))
        try:
            await poller.run()
        finally:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)

    async def _keep_profile(self, poller: Poller, host: Host) -> None:
        """Once polling works: refresh a remembered identity, and set the command menu if it changed."""
        await poller.working.wait()
        try:
            me = await poller.refresh()
            menu = [{"command": name, "description": text} for name, text in COMMANDS]
            mark = hashlib.sha256(json.dumps([me.id, menu]).encode()).digest()
            if await host.recall("commands") != mark:
                await self._client.call("setMyCommands", commands=menu)
                await host.remember("commands", mark)
        except (TelegramError, GatewayError) as error:
            log.info("telegram.profile_failed", bot=self.bot, error=str(error)[:300])

    # --- sending --------------------------------------------------------------------------------------------------

    async def send(self, delivery: Delivery) -> Receipt:
        """Send one part; not idempotent, Telegram has nothing to recognise a repetition by."""
        host, chat = self._running(), int(delivery.address.data["chat_id"])
        await self._pace(host, chat)
        try:
            return Receipt(platform_ids=tuple(str(number) for number in await self._post(delivery)))
        except ChatMigrated as error:
            await host.accept(moved(self.bot, chat, error.new_chat_id))
            raise Transient("the group became a supergroup", retry_after=0.0, operation="send") from error
        except TelegramError as error:
            failure = translate(error, "send")
            if isinstance(failure, RateLimited) and failure.retry_after:
                # Other topics of this chat are other lanes: the pacer tells them.
                self._pacer.pause(chat, host.clock.monotonic() + failure.retry_after)
            raise failure from error

    def _running(self) -> Host:
        if self._host is None:
            raise Transient("the bot is not running", scope="channel")
        return self._host

    async def _pace(self, host: Host, chat: int) -> None:
        now = host.clock.monotonic()
        wait = self._pacer.delay(chat, now)
        if wait > PATIENCE:
            raise RateLimited("waiting for Telegram's limit", retry_after=wait, scope="lane")
        self._pacer.note(chat, now + wait)
        if wait:
            await host.clock.sleep(wait)

    async def _post(self, delivery: Delivery) -> list[int]:
        part, where = delivery.part, _where(delivery.address)
        if delivery.index == 0 and (reply_to := delivery.address.data.get("reply_to")):
            where["reply_parameters"] = {"message_id": reply_to, "allow_sending_without_reply": True}
        if document := part.payload.get("document"):
            file = InputFile(str(document["content"]).encode(), filename=str(document["filename"]))
            return [_message_id(await self._client.call("sendDocument", document=file, **where))]
        entities = part.payload.get("entities") or None
        try:
            return [await self._say(part.text, entities, where)]
        except BadRequest as error:
            said = error.message.lower()
            if entities and "entit" in said:
                return [await self._say(part.text, None, where)]
            if "too long" in said:
                return await self._say_in_pieces(part.text, where)
            raise

    async def _say(self, text: str, entities: list[Facts] | None, where: Facts) -> int:
        answer = await self._client.call(
            "sendMessage",
            text=text,
            entities=entities,
            link_preview_options={"is_disabled": True},
            **where,
        )
        return _message_id(answer)

    async def _say_in_pieces(self, text: str, where: Facts) -> list[int]:
        """Send a part that the server finds too long; once a piece is out, a failure leaves the rest unknown."""
        numbers: list[int] = []
        for piece, _ in split(text, [], limit=LIMIT // 2):
            try:
                numbers.append(await self._say(piece, None, where))
            except TelegramError as error:
                if numbers:
                    raise UnknownError("only a piece of the message was sent") from error
                raise
        return numbers

    async def typing(self, address: Address) -> None:
        """Show "typing…" in the topic; lasts about five seconds."""
        chat = int(address.data["chat_id"])
        if not self._pacer.paused(chat, self._running().clock.monotonic()):
            await self._client.call("sendChatAction", action="typing", **_where(address))


def _where(address: Address) -> Facts:
    """Chat and topic as parameters of a call."""
    where: Facts = {"chat_id": address.data["chat_id"]}
    if thread := address.data.get("thread_id"):
        where["message_thread_id"] = thread
    return where


def _message_id(answer: Any) -> int:
    try:
        return int(answer["message_id"])
    except (TypeError, KeyError, ValueError):
        raise UnknownError("the answer names no message") from None
