"""From a reply in markdown to messages that Telegram takes: plain text and entities, never a parse mode.

telegramify-markdown parses; four things it leaves open are closed here: what looks like a tag keeps its `<`, links that
the server would refuse (with the whole message) become text, its emoji for headings are off, and messages are cut by
`split`. Pure; long texts are the caller's to run elsewhere.
"""

from __future__ import annotations

import re
from itertools import islice, pairwise
from urllib.parse import urlsplit

import pyromark
import regex
import telegramify_markdown
from telegramify_markdown.config import RenderConfig
from telegramify_markdown.converter import STANDARD_OPTIONS

from adapters.telegram.split import LIMIT, Entity, split, units
from gateway.messages import Address, Part, Reply

FILENAME = "answer.md"
FORMAT_LIMIT = 64_000
"""Characters beyond which a text is not parsed any more; it ends up in a file anyway."""
SHOWN_TARGET = 200
"""A refused link target is shown beside its text when it is at most this long."""

LONG = 8_000
"""Characters from which letters and digits have to make up a quarter of what is parsed."""
UNCLOSED = 50
"""Formulas that begin and do not end, in one paragraph, beyond which none is looked for."""
_NESTED = re.compile(r"^[ \t]*+(?:>[ \t]*+|(?:[-+*]|\d{1,9}[.)])[ \t]++){25}", re.MULTILINE)
"""Lists in lists that begin in one line: each is shown on a line of its own, which is quadratically long."""
_HOST = re.compile(r"[\w-]+(\.[\w-]+)+\.?")
_VISIBLE = regex.compile(r"[^\s\p{Cc}\p{Cf}\p{Mn}\u115f\u1160\u2800\u3164\uffa0]")


class TelegramRenderer:
    """`gateway.ports.Renderer` for Telegram."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:  # noqa: ARG002
        """Parts within the server's limits; more than `max_parts` become the first one and the whole as a file.

        None for a text that shows nothing: the server refuses that, too.
        """
        text = sane(reply.text)
        # Nothing but marks is odd, but a person waits for it.
        pieces = _shown(*formatted(text), most=max_parts + 1) or _shown(text, [], most=max_parts + 1)
        parts = [
            Part(
                text=piece,
                purpose=reply.purpose,
                notice=reply.notice,
                payload={"entities": entities} if entities else {},
            )
            for piece, entities in pieces
        ]
        if len(parts) <= max_parts:
            return parts
        document = {"document": {"filename": FILENAME, "content": text}}
        return [parts[0], Part(text=FILENAME, purpose=reply.purpose, notice=reply.notice, payload=document)]


def preview(text: str) -> tuple[str, list[Entity]]:
    """The beginning of an answer that is not finished, as one message; empty while there is nothing to show."""
    pieces = _shown(*formatted(sane(text[:LIMIT])), most=1)
    return pieces[0] if pieces else ("", [])


def _shown(text: str, entities: list[Entity], *, most: int) -> list[tuple[str, list[Entity]]]:
    """The first messages in which a person sees anything."""
    return list(islice((piece for piece in split(text, entities) if _VISIBLE.search(piece[0])), most))


def sane(text: str) -> str:
    """Without NUL and halves of surrogate pairs, which nothing can encode."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def formatted(text: str) -> tuple[str, list[Entity]]:
    """Markdown → text and entities; as it is, if it cannot be parsed: an answer is never lost to its formatting."""
    if not _is_markdown(text):
        return text, []
    try:
        plain, found = telegramify_markdown.convert(
            _tags_escaped(text), latex_escape=_has_whole_formulas(text), config=_config()
        )
        return _links_checked(plain, [entity.to_dict() for entity in found])
    except Exception:  # noqa: BLE001 - a parser's bug costs the bold type, not the answer
        return text, []


def _is_markdown(text: str) -> bool:
    """Whether anybody could have meant it: on some heaps of marks the parser spends minutes, or makes megabytes."""
    if len(text) > FORMAT_LIMIT or _NESTED.search(text):
        return False
    return len(text) < LONG or 4 * sum(map(str.isalnum, text)) >= len(text)


def _has_whole_formulas(text: str) -> bool:
    """Whether formulas can be looked for: each that is not closed is sought to its paragraph's end."""
    return all(
        paragraph.count(start, paragraph.rfind(end) + 1) <= UNCLOSED
        for paragraph in text.split("\n\n")
        for start, end in ((r"\(", r"\)"), (r"\[", r"\]"))
    )


def _config() -> RenderConfig:
    """Our own: the library's default is shared and mutable, and decorates headings."""
    config = RenderConfig.isolated()
    symbols = config.markdown_symbol
    symbols.heading_level_1 = symbols.heading_level_2 = symbols.heading_level_3 = symbols.heading_level_4 = ""
    symbols.task_uncompleted = "☐"
    return config


def _tags_escaped(text: str) -> str:
    """Escape each `<` that the parser would take for HTML, until it sees none: `List<String>` keeps its type."""
    for _ in range(50):
        source = text.encode()
        starts = sorted({start for start in _html_starts(text, source) if start >= 0})
        if not starts:
            break
        bounds = [0, *starts, len(source)]
        text = b"\\".join(source[a:b] for a, b in pairwise(bounds)).decode()
    return text


def _html_starts(text: str, source: bytes) -> list[int]:
    if "<" not in text:
        return []
    return [
        source.find(b"<", where["start"], where["end"])
        for event, where in pyromark.events_with_range(text, options=STANDARD_OPTIONS)
        if isinstance(event, dict)
        and ("InlineHtml" in event or "Html" in event or event.get("Start") == "HtmlBlock")
    ]


# --- links --------------------------------------------------------------------------------------------------------


def _links_checked(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Turn links with targets that the server refuses into text, the target shown after it where it tells anything."""
    kept = [entity for entity in entities if entity["type"] != "text_link" or good_target(entity["url"])]
    refused = [
        entity for entity in entities if entity["type"] == "text_link" and not good_target(entity["url"])
    ]
    for entity in sorted(refused, key=lambda entity: -entity["offset"]):
        text, kept = _target_shown(text, kept, entity)
    return text, kept


def _target_shown(text: str, entities: list[Entity], link: Entity) -> tuple[str, list[Entity]]:
    encoded = text.encode("utf-16-le")
    end = link["offset"] + link["length"]
    label = encoded[link["offset"] * 2 : end * 2].decode("utf-16-le")
    target = sane(link["url"])
    if (
        not re.match(r"[\w./#?~-]", target)
        or len(target) > SHOWN_TARGET
        or target in label
        or _dangerous(target)
    ):
        return text, entities
    shown = f" ({target})"
    moved = [_made_room(entity, end, units(shown)) for entity in entities]
    return (encoded[: end * 2] + shown.encode("utf-16-le") + encoded[end * 2 :]).decode("utf-16-le"), moved


def _made_room(entity: Entity, at: int, room: int) -> Entity:
    if entity["offset"] >= at:
        return {**entity, "offset": entity["offset"] + room}
    if entity["offset"] + entity["length"] > at:
        return {**entity, "length": entity["length"] + room}
    return entity


def _dangerous(target: str) -> bool:
    return target.lower().startswith(("javascript:", "data:", "vbscript:"))


def good_target(url: str) -> bool:
    """Whether the server takes a link: http(s) with a dotted host, or Telegram's own scheme."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if any(char.isspace() or not char.isprintable() for char in url):
        return False
    return parts.scheme == "tg" or (parts.scheme in ("http", "https") and _HOST.fullmatch(host) is not None)
