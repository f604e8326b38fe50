"""Where a request may lead, whatever its URL looks like."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from aiohttp import ClientConnectorError, ClientSession, TCPConnector, web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from adapters.ssrf import Guard, Refused, is_public

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_leads_into_a_network_of_ones_own_is_not_public(address: str):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1111", "2a00::1"])
def test_a_host_of_the_internet_is_public(address: str):
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_the_one_behind_it(address: IPv4Address):
    mapped = IPv6Address(b"\0" * 10 + b"\xff\xff" + address.packed)

    assert is_public(address) is is_public(mapped)


@given(st.ip_addresses(v=4), st.sampled_from(["64:ff9b::", "2002::", "2001::", "::"]))
def test_an_address_that_is_wrapped_in_another_is_never_public(address: IPv4Address, prefix: str):
    inside = int(address) << 80 if prefix == "2002::" else int(address)

    assert not is_public(IPv6Address(int(IPv6Address(prefix)) + inside))


@given(st.ip_addresses())
def test_what_python_knows_to_be_private_is_not_public(address: IPv4Address | IPv6Address):
    if address.is_private or address.is_multicast or address.is_link_local or address.is_unspecified:
        assert not is_public(address)


@pytest.mark.parametrize(
    ("allow", "address", "permitted"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("10.1.0.0/16", "8.8.8.8", True),
        ("fd00::/8", "fd00::1", True),
        ("fd00::/8", "10.1.2.3", False),
        ("64:ff9b::/96", "64:ff9b::a01:203", True),
    ],
)
def test_a_network_that_is_allowed_may_be_reached_beside_the_public_ones(
    allow: str, address: str, permitted: bool
):
    assert permitted is Guard([allow]).permits(ip_address(address))


def test_without_the_public_ones_only_what_is_allowed_may_be_reached():
    guard = Guard(["10.0.0.0/8"], public=False)

    assert guard.permits(ip_address("10.0.0.1"))
    assert not guard.permits(ip_address("8.8.8.8"))


def test_a_socket_that_is_no_internet_socket_is_not_made():
    with pytest.raises(Refused):
        Guard(["0.0.0.0/0"])((socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80)))


# --- in a real client ---


class Rebinding(AbstractResolver):
    """A name server that answers as its owner likes."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._answers.pop(0)
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
async def inside() -> AsyncIterator[TestServer]:
    """A service in a private network. `reached` counts its visitors."""
    app = web.Application()

    async def visit(request: web.Request) -> web.Response:
        server.reached += 1
        return web.Response(text="secret")

    app.router.add_get("/", visit)
    server = TestServer(app)
    server.reached = 0
    await server.start_server()
    yield server
    await server.close()


def client(guard: Guard, *answers: list[str]) -> ClientSession:
    connector = TCPConnector(
        socket_factory=guard, resolver=Rebinding(*answers), use_dns_cache=False, force_close=True
    )
    return ClientSession(connector=connector)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "2130706433", "127.1", "0.0.0.0", "[::1]"],
)
async def test_an_address_literal_is_not_a_way_in(inside: TestServer, host: str):
    async with client(Guard(), ["127.0.0.1"]) as session:
        with pytest.raises((ClientConnectorError, ValueError)):
            await session.get(f"http://{host}:{inside.port}/")

    assert inside.reached == 0


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["::ffff:127.0.0.1"], ["10.0.0.1", "127.0.0.1"]])
async def test_a_name_that_leads_inside_is_not_a_way_in(inside: TestServer, answers: list[str]):
    async with client(Guard(), answers) as session:
        with pytest.raises(ClientConnectorError, match="is not a public address"):
            await session.get(f"http://innocent.example:{inside.port}/")

    assert inside.reached == 0


async def test_a_name_that_changes_its_mind_is_judged_each_time(inside: TestServer):
    async with client(Guard(["127.0.0.1"]), ["127.0.0.1"], ["127.0.0.2"]) as session:
        url = f"http://innocent.example:{inside.port}/"
        first = await session.get(url)
        with pytest.raises(ClientConnectorError, match=r"127\.0\.0\.2 is not a public address"):
            await session.get(url)

    assert first.status == 200
    assert inside.reached == 1
