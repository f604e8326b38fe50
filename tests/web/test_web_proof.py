"""Proof of work: cheap to ask for, cheap to check, and good for one session."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from adapters.web import proof
from gateway.settings.models import Rate, WebLimits
from tests.web.web_site import Site, Visitor, running_site

KEY = b"k" * 32
NOW = 1_700_000_000.0


@pytest.fixture(autouse=True)
def _easy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "BITS", 8)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


def solve(challenge: dict[str, object]) -> str:
    salt, bits = challenge["salt"], int(str(challenge["bits"]))
    for n in itertools.count():
        digest = hashlib.sha256(f"{salt}.{n}".encode()).hexdigest()
        if int(digest, 16) >> (256 - bits) == 0:
            return f"{salt}.{n}"
    raise AssertionError


async def challenge(visitor: Visitor, body: object = None) -> dict[str, object]:
    response = await visitor.begin(body)
    refusal = await response.json()

    assert (428, "application/problem+json") == (response.status, response.content_type)
    return refusal["challenge"]


async def test_always_means_every_session(site: Site) -> None:
    site.add("guarded", proof_of_work="always")
    visitor = Visitor(site, bot="guarded")
    response = await visitor.begin({"proof": solve(await challenge(visitor))})

    assert response.status == 201
    assert (await visitor.begin()).status == 201  # the same conversation for another while is free


async def test_a_proof_counts_once(site: Site) -> None:
    site.add("guarded", proof_of_work="always")
    proven = {"proof": solve(await challenge(Visitor(site, bot="guarded")))}

    assert (await Visitor(site, bot="guarded").begin(proven)).status == 201
    await challenge(Visitor(site, bot="guarded"), proven)


async def test_auto_lets_the_first_of_an_address_in_for_nothing(site: Site) -> None:
    limits = WebLimits(sessions_per_address=Rate(count=8, seconds=60))
    site.add("guarded", proof_of_work="auto", limits=limits)
    for _ in range(2):
        assert (await Visitor(site, bot="guarded").begin()).status == 201

    asked = await challenge(Visitor(site, bot="guarded"))
    assert (await Visitor(site, bot="guarded").begin({"proof": solve(asked)})).status == 201
    await site.clock.advance(60)
    assert (await Visitor(site, bot="guarded").begin()).status == 201


async def test_auto_notices_a_flood_from_many_addresses() -> None:
    limits = WebLimits(sessions_per_address=Rate(count=4, seconds=60))
    async with running_site(trusted_proxies=["127.0.0.0/8"]) as site:
        site.add("guarded", proof_of_work="auto", limits=limits)
        statuses = [
            (await Visitor(site, bot="guarded").begin(**{"X-Forwarded-For": f"203.0.{n}.1"})).status
            for n in range(41)
        ]

    assert [201] * 40 + [428] == statuses


async def test_work_does_not_lift_the_limit(site: Site) -> None:
    limits = WebLimits(sessions_per_address=Rate(count=2, seconds=60))
    site.add("guarded", proof_of_work="always", limits=limits)
    statuses = []
    for _ in range(3):
        visitor = Visitor(site, bot="guarded")
        statuses.append((await visitor.begin({"proof": solve(await challenge(visitor))})).status)

    assert [201, 201, 429] == statuses


async def test_whom_the_site_vouches_for_need_not_work(site: Site) -> None:
    secret = "a-secret-of-the-shop-that-is-long-enough"
    site.add("club", proof_of_work="always", identity_secret=SecretStr(secret))
    mac = hmac.new(secret.encode(), b"alice", hashlib.sha256).hexdigest()

    assert (await Visitor(site, bot="club").begin({"user_id": "alice", "user_hash": mac})).status == 201


async def test_challenges_and_made_up_proofs_leave_nothing_behind(site: Site) -> None:
    site.add("guarded", proof_of_work="always")
    for n in range(300):
        await challenge(Visitor(site, bot="guarded"), {"proof": f"8-{n}-{n}-{n}.{n}"} if n % 2 else None)

    assert len(site.platform.limits._times) == 0
    assert site.bots["guarded"][1].said == []


def test_a_proof_holds_for_its_bot_and_its_time() -> None:
    proven = solve(proof.challenge("support", KEY, NOW))

    assert proof.holds(proven, "support", KEY, NOW)
    assert not proof.holds(proven, "sales", KEY, NOW)
    assert not proof.holds(proven, "support", b"x" * 32, NOW)
    assert not proof.holds(proven, "support", KEY, NOW + proof.LIFETIME)


@pytest.mark.parametrize(
    "made_up", ["", ".", "8-1-2", "é.é", "\ud800.1", "-.1", "x" * 10_000, "8-99999999999-aa-.1"]
)
def test_a_made_up_proof_does_not_hold(made_up: str) -> None:
    assert not proof.holds(made_up, "support", KEY, NOW)


def test_easier_than_asked_does_not_hold() -> None:
    asked = proof.challenge("support", KEY, NOW)
    easy = "0" + str(asked["salt"])[1:]

    assert not proof.holds(solve({"salt": easy, "bits": 0}), "support", KEY, NOW)
