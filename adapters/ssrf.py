"""Requests to addresses that somebody else chose: where they may lead is judged at the socket.

A name can resolve to anything, and to something else a second later; an address literal is not resolved at all. So
nothing is judged by a URL: `Guard` makes the sockets, and sees the very address that each is about to connect to.

    aiohttp.TCPConnector(socket_factory=Guard())
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from errno import EACCES
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from aiohttp import AddrInfoType

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network

_UNICAST = IPv6Network("2000::/3")
"""All that is handed out of IPv6. Outside lie, among others, 64:ff9b::/96 (translated IPv4) and fec0::/10."""
_NOT_PUBLIC: tuple[IPNetwork, ...] = (
    IPv6Network("2001::/23"),       # protocols, 2001::/32 (Teredo: wrapped IPv4) among them
    IPv6Network("2002::/16"),       # 6to4: wrapped IPv4
    IPv6Network("3fff::/20"),       # documentation
    IPv4Network("192.0.0.0/24"),    # protocols
    IPv4Network("192.88.99.0/24"),  # the way into 6to4
    IPv4Network("168.63.129.16"),   # a cloud's own services behind a public address
)  # fmt: skip
"""What Python calls global and what nevertheless leads, or may lead, into somebody's own network."""


class Refused(OSError):
    """A connection that may not be made."""

    def __init__(self, address: object) -> None:
        super().__init__(EACCES, f"{address} is not a public address")


def unmapped(address: IPAddress) -> IPAddress:
    """::ffff:192.0.2.1 → 192.0.2.1, which is where it leads."""
    return getattr(address, "ipv4_mapped", None) or address


def is_public(address: IPAddress) -> bool:
    """Whether it is a host of the internet at large."""
    address = unmapped(address)
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _NOT_PUBLIC)
    )


class Guard:
    """Makes sockets to public addresses (not, if `public` is false) and to those in `allow`; raises Refused."""

    def __init__(self, allow: Iterable[str] = (), *, public: bool = True) -> None:
        self._allow: tuple[IPNetwork, ...] = tuple(ip_network(network) for network in allow)
        self._public = public

    def __call__(self, info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, target = info
        if family not in (socket.AF_INET, socket.AF_INET6) or not self.permits(ip_address(target[0])):
            raise Refused(target[0])
        return socket.socket(family=family, type=kind, proto=protocol)

    def permits(self, address: IPAddress) -> bool:
        address = unmapped(address)
        return (self._public and is_public(address)) or any(address in network for network in self._allow)
