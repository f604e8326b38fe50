"""One bot's way out: parts, typing and drafts, paced. It does not retry and does not decide."""

from __future__ import annotations

import zlib
from typing import Any

import structlog
from telegram import InputFile
from telegram.error import BadRequest, ChatMigrated, TelegramError

from adapters.telegram import floods
from adapters.telegram.convert import moved
from adapters.telegram.failures import translate
from adapters.telegram.limits import Pacer
from adapters.telegram.render import preview
from adapters.telegram.split import LIMIT, split
from adapters.telegram.transport import Client, FloodError, UnknownError
from gateway.errors import Misconfigured, Permanent, RateLimited, Transient
from gateway.messages import Address, Delivery, Facts, Receipt
from gateway.ports import Host

log = structlog.get_logger()

PATIENCE = 0.25
"""A longer wait for Telegram's limits is spent in the journal: a part under way when the process dies is unknown."""


class Sender:
    """Sends through `client` at the pace that Telegram allows."""

    def __init__(self, client: Client, host: Host) -> None:
        self.pacer = Pacer()
        self._client, self._host = client, host
        self._drafts = True

    async def send(self, delivery: Delivery) -> Receipt:
        """Send one part; not idempotent, Telegram has nothing to recognise a repetition by."""
        chat = int(delivery.address.data["chat_id"])
        await self._pace(chat)
        try:
            return Receipt(platform_ids=tuple(str(number) for number in await self._post(delivery)))
        except ChatMigrated as error:
            await self._host.accept(moved(self._host.bot, chat, error.new_chat_id))
            raise Transient("the group became a supergroup", retry_after=0.0, operation="send") from error
        except TelegramError as error:
            failure = translate(error, "send")
            if isinstance(failure, RateLimited) and failure.retry_after:
                await self._leave_alone(chat, failure.retry_after)
            raise failure from error

    async def _pace(self, chat: int) -> None:
        now = self._host.clock.monotonic()
        wait = self.pacer.delay(chat, now)
        if wait > PATIENCE:
            raise RateLimited("waiting for Telegram's limit", retry_after=wait, scope="lane")
        self.pacer.note(chat, now + wait)
        if wait:
            await self._host.clock.sleep(wait)

    async def _leave_alone(self, chat: int, seconds: float) -> None:
        """Other topics of this chat are other lanes: the pacer tells them, also after a restart."""
        self.pacer.pause(chat, self._host.clock.monotonic() + seconds)
        if seconds >= floods.LONG:
            try:
                await floods.remember(self.pacer, self._host)
            except Transient as error:
                log.info("telegram.flood_not_remembered", bot=self._host.bot, error=str(error)[:300])

    # --- parts ------------------------------------------------------------------------------------------------------

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

    # --- what is nice to have ---------------------------------------------------------------------------------------

    async def typing(self, address: Address) -> None:
        """Show "typing…" in the topic; lasts about five seconds. Raises TelegramError."""
        await self._if_spare(address, "sendChatAction", action="typing")

    async def draft(self, address: Address, text: str, part_id: str) -> None:
        """Show an answer that is being written; the message that it becomes replaces it. Never raises: where drafts
        do not work, the answer comes in one piece.

        Telegram lets a draft grow into the next one of the same number: one answer, one number, never 0.
        """
        if not self._drafts or not _takes_drafts(address):
            return
        shown, entities = preview(text)
        if not shown:
            return
        number = zlib.crc32(f"{address.to} {part_id}".encode()) or 1
        try:
            await self._if_spare(
                address, "sendMessageDraft", draft_id=number, text=shown, entities=entities or None
            )
        except TelegramError as error:
            # An unknown method is a 404, which PTB takes for a bad token: that and a 400 will not get better, unless
            # it is about this chat.
            failure = translate(error, "draft")
            self._drafts = failure.scope == "lane" or not isinstance(failure, Permanent | Misconfigured)
            log.info("telegram.draft_failed", bot=self._host.bot, error=error.message[:300])

    async def _if_spare(self, address: Address, method: str, **parameters: Any) -> None:
        chat, now = int(address.data["chat_id"]), self._host.clock.monotonic()
        if not self.pacer.spare(chat, now):
            return
        self.pacer.note(chat, now)
        try:
            await self._client.call(method, **_where(address), **parameters)
        except FloodError as error:
            self.pacer.hush(chat, now + error.seconds)
            raise


def _takes_drafts(address: Address) -> bool:
    """Private chats with the bot itself."""
    return int(address.data["chat_id"]) > 0 and "business" not in address.data


def _where(address: Address) -> Facts:
    """Chat, topic and business connection as parameters of a call."""
    names = {"chat_id": "chat_id", "thread_id": "message_thread_id", "business": "business_connection_id"}
    return {name: address.data[key] for key, name in names.items() if key in address.data}


def _message_id(answer: Any) -> int:
    try:
        return int(answer["message_id"])
    except (TypeError, KeyError, ValueError):
        raise UnknownError("the answer names no message") from None
