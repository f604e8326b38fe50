"""The guide's training: an empty entry first, its text or file after. Sensay has replaced it by the knowledge base."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import field

from gateway.errors import Permanent
from gateway.sensay.api.files import Upload, checked, put
from gateway.sensay.api.knowledge import GONE, Entry, OfEntry, Text, undone
from gateway.sensay.api.operation import (
    ADMIN,
    Auth,
    Door,
    Id,
    OfReplica,
    Operation,
    Spelling,
)
from gateway.sensay.api.values import Done, Said
from gateway.sensay.identity import DialectName
from gateway.sensay.requests import Method

_INSTEAD = "Sensay replaced training by the knowledge base on 2025-10-08: use knowledge"
_TRAINING = "/v1/replicas/{replica}/training"


class Begun(Said, frozen=True):
    knowledge_base_id: int = field(name="knowledgeBaseID")
    signed_url: str | None = field(default=None, name="signedURL")


class Lesson(OfEntry, frozen=True):
    raw_text: Text


class NewFile(OfReplica, frozen=True):
    filename: Id


def _of_guide(method: Method, path: str) -> dict[DialectName, Spelling[Any]]:
    return {"guide": Spelling(method, path)}


START: Operation[OfReplica, Begun] = Operation(
    "training.start", "Begin an entry", OfReplica, Begun, _of_guide("POST", _TRAINING), instead=_INSTEAD
)
UPLOAD: Operation[NewFile, Begun] = Operation(
    "training.upload",
    "Announce a file; the answer says where to put it",
    NewFile,
    Begun,
    _of_guide("GET", f"{_TRAINING}/files/upload"),
    upload=True,
    instead=_INSTEAD,
)
TEACH: Operation[Lesson, Done] = Operation(
    "training.teach",
    "Give an entry its text",
    Lesson,
    Done,
    _of_guide("PUT", _TRAINING + "/{entry}"),
    repeatable=True,
    instead=_INSTEAD,
    remedies=GONE,
)
GET: Operation[OfEntry, Entry] = Operation(
    "training.get",
    "How far an entry is",
    OfEntry,
    Entry,
    _of_guide("GET", _TRAINING + "/{entry}"),
    repeatable=True,
    instead=_INSTEAD,
    remedies=GONE,
)
DELETE: Operation[OfEntry, Done] = Operation(
    "training.delete",
    "Forget an entry",
    OfEntry,
    Done,
    _of_guide("DELETE", _TRAINING + "/{entry}"),
    instead=_INSTEAD,
    remedies=GONE,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (START, UPLOAD, TEACH, GET, DELETE)


class Training:
    def __init__(self, door: Door, upload: Upload = put) -> None:
        self._door, self._upload = door, upload

    async def add_text(self, replica: str, text: str, auth: Auth = ADMIN) -> int:
        """Both steps; the entry's id. An entry that could not be given its text is deleted again."""
        lesson = TEACH.read({"replica": replica, "entry": 0, "raw_text": text})
        entry = (await self._door(START, OfReplica(replica=replica), auth)).value.knowledge_base_id
        async with undone(entry, partial(self.delete, replica, auth=auth)):
            await self.teach(replica, entry, lesson.raw_text, auth)
        return entry

    async def add_file(
        self,
        replica: str,
        file: Path,
        auth: Auth = ADMIN,
        *,
        progress: Callable[[int, int], None] = lambda _sent, _size: None,
    ) -> int:
        """Announced, then put where Sensay says; the entry's id. As with `Knowledge.add_file` nothing is half-done."""
        size = checked(file)
        begun = (await self._door(UPLOAD, NewFile(replica=replica, filename=file.name), auth)).value
        if begun.signed_url is None:
            raise Permanent("Sensay does not say where to put the file", operation=UPLOAD.name)
        async with undone(begun.knowledge_base_id, partial(self.delete, replica, auth=auth)):
            await self._upload(begun.signed_url, file, size, progress)
        return begun.knowledge_base_id

    async def teach(self, replica: str, entry: int, text: str, auth: Auth = ADMIN) -> None:
        await self._door(TEACH, Lesson(replica=replica, entry=entry, raw_text=text), auth)

    async def get(self, replica: str, entry: int, auth: Auth = ADMIN) -> Entry:
        return (await self._door(GET, OfEntry(replica=replica, entry=entry), auth)).value

    async def delete(self, replica: str, entry: int, auth: Auth = ADMIN) -> bool:
        """False (status 202): it will be gone, but is not yet."""
        return (await self._door(DELETE, OfEntry(replica=replica, entry=entry), auth)).status != 202
