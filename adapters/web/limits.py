"""How often: sliding windows in memory, bounded in number, and whose address it is behind proxies.

Each process counts for itself and forgets at its end: these limits fend off floods; what must be exact (the quota)
is counted in the journal.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Self, TypeAlias

from gateway.settings.models import Rate

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Limits:
    """Sliding windows by key; the least recently used are forgotten beyond `keys`."""

    def __init__(self, keys: int = 50_000) -> None:
        self._keys = keys
        self._times: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def take(self, key: Hashable, rate: Rate | None, now: float) -> float | None:
        """Count one occurrence and return None, or return after how many seconds there is room again."""
        if rate is None:
            return None
        times = self._times.setdefault(key, deque())
        self._times.move_to_end(key)
        while times and times[0] <= now - rate.seconds:
            times.popleft()
        if len(times) >= rate.count:
            return times[0] + rate.seconds - now
        times.append(now)
        while len(self._times) > self._keys:
            self._times.popitem(last=False)
        return None


@dataclass(frozen=True)
class Proxies:
    """The networks whose `X-Forwarded-For` is believed."""

    networks: tuple[_Network, ...] = ()

    @classmethod
    def parse(cls, networks: Iterable[str]) -> Self:
        return cls(tuple(ipaddress.ip_network(network, strict=False) for network in networks))

    def client(self, peer: str | None, forwarded: Iterable[str]) -> str:
        """Who is behind the trusted proxies: the rightmost address that is not one of them.

        From the right, because anyone may write the left part.
        """
        current = _address(peer or "")
        hops = [hop.strip() for line in forwarded for hop in line.split(",")]
        for hop in reversed(hops):
            if current is None or not self._trusts(current):
                break
            before = _address(hop)
            if before is None:
                break
            current = before
        return str(current) if current is not None else "unknown"

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self.networks if network.version == address.version)


def block(client: str) -> str:
    """What one party is likely to own: its /24, or its /48."""
    address = _address(client)
    if address is None:
        return client
    return str(ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
