"""Replies → messages that Telegram takes: the sandbox's server checks judge them."""

from __future__ import annotations

import pickle
import re
import time

import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.telegram.render import FORMAT_LIMIT, TelegramRenderer, good_target
from adapters.telegram.split import LIMIT, MAX_ENTITIES, split, units
from gateway.messages import Address, Part, Reply
from gateway.sandbox.telegram_text import checked_entities, checked_text

RENDERER = TelegramRenderer()
PIECES = st.sampled_from(
    [
        *("word ", "Ende. ", "\n", "\n\n", " ", "**bold** ", "*it* ", "`code` ", "~~no~~ ", "||hid|| "),
        *("[site](https://example.com/a) ", "[bad](javascript:alert(1)) ", "[local](http://localhost:1) "),
        *(
            "[rel](./file.py) ",
            "[frag](#x) ",
            "List<String> ",
            "a<b and c>d ",
            "<div>\n",
            "\\(x^2\\) ",
            "$5 ",
        ),
        *(
            "```python\nprint(1)\n```\n",
            "```\n" + "line\n" * 30 + "```\n",
            "> quote\n",
            "- item\n",
            "# Head\n",
        ),
        *(
            "| a | b |\n|---|---|\n| 1 | 2 |\n",
            "👩‍👩‍👧‍👦",
            "e\u0301\u0302",
            "🇩🇪",
            "مرحبا ",
            "日本語。",
            "x" * 300,
        ),
        *(
            "\ud83d",
            "\0",
            "@everyone ",
            "https://x.y/z ",
            "\\",
            "_",
            "*",
            "`",
            "[",
            "<",
            "&amp; ",
            "\u200b" * 40,
        ),
    ]
)
MARKDOWN = st.lists(PIECES, max_size=60).map("".join) | st.tuples(PIECES, st.integers(50, 400)).map(
    lambda pair: pair[0] * pair[1]
)
BOUNDED = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def render(text: str, max_parts: int = 10) -> list[Part]:
    return RENDERER.render(Reply(text=text), Address(to="7", data={"chat_id": 7}), max_parts=max_parts)


def entities(part: Part) -> list[dict]:
    return part.payload.get("entities", [])


def covered(part: Part, entity: dict) -> str:
    raw = part.text.encode("utf-16-le")
    return raw[entity["offset"] * 2 : (entity["offset"] + entity["length"]) * 2].decode("utf-16-le")


def bare(text: str) -> str:
    return "".join(text.split())


@given(MARKDOWN)
@BOUNDED
def test_every_part_passes_the_servers_checks(text: str) -> None:
    parts = render(text, max_parts=1000)

    assert parts or not re.search(r"[\w`*>]", text)
    for part in parts:
        assert part.text == checked_text(part.text)
        assert units(part.text) <= LIMIT
        assert entities(part) == checked_entities(part.text, entities(part))
        assert len(entities(part)) <= MAX_ENTITIES


@st.composite
def texts_with_entities(draw: st.DrawFn) -> tuple[str, list[dict]]:
    pieces = st.sampled_from(
        ["word ", "x" * 90, "\n", "\n\n", "  y", "😀", "👩‍👩‍👧‍👦", "e\u0301", "Satz. ", "。"]
    )
    text = "".join(draw(st.lists(pieces, min_size=1, max_size=120))).strip() or "x"
    bounds = [i for i, _ in enumerate(text)]
    found = []
    for _ in range(draw(st.integers(0, 140))):
        start, end = sorted((draw(st.sampled_from(bounds)), draw(st.sampled_from(bounds)) + 1))
        if start < end:
            kind = draw(st.sampled_from(["bold", "italic", "code", "pre", "text_link"]))
            found.append(
                {"type": kind, "offset": units(text[:start]), "length": units(text[start:end])}
                | ({"url": "https://example.com"} if kind == "text_link" else {})
            )
    return text, found


