"""The events that the code writes are those of docs/observability/events.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from gateway.telemetry.metrics import STATES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "observability" / "events.md"
EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
WRITERS = {"debug", "info", "warning", "error", "exception", "critical", "_note", "_say"}
COMPOSED = {
    *(f"bot.{state}" for state in STATES),
    *("bot.paused", "bot.resumed", "bot.restarted"),
    *("conversation.paused", "conversation.resumed"),
    *("delivery.sent", "delivery.postponed", "delivery.unknown", "delivery.buried"),
    *("organization.failed", "organization.recovered"),
    "library.logged",
}
"""Put together, or chosen from a table, where they are written."""


def written() -> Iterator[str]:
    """Every event that stands as a word where something is logged."""
    for folder in ("gateway", "adapters"):
        for file in (ROOT / folder).rglob("*.py"):
            if "sandbox" not in file.parts:
                for node in ast.walk(ast.parse(file.read_text())):
                    if isinstance(node, ast.Call):
                        yield from named_in(node)


def named_in(call: ast.Call) -> Iterator[str]:
    words = [keyword.value for keyword in call.keywords if keyword.arg == "event"]
    if isinstance(call.func, ast.Attribute) and call.func.attr in WRITERS:
        words += call.args[:1]
    for word in words:
        for part in ast.walk(word):
            if isinstance(part, ast.Constant) and EVENT.fullmatch(str(part.value)):
                yield str(part.value)


def documented() -> list[str]:
    first_cells = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return [name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_event_that_is_written_is_on_the_page_and_no_other():
    assert set(documented()) == {*written(), *COMPOSED}


def test_every_event_is_there_once_and_is_a_noun_with_a_verb():
    names = documented()

    assert len(names) == len(set(names)) > 40
    assert all(EVENT.fullmatch(name) for name in names)
