"""The journal's contract on a Valkey server, and what only a server can do to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from gateway.app import SystemClock
from gateway.journal.valkey import ValkeyJournal
from gateway.ports import Journal
from tests.clock import FakeClock
from tests.contracts.journal import JournalContract
from tests.valkey import Server

TIME = "return tonumber(redis.call('GET', 'time'))"


class ServerClock(FakeClock):
    """The server's time, moved by hand."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self._client = client
        self._tell()

    def _tell(self) -> None:
        self._client.set("time", repr(self.now()))

    async def advance(self, seconds: float) -> None:
        await super().advance(seconds)
        self._tell()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


class TestValkeyJournal(JournalContract):
    @pytest.fixture
    def clock(self, server: Server) -> Iterator[FakeClock]:
        with server.client() as client:
            client.flushall()
            yield ServerClock(client)

    @pytest.fixture
    async def journal(self, clock: FakeClock, server: Server) -> AsyncIterator[Journal]:
        journal = ValkeyJournal(server.url, SystemClock(), time=TIME)
        await journal.open()
        yield journal
        await journal.close()

    async def test_processes_are_there_as_long_as_they_say_so(
        self, journal: Journal, clock: FakeClock
    ) -> None:
        alone = await journal.gather("a", "one", 6.0)
        await clock.advance(4.0)
        both = await journal.gather("b", "two", 6.0)
        await clock.advance(4.0)
        after = await journal.gather("b", "three", 6.0)
        await journal.leave("b")

        assert {"a": "one"} == alone
        assert {"a": "one", "b": "two"} == both
        assert {"b": "three"} == after
        assert {"c": "four"} == await journal.gather("c", "four", 6.0)
