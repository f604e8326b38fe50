"""New sessions are rationed, and servers shared among shards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from adapters.discord import starts
from adapters.discord.limits import STARTS_FROM, STARTS_UP_TO, Pacer
from adapters.discord.starts import RESERVE, SPACING, Ration
from gateway.errors import Misconfigured
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import TOKEN, Scene, scene_of
from tests.platforms.fake_host import until

NOW = 1_000_000.0
DAY = 86_400.0


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with scene_of(sandbox) as made:
        yield made


# --- the ration ---------------------------------------------------------------------------------------------------


def ration(**more) -> Ration:
    return Ration(**{"remaining": 900, "resets_at": NOW + DAY, "asked_at": NOW, **more})


def test_the_first_session_may_begin_at_once():
    assert ration().due(0) <= NOW


def test_sessions_of_a_lane_are_five_seconds_apart_and_lanes_are_apart_from_each_other():
    one = ration(concurrency=2).after(0, NOW)

    assert one.due(0) == NOW + SPACING
    assert one.due(1) <= NOW


def test_the_last_ones_are_spread_over_what_is_left_of_the_day():
    low = ration(remaining=RESERVE).after(0, NOW)

    assert low.due(0) == pytest.approx(NOW + DAY / RESERVE, rel=0.01)


def test_the_last_ones_last_until_there_are_new_ones():
    now, low, used = NOW, ration(remaining=RESERVE), 0
    while (now := max(now, low.due(0))) < NOW + DAY:
        low, used = low.after(0, now), used + 1

    assert used <= RESERVE
    assert now >= NOW + DAY


def test_with_none_left_nobody_begins_before_there_are_new_ones():
    assert ration(remaining=0).due(0) == NOW + DAY
    assert ration(remaining=0, used=((NOW, 0),)).due(0) == NOW + DAY


def test_what_is_used_counts_and_is_forgotten_after_an_hour():
    used = ration().after(0, NOW).after(0, NOW + 4000)

    assert (898, ((NOW + 4000, 0),)) == (used.remaining, used.used)


async def test_a_bot_with_none_left_waits_and_says_so(scene: Scene):
    scene.discord.rest.starts_left = 0
    run = asyncio.create_task(scene.adapter().run(scene.host))
    await until(lambda: "degraded" in [state for state, _ in scene.host.states])
    scene.discord.rest.starts_left = 1000
    await until(lambda: scene.host.state == "ready")
    run.cancel()

    why = next(why for state, why in scene.host.states if state == "degraded")
    assert "0 new sessions are left for today" in why
    assert any(pause == starts.LOOK_AGAIN for pause in scene.host.clock.slept)


async def test_what_was_used_is_remembered_by_the_next_process(scene: Scene):
    async with scene.running():
        pass
    kept = msgspec.json.decode(scene.host.memory["starts"], type=Ration)

    assert (999, 1) == (kept.remaining, len(kept.used))


async def test_a_process_that_starts_over_and_over_keeps_the_spacing(scene: Scene):
    for _ in range(3):
        async with scene.running():
            pass
        scene.host.memory.pop("session")
        scene.host.states.clear()

    assert scene.gateway.identifies == 3
    assert 2 == sum(SPACING - 1 < pause <= SPACING for pause in scene.host.clock.slept)


async def test_without_an_answer_about_the_ration_what_is_known_has_to_do(scene: Scene, sandbox: Sandbox):
    sandbox.faults.add(Fault("discord", "gateway_bot", "status", status=403))
    async with scene.running():
        await scene.says("hi")
        assert ["hi"] == await scene.texts()


def test_the_pace_of_all_bots_halves_at_each_refusal_and_recovers_slowly():
    pace = Pacer(STARTS_FROM)
    for _ in range(40):
        pace.refused()
    slowest = pace.interval
    pace.welcomed()
    eased = pace.interval
    for _ in range(200):
        pace.welcomed()

    assert (STARTS_UP_TO, STARTS_FROM) == (slowest, pace.interval)
    assert STARTS_FROM < eased < STARTS_UP_TO


# --- shards -------------------------------------------------------------------------------------------------------


def guild_of(shard: int, count: int) -> str:
    """A server that belongs to the shard."""
    return str((1000 * count + shard) << 22)


async def test_a_bot_is_sharded_as_discord_recommends(scene: Scene):
    scene.discord.bot(TOKEN).shards = 3
    scene.discord.rest.concurrency = 3
    async with scene.running():
        await scene.says("direct")
        for shard in range(3):
            place = {"id": 500 + shard, "guild": guild_of(shard, 3)}
            await scene.says(f"to {shard}", channel=place, mention=True)
        texts = await scene.texts(4)

    assert {"direct", "to 0", "to 1", "to 2"} == set(texts)
    assert [[0, 3], [1, 3], [2, 3]] == sorted(shard for _, shard in scene.gateway.identified)
    assert [] == [pause for pause in scene.host.clock.slept if pause >= 1], "three lanes, so nobody waits"


async def test_a_fixed_number_of_shards_is_kept(scene: Scene):
    async with scene.running(scene.adapter(shards=2)):
        pass

    assert [[0, 2], [1, 2]] == sorted(shard for _, shard in scene.gateway.identified)
    assert any(SPACING - 1 < pause <= SPACING for pause in scene.host.clock.slept), "one lane"


async def test_one_shard_is_none(scene: Scene):
    async with scene.running():
        pass

    assert [None] == [shard for _, shard in scene.gateway.identified]


async def test_each_shard_resumes_its_own_session(scene: Scene):
    adapter = scene.adapter(shards=2)
    async with scene.running(adapter):
        pass
    scene.host.states.clear()
    place = {"id": 501, "guild": guild_of(1, 2)}
    await scene.says("meanwhile", channel=place, mention=True)
    async with scene.running(adapter):
        assert ["meanwhile"] == await scene.texts()

    assert (2, 2) == (scene.gateway.identifies, scene.gateway.resumes)


async def test_the_bot_is_ready_when_all_its_shards_are(scene: Scene):
    async with scene.running(scene.adapter(shards=2)):
        [wire, _] = list(scene.gateway.wires)
        await wire.close(4000)
        await until(lambda: scene.readies() == 2)

    assert ["ready", "degraded", "ready"] == [state for state, _ in scene.host.states]


async def test_too_few_shards_need_a_person(scene: Scene):
    scene.discord.bot(TOKEN).shards = 4
    with pytest.raises(Misconfigured) as wrong:
        await scene.adapter(shards=2).run(scene.host)

    assert wrong.value.context["code"] == 4011


async def test_a_bot_that_has_grown_asks_anew(scene: Scene):
    async with scene.running():
        pass
    scene.discord.bot(TOKEN).shards = 2
    scene.gateway.forget_sessions()
    scene.host.states.clear()
    with pytest.raises(Misconfigured):
        await scene.adapter().run(scene.host)
    scene.host.states.clear()
    async with scene.running():
        pass

    assert [[0, 2], [1, 2]] == sorted(shard for _, shard in scene.gateway.identified[-2:])