@given(texts_with_entities(), st.sampled_from([64, 200, 1000]))
@BOUNDED
def test_splitting_loses_nothing_but_space_and_keeps_every_range_legal(given_: tuple, limit: int) -> None:
    text, found = given_
    pieces = list(split(text, found, limit=limit))

    assert bare(text) == bare("".join(piece for piece, _ in pieces))
    for piece, kept in pieces:
        assert piece == piece.rstrip()
        assert units(piece) <= limit
        assert len(kept) <= MAX_ENTITIES
        assert kept == checked_entities(piece, kept)


@given(st.lists(st.sampled_from(["👩‍👩‍👧‍👦", "🇩🇪", "e\u0301\u0302", "x", "👍🏽"]), min_size=1, max_size=300))
@BOUNDED
def test_a_hard_cut_never_falls_inside_a_character_as_people_see_it(clusters: list[str]) -> None:
    text = "".join(clusters)
    whole = regex.findall(r"\X", text)

    assert whole == [
        cluster for piece, _ in split(text, [], limit=50) for cluster in regex.findall(r"\X", piece)
    ]


@given(st.lists(st.sampled_from(["bold", "code", "pre"]), min_size=101, max_size=260))
@settings(max_examples=30, deadline=None)
def test_more_than_a_hundred_entities_are_spread_and_none_is_lost(kinds: list[str]) -> None:
    text = " ".join("ab" for _ in kinds)
    found = [{"type": kind, "offset": 3 * i, "length": 2} for i, kind in enumerate(kinds)]
    pieces = list(split(text, found))

    assert kinds == [entity["type"] for _, kept in pieces for entity in kept]
    assert all(len(kept) <= MAX_ENTITIES for _, kept in pieces)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("a" * 3000 + "\n\n" + "b" * 500 + "\n" + "c" * 3000, "a"),
        ("a" * 3000 + "\n" + "b" * 500 + ". " + "c" * 3000, "a"),
        ("a" * 3000 + ". " + "b" * 500 + " " + "c" * 3000, "."),
        ("a" * 3000 + " " + "b" * 3000, "a"),
        ("early " + "b" * 6000, "b"),
        ("なに。" * 2000, "。"),
    ],
    ids=["blank line", "line", "sentence", "space", "hard", "ideographic"],
)
def test_a_cut_falls_where_a_reader_would_put_it(text: str, ends: str) -> None:
    first, *_ = split(text, [])

    assert ends == first[0][-1]
    assert units(first[0]) > LIMIT // 2


def test_a_code_block_that_fits_stays_whole() -> None:
    code = "\n".join(f"line {i}" for i in range(300))
    parts = render(f"{'intro ' * 400}\n\n```python\n{code}\n```\n\nafter")
    blocks = [covered(part, entity) for part in parts for entity in entities(part) if entity["type"] == "pre"]

    assert [code] == [block.strip("\n") for block in blocks]


def test_a_code_block_that_is_too_long_goes_on_as_code_in_its_language() -> None:
    code = "\n".join(f"    line {i}" for i in range(1000))
    parts = render(f"```python\n{code}\n```")

    assert len(parts) > 1
    for part in parts:
        ((entity),) = entities(part)
        assert ("pre", "python") == (entity["type"], entity["language"])
        assert part.text == covered(part, entity)


def test_what_looks_like_a_tag_is_kept() -> None:
    assert "a<b and c>d List<String> <div>x</div>" == render("a<b and c>d List<String> <div>x</div>")[0].text
    assert "<b>\nx\n</b>" == render("<b>\nx\n</b>")[0].text


