"""Commands: journaled first, answered with a deferral at once, and with the answer when it is there.

Discord gives three seconds for the first word. So an interaction does not queue behind messages: it is offered to
the journal by itself, and as soon as that has taken it, or after `JOURNAL_WITHIN`, Discord is told to wait.
What the outbox has for it then takes the deferral's place. Who is not answered is told so at once, and only they.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Any

import aiohttp
import discord
import msgspec
import structlog

from adapters.discord import commands
from adapters.discord.convert import (
    THREADS,
    Around,
    Me,
    as_text,
    context,
    name_of,
    pictures,
    read,
    roles_of,
    said_at,
    unreadable,
)
from adapters.discord.pastes import Pastes, brings_paste
from adapters.discord.responses import Responses
from adapters.discord.words import visible
from gateway.messages import (
    Accepted,
    Address,
    ConversationKey,
    Facts,
    Place,
    Said,
    Sender,
    TextName,
)
from gateway.ports import Host

_log = structlog.get_logger()

JOURNAL_WITHIN = 1.5
TOKEN_LIFE = 14 * 60.0
"""A minute less than Discord says."""
FIRST_WORD = 5.0
PASTE_WITHIN = 1.0
"""With the journal's time still less than Discord waits."""
REMEMBERED = 1000
_COMMAND, _AUTOCOMPLETE = 2, 4
_PRIVATE_CHANNEL = 2
_BY_THE_SERVER, _BY_A_PERSON = "0", "1"
_INSTEAD: dict[str, TextName] = {"busy": "busy", "limited": "busy", "recorded": "expired", "answered": "help"}
_FAILURES = (discord.DiscordException, aiohttp.ClientError, OSError)


def used(data: Facts, me: Me) -> Said | None:
    """What a command asks; None if it is none of ours. Pure. Raises KeyError, TypeError, ValueError on nonsense."""
    command = data["data"] if data["type"] == _COMMAND else {}
    match command.get("name"), command.get("type", 1):
        case commands.ASK, 1:
            given = {option["name"]: option.get("value") for option in command.get("options", ())}
            return _said(data, me, str(given[commands.QUESTION]).strip(), None)
        case commands.ASK_ABOUT, 3:
            target = command["resolved"]["messages"][command["target_id"]]
            return _said(data, me, read(target, me, Around()), None, pictures(target, me))
        case commands.HELP, 1:
            return _said(data, me, "", "help")
        case commands.PRIVACY, 1:
            return _said(data, me, "", "privacy")
        case (commands.PAUSE | commands.RESUME) as order, 1:
            given = {option["name"]: option.get("value") for option in command.get("options", ())}
            text = f"/{order} {given.get(commands.FOR, '')}".strip()
            # to the gateway's admins an order like one that was typed; others are told that it is not for them
            return msgspec.structs.replace(_said(data, me, "", "denied"), text=text)
        case _:
            return None


def _said(data: Facts, me: Me, text: str, answer_with: TextName | None, images: tuple[str, ...] = ()) -> Said:
    identity, channel = str(data["id"]), data.get("channel") or {}
    at, member = str(data["channel_id"]), data.get("member")
    user = (member or data)["user"]
    guild = None if data.get("guild_id") is None else str(data["guild_id"])
    parent = channel.get("parent_id") if channel.get("type") in THREADS else None
    foreign = _foreign(data)
    if not (visible(text) or images or answer_with):
        answer_with = "unsupported"
    address = {
        "channel_id": at,
        "guild_id": guild,
        "interaction_id": identity,
        "application_id": str(data["application_id"]),
        "foreign": foreign,
    }
    return Said(
        key=ConversationKey(bot=me.bot, platform="discord", chat=at),
        address=Address(to=f"interaction:{identity}", data=address, secret={"token": str(data["token"])}),
        sender=Sender(
            id=str(user["id"]),
            name=name_of(user, member),
            username=user.get("username"),
            locale=data.get("locale"),
            roles=roles_of(member),
        ),
        message_id=identity,
        text="" if answer_with else text,
        sent_at=said_at(identity),
        addressed="command",
        place=Place(direct=guild is None, guild=guild, channel=str(parent or at)),
        dedupe=(f"interaction:{identity}",),
        answer_with=answer_with,
        images=images,
        deadline=said_at(identity) + TOKEN_LIFE if foreign else None,
        context=context(data, user, Around(channel=channel.get("name"))),
        raw=as_text({**data, "token": "***"}),
    )


def _foreign(data: Facts) -> bool:
    """Used where the bot is no member: somebody brought it along, and the token is the only way to answer."""
    if data.get("context") == _PRIVATE_CHANNEL:
        return True
    owners = data.get("authorizing_integration_owners") or {}
    return data.get("guild_id") is not None and _BY_A_PERSON in owners and _BY_THE_SERVER not in owners


