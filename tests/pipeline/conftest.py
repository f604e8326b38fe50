from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.pipeline.works import Works, works_of


@pytest.fixture
async def works() -> AsyncIterator[Works]:
    async with works_of() as made:
        yield made
