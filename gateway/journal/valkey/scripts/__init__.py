"""The journal's scripts: one program, in the order in which its parts build on each other."""

from __future__ import annotations

from importlib.resources import files

PARTS = (
    "rows",
    "conversations",
    "ledger",
    "letters",
    "outbox",
    "inbox",
    "turns",
    "looking",
    "upkeep",
    "notes",
    "leases",
    "call",
)
SERVER_TIME = "local t = redis.call('TIME') return t[1] + t[2] / 1000000"


def program(time: str = SERVER_TIME) -> str:
    """Put the program together. `time` is the Lua that tells it the time: a test has another one."""
    folder = files(__name__)
    parts = [folder.joinpath(f"{name}.lua").read_text() for name in PARTS]
    return "\n".join((f"local now = (function() {time} end)()", *parts))
