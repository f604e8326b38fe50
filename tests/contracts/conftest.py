from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.ports import Journal
from tests.clock import FakeClock

for part in ("", "_inbox", "_kit", "_letters", "_outbox", "_reading", "_turns", "_upkeep"):
    pytest.register_assert_rewrite(f"tests.contracts.journal{part}")
pytest.register_assert_rewrite("tests.contracts.adapter")

from tests.contracts.journal_kit import Desk  # noqa: E402 - its asserts are to be rewritten


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def desk(journal: Journal) -> AsyncIterator[Desk]:
    async with journal.hold("dispatcher/acme") as turns, journal.hold("channel/shop/telegram") as parts:
        yield Desk(journal, turns, parts)
