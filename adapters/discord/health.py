"""Whether a bot works as a whole: each of its connections, and its address."""

from __future__ import annotations

from gateway.ports import Host


class Health:
    """`running` only when every part is well; the last trouble that is left says why not."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._identity = ""
        self._troubles: dict[str, str | None] = {}

    def expect(self, identity: str, parts: list[str]) -> None:
        """These have to be well before the bot is."""
        self._identity = identity
        self._troubles |= dict.fromkeys(parts)

    def well(self, part: str) -> None:
        self._troubles.pop(part, None)
        if not self._troubles:
            self._host.ready(self._identity)
        elif why := next((why for why in self._troubles.values() if why), None):
            self._host.degraded(why)

    def trouble(self, part: str, why: str) -> None:
        self._troubles[part] = why
        self._host.degraded(why)
