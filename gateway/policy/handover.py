"""What an admin says to take a conversation over: `/pause`, `/pause 30m`, `/resume`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gateway.messages import Said, TextName

HANDOVER = 3600.0
"""Seconds after which a conversation that was handed to a person comes back by itself."""
LONGEST = 30 * 86_400.0
SAYS: dict[str, TextName] = {"pause": "paused", "resume": "resumed"}
"""The text that confirms it."""

_ORDER = re.compile(r"/(pause|resume)(?:\s+(\d{1,6})\s*(s|m|h|d)?)?\s*", re.IGNORECASE)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True)
class Order:
    """`seconds` is how long a pause lasts at most."""

    verb: Literal["pause", "resume"]
    seconds: float = HANDOVER


def order(said: Said, admins: frozenset[str]) -> Order | None:
    """What it orders; None for whatever is to be read as text. A number alone means minutes.

    Only where people talk under ids that the platform vouches for.
    """
    if said.key.platform not in ("telegram", "discord") or said.sender.id not in admins:
        return None
    found = _ORDER.fullmatch(said.text.strip())
    if found is None:
        return None
    verb, number, unit = found.groups()
    if verb.lower() == "resume":
        return Order("resume")
    seconds = HANDOVER if number is None else int(number) * _UNITS[(unit or "m").lower()]
    return Order("pause", min(LONGEST, max(1.0, seconds)))
