"""Replicas of the organisation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from gateway.sensay.api.operation import (
    ADMIN,
    ALL,
    Arguments,
    Auth,
    Door,
    Id,
    OfReplica,
    Operation,
    Spelling,
    camel,
    everywhere,
    given,
    spelt,
)
from gateway.sensay.api.paging import by_number
from gateway.sensay.api.values import Done, Hosted, Page, Said, Thing
from gateway.sensay.identity import DialectName

PAGE_SIZE, LARGEST_PAGE = 24, 100
Integration = Literal["telegram", "discord"]
_TAKEN = {409: "another replica has this slug: choose another one"}
_PRIVATE = {403: "the replica is private: ask as its owner, or as the organisation"}


class Llm(Thing, frozen=True):
    model: str | None = None
    provider: str | None = None
    memory_mode: str | None = None
    system_message: str | None = None
    tools: tuple[str, ...] | None = None


class Replica(Said, frozen=True):
    """Both spellings, as they came: `…_before` are deprecated upstream and the only ones in the guide. Of a bot that
    Sensay runs there is no token, but its fingerprint.
    """

    uuid: str
    name: str | None = None
    slug: str | None = None
    type: str | None = None
    purpose: str | None = None
    short_description: str | None = None
    short_description_before: str | None = field(default=None, name="short_description")
    greeting: str | None = None
    introduction: str | None = None
    owner_id: str | None = field(default=None, name="ownerID")
    owner_uuid: str | None = field(default=None, name="owner_uuid")
    private: bool | None = None
    whitelist_emails: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    profile_image: str | None = None
    profile_image_before: str | None = field(default=None, name="profile_image")
    suggested_questions: tuple[str, ...] | None = None
    voice_preview_text: str | None = None
    llm: Llm | None = None
    system_message: str | None = field(default=None, name="system_message")
    created_at: str | None = field(default=None, name="created_at")
    chat_history_count: int | None = field(default=None, name="chat_history_count")
    voice_enabled: bool | None = field(default=None, name="voice_enabled")
    video_enabled: bool | None = field(default=None, name="video_enabled")
    telegram_service_name: str | None = field(default=None, name="telegram_service_name")
    discord_service_name: str | None = field(default=None, name="discord_service_name")
    discord_is_active: bool | None = field(default=None, name="discord_is_active")
    telegram_integration: Hosted | None = field(default=None, name="telegram_integration")

    @property
    def description(self) -> str | None:
        return self.short_description or self.short_description_before

    @property
    def welcome(self) -> str | None:
        return self.greeting or self.introduction

    @property
    def picture(self) -> str | None:
        return self.profile_image or self.profile_image_before


class Made(Said, frozen=True):
    uuid: str


class NewReplica(Arguments, frozen=True):
    name: Id
    short_description: str
    greeting: str
    owner_id: Id
    slug: Id
    llm: Llm
    purpose: str | None = None
    type: Literal["individual", "character", "brand"] | None = None
    private: bool | None = None
    whitelist_emails: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    profile_image: str | None = None
    suggested_questions: tuple[str, ...] | None = None
    voice_preview_text: str | None = None


class ChangedReplica(NewReplica, frozen=True, kw_only=True):
    """The whole of it: what is left out is back to what Sensay makes of it."""

    replica: Id


class Listing(Arguments, frozen=True):
    """`spelling`: how the page is named, 0 as the dialect has it, 1 as it was before."""

    page: Annotated[int, Meta(ge=1)] = 1
    page_size: Annotated[int, Meta(ge=1, le=LARGEST_PAGE)] = PAGE_SIZE
    spelling: Annotated[int, Meta(ge=0, le=1)] = 0
    slug: str | None = None
    owner_id: str | None = None
    search: str | None = None
    tags: tuple[str, ...] | None = None
    integration: Integration | None = None
    sort: Literal["name", "popularity"] | None = None


_PAGE_NAMES: Mapping[DialectName, tuple[tuple[str, str], ...]] = {
    "openapi": (("pageIndex", "pageSize"), ("page", "page_size")),
    "guide": (("page", "pageSize"), ("pageIndex", "pageSize")),
    "generic": (("pageIndex", "pageSize"), ("page", "page_size")),
}


def _listed(dialect: DialectName) -> Spelling[Listing]:
    def fields(arguments: Listing) -> Mapping[str, Any]:
        page, size = _PAGE_NAMES[dialect][arguments.spelling]
        own = {"page", "page_size", "spelling"}
        filters = {camel(name): value for name, value in given(arguments).items() if name not in own}
        return {page: arguments.page, size: arguments.page_size} | filters

    return Spelling("GET", _REPLICAS, fields)


def _without_provider(arguments: NewReplica) -> Mapping[str, Any]:
    """Only the guide names the provider; elsewhere it would be an unknown key."""
    return spelt(arguments) | {"llm": msgspec.structs.replace(arguments.llm, provider=None)}


def _written(method: Literal["POST", "PUT"], path: str) -> dict[DialectName, Spelling[Any]]:
    own: Spelling[Any] = Spelling(method, path, _without_provider)
    return {"openapi": own, "generic": own, "guide": Spelling(method, path)}


_REPLICAS = "/v1/replicas"
_ONE = _REPLICAS + "/{replica}"
CREATE = Operation(
    "replicas.create",
    "Create a replica",
    NewReplica,
    Made,
    _written("POST", _REPLICAS),
    remedies=_TAKEN,
)
LIST: Operation[Listing, Page[Replica]] = Operation(
    "replicas.list",
    "Replicas that one may see, a page at a time",
    Listing,
    Page[Replica],
    {dialect: _listed(dialect) for dialect in ALL},
    repeatable=True,
)
GET = Operation(
    "replicas.get",
    "One replica",
    OfReplica,
    Replica,
    everywhere("GET", _ONE),
    repeatable=True,
    remedies=_PRIVATE,
)
UPDATE = Operation(
    "replicas.update",
    "Change a replica, as a whole",
    ChangedReplica,
    Done,
    _written("PUT", _ONE),
    repeatable=True,
    remedies=_TAKEN | _PRIVATE,
)
DELETE = Operation(
    "replicas.delete",
    "Delete a replica, for good",
    OfReplica,
    Done,
    everywhere("DELETE", _ONE),
    remedies=_PRIVATE,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (CREATE, LIST, GET, UPDATE, DELETE)


class Replicas:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def create(self, auth: Auth = ADMIN, **fields: Any) -> str:
        """The new replica's UUID. `fields` are those of `NewReplica`; `llm` may be a mapping."""
        return (await self._door(CREATE, CREATE.read(fields), auth)).value.uuid

    async def page(self, auth: Auth = ADMIN, **query: Any) -> Page[Replica]:
        """One page; beyond the end it has no items."""
        return (await self._door(LIST, LIST.read(query), auth)).value

    def list(
        self, auth: Auth = ADMIN, *, page_size: int = PAGE_SIZE, **filters: Any
    ) -> AsyncIterator[Replica]:
        """All of them, each once. `filters`: slug, owner_id, search, tags, integration, sort."""
        LIST.read(filters)

        async def fetch(page: int, spelling: int) -> Page[Replica]:
            return await self.page(auth, page=page, page_size=page_size, spelling=spelling, **filters)

        return by_number(fetch, page_size, lambda replica: replica.uuid, spellings=2)

    async def get(self, replica: str, auth: Auth = ADMIN) -> Replica:
        return (await self._door(GET, OfReplica(replica=replica), auth)).value

    async def update(self, replica: str, auth: Auth = ADMIN, **changes: Any) -> None:
        """What is left out stays as it is: Sensay wants the whole replica, so it is read first."""
        before = (
            _as_given(await self.get(replica, auth))
            if len(changes) < len(NewReplica.__struct_fields__)
            else {}
        )
        arguments = UPDATE.read(before | changes | {"replica": replica})
        await self._door(UPDATE, arguments, auth)

    async def delete(self, replica: str, auth: Auth = ADMIN) -> None:
        await self._door(DELETE, OfReplica(replica=replica), auth)

    async def ensure(self, owner: str, auth: Auth = ADMIN, **fields: Any) -> str:
        """The UUID of a replica of this owner: the first there is, or a new one of these `fields`."""
        async for replica in self.list(auth, page_size=1, owner_id=owner):
            return replica.uuid
        return await self.create(auth, owner_id=owner, **fields)


def _as_given(replica: Replica) -> dict[str, Any]:
    """A replica as it would be created anew."""
    names = NewReplica.__struct_fields__
    known = {name: getattr(replica, name) for name in names if getattr(replica, name) is not None}
    filled = {"short_description": replica.description, "greeting": replica.welcome, "profile_image": None}
    return {name: value for name, value in (known | filled).items() if value is not None}