class Interactions:
    """One bot's. `take` returns at once; `close` ends what is under way."""

    def __init__(self, host: Host, me: Me, responses: Responses, pastes: Pastes) -> None:
        self._host, self._me, self._responses, self._pastes = host, me, responses, pastes
        self._running: set[asyncio.Task[None]] = set()
        self._deferred: OrderedDict[str, asyncio.Future[bool]] = OrderedDict()

    def take(self, data: Facts) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(data))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def deferred(self, identity: str) -> bool:
        """Wait until the first word was said; False if it could not be. Unknown ones are of an earlier process."""
        future = self._deferred.get(identity)
        if future is None:
            return True
        try:
            async with asyncio.timeout(FIRST_WORD):
                return await asyncio.shield(future)
        except TimeoutError:
            return False

    async def _serve(self, data: Facts) -> None:
        try:
            said = used(await self._with_paste(data), self._me.seeing(self._host.images))
        except Exception as error:  # noqa: BLE001 - a malformed one must not cost the others
            await self._unreadable(data, error)
            return
        if said is None:
            await self._not_ours(data)
        else:
            await self._ask(data, said)

    async def _with_paste(self, data: Facts) -> Facts:
        """The message that "Ask" is used on may be a long paste."""
        command = data.get("data") or {}
        messages, about = (command.get("resolved") or {}).get("messages") or {}, command.get("target_id")
        if about not in messages or not brings_paste(messages[about]):
            return data
        read = await self._pastes.into(messages[about], PASTE_WITHIN)
        return {**data, "data": {**command, "resolved": {"messages": {about: read}}}}

    async def _ask(self, data: Facts, said: Said) -> None:
        word: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._deferred[said.message_id] = word
        while len(self._deferred) > REMEMBERED:
            self._deferred.popitem(last=False)
        try:
            word.set_result(await self._first_word(data, said))
        finally:
            if not word.done():
                word.set_result(False)

    async def _first_word(self, data: Facts, said: Said) -> bool:
        """Whether an answer can take the place of a deferral."""
        accepting = asyncio.ensure_future(self._host.accept(said))
        try:
            await asyncio.wait({accepting}, timeout=JOURNAL_WITHIN)
            if not accepting.done():  # slow, and it may still take it: Discord waits no longer
                return await self._late(data, said, accepting)
            [accepted] = accepting.result()
        except Exception as error:  # noqa: BLE001 - nothing was taken, and somebody waits for a word
            _log.warning(
                "interaction.refused", bot=self._host.bot, platform="discord", cause=type(error).__name__
            )
            return await self._try(self._responses.say(data, self._text("busy", data)))
        finally:
            accepting.cancel()
        if accepted.outcome == "duplicate":
            return True
        if (name := _instead(accepted)) is not None:
            return await self._try(self._responses.say(data, self._text(name, data)))
        return await self._try(self._responses.defer(data, private=accepted.outcome != "accepted"))

    async def _late(self, data: Facts, said: Said, accepting: Awaitable[list[Accepted]]) -> bool:
        deferred = await self._try(self._responses.defer(data, private=False))
        name: TextName | None
        try:
            [accepted] = await accepting
            name = _instead(accepted)
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning(
                "interaction.refused", bot=self._host.bot, platform="discord", cause=type(error).__name__
            )
            name = "busy"
        if name is not None:
            await self._try(self._responses.replace(said.address, self._text(name, data)))
        return deferred

    async def _not_ours(self, data: Facts) -> None:
        """A command of earlier software, a button, a choice to complete: nobody is left waiting."""
        if data.get("type") == _AUTOCOMPLETE:
            await self._try(self._responses.no_choices(data))
        elif data.get("type") != 1:
            await self._try(self._responses.say(data, self._text("unsupported", data)))

    async def _unreadable(self, data: Any, error: Exception) -> None:
        safe = {**data, "token": "***"} if isinstance(data, dict) else data
        with contextlib.suppress(Exception):
            kept = unreadable("INTERACTION_CREATE", safe, self._me, f"{type(error).__name__}: {error}")
            await self._host.accept(kept)
        if isinstance(data, dict) and data.get("token") and data.get("id"):
            await self._try(self._responses.say(data, self._text("unsupported", data)))

    def _text(self, name: TextName, data: Facts) -> str:
        locale = data.get("locale")
        return self._host.text(name, locale if isinstance(locale, str) else None)

    async def _try(self, word: Awaitable[None]) -> bool:
        """Say it; a token that is too old or was answered elsewhere happens, now and then also without a reason."""
        try:
            await word
        except _FAILURES as error:
            code = getattr(error, "code", None)
            _log.info(
                "interaction.unanswered",
                bot=self._host.bot,
                platform="discord",
                error=type(error).__name__,
                code=code,
            )
            return False
        return True


def _instead(accepted: Accepted) -> TextName | None:
    """The text that is said at once, where the outbox has nothing for it."""
    if accepted.outcome == "accepted" or accepted.notice:
        return None
    return _INSTEAD.get(accepted.outcome, "denied")
