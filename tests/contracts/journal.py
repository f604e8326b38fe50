"""What every journal has to do: subclass `JournalContract` and provide the fixture `journal`, an open one.

The fixture `clock` (`now()`, `await advance(seconds)`) is the journal's own time; a journal with another one
overrides it.
"""

from __future__ import annotations

from tests.contracts.journal_inbox import AmendmentContract, BoundsContract, InboxContract
from tests.contracts.journal_letters import DeadLetterContract
from tests.contracts.journal_outbox import OutboxContract
from tests.contracts.journal_reading import LogContract, LookingContract, MemoryContract, WakeUpContract
from tests.contracts.journal_turns import LeaseContract, SpendContract, TurnContract
from tests.contracts.journal_upkeep import HousekeepingContract


class JournalContract(
    InboxContract,
    BoundsContract,
    AmendmentContract,
    TurnContract,
    LeaseContract,
    SpendContract,
    OutboxContract,
    LogContract,
    WakeUpContract,
    MemoryContract,
    LookingContract,
    DeadLetterContract,
    HousekeepingContract,
):
    """The whole of it."""
