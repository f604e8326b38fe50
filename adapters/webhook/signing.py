"""Standard Webhooks 1.0 signatures: HMAC-SHA256 over `id.timestamp.body`, the body as the bytes that came.

Pure: secrets, headers and `now` are arguments. Verifying takes the same work whatever is wrong, and never
says what was.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence

from multidict import CIMultiDictProxy

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
TOLERANCE = 300.0
"""Seconds that a timestamp may lie in the past or in the future."""
MAX_CANDIDATES = 16
"""Signatures read from one header: a sender that rotates has two."""
_SECONDS = re.compile(rb"[0-9]{1,12}")


def key(secret: str) -> bytes:
    """`whsec_…` → the key; the settings have made sure that it is one."""
    return base64.b64decode(secret.removeprefix(PREFIX))


def sign(secret_key: bytes, message_id: bytes, timestamp: bytes, body: bytes) -> bytes:
    """One `v1,…` signature, as it stands in the header."""
    digest = hmac.digest(secret_key, b".".join((message_id, timestamp, body)), "sha256")
    return b"v1," + base64.b64encode(digest)


def verified(keys: Sequence[bytes], headers: CIMultiDictProxy[str], body: bytes, now: float) -> bool:
    """Whether one of the keys signed this body under these headers, not long ago.

    Each of the three headers must be there exactly once, so that no proxy and we read different ones.
    """
    message_id, timestamp, signatures = (_only(headers, name) for name in (ID, TIMESTAMP, SIGNATURE))
    candidates = signatures.split(b" ")[:MAX_CANDIDATES]
    genuine = False
    for secret_key in keys:
        expected = sign(secret_key, message_id, timestamp, body)
        for candidate in candidates:
            genuine |= hmac.compare_digest(expected, candidate)
    return genuine and bool(message_id) and _recent(timestamp, now)


def _only(headers: CIMultiDictProxy[str], name: str) -> bytes:
    values = headers.getall(name, [])
    return values[0].encode("utf-8", "surrogateescape") if len(values) == 1 else b""


def _recent(timestamp: bytes, now: float) -> bool:
    return _SECONDS.fullmatch(timestamp) is not None and abs(now - int(timestamp)) <= TOLERANCE
