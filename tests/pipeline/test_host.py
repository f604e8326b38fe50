"""What an adapter sees of the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.messages import Channel, ConversationKey, Profile
from gateway.pipeline.host import ChannelHost
from gateway.policy.texts import BUILT_IN
from gateway.ports import BotHeard, Card, Host
from tests.pipeline.works import CHANNEL, Works, configured, works_of

KNOWN = Profile(name="The Shop", greeting="Ahoy!", suggestions=("Hours?",), picture="https://img.example/1")


def host_of(works: Works, channel: Channel = CHANNEL, reports: list[Any] | None = None) -> ChannelHost:
    async def profile(bot: str) -> Profile | None:
        return works.profile

    return ChannelHost(
        channel,
        journal=works.journal,
        acceptor=works.acceptor,
        notices=works.notices,
        profile=profile,
        current=works.current,
        clock=works.clock,
        observer=works.facts,
        report=lambda state, why: None if reports is None else reports.append((state, why)),
    )


@pytest.fixture
def host(works: Works) -> Host:
    return host_of(works)


async def test_what_an_adapter_accepts_waits_on_its_channel(works: Works, host: Host):
    said = works.said()
    (accepted,) = await host.accept(said)

    assert accepted.outcome == "accepted"
    assert await host.find(said.dedupe[0]) == accepted.id
    assert (await host.message(accepted.id)).status == "queued"
    assert [entry.part.text for entry in (await host.log(said.key)).entries] == ["hi"]


async def test_a_conversation_can_be_forgotten(works: Works, host: Host):
    said = works.said()
    await host.accept(said)
    await host.forget(said.key)

    assert (await host.log(said.key)).entries == ()


async def test_states_and_signs_of_life_are_reported(works: Works):
    reports: list[Any] = []
    host = host_of(works, reports=reports)
    host.degraded("reconnecting")
    host.ready("@shop_bot")

    assert reports == [("degraded", "reconnecting"), ("running", "@shop_bot")]
    assert [heard.at for heard in works.facts.of(BotHeard)] == [works.clock.now()]
    assert host.heard_at == works.clock.now()


async def test_channels_do_not_see_each_others_memory(works: Works, host: Host):
    other = host_of(works, Channel(bot="shop", platform="discord"))
    await host.remember("offset", b"7")

    assert await host.recall("offset") == b"7"
    assert await other.recall("offset") is None


async def test_a_secret_is_the_same_for_ever(host: Host):
    assert await host.secret("web-session") == await host.secret("web-session")
    assert len(await host.secret("web-session")) == 32


async def test_what_is_published_is_heard(host: Host):
    key = ConversationKey(bot="shop", platform="telegram", chat="c1")
    async with host.watch(f"conversation/{key}") as watch:
        await host.publish(f"conversation/{key}", {"type": "typing"})

        assert await watch.next() == {"type": "typing"}


async def test_a_card_shows_the_replicas_own_and_else_what_is_built_in(works: Works, host: Host):
    before = await host.card("de")
    works.profile = KNOWN

    assert before == Card(title="shop", greeting=BUILT_IN["de"]["greeting"])
    assert await host.card() == Card(
        title="The Shop", greeting="Ahoy!", suggestions=("Hours?",), picture="https://img.example/1"
    )


async def test_a_card_shows_first_what_the_operator_wrote():
    web = {"title": "Help", "suggestions": []}
    async with works_of(configured(web=web, texts={"greeting": "Hi!"})) as works:
        works.profile = KNOWN

        assert await host_of(works).card() == Card(
            title="Help", greeting="Hi!", picture="https://img.example/1"
        )


async def test_a_fixed_text_keeps_its_placeholders(host: Host):
    assert "{reference}" in host.text("failed")
    assert host.text("help", "fr") == BUILT_IN["fr"]["help"]
