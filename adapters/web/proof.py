"""Proof of work: whoever begins many sessions pays for each with computing. Pure.

A challenge is a signed salt that names its bot, its end and how hard it is; nothing is stored for it. It is met by a
text `<salt>.<number>` whose SHA-256 begins with that many zero bits. On average a browser tries 2^BITS numbers: a
fifth of a second, a second on a slow phone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from gateway.settings.models import Rate

BITS = 16
LIFETIME = 120.0
_LONGEST = 200


def challenge(bot: str, key: bytes, now: float) -> dict[str, object]:
    """What has to be solved before a session begins."""
    open_part = f"{BITS}-{int(now + LIFETIME)}-{secrets.token_hex(8)}"
    return {"salt": f"{open_part}-{_mac(open_part, bot, key)}", "bits": BITS}


def holds(proof: str, bot: str, key: bytes, now: float) -> bool:
    """Whether it meets a challenge of ours that is not over yet. The caller sees to it that it counts once."""
    open_part, _, mac = salt(proof).rpartition("-")
    if len(proof) > _LONGEST or not hmac.compare_digest(
        _mac(open_part, bot, key).encode(), mac.encode(errors="replace")
    ):
        return False
    bits, end, _ = open_part.split("-")
    zero = int.from_bytes(hashlib.sha256(proof.encode(errors="replace")).digest()) >> (256 - int(bits))
    return zero == 0 and now < int(end)


def salt(proof: str) -> str:
    """The challenge that a proof answers."""
    return proof.rpartition(".")[0]


def soft_limits(rate: Rate | None) -> tuple[Rate, Rate]:
    """Beyond which `auto` wants work: new sessions of the whole bot, and of one address block."""
    hard = rate or Rate(count=60, seconds=60.0)
    return (
        Rate(count=hard.count * 10, seconds=hard.seconds),
        Rate(count=max(1, hard.count // 4), seconds=hard.seconds),
    )


def _mac(open_part: str, bot: str, key: bytes) -> str:
    return hmac.digest(key, f"proof of work\0{bot}\0{open_part}".encode(errors="replace"), "sha256").hex()
