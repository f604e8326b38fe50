"""Which of several processes holds what. Each of them computes it for itself, and all come to the same.

Theory: rendezvous hashing with shares. For every name the members are ranked by a hash of the pair, and the first in
rank takes it, so a member that comes or goes concerns hardly any names but those that it gets or had. Hashes alone are
uneven; so of n names nobody of m members takes more than n/m, rounded up for as many as the remainder says, and
whoever has its share passes on to the next in rank. A name goes only to a member that knows it: while a configuration
is being rolled out, not all do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping


def assign(known: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Member → the names it knows. Returns name → the member that is to hold it."""
    if not known:
        return {}
    knowing: dict[str, list[str]] = {}
    for member in sorted(known):
        for name in known[member]:
            knowing.setdefault(name, []).append(member)
    share, one_more = divmod(len(knowing), len(known))
    held = dict.fromkeys(known, 0)
    assigned: dict[str, str] = {}
    for name in sorted(knowing, key=_hash):
        ranked = sorted(knowing[name], key=lambda member: _hash(f"{member} {name}"))
        chosen = next((member for member in ranked if held[member] < share + (one_more > 0)), None)
        if chosen is None:  # those who know it have their share already
            chosen = min(ranked, key=held.__getitem__)
        one_more -= held[chosen] == share
        held[chosen] += 1
        assigned[name] = chosen
    return assigned


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
