"""What `/status.json` shows, put together from the live parts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.messages import BotCounts
from gateway.ports import BotHeard, DeliveryEnded, Fact


class LastSeen:
    """An observer that remembers when each channel was last heard and last replied."""

    def __init__(self) -> None:
        self.heard: dict[tuple[str, str], float] = {}
        self.replied: dict[tuple[str, str], float] = {}

    def __call__(self, fact: Fact) -> None:
        if isinstance(fact, BotHeard):
            self.heard[fact.bot, fact.platform] = fact.at
        elif isinstance(fact, DeliveryEnded) and fact.outcome == "sent":
            self.replied[fact.bot, fact.platform] = fact.at

    def keep(self, channels: set[tuple[str, str]]) -> None:
        """Forget all others."""
        for times in (self.heard, self.replied):
            for gone in times.keys() - channels:
                del times[gone]


def moment(at: float | None) -> str | None:
    """Seconds since the epoch → ISO 8601."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def quota_document(
    used: Mapping[str, tuple[int, int]], waiting: int, relief: float, error: str | None
) -> dict[str, Any]:
    """One organisation. `used` maps a window to (used, limit); `relief`: seconds until the next answer may be asked;
    `error`: why none can come before a person acts.
    """
    shown = {window: used[window] for window in ("minute", "hour")}
    quota = {window: {"limit": limit, "used": count} for window, (count, limit) in shown.items()}
    return {"quota": quota, "waiting": waiting, "relief": round(relief, 1), "error": error}


def bot_document(
    replica: str, platforms: Mapping[str, Mapping[str, Any]], counts: BotCounts, now: float
) -> dict[str, Any]:
    """One bot: its channels, its queue, its turns so far."""
    age = None if counts.oldest is None else max(0.0, now - counts.oldest)
    return {
        "replica": replica,
        "platforms": dict(platforms),
        "queue": {"waiting": counts.waiting, "oldest_age": age},
        "context": {"dropped": counts.dropped},
        "dead_letters": counts.dead_letters,
        "turns": {"answered": counts.answered, "failed": counts.failed, "expired": counts.expired},
    }
