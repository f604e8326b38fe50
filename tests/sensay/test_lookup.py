from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.sensay.lookup import CLOCK_SLACK, answer_in
from gateway.sensay.models import HistoryItem

T = 1_700_000_000.0


def item(role: str, content: str, at: float = T, source: str = "telegram") -> HistoryItem:
    moment = datetime.fromtimestamp(at, UTC).isoformat()
    return HistoryItem(role=role, content=content, created_at=moment, source=source)


def asked(content: str = "open?", at: float = T, **more: str) -> HistoryItem:
    return item("user", content, at, **more)


def answered(content: str = "yes", at: float = T, **more: str) -> HistoryItem:
    return item("assistant", content, at, **more)


def test_the_answer_is_the_entry_after_the_question():
    found = answer_in([asked("hi"), answered("hello"), asked(), answered()], "open?", T)

    assert found is not None
    assert found != "pending"
    assert found.content == "yes"


def test_the_order_of_the_items_does_not_matter_their_times_do():
    items = [answered(at=T + 2), asked(at=T + 1), answered("old", T - 50), asked(at=T - 51)]

    assert answer_in(items, "open?", T) == items[0]


def test_the_newest_of_two_equal_questions_counts():
    items = [asked(at=T), answered("first", T + 1), asked(at=T + 2), answered("second", T + 3)]

    assert answer_in(items, "open?", T) == items[3]


def test_without_an_answer_it_is_pending():
    assert answer_in([asked()], "open?", T) == "pending"


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_answer_is_none_yet(blank: str):
    assert answer_in([asked(), answered(blank)], "open?", T) == "pending"


def test_with_another_message_between_nobody_knows_whose_answer_follows():
    assert answer_in([asked(), asked("secret?"), answered("a secret")], "open?", T) == "pending"


@pytest.mark.parametrize(
    ("age", "expected"), [(0.0, "pending"), (CLOCK_SLACK, "pending"), (CLOCK_SLACK + 1, None)]
)
def test_what_is_older_than_the_question_is_another_one(age: float, expected: str | None):
    assert answer_in([asked(at=T - age)], "open?", T) == expected


def test_other_words_or_another_speaker_are_not_the_question():
    assert answer_in([asked("closed?"), item("assistant", "open?")], "open?", T) is None


def test_white_space_around_the_words_does_not_matter():
    assert answer_in([asked(" open?\n")], "open?", T) == "pending"


def test_only_what_is_filed_under_the_source_counts():
    items = [asked(source="web"), answered("elsewhere", source="web"), asked(at=T + 1), answered(at=T + 2)]

    assert answer_in(items, "open?", T, "telegram") == items[3]
    assert answer_in(items[:2], "open?", T, "telegram") is None


@pytest.mark.parametrize("created_at", [None, "", "yesterday", "2025-13-45"])
def test_an_item_without_a_readable_time_is_too_old(created_at: str | None):
    broken = HistoryItem(role="user", content="open?", created_at=created_at)

    assert answer_in([broken], "open?", T) is None


@pytest.mark.parametrize(
    "form", ["2023-11-14T22:13:20+00:00", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000"]
)
def test_times_are_read_in_every_documented_form(form: str):
    assert HistoryItem(role="user", created_at=form).at == T
