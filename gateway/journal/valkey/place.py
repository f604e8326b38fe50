"""Where the server is: what the journal's URL says."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from gateway.errors import Misconfigured

PORT, SENTINEL_PORT = 6379, 26379
_FORMS = "valkey://[user:password@]host[:6379][/0] or valkey+sentinel://[user:password@]host[:26379],…/name/0"
_SCHEMES = {
    "valkey": (False, False),
    "redis": (False, False),
    "valkeys": (False, True),
    "rediss": (False, True),
    "valkey+sentinel": (True, False),
    "redis+sentinel": (True, False),
}
"""Scheme → whether it names Sentinels, whether it speaks TLS."""

Node = tuple[str, int]


@dataclass(frozen=True)
class Place:
    """One server, or the primary that Sentinels know by the name `primary`."""

    nodes: tuple[Node, ...]
    primary: str | None = None
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    def __str__(self) -> str:
        nodes = ",".join(f"{host}:{port}" for host, port in self.nodes)
        return f"{self.primary} at {nodes}" if self.primary else nodes


def place(url: str) -> Place:
    """Read the journal's URL. Raises Misconfigured, without what may be a password."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    sentinel, tls = _SCHEMES.get(scheme, (False, False))
    wrong = Misconfigured(
        f"the address {scheme}:// of the journal is not understood", remedy=f"write {_FORMS}"
    )
    try:
        nodes = tuple(_node(host, SENTINEL_PORT if sentinel else PORT) for host in hosts.split(","))
        *primary, database = path.split("/") if path else ["0"]
        number = int(database or "0")
    except ValueError:
        raise wrong from None
    if (
        scheme not in _SCHEMES
        or number < 0
        or len(primary) != int(sentinel)
        or (len(nodes) > 1 and not sentinel)
    ):
        raise wrong
    return Place(
        nodes=nodes,
        primary=unquote(primary[0]) if primary else None,
        database=number,
        username=unquote(user) or None,
        password=unquote(password) or None,
        tls=tls,
    )


def _node(text: str, port: int) -> Node:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path or parts.query:
        raise ValueError("no host")
    return parts.hostname, parts.port or port
