"""What an operation is: its arguments, its answer, and how each dialect spells it. Pure: nothing leaves here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    get_args,
    get_type_hints,
)
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta

from gateway.errors import InvalidArguments
from gateway.sensay.identity import DialectName
from gateway.sensay.models import Wire
from gateway.sensay.requests import Answered, Method, Request

R = TypeVar("R", bound=Wire)
Id = Annotated[str, Meta(min_length=1, max_length=200, description="1 to 200 characters")]
Channel = Literal["telegram", "discord", "embed", "web"]
Authority = Literal["admin", "user", "either", "none"]
ALL: tuple[DialectName, ...] = ("openapi", "guide", "generic")
OnDelta: TypeAlias = Callable[[str], None]
_ACRONYMS = {"id": "ID", "uuid": "UUID", "url": "URL"}
_PLACE = re.compile(r"\{(\w+)\}")
_FORM = re.compile(r"of length|matching regex")
_WHERE = re.compile(r" - at `\$\.(\w+)")
_HEADER = re.compile(r"[!-~]([ -~]*[!-~])?")


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what operations take. What is None is left out. `secrets` names fields that nobody may see."""

    secrets: ClassVar[tuple[str, ...]] = ()


A = TypeVar("A", bound=Arguments)


class OfReplica(Arguments, frozen=True):
    replica: Id


@dataclass(frozen=True, slots=True)
class Auth:
    """For whom: without an id the organisation itself, which may do everything; else one user and what is theirs.

    `type` is None for a user's own id, or the type of the linked account that `id` is.
    """

    id: str | None = None
    type: str | None = None

    def headers(self, dialect: DialectName) -> dict[str, str]:
        """Raises InvalidArguments for what cannot stand in a header, or is no type of account in this dialect."""
        if self.id is None:
            return {}
        if not _HEADER.fullmatch(self.id):
            raise InvalidArguments("a user's id is printable ASCII, without spaces around it")
        if self.type is None:
            return {"X-USER-ID": self.id}
        known = ("telegram", "discord", "embed", *(("email",) if dialect == "guide" else ()))
        if self.type not in known:
            raise InvalidArguments(f"the type of a user's id is one of {', '.join(known)}")
        return {"X-USER-ID": self.id, "X-USER-ID-TYPE": self.type}


ADMIN = Auth()


def as_user(id_: str) -> Auth:
    """One user, by the id that the user has at Sensay."""
    return Auth(id_)


def as_linked(id_: str, type_: str) -> Auth:
    """One user, by the id of a linked account: telegram, discord or embed (the guide knows email, too)."""
    return Auth(id_, type_)


# --- spelling ---


def camel(name: str) -> str:
    """`owner_id` → `ownerID`, as Sensay writes most of its names."""
    first, *rest = name.split("_")
    return first + "".join(_ACRONYMS.get(word, word.capitalize()) for word in rest)


def given(arguments: Arguments) -> dict[str, Any]:
    """What was given, under our names."""
    fields = ((name, getattr(arguments, name)) for name in arguments.__struct_fields__)
    return {name: value for name, value in fields if value is not None}


def spelt(arguments: Arguments) -> dict[str, Any]:
    """What was given, under Sensay's names."""
    return {camel(name): value for name, value in given(arguments).items()}


@dataclass(frozen=True, slots=True)
class Spelling(Generic[A]):
    """`path` may depend on the arguments; those it names are not sent a second time. `fields` are the others: the
    query of a GET or DELETE, the body of the rest.
    """

    method: Method
    path: str | Callable[[A], str]
    fields: Callable[[A], Mapping[str, Any]] = spelt


