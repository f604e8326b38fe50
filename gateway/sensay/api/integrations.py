"""Bots that Sensay runs itself. A token that is also configured here would be polled twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from gateway.sensay.api import replicas
from gateway.sensay.api.operation import ADMIN, Auth, Door, Id, OfReplica, Operation, Spelling
from gateway.sensay.api.paging import by_number
from gateway.sensay.api.replicas import LARGEST_PAGE, Listing
from gateway.sensay.api.values import Page, Said, Thing

_REPLICA = "/v1/replicas/{replica}"
_INTEGRATIONS = f"{_REPLICA}/integrations"
_INSTEAD = "the dialect generic knows no integrations: use openapi or guide"
_HIDDEN = "only the dialect openapi can integrate Discord"
_NONE = {404: "the replica has no such integration, or there is no such replica"}


class Integration(Said, frozen=True):
    """With status 202 it will be there, or be gone, but is not yet: `message` says so."""

    id: int | str | None = None
    message: str | None = None


class Telegram(Thing, frozen=True, rename=None):
    """With the bot's token in plain."""

    service_name: str | None = None
    telegram_token: str | None = None

    def __repr__(self) -> str:
        return f"Telegram(service_name={self.service_name!r}, telegram_token='***')"


class Integrated(Thing, frozen=True):
    """A replica whose Telegram bot Sensay runs."""

    uuid: str
    telegram: Telegram | None = field(default=None, name="telegram_integration")


class TelegramBot(OfReplica, frozen=True):
    """`name` is what the bot answers to in groups (published), or the service's name (guide)."""

    secrets: ClassVar[tuple[str, ...]] = ("token",)
    token: Id
    name: Id


class DiscordBot(OfReplica, frozen=True):
    secrets: ClassVar[tuple[str, ...]] = ("token",)
    token: Annotated[str, Meta(min_length=50, max_length=80, description="50 to 80 characters")]


def _telegram(bot: TelegramBot) -> Mapping[str, Any]:
    return {"telegram_token": bot.token, "mention": bot.name}


def _guide_telegram(bot: TelegramBot) -> Mapping[str, Any]:
    return {"botToken": bot.token, "serviceName": bot.name}


def _discord(bot: DiscordBot) -> Mapping[str, Any]:
    return {"discordToken": bot.token}


LIST_TELEGRAM: Operation[Listing, Page[Integrated]] = Operation(
    "integrations.list_telegram",
    "Telegram bots that Sensay runs, with their tokens",
    Listing,
    Page[Integrated],
    replicas.LIST.spellings,
    repeatable=True,
    discloses=True,
)
CREATE_TELEGRAM = Operation(
    "integrations.create_telegram",
    "Let Sensay run a Telegram bot",
    TelegramBot,
    Integration,
    {
        "openapi": Spelling("POST", f"{_INTEGRATIONS}/telegram", _telegram),
        "guide": Spelling("POST", f"{_REPLICA}/telegram", _guide_telegram),
    },
    instead=_INSTEAD,
)
DELETE_TELEGRAM = Operation(
    "integrations.delete_telegram",
    "Stop the Telegram bot that Sensay runs",
    OfReplica,
    Integration,
    {
        "openapi": Spelling("DELETE", f"{_INTEGRATIONS}/telegram"),
        "guide": Spelling("DELETE", f"{_REPLICA}/telegram"),
    },
    instead=_INSTEAD,
    remedies=_NONE,
)
CREATE_DISCORD = Operation(
    "integrations.create_discord",
    "Let Sensay run a Discord bot",
    DiscordBot,
    Integration,
    {"openapi": Spelling("POST", f"{_INTEGRATIONS}/discord", _discord)},
    instead=_HIDDEN,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (
    LIST_TELEGRAM,
    CREATE_TELEGRAM,
    DELETE_TELEGRAM,
    CREATE_DISCORD,
)


class Integrations:
    """`message` of what is returned tells of a delay (status 202)."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def list_telegram(self, auth: Auth = ADMIN) -> AsyncIterator[Integrated]:
        """All of them, each once. Whoever asks holds secrets."""

        async def fetch(page: int, spelling: int) -> Page[Integrated]:
            listing = Listing(page=page, page_size=LARGEST_PAGE, spelling=spelling, integration="telegram")
            return (await self._door(LIST_TELEGRAM, listing, auth)).value

        return by_number(fetch, LARGEST_PAGE, lambda replica: replica.uuid, spellings=2)

    async def create_telegram(self, replica: str, token: str, name: str, auth: Auth = ADMIN) -> Integration:
        arguments = CREATE_TELEGRAM.read({"replica": replica, "token": token, "name": name})
        return (await self._door(CREATE_TELEGRAM, arguments, auth)).value

    async def delete_telegram(self, replica: str, auth: Auth = ADMIN) -> Integration:
        return (await self._door(DELETE_TELEGRAM, OfReplica(replica=replica), auth)).value

    async def create_discord(self, replica: str, token: str, auth: Auth = ADMIN) -> Integration:
        arguments = CREATE_DISCORD.read({"replica": replica, "token": token})
        return (await self._door(CREATE_DISCORD, arguments, auth)).value
