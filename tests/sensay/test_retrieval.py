from __future__ import annotations

import pytest

from gateway.sandbox.sensay.persona import NOT_ENOUGH, Persona, answer
from gateway.sandbox.sensay.retrieval import Knowledge, passages, terms
from gateway.sandbox.sensay.samples import SAMPLES

SUPPORT, CAFE, DEVELOPER = SAMPLES
COMPANY = (
    "Our company was started in a garage in Riga. We build quiet fans. "
    "Our business hours are Monday to Friday, 9 AM to 5 PM. Every fan has a money-back guarantee of 30 days."
)


def ask(question: str, sample=SUPPORT) -> str:
    persona = Persona(sample.name, sample.description, sample.greeting, sample.suggestions)
    return answer(persona, (sample.knowledge,), question)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When are you open?", "| Saturday | 10:00"),
        ("are you open on sunday", "| Sunday | closed |"),
        ("How do I return something?", "**30 days**"),
        ("Can I return boots that I have worn outside?", "Boots that were worn outside"),
        ("What does shipping cost?", "| Germany, express |"),
        ("Where is my order?", "tracking link"),
        ("Which tent do you recommend?", "- **Häher 2**"),
        ("How do I wash my rain jacket?", "1. Close all zips"),
        ("Is there a discount for students?", "10 %"),
        ("My zip is broken, what now?", "workshop"),
        ("I would like to talk to a human", "+49 761"),
    ],
)
def test_a_question_finds_its_passage(question: str, expected: str):
    assert expected in ask(question)


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "How did you handle the immense pressure during the Civil War?",
        "Do you sell pianos?",
        "Wann habt ihr geöffnet?",
        "💥",
        "???",
        '" OR body : * --',
        "NEAR(a b) AND NOT x*",
    ],
)
def test_what_is_not_known_is_admitted(question: str):
    assert ask(question) == NOT_ENOUGH


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hello", "welcome to Fernweh"),
        ("Hi there!", "welcome to Fernweh"),
        ("Thanks a lot", "You're welcome"),
        ("How are you today?", "I'm well"),
        ("Who are you?", "**Support**"),
        ("/start", "- When are you open?"),
        ("help", "- When are you open?"),
        ("bye", "Goodbye"),
    ],
)
def test_small_talk_is_answered_in_kind(words: str, expected: str):
    assert expected in ask(words)


def test_a_greeting_before_a_question_does_not_hide_it():
    assert "| Saturday |" in ask("Hello, when are you open on Saturday?")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.slug)
def test_every_suggestion_has_an_answer(sample):
    answers = [ask(question, sample) for question in sample.suggestions]

    assert NOT_ENOUGH not in answers
    assert len(set(answers)) == len(answers)


def test_the_samples_show_lists_tables_and_code():
    assert "| Cinnamon bun |" in ask("What is on the menu?", CAFE)
    assert "```python" in ask("Is there a Python library?", DEVELOPER)
    assert "1. 18 g of coffee" in ask("How do I brew filter coffee?", CAFE)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What are your business hours?", "Our business hours are Monday to Friday, 9 AM to 5 PM."),
        ("Is there a money-back guarantee?", "Every fan has a money-back guarantee of 30 days."),
    ],
)
def test_plain_text_answers_with_the_sentence_that_fits(question: str, expected: str):
    assert expected == Knowledge((COMPANY,)).answer(question)


def test_nothing_is_known_without_a_text():
    assert Knowledge(()).answer("When are you open?") is None
    assert Knowledge(("",)).answer("When are you open?") is None


def test_a_block_stays_whole_and_takes_its_lead_along():
    text = "# Hours\nFirst. Second one here:\n\n- a\n- b\n\n```\ncode\n\nmore\n```\n"

    assert [passage.text for passage in passages(text)] == [
        "First.",
        "Second one here:\n\n- a\n- b",
        "```\ncode\n\nmore\n```",
    ]


def test_the_terms_of_a_question_are_bounded():
    assert len(terms(" ".join(f"word{number}" for number in range(10_000)))) <= 24
