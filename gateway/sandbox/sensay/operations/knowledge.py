"""The knowledge base, and the guide's training, which is another way to the same entries."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from aiohttp import web
from msgspec import UNSET

from gateway.sandbox.sensay import bodies
from gateway.sandbox.sensay.calls import Call, answer, given, stated
from gateway.sandbox.sensay.entry import Entry, page_text, supported
from gateway.sandbox.sensay.queries import EntryQuery
from gateway.sandbox.sensay.replies import (
    Accepted,
    Chunk,
    Done,
    EntriesMade,
    EntryError,
    EntryItem,
    EntryList,
    EntryMade,
    EntryShown,
    File,
    TrainingShown,
    TrainingStarted,
    UploadStarted,
    Website,
    Youtube,
)
from gateway.sandbox.sensay.state import MOST_ENTRIES, iso, short
from gateway.sandbox.sensay.wire import Refusal

_VIDEOS = 3
"""In every playlist; when its id has the word `private` in it, one of them cannot be had."""
_YOUTUBE = ("www.youtube.com", "youtube.com", "youtu.be", "m.youtube.com")


# --- the knowledge base ---


async def create(call: Call) -> web.StreamResponse:
    body: bodies.Knowledge = call.body
    ways = [way for way in (body.text, body.url, body.filename) if way is not UNSET]
    if len(ways) != 1:
        raise Refusal(400, "Exactly one of text, url and filename is required")
    if body.auto_refresh is not UNSET and body.url is UNSET:
        raise Refusal(400, "autoRefresh goes with url")
    if body.text is not UNSET:
        entry = _new(call, "text")
        entry.learn(body.text, call.now)
        return _made(EntryMade(enqueued=True, type="text", knowledge_base_id=entry.id))
    if body.url is not UNSET:
        return _made(*_from_url(call, body.url))
    entry, signed = _expect_file(call, ways[0])
    return _made(EntryMade(enqueued=True, type="file", knowledge_base_id=entry.id, signed_url=signed))


def _made(*results: EntryMade) -> web.Response:
    return answer(
        EntriesMade(results=list(results), success=any(result.enqueued for result in results)), status=207
    )


def _from_url(call: Call, url: str) -> list[EntryMade]:
    parts = urlsplit(url)
    if any(url in (entry.url, entry.playlist) for entry in call.own_replica.knowledge.values()):
        raise Refusal(409, "URL already exists in the knowledge base")
    if parts.hostname not in _YOUTUBE:
        entry, page = _new(call, "website", url), page_text(url)
        entry.auto_refresh = bool(given(call.body.auto_refresh))
        if page is None:
            entry.error = f"{parts.hostname} cannot be reached"
        else:
            entry.title, text = page
            entry.learn(text, call.now)
        return [EntryMade(enqueued=True, type="website", knowledge_base_id=entry.id)]
    playlist = parse_qs(parts.query).get("list", [""])[0]
    if parts.path != "/playlist" or not playlist:
        return [_video(call, url, None)]
    videos = [f"https://www.youtube.com/watch?v={playlist}-{number}" for number in range(1, _VIDEOS + 1)]
    made: list[EntryMade] = [_video(call, video, url) for video in videos[:-1]]
    if "private" in playlist:
        return [*made, EntryMade(enqueued=False, type="youtube", error=f"The video {videos[-1]} is private")]
    return [*made, _video(call, videos[-1], url)]


def _video(call: Call, url: str, playlist: str | None) -> EntryMade:
    entry = _new(call, "youtube", url)
    entry.title, entry.playlist = f"Video {url.rpartition('=')[2]}", playlist
    entry.learn(f"# {entry.title}\n\nWhat is said in the video {url}.", call.now)
    return EntryMade(enqueued=True, type="youtube", knowledge_base_id=entry.id)


def _expect_file(call: Call, filename: str) -> tuple[Entry, str]:
    if not supported(filename):
        raise Refusal(400, "This type of file is not supported")
    replica = call.own_replica
    _check_room(call)
    if call.uploads is not None:
        if wait := call.uploads.wait(call.now):
            raise Refusal(429, "Upload limit exceeded", code="UPLOAD_LIMIT_EXCEEDED", retry_after=wait)
        call.uploads.take(call.now)
    entry = _new(call, "file")
    entry.filename = filename
    path = call.storage.sign(entry, lambda: entry.id in replica.knowledge)
    return entry, call.origin + path


def _new(call: Call, type_: bodies.EntryType, url: str | None = None) -> Entry:
    replica = call.own_replica
    _check_room(call)
    entry = call.organization.add_entry(replica, type_, call.now)
    entry.url = url
    return entry


def _check_room(call: Call) -> None:
    if len(call.own_replica.knowledge) >= MOST_ENTRIES:
        raise Refusal(429, "The replica has all the entries it may have", code="KNOWLEDGE_QUOTA_EXCEEDED")


async def list_all(call: Call) -> web.StreamResponse:
    query: EntryQuery = call.query
    items = [
        _item(entry, call.now)
        for entry in call.replica.knowledge.values()
        if query.type in (UNSET, entry.type) and query.status in (UNSET, entry.status(call.now))
    ]
    items.sort(key=lambda item: (item.created_at, item.id), reverse=query.sort_order == "desc")
    return answer(EntryList(items=items[query.window], total=len(items)))


async def get(call: Call) -> web.StreamResponse:
    entry = _entry(call)
    entry.looks += not entry.waiting
    return answer(_shown(entry, call.now))


async def update(call: Call) -> web.StreamResponse:
    body: bodies.ChangedKnowledge = call.body
    entry = _entry(call, own=True)
    changes = {key: value for key, value in msgspec.structs.asdict(body).items() if value is not UNSET}
    if not changes:
        raise Refusal(400, "Nothing to change")
    text = given(body.raw_text) or given(body.processed_text)
    if text is not None:
        entry.learn(text, call.now)
    entry.updated_at = call.now
    entry.title, entry.summary = given(body.title) or entry.title, given(body.summary) or entry.summary
    entry.facts = entry.facts if body.generated_facts is UNSET else body.generated_facts
    return answer(Done())


async def delete(call: Call) -> web.StreamResponse:
    """200; or 202 for what is still being processed, and gone only after that."""
    entry = _entry(call, own=True)
    under_way = not entry.waiting and entry.status(call.now) not in ("READY", "UNPROCESSABLE")
    del call.own_replica.knowledge[entry.id]
    if under_way:
        return answer(Accepted(message="The entry is being deleted; this may take a while"), status=202)
    return answer(Done())


# --- the guide's training ---


async def start_training(call: Call) -> web.StreamResponse:
    return answer(TrainingStarted(knowledge_base_id=_new(call, "text").id))


async def start_upload(call: Call) -> web.StreamResponse:
    entry, signed = _expect_file(call, call.query.filename)
    return answer(UploadStarted(knowledge_base_id=entry.id, signed_url=signed))


async def train(call: Call) -> web.StreamResponse:
    _entry(call, own=True).learn(call.body.raw_text, call.now)
    return answer(Done())


async def get_training(call: Call) -> web.StreamResponse:
    entry = _entry(call)
    entry.looks += not entry.waiting
    shown = msgspec.structs.asdict(_shown(entry, call.now))
    return answer(TrainingShown(**shown | {"status": _training_status(entry, call.now)}))


def _training_status(
    entry: Entry, now: float
) -> Literal["BLANK", "AWAITING_UPLOAD", "PROCESSING", "READY", "ERR_FILE_PROCESSING"]:
    """The guide knows only that it is processing, and then done."""
    if entry.waiting:
        return "BLANK" if entry.filename is None else "AWAITING_UPLOAD"
    status = entry.status(now)
    if status == "UNPROCESSABLE":
        return "ERR_FILE_PROCESSING"
    return "READY" if status == "READY" else "PROCESSING"


# --- one entry ---


def _entry(call: Call, *, own: bool = False) -> Entry:
    replica, number = call.own_replica if own else call.replica, call.request.match_info["entry"]
    ascii_number = number.isascii() and number.isdecimal() and len(number) < 19
    entry = replica.knowledge.get(int(number)) if ascii_number else None
    if entry is None:
        raise Refusal(404, "Cannot find knowledge base entry")
    return entry


def _item(entry: Entry, now: float) -> EntryItem:
    status = entry.status(now)
    item = EntryItem(
        id=entry.id,
        replica_uuid=entry.replica,
        type=entry.type,
        status=status,
        url=stated(entry.url),
        title=stated(entry.title),
        summary=entry.summary or (short(" ".join(entry.text.split()), 200) if entry.text else UNSET),
        created_at=iso(entry.created_at),
        updated_at=iso(entry.updated_at),
    )
    if entry.type == "website":
        item.website = Website(
            url=entry.url or "", title=stated(entry.title), auto_refresh=entry.auto_refresh
        )
    if entry.type == "youtube":
        item.youtube = Youtube(
            url=entry.url or "", title=stated(entry.title), playlist_id=stated(entry.playlist)
        )
    if entry.filename is not None:
        item.file = File(name=entry.filename, size=entry.size, mime_type=entry.mime_type)
    if status == "UNPROCESSABLE":
        item.error = EntryError(fingerprint=entry.fingerprint, message=entry.error or "")
    return item


def _shown(entry: Entry, now: float) -> EntryShown:
    text = entry.text
    chunk = Chunk(content=text, chunk_index=0, chunk_chars=len(text), chunk_tokens=len(text) // 4)
    shown = EntryShown(
        **msgspec.structs.asdict(_item(entry, now)),
        generated_facts=entry.facts,
        raw_text_chunks=[chunk] if text else [],
    )
    if text:
        shown.raw_text = text
        shown.generated_title = short(text.lstrip("# ").partition("\n")[0])
    return shown
