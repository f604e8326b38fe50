"""Markdown → a small JSON tree that a page builds nodes from: never HTML, links only of known schemes.

A tree is a list of nodes. A string is text (a newline in it is a line break); everything else is
`{"tag": …, "children": […]}` with a tag of `TAGS`. `a` has `href`, `ol` may have `start`, `pre` may have `lang`,
`th` and `td` may have `align`. Pictures become links to them: showing one would tell a third party who reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

Node: TypeAlias = "str | dict[str, Any]"

MAX_DEPTH = 16
"""Elements inside one another; what is nested deeper stands in the innermost one allowed."""
MAX_NODES = 4000
"""Elements in a tree; a text with more is not worth its markup and comes as plain text."""
_PARSER_DEPTH = 100

_TAGS = {
    "paragraph": "p",
    "blockquote": "blockquote",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "table": "table",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
    "strong": "strong",
    "em": "em",
    "s": "s",
    "link": "a",
}
TAGS = frozenset({*_TAGS.values(), "h1", "h2", "h3", "h4", "h5", "h6", "pre", "code", "hr"})
_LINK = re.compile(r"(?:https?://|mailto:|tel:)[^\s<>]+", re.IGNORECASE)
_BARE_LINK = re.compile(r"https?://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)\]}*_]", re.IGNORECASE)
_markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": _PARSER_DEPTH}).enable(
    ["table", "strikethrough"]
)


class _TooMuch(Exception):
    """The tree would be too large."""


def tree(markdown: str) -> list[Node]:
    """Parse an answer. Total: whatever cannot be parsed within bounds comes back as plain text."""
    text = markdown.encode(errors="replace").decode()
    tokens = _markdown.parse(text)
    if any(token.level >= _PARSER_DEPTH - 1 for token in tokens):
        return plain(text)  # the parser drops what is nested deeper
    try:
        return _Builder().build(SyntaxTreeNode(tokens).children)
    except _TooMuch:
        return plain(text)


def plain(text: str) -> list[Node]:
    """A text that is not markdown, as a tree."""
    text = text.encode(errors="replace").decode()
    return [{"tag": "p", "children": [text]}] if text.strip() else []


class _Builder:
    """Counts elements while it builds them."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def build(self, nodes: list[SyntaxTreeNode], depth: int = 0, *, linked: bool = False) -> list[Node]:
        built: list[Node] = []
        for source in nodes:
            for node in self._convert(source, depth, linked=linked):
                if isinstance(node, str) and built and isinstance(built[-1], str):
                    built[-1] += node
                elif node:
                    built.append(node)
        return built

    def _convert(self, source: SyntaxTreeNode, depth: int, *, linked: bool) -> Iterator[Node]:
        match source.type:
            case "text":
                yield from [source.content] if linked else self._with_links(source.content)
            case "softbreak" | "hardbreak":
                yield "\n"
            case "inline":
                yield from self.build(source.children, depth, linked=linked)
            case "image":
                yield from self._link(
                    str(source.attrs.get("src", "")), [source.content or "🖼"], linked=linked
                )
            case "code_inline":
                yield self._element("code", [source.content])
            case "fence" | "code_block":
                language = source.info.split()[0] if source.info.strip() else None
                yield self._element("pre", [source.content.removesuffix("\n")], lang=language)
            case "hr":
                yield self._element("hr", [])
            case _:
                yield from self._container(source, depth, linked=linked)

    def _container(self, source: SyntaxTreeNode, depth: int, *, linked: bool) -> Iterator[Node]:
        linked = linked or source.type == "link"
        children = self.build(source.children, depth + 1, linked=linked)
        if source.type == "link":
            yield from self._link(str(source.attrs.get("href", "")), children, linked=False)
        elif depth >= MAX_DEPTH:
            yield from children
        elif source.type == "heading":
            yield self._element(source.tag, children)
        elif source.type in _TAGS:
            yield self._element(_TAGS[source.type], children, **_attributes(source))
        else:
            yield from children

    def _with_links(self, text: str) -> Iterator[Node]:
        """Addresses written out are links, too."""
        end = 0
        for found in _BARE_LINK.finditer(text):
            yield text[end : found.start()]
            yield self._element("a", [found[0]], href=found[0])
            end = found.end()
        yield text[end:]

    def _link(self, target: str, children: list[Node], *, linked: bool) -> Iterator[Node]:
        if linked or not _LINK.fullmatch(target):
            yield from children
        else:
            yield self._element("a", children or [target], href=target)

    def _element(self, tag: str, children: list[Node], **attributes: Any) -> Node:
        self._left -= 1
        if self._left < 0:
            raise _TooMuch
        return {
            "tag": tag,
            **{key: value for key, value in attributes.items() if value is not None},
            "children": children,
        }


def _attributes(source: SyntaxTreeNode) -> dict[str, Any]:
    if source.type == "ordered_list" and source.attrs.get("start", 1) != 1:
        return {"start": source.attrs["start"]}
    if source.type in ("th", "td") and "style" in source.attrs:
        return {"align": str(source.attrs["style"]).removeprefix("text-align:")}
    return {}
