"""Answers found in a text: passages in SQLite's FTS5, ranked by BM25, refused when too little of the question fits.

A knowledge text is markdown. A heading opens a section; a comment `<!-- also: words -->` under it adds words by
which the section is found but which are not shown. Sentences are passages of their own; a list, table or code
block is one passage together with the line that leads to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import apsw

_ALSO = re.compile(r"<!--\s*also:(.*?)-->", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])")
_BLOCK = re.compile(r"```.*?```|(?:[^\n]*\S[^\n]*\n?)+", re.DOTALL)
_STRUCTURED = re.compile(r"\s*(```|\||[-*] |\d+\. )")
_WORD = re.compile(r"[^\W_]+")
_MAX_TERMS = 24
_STOPWORDS = """
    a about all am an and any are as at be been but by buy can could did do does for from get give good got had has
    have hello hey hi how i if in into is it its just know like ll make may me much my need no not of on or our
    please sell should so some something tell than thank thanks that the their them then there these they this to
    too up us use want was we were what when where which while who why will with would yes you your
"""
STOPWORDS = frozenset(_STOPWORDS.split())


@dataclass(frozen=True, slots=True)
class Passage:
    section: str
    also: str
    text: str
    structured: bool


def passages(markdown: str) -> Iterator[Passage]:
    """Cut a knowledge text."""
    for section in re.split(r"(?m)^(?=#+ )", markdown):
        heading, _, body = section.partition("\n") if section.startswith("#") else ("", "", section)
        also = " ".join(_ALSO.findall(body))
        lead = ""
        for block in _BLOCK.findall(_ALSO.sub("", body)):
            if _STRUCTURED.match(block):
                yield Passage(heading.strip("# "), also, lead + block.strip(), structured=True)
                lead = ""
                continue
            *sentences, last = _SENTENCE_END.split(lead + block.strip())
            leads = last.endswith(":")
            lead = f"{last}\n\n" if leads else ""
            for sentence in sentences if leads else [*sentences, last]:
                yield Passage(heading.strip("# "), also, sentence, structured=False)


def terms(question: str) -> list[str]:
    """The words of a question that carry meaning, each once."""
    words = (word for word in _WORD.findall(question.lower()) if word not in STOPWORDS and len(word) > 1)
    return list(dict.fromkeys(words))[:_MAX_TERMS]


class Knowledge:
    """The indexed texts of one replica."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._passages = [passage for text in texts for passage in passages(text)]
        self._db = apsw.Connection(":memory:")
        self._db.execute(
            "CREATE VIRTUAL TABLE passage USING fts5(title, also, body, tokenize='porter unicode61')"
        )
        self._db.executemany(
            "INSERT INTO passage(rowid, title, also, body) VALUES (?, ?, ?, ?)",
            [(number, p.section, p.also, p.text) for number, p in enumerate(self._passages)],
        )

    def answer(self, question: str) -> str | None:
        """The best passages as markdown; None if less than half of the question's words fit them."""
        words = terms(question)
        found = self._matches("title also body", words)
        if not found:
            return None
        section = self._passages[found[0]].section
        fitting = [word for word in words if section in self._sections("title also body", word)]
        if 2 * len(fitting) < len(words):
            return None
        chosen = self._opening(section) if self._general(section, fitting) else self._best(section, fitting)
        return _phrase(section, [self._passages[number] for number in chosen])

    def _general(self, section: str, words: list[str]) -> bool:
        """Whether the question is about the section as a whole: its heading says all of it, or no passage does."""
        in_heading = all(section in self._sections("title", word) for word in words)
        return in_heading or not self._matches("body", words, every=True, section=section)

    def _opening(self, section: str) -> list[int]:
        return [number for number, passage in enumerate(self._passages) if passage.section == section][:2]

    def _best(self, section: str, words: list[str]) -> list[int]:
        """The best passage that has all the words, with its successor when that has them too or is what it leads to."""
        best, *others = self._matches("body", words, every=True, section=section)
        following = self._passages[best + 1] if best + 1 < len(self._passages) else None
        shows = following is not None and following.section == section and following.structured
        return [best, best + 1] if shows or best + 1 in others else [best]

    def _sections(self, columns: str, word: str) -> set[str]:
        return {self._passages[number].section for number in self._matches(columns, [word])}

    def _matches(
        self, columns: str, words: list[str], *, every: bool = False, section: str | None = None
    ) -> list[int]:
        """Passages with any (or every) word, best first."""
        joined = (" AND " if every else " OR ").join(f'"{word}"' for word in words)
        if not joined:
            return []
        sql = (
            "SELECT rowid FROM passage WHERE passage MATCH ? "
            "ORDER BY bm25(passage, 3.0, 2.0, 1.0), rowid LIMIT 100"
        )
        numbers = [int(number) for (number,) in self._db.execute(sql, (f"{{{columns}}} : ({joined})",))]
        return [n for n in numbers if section is None or self._passages[n].section == section]


def _phrase(section: str, chosen: list[Passage]) -> str:
    """Sentences in one paragraph, everything else set apart, under the section's name."""
    text = ""
    for passage in chosen:
        apart = passage.structured or text.endswith(("|", "`")) or "\n" in text
        text += (("\n\n" if apart else " ") if text else "") + passage.text
    return f"**{section}**\n\n{text}" if section else text


@lru_cache(maxsize=64)
def knowledge(texts: tuple[str, ...]) -> Knowledge:
    """The index of these texts, made once: every organisation has the same samples."""
    return Knowledge(texts)
