"""What Telegram delivers in pieces: albums, and pastes that the user's client had to split. Pure.

Pieces get one `join_key`, and `not_before` waits for the rest; the gateway makes one turn of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from msgspec.structs import replace

from gateway.messages import Addressed, Said

NEAR_FULL = 4000
"""UTF-16 units from which a message may be the first piece of a paste: clients cut at 4096, without a mark."""
PASTE_WAIT = 1.5
ALBUM_WAIT = 1.0
SAME_PASTE = 2.0
"""Seconds between the dates (whole seconds) of two pieces of one paste, at most."""
REMEMBERED = 1000
_ALBUM = "album:"
_T = TypeVar("_T")


def album(group: str | None, said: Said) -> Said:
    """Note that a message belongs to an album, if it does."""
    return replace(said, join_key=f"{_ALBUM}{group}") if group else said


@dataclass(frozen=True)
class _Album:
    """What was seen of an album: the message that came first, and how the bot was spoken to."""

    first: str
    addressed: Addressed | None


class Joiner:
    """Recognises what belongs together. One per bot; it remembers only what may still go on.

    A message may pass again (it was not journaled): it gets the same marks.
    """

    def __init__(self) -> None:
        self._pastes: dict[tuple[str, str], Said] = {}
        self._albums: dict[tuple[str, str], _Album] = {}

    def mark(self, said: Said, now: float) -> Said | None:
        """Give the pieces of one thing one key; None for a piece that adds nothing."""
        if said.join_key and said.join_key.startswith(_ALBUM):
            return self._of_album(said, said.join_key, now)
        return said if said.answer_with else self._of_paste(said, now)

    def _of_album(self, said: Said, key: str, now: float) -> Said | None:
        """All pieces are addressed like the one with the caption. Sensay looks at one picture a question, so that
        pictures without words are needed only as long as there is nothing else of the album.
        """
        seen = self._albums.get((said.key.chat, key))
        if seen is not None and not said.text and seen.first != said.message_id:
            return None
        addressed = said.addressed or (seen.addressed if seen else None)
        first = seen.first if seen else said.message_id
        _remember(self._albums, (said.key.chat, key), _Album(first, addressed))
        if not (said.text or said.images or addressed):
            return None
        return replace(said, addressed=addressed, not_before=now + ALBUM_WAIT)

    def _of_paste(self, said: Said, now: float) -> Said:
        """In a group the later pieces are addressed as the first was."""
        who = (said.key.chat, said.sender.id)
        before = self._pastes.pop(who, None)
        if before is not None and 0 <= said.sent_at - before.sent_at <= SAME_PASTE:
            said = replace(said, join_key=before.join_key, addressed=said.addressed or before.addressed)
        if len(said.text.encode("utf-16-le")) // 2 >= NEAR_FULL:
            key = said.join_key or f"paste:{said.key.chat}:{said.message_id}"
            said = replace(said, join_key=key, not_before=now + PASTE_WAIT)
            _remember(self._pastes, who, said)
        return said


def _remember(known: dict[tuple[str, str], _T], key: tuple[str, str], value: _T) -> None:
    if len(known) >= REMEMBERED:
        known.clear()
    known[key] = value
