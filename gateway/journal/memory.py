"""`memory:`, for tests and the demo: the same statements on a database that ends with the process."""

from __future__ import annotations

from gateway.journal.database import InMemory
from gateway.journal.sql import SqlJournal
from gateway.journal.topics import Topics
from gateway.ports import Clock


class MemoryJournal(SqlJournal):
    def __init__(self, clock: Clock) -> None:
        topics = Topics()
        super().__init__(InMemory(topics.wake), topics, clock)
