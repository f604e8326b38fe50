"""How full an organisation is that another process asks for."""

from __future__ import annotations

import asyncio

from gateway.errors import Transient
from gateway.pods import COUNT_EVERY, Queues
from tests.clock import FakeClock, settle


class Server:
    """Queues of that length, and whose were looked at."""

    def __init__(self, **lengths: int) -> None:
        self.lengths, self.looked = lengths, list[str]()
        self.away = False

    async def queue(self, organization: str) -> int:
        if self.away:
            raise Transient("away")
        self.looked.append(organization)
        return self.lengths[organization]


async def test_only_queues_that_are_asked_about_are_counted():
    clock, server = FakeClock(), Server(acme=7, umbrella=9)
    queues = Queues(server.queue, clock)
    counting = asyncio.ensure_future(queues.keep_counting())
    await settle()
    first = queues.length("acme")
    await clock.advance(COUNT_EVERY)
    await settle()
    await clock.advance(COUNT_EVERY)
    await settle()
    counting.cancel()

    assert first == 0
    assert queues.length("acme") == 7
    assert server.looked == ["acme"]


async def test_a_length_is_known_until_a_later_look_says_otherwise():
    clock, server = FakeClock(), Server(acme=7)
    queues = Queues(server.queue, clock)
    queues.length("acme")
    counting = asyncio.ensure_future(queues.keep_counting())
    await settle()
    server.away, server.lengths = True, {"acme": 3}
    queues.length("acme")
    await clock.advance(COUNT_EVERY)
    await settle()
    away = queues.length("acme")
    server.away = False
    await clock.advance(COUNT_EVERY)
    await settle()
    counting.cancel()

    assert (away, queues.length("acme")) == (7, 3)
