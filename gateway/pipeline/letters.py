"""Taking a dead letter up again: turns and parts go back to where they waited, an update is read anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from gateway.errors import Permanent
from gateway.messages import Arrival, Channel, DeadLetter, Unreadable
from gateway.ports import Host, Journal, Noted, Observer, Rereads

Live = Callable[[Channel], tuple[Any, Host] | None]
"""The running adapter and host of a channel."""


class Letters:
    """What an operator does about dead letters."""

    def __init__(self, journal: Journal, live: Live, observer: Observer) -> None:
        self._journal, self._live, self._observer = journal, live, observer

    async def retry(self, letter_id: str) -> bool:
        """False for an unknown letter. Raises Permanent when it cannot be done, Transient when it cannot be now."""
        letter = await self._journal.dead_letter(letter_id)
        if letter is None:
            return False
        if letter.kind == "update":
            await self._read_anew(letter)
            done = await self._journal.drop(letter_id)
        else:
            done = await self._journal.retry(letter_id)
        self._note("dead_letter.retried", letter)
        return done

    async def drop(self, letter_id: str) -> bool:
        """False for an unknown letter."""
        letter = await self._journal.dead_letter(letter_id)
        if letter is None or not await self._journal.drop(letter_id):
            return False
        self._note("dead_letter.dropped", letter)
        return True

    async def _read_anew(self, letter: DeadLetter) -> None:
        """Journal what the update means now; the letter goes after that, so a crash in between costs nothing."""
        if letter.raw is None:
            raise Permanent("the update is past its retention")
        live = self._live(Channel(bot=letter.key.bot, platform=letter.key.platform))
        if live is None or not isinstance(live[0], Rereads):
            raise Permanent("this update cannot be read anew: its channel does not run, or does not know how")
        arrivals = [_under_new_keys(arrival) for arrival in live[0].reread(letter.raw)]
        for arrival in arrivals:
            if isinstance(arrival, Unreadable):
                raise Permanent(f"the update still cannot be read: {arrival.error}")
        await live[1].accept(*arrivals)

    def _note(self, event: str, letter: DeadLetter) -> None:
        fields = {"bot": letter.key.bot, "platform": letter.key.platform, "letter": letter.id}
        self._observer(Noted(event=event, fields=fields))


def _under_new_keys(arrival: Arrival) -> Arrival:
    """Its own keys stand for the letter: under them it would be a duplicate of itself."""
    return replace(arrival, dedupe=tuple(f"retry:{key}" for key in arrival.dedupe))
