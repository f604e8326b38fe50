"""Markdown as a tree: faithful where it is harmless, text where it is not."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tree import MAX_DEPTH, MAX_NODES, TAGS, Node, plain, tree

FRAGMENTS = st.sampled_from(
    [
        "<script>",
        "</p>",
        "[x](",
        "javascript:",
        "https://a.b",
        ")",
        "**",
        "`",
        "```\n",
        "> ",
        "- ",
        "1. ",
        "|a|\n|-|\n",
        "\n",
        "![",
        "<https://x>",
        "<a href='javascript:x'>",
        "&lt;",
        "&#106;",
        "\\",
        "\t",
        "data:text/html,x",
        "vbscript:x",
        "JaVaScRiPt:x",
        "\x00",
        "\ud800",
        "#",
        "~~",
    ]
)
MARKDOWN = st.lists(FRAGMENTS | st.text(max_size=8), max_size=40).map("".join)


def walk(nodes: list[Node], depth: int = 1):
    for node in nodes:
        yield node, depth
        if isinstance(node, dict):
            yield from walk(node["children"], depth + 1)


def texts(nodes: list[Node]) -> str:
    return "".join(node for node, _ in walk(nodes) if isinstance(node, str))


@given(MARKDOWN)
def test_whatever_comes_in_only_known_tags_and_schemes_come_out(markdown: str) -> None:
    built = tree(markdown)

    for node, depth in walk(built):
        assert depth <= MAX_DEPTH + 4
        if isinstance(node, dict):
            assert node["tag"] in TAGS
            assert node.keys() <= {"tag", "children", "href", "start", "lang", "align"}
            assert re.match(r"(?i)https?://|mailto:|tel:", node.get("href", "tel:"))
    assert msgspec.json.decode(msgspec.json.encode(built)) == built


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1))
def test_plain_words_survive(words: str) -> None:
    assert words == texts(tree(words)) == texts(plain(words))


def test_html_is_text() -> None:
    assert tree("<img src=x onerror=alert(1)>") == [
        {"tag": "p", "children": ["<img src=x onerror=alert(1)>"]}
    ]


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "data:text/html,x", "/relative", "//host", "ftp://a.b", "&#106;avascript:x"],
)
def test_a_link_of_another_scheme_is_its_text(address: str) -> None:
    assert not any(
        isinstance(node, dict) and node["tag"] == "a" for node, _ in walk(tree(f"[text]({address})"))
    )


@pytest.mark.parametrize(
    ("markdown", "built"),
    [
        (
            "a **b** *c* ~~d~~ `e`",
            ["a ", ("strong", "b"), " ", ("em", "c"), " ", ("s", "d"), " ", ("code", "e")],
        ),
        ("see https://a.b/c?d=e.", ["see ", ("a", "https://a.b/c?d=e"), "."]),
        ("[mail](mailto:a@b.c)", [("a", "mail")]),
        ("![a cat](https://a.b/cat.png)", [("a", "a cat")]),
        ("[![a cat](https://a.b/cat.png)](https://a.b)", [("a", "a cat")]),
        ("one\ntwo  \nthree", ["one\ntwo\nthree"]),
    ],
)
def test_inline_markup(markdown: str, built: list[Any]) -> None:
    (paragraph,) = tree(markdown)

    assert built == [
        node if isinstance(node, str) else (node["tag"], *node["children"]) for node in paragraph["children"]
    ]


def test_blocks_keep_what_matters_of_them() -> None:
    built = tree("# T\n\n3. x\n\n```py hl\n a\n```\n\n|a|b|\n|:-|-:|\n|1|2|\n\n---\n\n> q")

    assert ["h1", "ol", "pre", "table", "hr", "blockquote"] == [node["tag"] for node in built]
    assert built[1]["start"] == 3
    assert ("py", [" a"]) == (built[2]["lang"], built[2]["children"])
    cells = [node for node, _ in walk(built) if isinstance(node, dict) and "align" in node]
    assert ["left", "right", "left", "right"] == [cell["align"] for cell in cells]


@pytest.mark.parametrize(
    "deep", ["> " * 40 + "x", "> " * 500 + "x", "- " * 300 + "x", "*" * 2000 + "x", "[" * 2000 + "x"]
)
def test_what_is_nested_too_deep_loses_its_nesting_not_its_words(deep: str) -> None:
    built = tree(deep)

    assert "x" in texts(built)
    assert max(depth for _, depth in walk(built)) <= MAX_DEPTH + 4


def test_a_text_with_too_much_markup_comes_plain() -> None:
    busy = "**a** " * (MAX_NODES + 1)

    assert plain(busy) == tree(busy)
