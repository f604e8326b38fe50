"""The replica's markdown → what Discord renders. Pure.

Discord knows headings 1-3, `__` as underline, backtick fences and masked links; it shows tables, rules, images, `~~~`
and LaTeX as they are written. Blocks are found by a CommonMark parser and replaced line by line; all else stays as it
came.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.token import Token
from wcwidth import wcswidth

_PARSER = MarkdownIt("commonmark", {"maxNesting": 20}).enable("table")
_WIDEST_TABLE = 56
"""Columns that fit a phone or a narrow window before a code block wraps."""
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:.|\n)*?(?<!`)\1(?!`)")
_IMAGE = re.compile(r"!\[([^\]\n]{0,300})\]\((<?[^\s)]{1,2000}>?)(?:\s+\"[^\"\n]{0,300}\")?\)")
_STRONG = re.compile(r"(?<![\w_])__(?=[^\s_])([^\n]{1,300}?)(?<=[^\s_])__(?![\w_])")
_DISPLAY_MATH = re.compile(r"\\\[((?:[^\\]|\\(?![\[\]]))+)\\\]|(?<!\\)\$\$([^$]+)\$\$")
_INLINE_MATH = re.compile(r"\\\(((?:[^\\\n]|\\(?![()]))+)\\\)")
_DOLLAR_MATH = re.compile(
    r"(?<![\\$\w])\$(?=\S)((?:[^$\n]{0,200}?(?:\\[A-Za-z]|[\^_]))[^$\n]{0,200}?|[A-Za-z])(?<=\S)\$(?![$\w])"
)
"""One letter, or what has a command, an index or a power: dollars are prices more often than formulas."""
_GUARD = "\u200b"
_PREFIX = re.compile(r"[ \t>]*")


def adapt(text: str) -> str:
    """Rewrite for Discord. Plain text comes back as it was."""
    lines = whole(text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    tokens = _PARSER.parse("\n".join(lines))
    done: list[str] = []
    position = 0
    for start, end, rewrite in _blocks(tokens):
        if start < position:
            continue
        done += _words(lines[position:start])
        instead = rewrite(lines[start:end])
        if not instead and done and not done[-1].strip():
            done.pop()
        done += instead
        position = end
    return "\n".join([*done, *_words(lines[position:])]).strip("\n")


def whole(text: str) -> str:
    """Without NUL and halves of characters, which no message and no file can carry."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Rewrite = Callable[[list[str]], list[str]]


def _blocks(tokens: list[Token]) -> list[tuple[int, int, Rewrite]]:
    """What Discord does not show as meant, in order: (first line, line after the last, rewrite)."""
    found: list[tuple[int, int, Rewrite]] = []
    for index, token in enumerate(tokens):
        rewrite = _rewrite(token, tokens, index)
        if token.map is not None and rewrite is not None:
            found.append((token.map[0], token.map[1], rewrite))
    return found


def _rewrite(token: Token, tokens: list[Token], index: int) -> Rewrite | None:
    match token.type:
        case "heading_open" if token.markup in ("-", "="):
            return lambda lines: _heading(lines[:-1])
        case "heading_open" if token.tag in ("h4", "h5", "h6"):
            return _heading
        case "hr":
            return lambda _: []
        case "fence":
            return lambda lines: _fence(lines, token)
        case "table_open":
            return lambda lines: _table(lines, tokens[index:])
        case _:
            return (lambda lines: lines) if token.type == "code_block" else None


def _heading(lines: list[str]) -> list[str]:
    text = " ".join(line.strip() for line in lines)
    found = re.match(r"([\s>]*(?:[-*+]\s+|\d+[.)]\s+)?)(?:#{1,6}(?:\s+|$))?(.*?)(?:\s+#+)?\s*$", text)
    if found is None or not found[2]:
        return []
    bold = found[2].replace("**", "").strip()
    return _words([f"{found[1]}**{bold}**"])


def _fence(lines: list[str], token: Token) -> list[str]:
    """Three backticks, whatever it was fenced with: Discord knows no longer fence, so inner ones are broken up."""
    prefix = _PREFIX.match(lines[0])
    before = prefix[0] if prefix else ""
    head = lines[0][: lines[0].find(token.markup)] if token.markup in lines[0] else before
    language = token.info.strip().replace("`", "").split(" ", 1)[0]
    last = lines[-1].strip(" \t>")
    closed = len(lines) > 1 and len(last) >= len(token.markup) and set(last) == {token.markup[0]}
    body = [line.replace("```", f"`{_GUARD}``") for line in lines[1 : -1 if closed else None]]
    if head.strip(" \t>"):  # the block begins behind a list marker: give it lines of its own
        before = " " * len(head)
        return [head.rstrip(), f"{before}```{language}", *body, f"{before}```"]
    return [f"{before}```{language}", *body, f"{before}```"]


def _table(lines: list[str], tokens: list[Token]) -> list[str]:
    rows = _rows(tokens)
    prefix = _PREFIX.match(lines[0])
    before = prefix[0] if prefix else ""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    if sum(widths) + 3 * (len(widths) - 1) <= _WIDEST_TABLE:
        rule = "-+-".join("-" * width for width in widths)
        table = [_aligned(rows[0], widths), rule, *(_aligned(row, widths) for row in rows[1:])]
        return [f"{before}{line}" for line in ("```", *table, "```")]
    items = [line for row in rows[1:] for line in _bullets(rows[0], row)]
    return [f"{before}{line}" for line in items or [f"- {label}" for label in rows[0] if label]]


def _rows(tokens: list[Token]) -> list[list[str]]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_plain(token).replace("```", f"`{_GUARD}``"))
    return rows


def _plain(token: Token) -> str:
    """What a cell says, without its markup: in a code block that would be shown."""
    words = (
        child.content if child.type in ("text", "code_inline", "image") else " " for child in _shown(token)
    )
    return " ".join("".join(words).split())


def _shown(token: Token) -> list[Token]:
    visible = ("text", "code_inline", "image", "softbreak", "hardbreak")
    return [child for child in token.children or [] if child.type in visible]


def _bullets(header: list[str], row: list[str]) -> list[str]:
    first, *others = zip(header, row, strict=False)
    title = f"- **{first[1] or first[0]}**"
    return [title, *(f"  - {label}: {value}" for label, value in others if value)]


def _aligned(row: list[str], widths: list[int]) -> str:
    cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False))
    return " | ".join(cells).rstrip()


def _width(cell: str) -> int:
    return max(wcswidth(cell), 0) or len(cell)


def _words(lines: list[str]) -> list[str]:
    """Rewrite what stands in running text; code spans stay."""
    if not lines:
        return []
    text = "\n".join(lines)
    done: list[str] = []
    position = 0
    for span in _CODE_SPAN.finditer(text):
        done += [_inline(text[position : span.start()]), span[0]]
        position = span.end()
    return "".join([*done, _inline(text[position:])]).split("\n")


def _inline(text: str) -> str:
    text = _IMAGE.sub(lambda m: f"[{m[1]}]({m[2]})" if m[1] else m[2], text)
    text = _DISPLAY_MATH.sub(lambda m: _math(m[1] or m[2]), text)
    text = _INLINE_MATH.sub(lambda m: _math(m[1]), text)
    text = _DOLLAR_MATH.sub(lambda m: _math(m[1]), text)
    return _STRONG.sub(r"**\1**", text)


def _math(formula: str) -> str:
    """As code: its underscores and stars are no emphasis there."""
    return f"`{' '.join(formula.replace('`', ' ').split())}`"
