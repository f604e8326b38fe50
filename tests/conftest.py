from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.sandbox.server import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The pretended services, on a free port."""
    async with Sandbox() as box:
        yield box
