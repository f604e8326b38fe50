"""The kinds of address that a configuration holds: URLs, origins, networks, the journal's place.

No error text here repeats its value: an address may carry a password.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator


def is_loopback(host: str) -> bool:
    """Whether a listener on this host can be reached from this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _split(value: str, schemes: tuple[str, ...]) -> SplitResult:
    """Take an address apart. Raises ValueError in words."""
    words = " or ".join(schemes)
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        raise ValueError(f"is not an address (write {schemes[-1]}://host[:port])") from None
    if not good or re.search(r"\s", value):
        raise ValueError(f"is not an {words} address (write {schemes[-1]}://host[:port])")
    if parts.username is not None:
        raise ValueError("may not contain a user or password")
    return parts


def address(*schemes: str, query: bool = False) -> AfterValidator:
    """A URL with one of the schemes, without a trailing slash."""

    def read(value: str) -> str:
        parts = _split(value, schemes)
        if parts.fragment or (parts.query and not query):
            raise ValueError("may not have a query or fragment")
        return value.rstrip("/")

    return AfterValidator(read)


def _public(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("must be the https address that users reach (http only on this machine)")
    return value


def _origin(value: str) -> str:
    """`https://Shop.example.com:443/` → `https://shop.example.com`: as a browser sends it."""
    if "*" in value or value == "null":
        raise ValueError("is not an origin: each site is listed by itself, as https://host[:port]")
    parts = _split(value, ("http", "https"))
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("is not an origin: only https://host[:port], without a path")
    default = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{_ascii(parts.hostname or '')}{port}"


def _ascii(host: str) -> str:
    """A host as it stands in an `Origin` header."""
    if ":" in host:
        return f"[{host}]"
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("is not an origin: its host is not a valid name") from None


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("is not a network (write 10.0.0.0/8, or one address)") from None


_JOURNALS = (
    r"memory:",
    r"sqlite:///.+",
    r"(valkeys?|rediss?)://[^/]+(/\d*)?",
    r"(valkey|redis)\+sentinel://[^/]+/[^/]+/\d+",
)


def _journal(value: str) -> str:
    if value.startswith("sqlite:") and not value.startswith("sqlite:///"):
        raise ValueError("needs three slashes (relative: sqlite:///data/x.db) or four (absolute)")
    if not any(re.fullmatch(form, value) for form in _JOURNALS):
        raise ValueError("is not a journal (sqlite:///data/gateway.db, memory: or valkey://host:6379/0)")
    return value


def _color(value: str) -> str:
    if not re.fullmatch(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})|[a-zA-Z]+", value):
        raise ValueError('is not a colour (write "#0a84ff" in quotes, or a CSS colour name)')
    return value


HttpUrl = Annotated[str, address("http", "https")]
PublicUrl = Annotated[str, address("http", "https"), AfterValidator(_public)]
WebSocketUrl = Annotated[str, address("ws", "wss")]
CallbackUrl = Annotated[str, address("http", "https", query=True)]
Origin = Annotated[str, AfterValidator(_origin)]
Network = Annotated[str, AfterValidator(_network)]
JournalUrl = Annotated[str, AfterValidator(_journal)]
Color = Annotated[str, AfterValidator(_color)]
