"""The journal: all that must not be forgotten. `gateway.ports.Journal` is the contract."""

from __future__ import annotations

from gateway.errors import Misconfigured
from gateway.ports import Clock, Journal

_SQLITE = "sqlite:///"


def open_journal(url: str, clock: Clock, *, lease: float = 10.0) -> Journal:
    """Make the journal that the configuration names, not opened yet. Raises Misconfigured for an unknown one.

    `lease`: seconds after which what a dead process held is taken over, where several share the journal.
    """
    if url == "memory:":
        from gateway.journal.memory import MemoryJournal

        return MemoryJournal(clock)
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        from gateway.journal.sqlite import SqliteJournal

        return SqliteJournal(url.removeprefix(_SQLITE), clock)
    if url.startswith(("valkey", "redis")):
        from gateway.journal.valkey import ValkeyJournal

        return ValkeyJournal(url, clock, lease=lease)
    raise Misconfigured(
        f"unknown journal {url.partition(':')[0]}:",
        remedy="write memory:, sqlite:///relative/path, sqlite:////absolute/path or valkey://host:6379/0",
    )
