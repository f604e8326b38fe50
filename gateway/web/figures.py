"""How much is said to a bot, and where: what the pages show of Sensay's analytics, and the contract of who has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Day:
    """A UTC day (`date` as YYYY-MM-DD): conversations so far, and new ones; None for the first that is known."""

    date: str
    total: int
    new: int | None


@dataclass(frozen=True, slots=True)
class Share:
    source: str
    conversations: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known now. `at`: as of when; None: not yet. `days` and `shares` are None where Sensay does not have them.

    `absent`: Sensay says that there is nothing to be seen (403, 404). `error`: the last try failed, so what is
    shown, if anything, is from before. `coming`: it is being fetched.
    """

    days: tuple[Day, ...] | None = None
    shares: tuple[Share, ...] | None = None
    at: float | None = None
    absent: GatewayError | None = None
    error: GatewayError | None = None
    coming: bool = False

    @property
    def known(self) -> bool:
        return self.days is not None or self.shares is not None


class Counts(Protocol):
    def look(self, bot: str) -> Figures:
        """What is known, at once; what is old or missing is fetched in the background because somebody looked. Raises
        KeyError for an unknown bot.
        """
        ...
