"""What the pretended world saw: questions that reached a replica, answers that reached a person."""

from __future__ import annotations

from collections import Counter

from gateway.sandbox.server import Sandbox


def asked(box: Sandbox) -> Counter[str]:
    """How often each text was put to a replica. A 401 is not: the user had to be made known first; nor a 429."""
    return Counter(
        (request.body or {}).get("content", "")
        for request in box.sensay.requests
        if request.operation == "complete" and request.status not in (401, 429)
    )
