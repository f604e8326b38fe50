"""One part of an answer → Discord: as a message, in a thread that is opened for it, or in the place of a deferral."""

from __future__ import annotations

import asyncio
import hashlib
import io
from typing import Any, Literal

import discord

from adapters.discord.breaker import Muted
from adapters.discord.convert import said_at
from adapters.discord.drafts import Drafts
from adapters.discord.errors import (
    ALREADY_A_THREAD,
    no_thread,
    refuses_reference,
    token_spent,
    translate,
    unchangeable,
)
from adapters.discord.gate import Gate
from adapters.discord.interactions import TOKEN_LIFE, Interactions
from adapters.discord.render import preview
from adapters.discord.responses import Responses
from gateway.errors import GatewayError, Permanent
from gateway.messages import Address, Delivery, Facts, Part, Receipt
from gateway.ports import Clock

SEND_TIMEOUT = 40.0
"""More than the library waits by itself when it is told to."""
TYPING_TIMEOUT = 5.0
ARCHIVE_AFTER: Literal[1440] = 1440
"""Minutes without a word after which a thread is put away; the next word brings it back."""
NONCE_LENGTH = 25
LOOK_BACK = 100
REMEMBERED = 1000


class Outgoing:
    """One bot's, for one run. Raises `gateway.errors` only."""

    def __init__(
        self,
        client: discord.Client,
        clock: Clock,
        gate: Gate,
        responses: Responses,
        interactions: Interactions,
        muted: Muted,
        drafts: Drafts,
    ) -> None:
        self._drafts = drafts
        self._client, self._clock, self._gate = client, clock, gate
        self._responses, self._interactions, self._muted = responses, interactions, muted
        self._threads: dict[str, bool] = {}
        """Questions by id: whether they could be given a thread."""

    async def send(self, delivery: Delivery) -> Receipt:
        if delivery.index == 0:
            await self._drafts.settled(delivery.owner)
        if self._by_token(delivery.address):
            await self._gate.enter("reply")
            identity = await self._respond(delivery)
            if identity is not None:
                return Receipt(platform_ids=(identity,))
        return Receipt(platform_ids=(await self._post(delivery),))

    async def typing(self, address: Address) -> None:
        """Show it where the answer will be; a deferral shows it by itself. Raises anything."""
        if self._by_token(address):
            return
        await self._gate.enter("other")
        async with asyncio.timeout(TYPING_TIMEOUT):
            await self._messageable(_where(address, self._threads)).typing()

    async def draft(self, address: Address, text: str, part_id: str) -> None:
        """Show the beginning of an answer that is being written. Raises anything: then it comes in one piece."""
        owner, where = part_id.rsplit(".", 2)[0], _where(address, self._threads)
        shown = preview(text)
        if shown and self._muted.wait(where, self._clock.monotonic()) <= 0 and self._drafts.may_show(where):
            await self._gate.enter("other")
            await self._drafts.show(owner, self._show(address, shown, part_id, owner))

    async def _show(self, address: Address, text: str, part_id: str, owner: str) -> None:
        if self._by_token(address):
            if await self._interactions.deferred(address.data["interaction_id"]):
                await self._responses.edit(address, Part(text=text))
            return
        if address.data.get("foreign"):
            return
        reference = None if await self._thread(address) else _reference(address)
        channel = _where(address, self._threads)
        if (message := await self._drafts.message(owner)) is not None:
            await self._change(channel, message, text)
        else:
            posted = await self._create(channel, nonce(part_id), reference, {"content": text})
            await self._drafts.posted(owner, str(posted.id))

    # --- with a token ---

    def _by_token(self, address: Address) -> bool:
        identity = address.data.get("interaction_id")
        return identity is not None and self._clock.now() - said_at(identity) < TOKEN_LIFE

    async def _respond(self, delivery: Delivery) -> str | None:
        """The id of the message; None if the token is good for nothing and the channel has to do."""
        address = delivery.address
        if not await self._interactions.deferred(address.data["interaction_id"]):
            return None
        try:
            if delivery.index == 0:
                return await self._responses.edit(address, delivery.part)
            arrived = await self._arrived(delivery) if delivery.attempt > 1 else None
            return arrived or await self._responses.follow_up(address, delivery.part)
        except Exception as error:
            if token_spent(error):
                return None
            raise self._gate.judged(translate(error, "respond")) from error

    async def _arrived(self, delivery: Delivery) -> str | None:
        """The id of a follow-up that an earlier attempt may have sent. Where the bot is no member, nobody can tell."""
        data, text = delivery.address.data, delivery.part.text.strip()
        if data["foreign"]:
            return None
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                after = await self._client.http.logs_from(
                    int(data["channel_id"]), LOOK_BACK, after=int(data["interaction_id"])
                )
        except (discord.DiscordException, OSError):
            return None
        same = (m["id"] for m in after if m["author"].get("bot") and m["content"].strip() == text)
        return next((str(identity) for identity in same), None)

    # --- as a message ---

    async def _post(self, delivery: Delivery) -> str:
        address = delivery.address
        if address.data.get("foreign"):
            raise Permanent("the time to answer this command is over", operation="respond")
        await self._pass(address)
        try:
            opened = await self._thread(address)
            channel = _where(address, self._threads)
            reference = None if opened or delivery.index else _reference(address)
            identity = await self._write(delivery, channel, reference)
        except Exception as error:
            raise self._refused(_where(address, self._threads), translate(error, "create_message")) from error
        self._muted.accepted(channel)
        return identity

    async def _write(
        self, delivery: Delivery, channel: str, reference: discord.MessageReference | None
    ) -> str:
        """In the place of the turn's draft, if there is one; else as a new message."""
        text, mark = delivery.part.text, nonce(delivery.id)
        drafted = await self._drafts.message(delivery.owner) if delivery.index == 0 else None
        if drafted is not None:
            try:
                await self._change(channel, drafted, text)
            except discord.HTTPException as error:
                if not unchangeable(error):
                    raise
                mark = nonce(f"{delivery.id}.again")  # the draft's own would only find the draft
            else:
                return drafted
        message = await self._create(channel, mark, reference, _content(delivery.part))
        if self._drafts.on and delivery.index == 0 and message.content.strip() != text.strip():
            await self._change(
                channel, str(message.id), text
            )  # a draft that nobody remembered has this nonce
        return str(message.id)

    async def _change(self, channel: str, message: str, text: str) -> None:
        async with asyncio.timeout(SEND_TIMEOUT):
            await self._messageable(channel).get_partial_message(int(message)).edit(content=text)

    async def _pass(self, address: Address) -> None:
        wait = self._muted.wait(address.data["channel_id"], self._clock.monotonic())
        if wait > 0:
            raise Permanent(f"Discord refused this channel; not asked again for {wait:.0f} s", scope="lane")
        await self._gate.enter("reply")

    def _refused(self, channel: str, error: GatewayError) -> GatewayError:
        if isinstance(error, Permanent) and error.scope == "lane" and error.context.get("status") == 403:
            self._muted.refused(channel, self._clock.monotonic())
        return self._gate.judged(error)

    async def _create(
        self, channel: str, mark: str, reference: discord.MessageReference | None, content: Facts
    ) -> discord.Message:
        """Post it. What cannot be quoted (gone, a notice, no right to read history) is answered without."""
        extra: dict[str, Any] = {} if reference is None else {"reference": reference}
        if (document := content.get("document")) is None:
            extra["content"] = content["content"]
        else:
            data = io.BytesIO(document["content"].encode())
            extra["file"] = discord.File(data, filename=document["filename"])
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                return await self._messageable(channel).send(nonce=mark, suppress_embeds=True, **extra)
        except discord.HTTPException as error:
            if reference is None or not refuses_reference(error):
                raise
        return await self._create(channel, mark, None, content)

    def _messageable(self, channel: str) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(int(channel))

    # --- in a thread ---

    async def _thread(self, address: Address) -> bool:
        """Whether the answer goes into a thread of its question, which is opened the first time."""
        question, name = address.data.get("message_id"), address.data.get("thread")
        if name is None or question is None:
            return False
        if question not in self._threads:
            self._threads[question] = await self._open(address.data["channel_id"], question, name)
            while len(self._threads) > REMEMBERED:
                del self._threads[next(iter(self._threads))]
        return self._threads[question]

    async def _open(self, channel: str, question: str, name: str) -> bool:
        """A thread has its first message's id: opening it again finds it. Without the right to, the channel will do."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._client.http.start_thread_with_message(
                    int(channel), int(question), name=name, auto_archive_duration=ARCHIVE_AFTER
                )
        except discord.HTTPException as error:
            if error.code == ALREADY_A_THREAD:
                return True
            if no_thread(error):
                return False
            raise
        return True


def nonce(delivery_id: str) -> str:
    """The same for the same part of the same reply, in every process and after every restart."""
    return hashlib.sha256(delivery_id.encode()).hexdigest()[:NONCE_LENGTH]


def _where(address: Address, threads: dict[str, bool]) -> str:
    question = address.data.get("message_id")
    return str(question if threads.get(str(question)) else address.data["channel_id"])


def _content(part: Part) -> Facts:
    return part.payload if "document" in part.payload else {"content": part.text}


def _reference(address: Address) -> discord.MessageReference | None:
    """Among others the first part quotes what it answers; alone with one person that would be noise."""
    data = address.data
    if not data.get("guild_id") or not data.get("message_id"):
        return None
    return discord.MessageReference(
        message_id=int(data["message_id"]), channel_id=int(data["channel_id"]), fail_if_not_exists=False
    )
