"""Where files are put: addresses that are good for one upload each, as the real service has them at its storage."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from gateway.sandbox.sensay.entry import LARGEST_FILE, Entry

PATH = "/storage/v1/upload/{token}"
GOOD_FOR = 2 * 3600.0
_MOST_WAITING = 1_000
_MOST_READ = 2 * LARGEST_FILE
"""What is too large is read to its end, so that whoever sends it hears the answer; but not for ever."""


@dataclass(frozen=True, slots=True)
class Waiting:
    entry: Entry
    until: float
    wanted: Callable[[], bool]
    """Whether the entry is still there."""


class Storage:
    """Uploads that are expected."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()

    def sign(self, entry: Entry, wanted: Callable[[], bool]) -> str:
        """A path for one PUT."""
        token = uuid.uuid4().hex
        self._waiting[token] = Waiting(entry, self._clock() + GOOD_FOR, wanted)
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)
        return PATH.format(token=token)

    def clear(self) -> None:
        self._waiting.clear()

    async def put(self, request: web.Request) -> web.Response:
        """413 over 50 MB, 400 for nothing at all, 404 for an address that is used, too old or made up."""
        token = request.match_info["token"]
        waiting = self._waiting.get(token)
        if waiting is None or waiting.until <= self._clock() or not waiting.wanted():
            return _refused(404, "The upload address is unknown, used or has expired")
        data = await _read(request)
        if data is None:
            return _refused(413, "The file is larger than 50 MB")
        if not data:
            return _refused(400, "The file is empty")
        self._waiting.pop(token, None)
        waiting.entry.upload(data, self._clock())
        return web.json_response({"Key": f"knowledge/{waiting.entry.filename}"})


async def _read(request: web.Request) -> bytes | None:
    """None: too large."""
    data, size = bytearray(), 0
    if (request.content_length or 0) > _MOST_READ:
        return None
    async for chunk in request.content.iter_chunked(2**16):
        size += len(chunk)
        if size > _MOST_READ:
            break
        if size <= LARGEST_FILE:
            data += chunk
    return bytes(data) if size <= LARGEST_FILE else None


def _refused(status: int, words: str) -> web.Response:
    return web.json_response(
        {"statusCode": str(status), "error": HTTPStatus(status).phrase, "message": words}, status=status
    )
