"""What a replica knows: texts, pages, videos and files, from their first byte until it answers with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from gateway.errors import GatewayError, InvalidArguments, Permanent, Transient
from gateway.ports import Clock
from gateway.sensay.api.files import Upload, checked
from gateway.sensay.api.operation import (
    ADMIN,
    Auth,
    Door,
    Id,
    OfReplica,
    Operation,
    Spelling,
    everywhere,
)
from gateway.sensay.api.paging import by_number
from gateway.sensay.api.values import Done, Page, Said, Thing

PAGE_SIZE = 24
FIRST_LOOK, LONGEST_PAUSE, PATIENCE = 2.0, 15.0, 900.0
"""Seconds between looks at an entry that is being learnt, growing by half; and until nobody waits any more."""
TRAINED = frozenset({"VECTOR_CREATED", "READY"})
FAILED = frozenset(
    {"UNPROCESSABLE", "SYNC_ERROR", "ERR_FILE_PROCESSING", "ERR_TEXT_PROCESSING", "ERR_TEXT_TO_VECTOR"}
)
STUCK = "delete the entry and create it again; check that a file is under 50 MB and of a supported type"
Text = Annotated[str, Meta(min_length=1, pattern=r"\S", description="more than spaces")]
Url = Annotated[
    str, Meta(pattern=r"^https?://[^/\s]+\.[^/\s]+", description="an address like https://example.com/page")
]
Type = Literal["file", "text", "website", "youtube"]
Status = Literal[
    "NEW", "FILE_UPLOADED", "RAW_TEXT", "PROCESSED_TEXT", "VECTOR_CREATED", "READY", "UNPROCESSABLE"
]
_KNOWN = {409: "the address is in the knowledge base already"}
GONE = {404: "there is no such entry, or no such replica in this organisation"}


class Result(Thing, frozen=True):
    """What became of one text, page, video or file."""

    enqueued: bool
    type: str | None = None
    knowledge_base_id: int | None = field(default=None, name="knowledgeBaseID")
    signed_url: str | None = field(default=None, name="signedURL")
    error: str | None = None


class Added(Said, frozen=True):
    """Status 207: some may have failed. Both forms: a result for each, or (before) ids and errors apart."""

    results: tuple[Result, ...] = ()
    type: str | None = None
    knowledge_base_ids: tuple[int, ...] | None = field(default=None, name="knowledgeBaseIDs")
    signed_url: str | None = field(default=None, name="signedURL")
    errors: tuple[str, ...] | None = None

    @property
    def good(self) -> bool:
        """With a word on any item it is an answer, even if all of them failed."""
        return self.success or bool(self.each)

    @property
    def each(self) -> tuple[Result, ...]:
        if self.results:
            return self.results
        taken = tuple(
            Result(enqueued=True, type=self.type, knowledge_base_id=id_, signed_url=self.signed_url)
            for id_ in self.knowledge_base_ids or ()
        )
        return taken + tuple(
            Result(enqueued=False, type=self.type, error=error) for error in self.errors or ()
        )

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(
            one.knowledge_base_id for one in self.each if one.enqueued and one.knowledge_base_id is not None
        )

    @property
    def failures(self) -> tuple[str, ...]:
        return tuple(one.error or "no reason given" for one in self.each if not one.enqueued)


class Chunk(Thing, frozen=True):
    content: str | None = None
    chunk_index: int | None = None
    chunk_chars: int | None = None
    chunk_tokens: int | None = None


class Website(Thing, frozen=True):
    url: str | None = None
    title: str | None = None
    text: str | None = None
    description: str | None = None
    auto_refresh: bool | None = None


class Youtube(Thing, frozen=True):
    url: str | None = None
    title: str | None = None
    description: str | None = None
    summary: str | None = None
    playlist_id: str | None = field(default=None, name="playlistID")


class File(Thing, frozen=True):
    name: str | None = None
    size: int | None = None
    mime_type: str | None = None


class Failure(Thing, frozen=True):
    fingerprint: str | None = None
    message: str | None = None


class Entry(Said, frozen=True):
    id: int
    status: str
    type: str | None = None
    replica_uuid: str | None = field(default=None, name="replicaUUID")
    url: str | None = None
    title: str | None = None
    generated_title: str | None = None
    summary: str | None = None
    raw_text: str | None = None
    processed_text: str | None = None
    generated_facts: tuple[str, ...] | None = None
    raw_text_chunks: tuple[Chunk, ...] | None = None
    website: Website | None = None
    youtube: Youtube | None = None
    file: File | None = None
    error: Failure | None = None
    created_at: str | None = None
    updated_at: str | None = None

    @property
    def trained(self) -> bool:
        """The replica answers with it."""
        return self.status in TRAINED

    @property
    def failed(self) -> bool:
        """It will never get there."""
        return self.status in FAILED


class OfEntry(OfReplica, frozen=True):
    entry: int


class NewText(OfReplica, frozen=True):
    text: Text


class NewUrl(OfReplica, frozen=True):
    url: Url
    auto_refresh: bool | None = None


class NewFile(OfReplica, frozen=True):
    filename: Id


class Listing(OfReplica, frozen=True):
    page: Annotated[int, Meta(ge=1)] = 1
    page_size: Annotated[int, Meta(ge=1, le=100)] = PAGE_SIZE
    status: Status | None = None
    type: Type | None = None
    sort_order: Literal["asc", "desc"] | None = None


class Change(OfEntry, frozen=True):
    raw_text: Text | None = None
    processed_text: Text | None = None
    title: str | None = None
    summary: str | None = None
    generated_facts: tuple[str, ...] | None = None


def _only_text(change: Change) -> Mapping[str, Any]:
    """All that the guide's training takes."""
    others = (change.processed_text, change.title, change.summary, change.generated_facts)
    if change.raw_text is None or any(value is not None for value in others):
        raise InvalidArguments("knowledge.update: the dialect guide changes raw_text and nothing else")
    return {"rawText": change.raw_text}