def test_links_the_server_would_refuse_become_text_and_shift_nothing() -> None:
    (part,) = render("😀 [a](#x) **fat [b](javascript:x) c** [d](./f.py) `z` [ok](https://e.org)")

    assert "😀 a (#x) fat b c d (./f.py) z ok" == part.text
    assert [("bold", "fat b c"), ("code", "z"), ("text_link", "ok")] == [
        (entity["type"], covered(part, entity)) for entity in entities(part)
    ]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        *(("https://example.com/a?b=c#d", True), ("http://1.2.3.4:8080/", True), ("tg://user?id=1", True)),
        *(
            ("http://localhost", False),
            ("https://x y.com", False),
            ("ftp://example.com", False),
            ("#x", False),
        ),
        *(
            ("javascript:alert(1)", False),
            ("./a.py", False),
            ("http://[::1", False),
            ("http://a.b:x/", False),
        ),
        *(("mailto:a@b.c", False), ("https://münchen.example/ü", True), ("", False)),
    ],
)
def test_only_links_that_the_server_takes_are_links(url: str, good: bool) -> None:
    assert good == good_target(url)


def test_headings_are_not_decorated() -> None:
    assert "Title\n\nText" == render("# Title\n\nText")[0].text.replace("\n\n\n", "\n\n")


def test_a_longer_answer_follows_as_one_file() -> None:
    text = "\n\n".join(f"Paragraph **{i}**. " + "word " * 200 for i in range(60))
    first, file = render(text, max_parts=3)

    assert first.text.startswith("Paragraph 0.")
    assert {"document": {"filename": "answer.md", "content": text.strip()}} == file.payload
    assert file.text


@pytest.mark.parametrize("text", ["", " \n\0 ", "\u200b\u200b", "\ufeff", "\u2800 \u3164"])
def test_an_answer_that_shows_nothing_is_no_message(text: str) -> None:
    assert [] == render(text)


@pytest.mark.parametrize("text", ["`" * 300, "```\n```", "> " * 50, "#", "***\n#"])
def test_an_answer_of_marks_alone_is_shown_as_it_is(text: str) -> None:
    (part,) = render(text)

    assert part.text.strip()
    assert part.text.strip("…")


HEAPS = [
    *(
        r"\(",
        r"\[",
        r"\(x",
        r"\(xyz",
        "$",
        "$$",
        "$a$ ",
        "1. ",
        "- ",
        "> ",
        "> 1. ",
        "```\n",
        "`",
        "|",
        "||a",
    ),
    *("**a", "_a", "~~", "[", "[a](x) ", "![", "<", "<a ", "<think>", "&amp;", "\\", "\n", "\u0301", "👩‍"),
]


@pytest.mark.parametrize("unit", HEAPS)
def test_the_longest_heap_of_marks_is_rendered_in_little_time_and_room(unit: str) -> None:
    """Some of these took the parser minutes, and one made a hundred megabytes of a thousandth."""
    text = (unit * FORMAT_LIMIT)[:FORMAT_LIMIT]
    began = time.process_time()
    parts = render(text)

    assert time.process_time() - began < 5.0
    assert sum(len(part.text) for part in parts) <= 2 * len(text)


def test_lists_in_lists_and_formulas_are_formatted_as_deep_as_anybody_writes_them() -> None:
    nested = "\n".join("  " * depth + f"- **level {depth}**" for depth in range(9))
    formulas = "\n\n".join(rf"It is \(x_{n} \leq \alpha\), therefore **so**." for n in range(60))

    assert 9 == len(entities(render(nested)[0]))
    assert "x₉ ≤ α" in render(formulas)[0].text


def test_purpose_and_notice_pass_to_every_part() -> None:
    parts = RENDERER.render(Reply(text="x " * 5000, purpose="error", notice="failed"), Address(to="7"))

    assert len(parts) > 1
    assert {("error", "failed")} == {(part.purpose, part.notice) for part in parts}


def test_a_parser_that_fails_costs_the_format_and_not_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("parser")

    monkeypatch.setattr("telegramify_markdown.convert", broken)

    assert [("**x**", {})] == [(part.text, part.payload) for part in render("**x**")]


def test_the_renderer_can_be_sent_to_a_worker_process() -> None:
    assert isinstance(pickle.loads(pickle.dumps(RENDERER)), TelegramRenderer)
