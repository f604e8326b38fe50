"""Replies → parts, without I/O: what Discord renders, cut to what it takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.markdown import adapt
from adapters.discord.render import DiscordRenderer
from adapters.discord.split import LIMIT, split
from gateway.messages import Address, Reply

WHERE = Address(to="55")
FENCE = re.compile(r"^[ \t>]{0,40}```([^`\n]{0,80})$")


def balanced(chunk: str) -> bool:
    is_open = False
    for line in chunk.split("\n"):
        found = FENCE.match(line)
        if found and not is_open:
            is_open = True
        elif found and not found[1].strip():
            is_open = False
    return not is_open


def letters(text: str) -> str:
    """The words of a text without code fences, as one string."""
    return "".join("".join(line for line in text.split("\n") if not FENCE.match(line)).split())


PIECES = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab \n.`>~", max_size=120),
    st.sampled_from(
        [
            "```python\n",
            "```\n",
            "> ```sh\n",
            "\n\n",
            "x" * 700,
            "word " * 300,
            "👩‍👩‍👧‍👦" * 90,
            "e\u0301" * 800,
        ]
    ),
    st.integers(1, 60).map(lambda count: "some line of code\n" * count),
)

BLOCKS = st.sampled_from(["| a | b |\n|---|---|\n| 1 | 2 |\n", "---\n", "#### h\n", "~~~\n"])


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_every_chunk_fits_says_something_and_closes_its_code(text: str):
    chunks = split(text)

    assert all(len(chunk) <= LIMIT for chunk in chunks)
    assert all(chunk.strip() for chunk in chunks)
    assert all(balanced(chunk) for chunk in chunks)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_no_word_is_lost_or_doubled(text: str):
    assert letters(text) == "".join(letters(chunk) for chunk in split(text))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        PIECES | st.sampled_from(["| a | b |\n|---|---|\n| 1 | 2 |\n", "---\n", "#### h\n", "~~~\n"])
    ).map("".join)
)
def test_no_reply_makes_rendering_fail_or_end_in_silence(text: str):
    parts = DiscordRenderer().render(Reply(text=text), WHERE)

    assert all(0 < len(part.text) <= LIMIT for part in parts)
    assert bool(parts) or not text.strip() or not re.search(r"\w", text)


def test_a_code_block_that_is_cut_goes_on_in_its_language():
    first, second = split("```python\n" + "x = 1\n" * 400 + "```")[:2]

    assert first.startswith("```python\n")
    assert first.endswith("\nx = 1\n```")
    assert second.startswith("```python\nx = 1\n")


def test_a_code_block_in_a_quote_goes_on_as_one():
    first, second = split("> ```sh\n" + "> ls -la\n" * 300 + "> ```")[:2]

    assert first.endswith("\n> ```")
    assert second.startswith("> ```sh\n> ls -la")


def test_a_code_block_left_open_is_closed():
    assert adapt("```\nx") == "```\nx\n```"


@pytest.mark.parametrize("gap", ["\n\n", "\n", ". ", " "])
def test_a_cut_is_made_where_a_reader_would_pause(gap: str):
    text = ("word " * 300).strip() + gap + "tail" * 200

    assert (("word " * 300).strip() + gap).rstrip() == split(text)[0]


def test_a_family_is_not_torn_apart():
    family = "👩‍👩‍👧‍👦"

    assert all(set(chunk.replace(family, "x")) == {"x"} for chunk in split(family * 700))


def test_one_endless_character_is_cut_all_the_same():
    assert [len(chunk) for chunk in split("e" + "\u0301" * 5001)] == [LIMIT, LIMIT, 1002]


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("# One\n## Two\n### Three", "# One\n## Two\n### Three"),
        ("#### Four", "**Four**"),
        ("##### **Five**", "**Five**"),
        ("Title\n===", "**Title**"),
        ("a\n\n---\n\nb", "a\n\nb"),
        ("~~~py\nx\n~~~", "```py\nx\n```"),
        ("````md\n```\nx\n```\n````", "```md\n`\u200b``\nx\n`\u200b``\n```"),
        ("![logo](https://x.example/a.png)", "[logo](https://x.example/a.png)"),
        ("![](https://x.example/a.png)", "https://x.example/a.png"),
        ("__bold__ but snake__case__name", "**bold** but snake__case__name"),
        (r"so \(a_1 + b_2\) holds", "so `a_1 + b_2` holds"),
        ("\\[\nx^2\n\\]", "`x^2`"),
        ("$$x^2$$", "`x^2`"),
        ("it costs $5 or $6", "it costs $5 or $6"),
        ("`__init__` and `![x](y)`", "`__init__` and `![x](y)`"),
        ("```\n#### not a heading\n---\n__x__\n```", "```\n#### not a heading\n---\n__x__\n```"),
        ("@everyone and <@7>", "@everyone and <@7>"),
        ("- a\n  - b\n\n1. c", "- a\n  - b\n\n1. c"),
        ("half \ud83d gone", "half \ufffd gone"),
        ("a\r\nb", "a\nb"),
    ],
)
def test_markdown_is_rewritten_to_what_discord_shows(given_: str, shown: str):
    assert shown == adapt(given_)


def test_a_narrow_table_is_aligned_by_what_is_seen():
    table = "| Name | Preis |\n|---|---|\n| 日本 | **5** |\n| x | `10` |"

    assert "```\nName | Preis\n-----+------\n日本 | 5\nx    | 10\n```".replace("-----+", "-----+") == adapt(
        table
    )


def test_a_wide_table_becomes_a_list():
    table = f"| Plan | What it has |\n|---|---|\n| Pro | {'very ' * 20}much |"

    assert f"- **Pro**\n  - What it has: {'very ' * 20}much" == adapt(table)


def test_a_table_without_rows_is_not_lost():
    assert f"- Plan\n- {'x' * 80}" == adapt(f"| Plan | {'x' * 80} |\n|---|---|")


@pytest.mark.parametrize("text", ["", " \n\0 ", "\u200b\u200b", "\ufeff", "\u2800 \u3164"])
def test_an_answer_that_shows_nothing_is_no_message(text: str):
    assert DiscordRenderer().render(Reply(text=text), WHERE) == []


def test_a_character_that_no_message_can_carry_is_left_out():
    (part,) = DiscordRenderer().render(Reply(text="a\0b"), WHERE)

    assert part.text == "ab"


def test_more_parts_than_allowed_are_one_file_after_the_first():
    text = "\n\n".join(f"paragraph {number} {'x' * 900}" for number in range(20))
    first, file = DiscordRenderer().render(Reply(text=text), WHERE, max_parts=5)

    assert first.text.startswith("paragraph 0")
    assert {"filename": "answer.md", "content": text} == file.payload["document"]


def test_purpose_and_notice_stay_with_every_part():
    reply = Reply(text="word " * 1000, purpose="error", notice="failed")

    assert {("error", "failed")} == {
        (part.purpose, part.notice) for part in DiscordRenderer().render(reply, WHERE)
    }


def test_twenty_thousand_backticks_are_answered():
    assert DiscordRenderer().render(Reply(text="`" * 20_000), WHERE)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"$x^2$ for each $n$", "`x^2` for each `n`"),
        (r"so $\frac{a}{b}_i$.", r"so `\frac{a}{b}_i`."),
        ("from $5 to $10, or $6_000", "from $5 to $10, or $6_000"),
        ("$HOME_DIR/$PATH_A", "$HOME_DIR/$PATH_A"),
        (r"\$x^2\$ and `$x^2$`", r"\$x^2\$ and `$x^2$`"),
    ],
)
def test_formulas_between_dollars_are_told_from_prices(written: str, shown: str):
    assert shown == adapt(written)
