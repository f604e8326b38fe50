from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from gateway.sandbox.server import Sandbox

# how long an example takes is the machine's business, not a property
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """The pretended services, on a free port."""
    async with Sandbox() as box:
        yield box
