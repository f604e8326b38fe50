"""What Telegram delivers in pieces: albums, and pastes that the user's client had to split. Pure.

Pieces get one `join_key`, and `not_before` waits for the rest; the gateway makes one turn of them.
"""

from __future__ import annotations

from msgspec.structs import replace

from gateway.messages import Arrival, Said

NEAR_FULL = 4000
"""UTF-16 units from which a message may be the first piece of a paste: clients cut at 4096, without a mark."""
PASTE_WAIT = 1.5
ALBUM_WAIT = 1.0
SAME_PASTE = 2.0
"""Seconds between the dates (whole seconds) of two pieces of one paste, at most."""
REMEMBERED = 1000


def album(group: str | None, said: Said, now: float) -> Said:
    """Mark a message of an album; of those without a caption, one is told that pictures are not read."""
    if not group:
        return said
    key = f"album:{group}"
    if said.answer_with == "unsupported":
        return replace(said, join_key=key, dedupe=(*said.dedupe, key))
    return replace(said, join_key=key, not_before=now + ALBUM_WAIT)


def captions_only(arrivals: list[Arrival]) -> list[Arrival]:
    """Drop the pictures of a batch that belong to a caption in it: the caption's answer is answer enough."""
    captioned = {
        arrival.join_key for arrival in arrivals if isinstance(arrival, Said) and arrival.answer_with is None
    } - {None}
    return [
        arrival
        for arrival in arrivals
        if not (
            isinstance(arrival, Said)
            and arrival.answer_with == "unsupported"
            and arrival.join_key in captioned
        )
    ]


class Pastes:
    """Recognises the pieces of a paste by sender, fullness and time. One per bot; it remembers only open pastes."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Said] = {}

    def mark(self, said: Said, now: float) -> Said:
        """Give the pieces of a paste one key; in a group the later ones are addressed as the first was."""
        if said.join_key or said.answer_with:
            return said
        who = (said.key.chat, said.sender.id)
        before = self._open.pop(who, None)
        if before is not None and 0 <= said.sent_at - before.sent_at <= SAME_PASTE:
            said = replace(said, join_key=before.join_key, addressed=said.addressed or before.addressed)
        if len(said.text.encode("utf-16-le")) // 2 >= NEAR_FULL:
            key = said.join_key or f"paste:{said.key.chat}:{said.message_id}"
            said = replace(said, join_key=key, not_before=now + PASTE_WAIT)
            self._remember(who, said)
        return said

    def _remember(self, who: tuple[str, str], said: Said) -> None:
        if len(self._open) >= REMEMBERED:
            self._open.clear()
        self._open[who] = said
