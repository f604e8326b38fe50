"""The journal's contract, by every journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.journal import open_journal
from gateway.ports import Journal
from tests.clock import FakeClock
from tests.contracts.journal import JournalContract


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    async def journal(self, clock: FakeClock) -> AsyncIterator[Journal]:
        journal = open_journal("memory:", clock)
        await journal.open()
        yield journal
        await journal.close()


class TestSqliteJournal(JournalContract):
    @pytest.fixture
    async def journal(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Journal]:
        journal = open_journal(f"sqlite:///{tmp_path}/gateway.db", clock)
        await journal.open()
        yield journal
        await journal.close()


@pytest.mark.parametrize("url", ["postgres://x", "sqlite://x", "sqlite:///", "gateway.db"])
def test_an_unknown_journal_is_refused_in_words(url: str) -> None:
    with pytest.raises(Misconfigured, match="unknown journal"):
        open_journal(url, FakeClock())
