"""Users of the organisation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from gateway.errors import Permanent
from gateway.sensay.api.operation import ADMIN, Arguments, Auth, Door, Id, Operation, everywhere
from gateway.sensay.api.values import Said, Thing
from gateway.sensay.models import Nothing

CONFLICT, NOT_FOUND = 409, 404
Name = Annotated[
    str,
    Meta(
        max_length=50,
        pattern=r"^[A-Za-z0-9 ().,'/-]*$",
        description="at most 50 letters (A to Z), digits, spaces or any of ().,'/-",
    ),
]
_TAKEN = {CONFLICT: "the id, the e-mail address or a linked account belongs to another user"}
_NO_USER = {NOT_FOUND: "there is no user with this id in the organisation: create it first"}


class LinkedAccount(Thing, frozen=True):
    account_id: str = field(name="accountID")
    account_type: Literal["telegram", "discord", "embed"]


class Linked(Thing, frozen=True):
    """A linked account as it is shown; there may be more types than one can create."""

    account_id: str = field(name="accountID")
    account_type: str


class User(Said, frozen=True):
    id: str
    email: str | None = None
    name: str | None = None
    linked_accounts: tuple[Linked, ...] | None = None


class ConversationUsage(Thing, frozen=True):
    current_month_total: int | None = None
    current_month_by_replica: dict[str, int] | None = None


class KnowledgeUsage(Thing, frozen=True):
    total: int | None = None
    by_replica: dict[str, int] | None = None


class Usage(Said, frozen=True):
    conversations: ConversationUsage | None = None
    knowledge_base_entries: KnowledgeUsage | None = None


class NewUser(Arguments, frozen=True):
    id: Id | None = None
    email: str | None = None
    name: Name | None = None
    linked_accounts: tuple[LinkedAccount, ...] | None = None


class ChangedUser(Arguments, frozen=True):
    id: Id
    email: str | None = None
    name: Name | None = None
    linked_accounts: tuple[LinkedAccount, ...] | None = None


class OfUser(Arguments, frozen=True):
    user: Id


_USERS, _ME = "/v1/users", "/v1/users/me"
CREATE = Operation(
    "users.create",
    "Create a user, with or without an id",
    NewUser,
    User,
    everywhere("POST", _USERS),
    "admin",
    remedies=_TAKEN,
)
GET = Operation(
    "users.get",
    "A user by id",
    OfUser,
    User,
    everywhere("GET", _USERS + "/{user}"),
    "admin",
    repeatable=True,
    remedies=_NO_USER,
)
ME = Operation(
    "users.me", "The user that one asks as", Arguments, User, everywhere("GET", _ME), "user", repeatable=True
)
UPDATE = Operation(
    "users.update",
    "Change the user that one asks as",
    ChangedUser,
    User,
    everywhere("PUT", _ME),
    "user",
    repeatable=True,
    remedies=_TAKEN,
)
DELETE = Operation(
    "users.delete",
    "Delete the user that one asks as, for good",
    Arguments,
    Nothing,
    everywhere("DELETE", _ME),
    "user",
)
USAGE = Operation(
    "users.usage",
    "Conversations and knowledge of the user's replicas",
    Arguments,
    Usage,
    everywhere("GET", f"{_ME}/usage"),
    "user",
    repeatable=True,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (CREATE, GET, ME, UPDATE, DELETE, USAGE)


class Users:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def create(
        self,
        id: str | None = None,  # noqa: A002 - the field's name
        *,
        email: str | None = None,
        name: str | None = None,
        linked: tuple[LinkedAccount, ...] | None = None,
    ) -> User:
        """Without an id Sensay makes one up."""
        arguments = CREATE.read({"id": id, "email": email, "name": name, "linked_accounts": linked})
        return (await self._door(CREATE, arguments, ADMIN)).value

    async def get(self, user: str) -> User:
        return (await self._door(GET, OfUser(user=user), ADMIN)).value

    async def me(self, auth: Auth) -> User:
        return (await self._door(ME, Arguments(), auth)).value

    async def update(self, auth: Auth, **changes: Any) -> User:
        """What is left out stays as it is; the id, which Sensay wants anyhow, is looked up when it is not given."""
        if "id" not in changes:
            changes["id"] = (await self.me(auth)).id
        return (await self._door(UPDATE, UPDATE.read(changes), auth)).value

    async def delete(self, auth: Auth) -> None:
        await self._door(DELETE, Arguments(), auth)

    async def usage(self, auth: Auth) -> Usage:
        return (await self._door(USAGE, Arguments(), auth)).value

    async def ensure(self, user: str) -> User:
        """The user of this id, created unless there already."""
        try:
            return await self.get(user)
        except Permanent as error:
            if error.context.get("status") != NOT_FOUND:
                raise
        try:
            return await self.create(user)
        except Permanent as error:
            if error.context.get("status") != CONFLICT:
                raise
            return await self.get(user)  # somebody else was first