_ALL = "/v1/replicas/{replica}/knowledge-base"
_ONE = _ALL + "/{entry}"
_TRAINING = "/v1/replicas/{replica}/training"
ADD_TEXT = Operation("knowledge.add_text", "Teach a text", NewText, Added, everywhere("POST", _ALL))
ADD_URL = Operation(
    "knowledge.add_url",
    "Teach a page, a video or a playlist",
    NewUrl,
    Added,
    everywhere("POST", _ALL),
    remedies=_KNOWN,
)
ADD_FILE = Operation(
    "knowledge.add_file",
    "Announce a file; the answer says where to put it",
    NewFile,
    Added,
    everywhere("POST", _ALL),
    upload=True,
)
LIST: Operation[Listing, Page[Entry]] = Operation(
    "knowledge.list",
    "Entries of a replica, a page at a time",
    Listing,
    Page[Entry],
    everywhere("GET", _ALL),
    repeatable=True,
)
GET = Operation(
    "knowledge.get",
    "One entry, and how far it is",
    OfEntry,
    Entry,
    everywhere("GET", _ONE),
    repeatable=True,
    remedies=GONE,
)
UPDATE = Operation(
    "knowledge.update",
    "Change an entry",
    Change,
    Done,
    everywhere("PATCH", _ONE) | {"guide": Spelling("PUT", _TRAINING + "/{entry}", _only_text)},
    repeatable=True,
    remedies=GONE,
)
DELETE = Operation(
    "knowledge.delete",
    "Forget an entry",
    OfEntry,
    Done,
    everywhere("DELETE", _ONE) | {"guide": Spelling("DELETE", _TRAINING + "/{entry}")},
    remedies=GONE,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (ADD_TEXT, ADD_URL, ADD_FILE, LIST, GET, UPDATE, DELETE)


class Knowledge:
    """`upload` puts a file where Sensay wants it; it costs nothing of the quota."""

    def __init__(self, door: Door, upload: Upload, clock: Clock) -> None:
        self._door, self._upload, self._clock = door, upload, clock

    async def add_text(self, replica: str, text: str, auth: Auth = ADMIN) -> Added:
        arguments = ADD_TEXT.read({"replica": replica, "text": text})
        return _taken((await self._door(ADD_TEXT, arguments, auth)).value)

    async def add_url(
        self, replica: str, url: str, auth: Auth = ADMIN, *, auto_refresh: bool | None = None
    ) -> Added:
        """A playlist makes many entries, of which some may fail: look at `failures`."""
        arguments = ADD_URL.read({"replica": replica, "url": url, "auto_refresh": auto_refresh})
        return _taken((await self._door(ADD_URL, arguments, auth)).value)

    async def add_file(
        self,
        replica: str,
        file: Path,
        auth: Auth = ADMIN,
        *,
        progress: Callable[[int, int], None] = lambda _sent, _size: None,
    ) -> Added:
        """Announced, then put where Sensay says. If that fails the entry is deleted again: nothing is left half-done.

        `progress` hears how many bytes of how many were sent. Raises InvalidArguments for a file of no use.
        """
        size = checked(file)
        announced = (
            await self._door(ADD_FILE, ADD_FILE.read({"replica": replica, "filename": file.name}), auth)
        ).value
        result = next((one for one in _taken(announced).each if one.enqueued), None)
        if result is None or result.signed_url is None or result.knowledge_base_id is None:
            raise Permanent("Sensay does not say where to put the file", operation=ADD_FILE.name)
        async with undone(result.knowledge_base_id, partial(self.delete, replica, auth=auth)):
            await self._upload(result.signed_url, file, size, progress)
        return announced

    async def page(self, replica: str, auth: Auth = ADMIN, **query: Any) -> Page[Entry]:
        """One page; beyond the end it has no items."""
        return (await self._door(LIST, LIST.read({"replica": replica} | query), auth)).value

    def list(
        self, replica: str, auth: Auth = ADMIN, *, page_size: int = PAGE_SIZE, **filters: Any
    ) -> AsyncIterator[Entry]:
        """All of them, each once. `filters`: status, type, sort_order."""
        LIST.read({"replica": replica} | filters)

        async def fetch(page: int, _: int) -> Page[Entry]:
            return await self.page(replica, auth, page=page, page_size=page_size, **filters)

        return by_number(fetch, page_size, lambda entry: entry.id)

    async def get(self, replica: str, entry: int, auth: Auth = ADMIN) -> Entry:
        return (await self._door(GET, OfEntry(replica=replica, entry=entry), auth)).value

    async def update(self, replica: str, entry: int, auth: Auth = ADMIN, **changes: Any) -> None:
        """`changes` are fields of `Change`."""
        if not changes:
            raise InvalidArguments("knowledge.update: nothing to change")
        await self._door(UPDATE, UPDATE.read({"replica": replica, "entry": entry} | changes), auth)

    async def delete(self, replica: str, entry: int, auth: Auth = ADMIN) -> bool:
        """False (status 202): it will be gone, but is not yet."""
        return (await self._door(DELETE, OfEntry(replica=replica, entry=entry), auth)).status != 202

    async def wait(
        self,
        replica: str,
        entry: int,
        auth: Auth = ADMIN,
        *,
        patience: float = PATIENCE,
        seen: Callable[[Entry], None] = lambda _: None,
    ) -> Entry:
        """Look until the replica answers with it. `seen` hears of every look.

        Raises Permanent when it cannot be learnt, Transient after `patience` seconds: it may still be.
        """
        until, pause = self._clock.monotonic() + patience, FIRST_LOOK
        while True:
            found = await self.get(replica, entry, auth)
            seen(found)
            if found.trained:
                return found
            if found.failed:
                raise _unlearnt(found)
            if self._clock.monotonic() + pause > until:
                raise Transient(
                    f"entry {entry} is still {found.status} after {patience:g} s",
                    operation=GET.name,
                    remedy=STUCK,
                )
            await self._clock.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)


@asynccontextmanager
async def undone(entry: int, delete: Callable[[int], Awaitable[object]]) -> AsyncIterator[None]:
    """What fails in here takes the entry, which is still empty, with it: nothing is left half-done."""
    try:
        yield
    except BaseException as error:
        try:
            await delete(entry)
        except GatewayError as trouble:
            error.add_note(f"the empty entry {entry} could not be deleted: {trouble}")
        raise


def _taken(added: Added) -> Added:
    """Raises Permanent when nothing at all was taken in."""
    if added.ids:
        return added
    reasons = "; ".join(added.failures) or "Sensay names no entry"
    raise Permanent(f"nothing was taken in: {reasons}", operation="knowledge.add", remedy=STUCK)


def _unlearnt(entry: Entry) -> Permanent:
    error = entry.error or Failure()
    return Permanent(
        f"entry {entry.id} is {entry.status}" + (f": {error.message}" if error.message else ""),
        operation=GET.name,
        fingerprint=error.fingerprint,
        remedy=STUCK,
    )
