from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession

from tests.web.webhook_host import Caller, Hooks, serving

if TYPE_CHECKING:
    from tests.web.web_shop import Shop
    from tests.web.web_site import WebHost


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A customer's page with the widget, in a browser that is started for the test."""
    from tests.web.web_shop import open_shop

    async with open_shop() as made:
        yield made


@pytest.fixture
def host(shop: Shop) -> WebHost:
    """The shop's bot as the gateway has it."""
    return shop.host


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    """The webhook of the bot `support`, served on a port."""
    async with serving() as made:
        yield made


@pytest.fixture
async def caller(hooks: Hooks) -> AsyncIterator[Caller]:
    """Somebody who asks it, with the right secret."""
    async with ClientSession(hooks.url) as session:
        yield Caller(session, hooks.host.clock)
