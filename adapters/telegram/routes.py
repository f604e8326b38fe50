"""The public HTTP side of all Telegram bots: updates that Telegram pushes, and pictures that the replica looks at."""

from __future__ import annotations

from pathlib import PurePosixPath

from aiohttp import web
from telegram.error import TelegramError

from adapters.http import NO_STORE, SECURITY_HEADERS, Problem, answering, read_body
from adapters.telegram.pictures import LARGEST, TYPES
from adapters.telegram.transport import Download
from gateway.ports import Fleet

UPDATES = "/v1/telegram/{bot}"
FILES = "/v1/telegram/{bot}/files"
BODY_LIMIT = 1024 * 1024
SECRET = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name
PIECE = 64 * 1024


class TelegramRoutes:
    """Looks the bot up with each request: only a running one is served."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(UPDATES, answering(self.update)),
            web.get(FILES + "/{signed}", answering(self.file), allow_head=False),
        ]

    async def update(self, request: web.Request) -> web.Response:
        """Answer 200, empty (a body would be executed as a call), once the update is in the journal."""
        channel = self._fleet.channel(request.match_info["bot"], "telegram")
        webhook = channel[0].webhook if channel else None
        if webhook is None:
            raise Problem(404, "There is no such webhook.")
        if not webhook.admits(request.headers.get(SECRET, "")):
            raise Problem(401, "This is not what Telegram would say.")
        await webhook.receive(await read_body(request, BODY_LIMIT))
        return web.Response()

    async def file(self, request: web.Request) -> web.StreamResponse:
        """Pass a picture on from Telegram, whose own address for it stays here."""
        channel = self._fleet.channel(request.match_info["bot"], "telegram")
        file_id = channel and channel[0].file_id(request.match_info["signed"], channel[1].clock.now())
        if channel is None or not file_id:
            raise Problem(404, "There is no such picture, or its address has expired.")
        try:
            async with channel[0].download(file_id) as download:
                return await _passed_on(request, download)
        except TelegramError:
            raise Problem(502, "Telegram does not hand out the picture now.") from None


async def _passed_on(request: web.Request, download: Download) -> web.StreamResponse:
    kind = TYPES.get(PurePosixPath(download.path).suffix[1:].lower())
    if kind is None or (download.size or 0) > LARGEST:
        raise Problem(404, "This is not a picture that can be shown.")
    response = web.StreamResponse(headers={**SECURITY_HEADERS, **NO_STORE, "Content-Type": kind})
    response.content_length = download.size
    await response.prepare(request)
    try:
        async for piece in download.pieces(PIECE):
            await response.write(piece)
    except TelegramError:
        raise ConnectionResetError("the picture broke off") from None  # the status is out already
    return response
