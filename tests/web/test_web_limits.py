"""Sliding windows and addresses behind proxies."""

from __future__ import annotations

import pytest

from adapters.web.limits import Limits, Proxies, block
from gateway.settings.models import Rate

RATE = Rate(count=2, seconds=10.0)


def test_a_window_slides() -> None:
    limits = Limits()

    assert [None, None, 6.0] == [limits.take("a", RATE, now) for now in (0.0, 3.0, 4.0)]
    assert [None, 3.0] == [limits.take("a", RATE, now) for now in (10.0, 10.0)]


def test_a_refusal_does_not_prolong_the_wait() -> None:
    limits = Limits()
    for now in (0.0, 0.0, 5.0, 9.0):
        limits.take("a", RATE, now)

    assert limits.take("a", RATE, 10.0) is None


def test_off_is_off() -> None:
    limits = Limits()

    assert [None] * 100 == [limits.take("a", None, 0.0) for _ in range(100)]


def test_memory_is_bounded_and_the_busy_are_remembered() -> None:
    limits = Limits(keys=10)
    one = Rate(count=1, seconds=1000.0)
    for n in range(1000):
        limits.take("busy", one, 0.0)
        limits.take(n, one, 0.0)

    assert limits.take("busy", one, 0.0) is not None
    assert limits.take(0, one, 0.0) is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", ["6.6.6.6"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6, nonsense"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["2001:db8:1:2::3"], "2001:db8:1:2::3"),
        (None, ["6.6.6.6"], "unknown"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxy_of_ours(
    peer: str | None, forwarded: list[str], client: str
) -> None:
    assert client == Proxies.parse(["10.0.0.0/8"]).client(peer, forwarded)


@pytest.mark.parametrize(
    ("client", "owned"),
    [
        ("198.51.100.7", "198.51.100.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:198.51.100.7", "198.51.100.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("unknown", "unknown"),
    ],
)
def test_a_party_owns_a_block(client: str, owned: str) -> None:
    assert owned == block(client)
