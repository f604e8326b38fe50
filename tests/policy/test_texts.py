from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import TextName
from gateway.policy.texts import BUILT_IN, choose, failed, fill

NAMES: tuple[TextName, ...] = get_args(TextName)
PLACEHOLDERS = {"failed": {"reference"}, "queued": {"seconds"}}


def test_there_are_eight_languages_and_one_is_written_from_right_to_left() -> None:
    assert {"ar", "de", "en", "es", "fr", "it", "ja", "pt"} == set(BUILT_IN)


@pytest.mark.parametrize("language", BUILT_IN)
def test_a_language_has_every_text_and_no_other(language: str) -> None:
    assert set(NAMES) == set(BUILT_IN[language])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", BUILT_IN)
def test_a_text_is_short_and_has_its_placeholder_and_no_other(language: str, name: TextName) -> None:
    text = BUILT_IN[language][name]

    assert text == text.strip()
    assert 5 < len(text) < 200
    assert PLACEHOLDERS.get(name, set()) == set(re.findall(r"\{(\w*)\}", text))
    assert text.count("{") == len(PLACEHOLDERS.get(name, set()))


@pytest.mark.parametrize("name", NAMES)
def test_no_two_languages_share_a_text(name: TextName) -> None:
    assert len(BUILT_IN) == len({texts[name] for texts in BUILT_IN.values()})


def test_a_locale_widens_to_its_language_and_then_to_english() -> None:
    assert BUILT_IN["pt"]["busy"] == choose("busy", None, "pt-BR")
    assert BUILT_IN["pt"]["busy"] == choose("busy", None, "PT_br")
    assert BUILT_IN["en"]["busy"] == choose("busy", None, "zh-Hant-TW")
    assert BUILT_IN["en"]["busy"] == choose("busy", None, None)
    assert BUILT_IN["en"]["busy"] == choose("busy", None, "")
    assert BUILT_IN["en"]["busy"] == choose("busy", None, "-")


def test_a_plain_string_overrides_all_languages() -> None:
    assert choose("busy", "Later.", "ja") == "Later."


def test_a_mapping_overrides_some_languages() -> None:
    own = {"en": "Later.", "pt_BR": "Depois.", "nl": "Later, graag."}

    assert choose("busy", own, "pt-br") == "Depois."
    assert BUILT_IN["pt"]["busy"] == choose("busy", own, "pt-PT")
    assert choose("busy", own, "nl-BE") == "Later, graag."
    assert BUILT_IN["de"]["busy"] == choose("busy", own, "de")
    assert choose("busy", own, "fi") == "Later."
    assert choose("busy", own, None) == "Later."


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    assert fill("{reference} in {seconds}: {x} {} {0}", reference="r1", seconds=2.1) == "r1 in 3: {x} {} {0}"


def test_a_wait_is_never_said_to_be_zero_seconds() -> None:
    assert fill("{seconds}", seconds=0.0) == "1"


def test_a_value_is_not_filled_in_again() -> None:
    assert fill("{reference}", reference="{seconds}", seconds=5) == "{seconds}"


def test_a_placeholder_without_a_value_stays() -> None:
    assert fill("{seconds}", reference="r1") == "{seconds}"


def test_a_failure_without_a_place_for_its_reference_has_it_at_the_end() -> None:
    assert failed("Oops", "r1") == "Oops (r1)"
    assert failed("{reference}: oops", "r1") == "r1: oops"


@given(text=st.text(), reference=st.text(min_size=1))
def test_any_text_of_an_operator_can_be_a_failure_and_shows_its_reference(text: str, reference: str) -> None:
    assert reference in failed(text, reference)


@given(locale=st.none() | st.text(max_size=20))
def test_any_locale_gets_a_text(locale: str | None) -> None:
    assert choose("failed", {"en": "Sorry"}, locale)