@dataclass(frozen=True, slots=True)
class Operation(Generic[A, R]):
    """`completion` and `upload` tell which hours it counts in, besides the minute. `auth`: for whom it may be asked.

    `discloses`: its answer holds secrets of others than Sensay. `instead` says what to do where a dialect does not have
    it. `remedies` are its own, by status.
    """

    name: str
    summary: str
    arguments: type[A]
    reply: type[R]
    spellings: Mapping[DialectName, Spelling[A]]
    auth: Authority = "either"
    completion: bool = False
    upload: bool = False
    repeatable: bool = False
    discloses: bool = False
    instead: str = "use another sensay.dialect"
    remedies: Mapping[int, str] = field(default_factory=dict)

    def request(self, arguments: A, auth: Auth, dialect: DialectName) -> Request[R]:
        """What leaves. Raises InvalidArguments, also where the dialect has no such operation."""
        spelling = self.spellings.get(dialect)
        if spelling is None:
            said = f"the dialect {dialect} has no {self.name}"
            raise InvalidArguments(said, operation=self.name, remedy=self.instead)
        self._check(auth)
        path = spelling.path if isinstance(spelling.path, str) else spelling.path(arguments)
        named = set(_PLACE.findall(path))
        sent = {key: value for key, value in spelling.fields(arguments).items() if value is not None}
        sent = {key: value for key, value in sent.items() if key not in {camel(name) for name in named}}
        path = _PLACE.sub(lambda place: quote(str(getattr(arguments, place[1])), safe=""), path)
        in_query = spelling.method in ("GET", "DELETE")
        return Request(
            operation=self.name,
            method=spelling.method,
            path=path + (_query(sent) if in_query else ""),
            reply=self.reply,
            repeatable=self.repeatable,
            headers=auth.headers(dialect) if self.auth != "none" else {},
            body=None if in_query else msgspec.to_builtins(sent),
            keyed=self.auth != "none",
            explained=True,
            secrets=tuple(str(getattr(arguments, name)) for name in self.arguments.secrets),
            remedies=self.remedies,
        )

    def read(self, arguments: Any) -> A:
        """Arguments from JSON values, under our names. Raises InvalidArguments."""
        try:
            return msgspec.convert(arguments, self.arguments)
        except msgspec.ValidationError as error:
            said = _explained(self.arguments, str(error))
            raise InvalidArguments(f"{self.name}: {said}", operation=self.name) from None

    def _check(self, auth: Auth) -> None:
        if self.auth == "user" and auth.id is None:
            raise InvalidArguments(f"{self.name} is asked as a user", operation=self.name)
        if self.auth in ("admin", "none") and auth.id is not None:
            raise InvalidArguments(f"{self.name} is not asked as a user", operation=self.name)


def _explained(arguments: type[Arguments], error: str) -> str:
    """What a field has to be, in the words of its `Meta.description`, in place of a pattern that people cannot read."""
    place = _WHERE.search(error)
    if place is None or not _FORM.search(error):
        return error
    hint = get_type_hints(arguments, include_extras=True)[place[1]]
    metas = (meta for kind in (hint, *get_args(hint)) for meta in getattr(kind, "__metadata__", ()))
    said = next((meta.description for meta in metas if meta.description), None)
    return f"{place[1]} has to be {said}" if said else error


def _query(sent: Mapping[str, Any]) -> str:
    values = msgspec.to_builtins(sent)
    plain = {key: str(value).lower() if isinstance(value, bool) else value for key, value in values.items()}
    return f"?{urlencode(plain, doseq=True)}" if plain else ""


def everywhere(
    method: Method, path: str, fields: Callable[[A], Mapping[str, Any]] = spelt
) -> dict[DialectName, Spelling[A]]:
    """The same in each dialect."""
    return dict.fromkeys(ALL, Spelling(method, path, fields))


def published(
    method: Method, path: str, fields: Callable[[A], Mapping[str, Any]] = spelt
) -> dict[DialectName, Spelling[A]]:
    """As Sensay publishes it; the guide does not have it."""
    return dict.fromkeys(("openapi", "generic"), Spelling(method, path, fields))


class Door(Protocol):
    """How an operation gets to Sensay: under the quota of the organisation, as its lowest class."""

    async def __call__(
        self, operation: Operation[A, R], arguments: A, auth: Auth, on_delta: OnDelta | None = None, /
    ) -> Answered[R]:
        """Raises InvalidArguments, NoRoom (nothing was sent; when there will be), and what became of the request.

        With `on_delta` the answer is asked for as a stream, and its pieces go there while it is written.
        """
        ...
