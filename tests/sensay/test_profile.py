from __future__ import annotations

import json

import pytest

from gateway.errors import GatewayError, Misconfigured, Permanent
from gateway.sandbox.sensay import SUPPORT
from gateway.sensay.client import PROFILES
from tests.sensay.world import World, world


async def fetched(sensay: World):
    return await sensay.completions.profile("acme", SUPPORT, sensay.admit)


async def test_a_profile_has_what_a_visitor_sees_first():
    async with world() as sensay:
        profile = await fetched(sensay)

    assert profile.name == "Support"
    assert profile.greeting.startswith("Hi, welcome")
    assert len(profile.suggestions) == 3
    assert profile.picture.startswith("http://")
    assert profile.private is False


async def test_a_profile_is_remembered_for_other_processes_too():
    async with world() as sensay:
        first = await fetched(sensay)
        other = sensay.client()
        second = await other.profile("acme", SUPPORT, sensay.admit)
        await other.close()

        assert first == second
        assert sensay.operations == ["get_replica"]


async def test_the_older_spelling_is_understood():
    async with world() as sensay:
        old = {"introduction": "Hi there!", "profile_image": "https://example.org/p.webp", "slug": "x"}
        sensay.canned("get_replica", body=json.dumps(old))

        profile = await fetched(sensay)

    assert (profile.greeting, profile.picture) == ("Hi there!", "https://example.org/p.webp")
    assert profile.suggestions == ()


async def test_nothing_is_invented_and_an_empty_profile_is_one():
    async with world() as sensay:
        sensay.canned("get_replica", body="{}")

        profile = await fetched(sensay)

    assert (profile.name, profile.greeting, profile.suggestions) == (None, None, ())


async def test_a_private_replica_says_so():
    async with world() as sensay:
        sensay.canned("get_replica", body='{"private": true, "greeting": null, "suggestedQuestions": null}')

        assert (await fetched(sensay)).private is True


async def test_a_profile_that_cannot_be_had_is_a_typed_error_and_asked_for_again():
    async with world() as sensay:
        sensay.fault("get_replica", "malformed")
        with pytest.raises(GatewayError):
            await fetched(sensay)

        assert (await fetched(sensay)).name == "Support"


async def test_a_missing_replica_is_permanent_and_a_bad_key_for_a_person():
    async with world() as sensay:
        with pytest.raises(Permanent):
            await sensay.completions.profile("acme", SUPPORT.replace("1", "9"), sensay.admit)
        sensay.secret = "invalid"
        with pytest.raises(Misconfigured):
            await fetched(sensay)


async def test_a_remembered_profile_of_another_shape_is_fetched_anew():
    async with world() as sensay:
        sensay.memory[PROFILES, f"acme/{SUPPORT}"] = b"not json"

        assert (await fetched(sensay)).name == "Support"
