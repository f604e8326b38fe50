"""docs/discord.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.discord import (
    breaker,
    catchup,
    commands,
    drafts,
    errors,
    limits,
    pictures,
    render,
    split,
    starts,
)
from adapters.discord.adapter import HEARTBEAT_TIMEOUT
from adapters.discord.interactions import JOURNAL_WITHIN
from gateway.settings.models import DiscordSettings

ROOT = Path(__file__).parents[2]
TEXT = " ".join((ROOT / "docs/discord.md").read_text().split())


@pytest.mark.parametrize("code", errors.FATAL_CLOSES)
def test_every_reason_to_fail_is_there_with_its_remedy(code: int) -> None:
    message, remedy = errors.FATAL_CLOSES[code]

    assert f"{message} ({code})" in TEXT
    assert remedy in TEXT


def test_every_refusal_is_there_with_its_meaning() -> None:
    told = dict(re.findall(r"\| (\d{5,6}) \| (.*?) \|", TEXT))

    assert {str(code): meaning for code, meaning in errors.MEANINGS.items()} == told


@pytest.mark.parametrize("key", DiscordSettings.model_fields)
def test_every_key_is_mentioned(key: str) -> None:
    assert re.search(rf"\b{key}\b", TEXT)


def test_every_command_is_there() -> None:
    for command in commands.COMMANDS:
        name = f"/{command['name']}" if command["type"] == 1 else f'"{command["name"]}"'
        assert name in TEXT


@pytest.mark.parametrize(
    "said",
    [
        f"within {JOURNAL_WITHIN} s",
        f"at most {split.LIMIT:,} characters",
        f"up to {pictures.LARGEST >> 20} MB",
        f"every {drafts.EVERY} s at most",
        f"for silence ({HEARTBEAT_TIMEOUT:.0f} s)",
        f"{catchup.PAGE * catchup.PAGES} messages a channel",
        f"one in {starts.SPACING:.0f} s",
        f"the last {starts.RESERVE} are spread",
        f"at most {limits.SENDS_PER_SECOND:.0f} requests a second",
        f"at {breaker.ALARM:,} the log",
        f"at {breaker.NO_OTHER:,} only answers",
        f"at {breaker.NOTHING:,} nothing does",
    ],
)
def test_the_figures_are_those_of_the_code(said: str) -> None:
    assert said in TEXT


def test_where_the_bot_is_no_member_is_counted_right() -> None:
    words = {6: "six"}

    assert f"({words[render.FOREIGN_PARTS]} where the bot is no member)" in TEXT


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https:)([^)]+)\)", TEXT):
        assert (ROOT / "docs" / target).is_file(), target
