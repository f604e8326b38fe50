"""Pages beside the status page: a bot's figures, its conversations, and one of them with what is left out between.

Each is complete without JavaScript; with a little of it, pages grow in place. Nothing here can be changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import quote, urlencode

from aiohttp import web

from gateway.errors import GatewayError, InvalidArguments
from gateway.web import markdown
from gateway.web.analytics import figures_view
from gateway.web.figures import Counts
from gateway.web.page import span
from gateway.web.talks import MOST_OPEN, Gap, Line, Mention, Piece, Reader, Sort, Talk, Thread
from gateway.web.template import Templates
from gateway.web.trouble import Trouble, trouble

SORTS: Mapping[Sort, str] = {"latest": "latest reply", "replies": "most replies", "begun": "newest"}
LONG, EXCERPT = 1_600, 1_000
"""Characters of a message that is folded, and of what is shown of it."""
_KEY = re.compile(r"all|(before|after)-[0-9A-Za-z-]{1,64}")
Answer = web.Response


def conversation_routes(reader: Reader, counts: Counts, now: Callable[[], float]) -> list[web.RouteDef]:
    """`/status/bots/{bot}`, its `/conversations`, one of them, and a `/part` of that."""
    pages = _Pages(reader, counts, now)
    root = "/status/bots/{bot}"
    one = root + "/conversations/{conversation}"
    return [
        web.get(root, pages.bot),
        web.get(root + "/conversations", pages.talks),
        web.get(one, pages.thread),
        web.get(one + "/part", pages.part),
    ]


class _Pages:
    def __init__(self, reader: Reader, counts: Counts, now: Callable[[], float]) -> None:
        self._reader, self._counts, self._now = reader, counts, now
        self._templates = Templates()

    async def bot(self, request: web.Request) -> Answer:
        bot = request.match_info["bot"]
        try:
            figures = self._counts.look(bot)
        except KeyError:
            return self._no_bot(bot)
        view = {**_trail(bot), "figures": figures_view(figures, self._now())}
        return self._templates.answer("bot", view)

    async def talks(self, request: web.Request) -> Answer:
        bot, sort = request.match_info["bot"], _sort(request.query.get("sort"))
        try:
            number = _number(request.query.get("page", "1"))
            found = await self._reader.talks(bot, number, sort)
        except KeyError:
            return self._no_bot(bot)
        except GatewayError as error:
            return self._trouble(bot, error, request.rel_url.raw_path_qs, f"{_root(bot)}/conversations")
        now = self._now()
        view = {
            **_trail(bot, "Conversations"),
            "talks": [_talk_view(bot, talk, now) for talk in found.items],
            "page": number,
            "pages": found.pages,
            "total": found.total,
            "as_of": _as_of(found.at, now),
            "sorts": [(key, words, _list(bot, 1, key), key == sort) for key, words in SORTS.items()],
            "more": _list(bot, number + 1, sort) if found.more else None,
            "back": _list(bot, number - 1, sort) if number > 1 else None,
            "first": _list(bot, 1, sort),
        }
        return self._templates.answer("talks", view)

    async def thread(self, request: web.Request) -> Answer:
        bot, conversation = request.match_info["bot"], request.match_info["conversation"]
        before, after = request.query.get("before"), request.query.get("after")
        opened = [key for key in request.query.getall("open", []) if _KEY.fullmatch(key)][:MOST_OPEN]
        here = f"{_root(bot)}/conversations/{quote(conversation, safe='')}"
        try:
            found = await self._reader.thread(bot, conversation, before=before, after=after, opened=opened)
        except KeyError:
            return self._no_bot(bot)
        except GatewayError as error:
            return self._trouble(bot, error, request.rel_url.raw_path_qs, here)
        return self._templates.answer("talk", self._thread_view(bot, here, found, before, after, opened))

    async def part(self, request: web.Request) -> Answer:
        bot, conversation = request.match_info["bot"], request.match_info["conversation"]
        here = f"{_root(bot)}/conversations/{quote(conversation, safe='')}"
        try:
            pieces = await self._reader.part(bot, conversation, _gap(request.query))
        except KeyError:
            return self._no_bot(bot)
        except GatewayError as error:
            return self._trouble(bot, error, request.rel_url.raw_path_qs, here)
        shown = [self._piece(piece, here, {}, []) for piece in pieces]
        return self._templates.answer("part", {**_trail(bot, "Conversations", here), "pieces": shown})

    # --- views ---

    def _thread_view(
        self,
        bot: str,
        here: str,
        found: Thread,
        before: str | None,
        after: str | None,
        opened: list[str],
    ) -> dict[str, Any]:
        now = self._now()
        asked = {} if found.lost else {"before": before, "after": after}
        place = {side: cursor for side, cursor in asked.items() if cursor}
        on_page = {piece.key for piece in found.pieces if not isinstance(piece, Mention)}
        earlier = None if found.earlier is None else f"{here}?{urlencode({'before': found.earlier})}"
        later = None if found.later is None else f"{here}?{urlencode({'after': found.later})}"
        return {
            **_trail(bot, "Conversations", here),
            "talk": _talk_view(bot, found.talk, now) if found.talk else None,
            "pieces": [self._piece(piece, here, place, opened) for piece in found.pieces],
            "earlier": earlier,
            "later": later,
            "latest": here,
            "is_latest": not place,
            "is_after": "after" in place,
            "lost": found.lost,
            "moved": bool(set(opened) - on_page) and not found.lost,
            "as_of": _as_of(found.at, now),
        }

    def _piece(self, piece: Piece, here: str, place: Mapping[str, str], opened: list[str]) -> dict[str, Any]:
        if isinstance(piece, Gap):
            return self._gap_view(piece, here, place, opened)
        kind = "mention" if isinstance(piece, Mention) else "opened"
        key = None if isinstance(piece, Mention) else piece.key
        return {"kind": kind, "key": key, "lines": [_line_view(line) for line in piece.lines]}

    def _gap_view(self, gap: Gap, here: str, place: Mapping[str, str], opened: list[str]) -> dict[str, Any]:
        keys = [*(key for key in opened if key != gap.key), gap.key]
        query = urlencode([*place.items(), *(("open", key) for key in keys)])
        known = {"key": gap.key, "count": gap.count, "until": gap.until}
        part = urlencode({name: value for name, value in known.items() if value is not None})
        return {
            "kind": "gap",
            "key": gap.key,
            "words": _gap_words(gap),
            # a link to where one is already, fragment and all, would load nothing: so without it when it is tried again
            "href": f"{here}?{query}" + ("" if gap.error else f"#{quote(gap.key)}"),
            "part": f"{here}/part?{part}",
            "trouble": trouble(gap.error, self._now()) if gap.error else None,
            "full": len(keys) > MOST_OPEN,
        }

    # --- when it does not work ---

    def _no_bot(self, bot: str) -> Answer:
        words = Trouble(
            "There is no such bot",
            f"No bot of the configuration in force is called {bot[:64]}.",
            "The status page has all of them.",
            404,
            None,
            None,
            again=False,
            reference=None,
        )
        return self._templates.answer("trouble", {"bot": None, "trouble": words, "start": "/status"}, 404)

    def _trouble(self, bot: str, error: GatewayError, again: str, start: str) -> Answer:
        words = trouble(error, self._now())
        view = {**_trail(bot, "Conversations"), "trouble": words, "retry": again, "start": start}
        return self._templates.answer("trouble", view, words.status, words.headers)


# --- reading what is asked ---


def _sort(given: str | None) -> Sort:
    return next((sort for sort in get_args(Sort) if sort == given), "latest")


def _number(given: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", given):
        raise InvalidArguments("a page is a number, and the first one is 1")
    return int(given)


def _gap(query: Mapping[str, str]) -> Gap:
    key, count, until = query.get("key", ""), query.get("count", "0"), query.get("until")
    if not _KEY.fullmatch(key) or not (count.isascii() and count.isdigit() and len(count) <= 9):
        raise InvalidArguments("this is no part of a conversation")
    return Gap(key, int(count), until)


# --- showing ---


def _root(bot: str) -> str:
    return f"/status/bots/{quote(bot, safe='')}"


def _list(bot: str, page: int, sort: Sort) -> str:
    query = {"page": page} if page > 1 else {}
    asked = urlencode(query | ({"sort": sort} if sort != "latest" else {}))
    return f"{_root(bot)}/conversations" + (f"?{asked}" if asked else "")


def _trail(bot: str, where: str | None = None, here: str | None = None) -> dict[str, Any]:
    """Where one is: `bot`, and the addresses of what is above."""
    return {"bot": bot, "root": _root(bot), "where": where, "here": here}


def _talk_view(bot: str, talk: Talk, now: float) -> dict[str, Any]:
    return {
        "id": talk.id,
        "href": f"{_root(bot)}/conversations/{quote(talk.id, safe='')}#latest",
        "name": talk.name or "Somebody",
        "initial": (talk.name or "?").strip()[:1].upper() or "?",
        "group": talk.group,
        "source": talk.source,
        "messages": talk.messages,
        "replies": talk.replies,
        "began": None if talk.began_at is None else _day(talk.began_at),
        "last": None if talk.last_at is None else _clock(talk.last_at),
        "ago": None if talk.last_at is None else _ago(talk.last_at, now),
    }


def _line_view(line: Line) -> dict[str, Any]:
    replica = line.role == "assistant"
    cut = line.text.rfind(" ", 0, EXCERPT) if len(line.text) > LONG else -1
    cut = EXCERPT if len(line.text) > LONG and cut < EXCERPT // 2 else cut
    return {
        "id": line.id,
        "replica": replica,
        "who": line.who or ("Replica" if replica else "Somebody"),
        "source": line.source,
        "html": markdown.shown(line.text) if replica and cut < 0 else None,
        "text": line.text if cut < 0 else line.text[:cut],
        "rest": None if cut < 0 else line.text[cut:],
        "length": f"{len(line.text):,}",
        "at": None if line.at is None else _clock(line.at),
        "iso": None if line.at is None else datetime.fromtimestamp(line.at, UTC).isoformat(),
    }


def _gap_words(gap: Gap) -> str:
    side = "earlier" if gap.key.startswith("before-") else "later" if gap.key.startswith("after-") else ""
    number = f"{gap.count:,} " if gap.count else ""
    return f"{number}{side} message{'' if gap.count == 1 else 's'}".replace("  ", " ").strip().capitalize()


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b %Y, %H:%M UTC")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%-d %b %Y")


def _ago(at: float, now: float) -> str:
    return "now" if now - at < 1 else f"{span(now - at)} ago"


def _as_of(at: float, now: float) -> str:
    clock = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")
    return f"as of {clock}" + (f", {_ago(at, now)}" if now - at >= 1 else "")
