"""The journal: all that must not be forgotten. `gateway.ports.Journal` is the contract."""

from __future__ import annotations

from gateway.errors import Misconfigured
from gateway.ports import Clock, Journal

_SQLITE = "sqlite:///"


def open_journal(url: str, clock: Clock) -> Journal:
    """Make the journal that the configuration names, not opened yet. Raises Misconfigured for an unknown one."""
    if url == "memory:":
        from gateway.journal.memory import MemoryJournal

        return MemoryJournal(clock)
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        from gateway.journal.sqlite import SqliteJournal

        return SqliteJournal(url.removeprefix(_SQLITE), clock)
    raise Misconfigured(
        f"unknown journal {url.partition(':')[0]}:",
        remedy="write memory:, sqlite:///relative/path or sqlite:////absolute/path",
    )
