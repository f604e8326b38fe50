"""The admin listener's routes for what an operator does about messages: dead letters, traces, a backup."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from gateway.errors import GatewayError, Permanent
from gateway.messages import Channel, ConversationKey, DeadLetter, Life
from gateway.ports import MessageReceived
from gateway.web.documents import letter_document, life_document, passed_over
from gateway.web.problem import problem

PAGE = 100
_CHUNK = 256 * 1024
_KEPT_BACK = {"Cache-Control": "no-store"}


class Page(msgspec.Struct, frozen=True):
    """The query of a list."""

    bot: str | None = None
    cursor: int | None = None
    limit: int = PAGE


def message_routes(
    *,
    letters: Callable[[Page], Awaitable[Sequence[DeadLetter]]],
    letter: Callable[[str], Awaitable[DeadLetter | None]],
    retry: Callable[[str], Awaitable[bool]],
    drop: Callable[[str], Awaitable[bool]],
    trace: Callable[[str], Awaitable[Life | None]],
    backup: Callable[[], AbstractAsyncContextManager[Path]],
) -> list[web.RouteDef]:
    """`retry` and `drop` return False for an unknown letter; `retry` raises GatewayError when it cannot be done.

    `backup` makes a copy of the journal that lasts as long as the context.
    """

    async def list_letters(request: web.Request) -> web.Response:
        page = _page(request)
        found = await letters(page)
        more = str(found[-1].seq) if len(found) == page.limit else None
        return _answer({"items": [letter_document(one) for one in found], "cursor": more})

    async def show(request: web.Request) -> web.Response:
        found = await letter(request.match_info["id"])
        if found is None:
            return problem(404, "There is no such dead letter.")
        life = await trace(found.message)
        history = life_document(life) if life else None
        return _answer({**letter_document(found), "raw": found.raw, "trace": history})

    async def act(request: web.Request) -> web.Response:
        verb = request.match_info["verb"]
        try:
            done = await (retry if verb == "retry" else drop)(request.match_info["id"])
        except Permanent as error:
            return problem(409, str(error))
        except GatewayError as error:
            return problem(503, str(error))
        return _answer({"ok": True}) if done else problem(404, "There is no such dead letter.")

    async def save(request: web.Request) -> web.StreamResponse:
        try:
            async with backup() as copy:
                return await _sent(request, copy)
        except GatewayError as error:
            return problem(503, str(error))

    return [
        web.get("/-/dead-letters", list_letters),
        web.get("/-/dead-letters/{id}", show),
        web.post("/-/dead-letters/{id}/{verb:retry|drop}", act),
        web.post("/-/journal/backup", save),
    ]


def trace_route(
    *,
    trace: Callable[[str], Awaitable[Life | None]],
    decision: Callable[[str], MessageReceived | None],
    find: Callable[[Channel, str], Awaitable[str | None]],
) -> web.RouteDef:
    """`decision` is what was decided of a message lately; `find` knows messages by their platforms' ids."""

    async def show(request: web.Request) -> web.Response:
        wanted = await _found(request.match_info["id"], find)
        life = await trace(wanted)
        known = decision(wanted if life is None else life.id)
        if life is not None:
            return _answer(life_document(life, known))
        return problem(404, "Nothing is known of this id.") if known is None else _answer(passed_over(known))

    return web.get("/-/traces/{id:.+}", show)


async def _found(wanted: str, find: Callable[[Channel, str], Awaitable[str | None]]) -> str:
    """The id of a message that is named as its platform names it: `bot/platform/id`, on Telegram `…/chat/id`."""
    try:
        key = ConversationKey.parse(wanted)
    except (ValueError, msgspec.ValidationError):
        return wanted
    name = f"message:{key.chat.replace('/', ':')}"
    return await find(Channel(bot=key.bot, platform=key.platform), name) or wanted


def _page(request: web.Request) -> Page:
    try:
        page = msgspec.convert(dict(request.query), Page, strict=False)
    except msgspec.ValidationError as error:
        raise web.HTTPUnprocessableEntity(reason=str(error)[:100].replace("\n", " ")) from None
    return Page(page.bot, page.cursor, min(max(1, page.limit), 1000))


async def _sent(request: web.Request, copy: Path) -> web.StreamResponse:
    response = web.StreamResponse(headers={**_KEPT_BACK, "Content-Type": "application/vnd.sqlite3"})
    with copy.open("rb") as file:
        response.content_length = os.fstat(file.fileno()).st_size
        await response.prepare(request)
        while chunk := file.read(_CHUNK):
            await response.write(chunk)
    await response.write_eof()
    return response


def _answer(body: Any) -> web.Response:
    return web.json_response(body, headers=_KEPT_BACK)
