"""What protects the shared address: counted over all bots, closed in time, opened again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.discord.breaker import (
    ALARM,
    MUTED,
    MUTED_UP_TO,
    NO_OTHER,
    NOTHING,
    SHIELD_WAIT,
    TOKEN_TRIES,
    TOKEN_WAIT,
    WINDOW,
    Breaker,
    Muted,
    Tokens,
)
from gateway.errors import Misconfigured, Permanent, RateLimited
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import TOKEN, Scene, delivery, scene_of
from tests.platforms.fake_host import FakeHost, until

VIA = {"Via": "1.1 x"}


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with scene_of(sandbox) as made:
        yield made


def after(count: int, status: int = 403, at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(count):
        breaker.answered(status, VIA, at)
    return breaker


# --- decisions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 429])
def test_bad_answers_stop_first_what_can_wait_and_then_everything(status: int):
    assert after(NO_OTHER - 1, status).wait("other", 1.0) == 0
    some, many = after(NO_OTHER, status), after(NOTHING, status)

    assert (some.wait("other", 1.0), some.wait("reply", 1.0)) == (WINDOW - 1, 0)
    assert many.wait("reply", 1.0) == WINDOW - 1


def test_they_are_forgotten_after_ten_minutes():
    breaker = after(NOTHING)

    assert (breaker.wait("reply", WINDOW), breaker.bad(WINDOW)) == (0, 0)


def test_an_operator_hears_of_it_long_before():
    assert after(ALARM - 1).trouble(1.0) is None
    assert str(ALARM) in (after(ALARM).trouble(1.0) or "")


def test_good_answers_and_shared_limits_count_for_nothing():
    breaker = after(0)
    for status in (200, 400, 404, 500):
        breaker.answered(status, VIA, 0.0)
    breaker.answered(429, {**VIA, "X-RateLimit-Scope": "shared"}, 0.0)

    assert breaker.bad(0.0) == 0


def test_the_shield_stops_everything_for_as_long_as_it_says_or_a_quarter_of_an_hour():
    said, silent = Breaker(), Breaker()
    said.answered(429, {"Retry-After": "77"}, 0.0)
    silent.answered(429, {"Retry-After": "soon"}, 0.0)

    assert [77.0, 77.0] == [said.wait(purpose, 0.0) for purpose in ("reply", "other")]
    assert (silent.wait("reply", 0.0), silent.wait("reply", SHIELD_WAIT)) == (SHIELD_WAIT, 0)


def test_it_takes_little_memory_however_much_is_refused():
    breaker = Breaker()
    for number in range(20_000):
        breaker.answered(403, VIA, number / 10)

    assert len(breaker._bad) <= WINDOW / 10 + 1


def test_a_channel_that_refuses_is_left_alone_longer_each_time_until_it_takes_something():
    muted, waits = Muted(), []
    for _ in range(9):
        muted.refused("55", 0.0)
        waits.append(muted.wait("55", 0.0))
    muted.accepted("55")

    assert (waits[:3], waits[-1]) == ([MUTED, 2 * MUTED, 4 * MUTED], MUTED_UP_TO)
    assert (muted.wait("55", 0.0), muted.wait("56", 0.0)) == (0, 0)


def test_a_refused_token_is_tried_three_times_and_then_rarely():
    tokens = Tokens()
    for _ in range(TOKEN_TRIES):
        assert tokens.may_try("t", 0.0)
        tokens.refused("t", 0.0)

    assert [False, True] == [tokens.may_try("t", at) for at in (TOKEN_WAIT - 1, TOKEN_WAIT)]
    assert tokens.may_try("another", 0.0)


# --- over sockets -------------------------------------------------------------------------------------------------


async def test_errors_of_one_bot_stop_the_others_before_discord_does(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        now = scene.host.clock.monotonic()
        for _ in range(NOTHING - 1):
            scene.platform.shared.breaker.answered(403, VIA, now)
        other = FakeHost("other", "discord", scene.host.clock)
        async with scene.running(scene.adapter("other-token", commands=False), other) as refused:
            message = await scene.discord.say("other-token", {"text": "hi"})
            scene.discord.rest.refused[message["channel_id"]] = 50007
            await until(lambda: other.accepted)
            with pytest.raises(Permanent):
                await refused.send(delivery(other.accepted[0]))
            with pytest.raises(RateLimited) as closed:
                await bot.send(delivery(said))

    assert closed.value.scope == "channel"
    assert 0 < closed.value.retry_after <= WINDOW
    assert "bans an address at 10,000" in str(closed.value)
    assert scene.sent() == []


async def test_the_shield_is_told_to_the_operator_until_it_is_over(scene: Scene, sandbox: Sandbox):
    scene.discord.rest.limited = "cloudflare"
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        sandbox.faults.add(Fault("discord", "create_message", "status", status=429, retry_after=120))
        with pytest.raises(RateLimited):
            await bot.send(delivery(said))
        asked = scene.discord.rest.calls["create_message"]
        with pytest.raises(RateLimited) as closed:
            await bot.send(delivery(said))
        untouched = scene.discord.rest.calls["create_message"] == asked
        scene.host.clock.advance(121)
        await bot.send(delivery(said))
        await until(lambda: scene.host.state == "ready")

    assert untouched
    assert (closed.value.scope, closed.value.retry_after) == ("channel", pytest.approx(120, abs=1))
    assert any("shield blocks this address" in why for state, why in scene.host.states if state == "degraded")
    assert 1 == len(scene.sent())


async def test_a_long_limit_on_the_whole_bot_holds_back_the_whole_bot(scene: Scene, sandbox: Sandbox):
    scene.discord.rest.limited = "global"
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        sandbox.faults.add(Fault("discord", "create_message", "status", status=429, retry_after=60))
        limits = []
        for _ in range(2):
            with pytest.raises(RateLimited) as limited:
                await bot.send(delivery(said))
            limits.append((limited.value.scope, limited.value.retry_after))

    assert [("channel", pytest.approx(60, abs=1))] * 2 == limits
    assert 1 == scene.discord.rest.calls["create_message"], "the second was not even tried"


async def test_a_channel_without_permission_is_not_asked_again_and_again(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi", channel=55, mention=True)
        [said] = await scene.heard()
        scene.discord.rest.refused["55"] = 50013
        for _ in range(3):
            with pytest.raises(Permanent) as refused:
                await bot.send(delivery(said))
        asked = scene.discord.rest.calls["create_message"]
        del scene.discord.rest.refused["55"]
        scene.host.clock.advance(MUTED + 1)
        await bot.send(delivery(said))

    assert (1, "lane") == (asked, refused.value.scope)
    assert ["hello"] == [sent["text"] for sent in scene.sent()]


async def test_a_token_that_was_refused_is_not_sent_for_ever(scene: Scene):
    await scene.discord.revoke(TOKEN)
    adapter = scene.adapter()
    for _ in range(10):
        with pytest.raises(Misconfigured, match="refused the bot token"):
            await adapter.run(scene.host)

    assert TOKEN_TRIES == scene.discord.rest.calls["get_me"]


@pytest.mark.parametrize(
    ("code", "kind", "scope"),
    [
        (20016, RateLimited, "lane"),
        (20028, RateLimited, "lane"),
        (200000, Permanent, "part"),
        (40005, Permanent, "part"),
    ],
)
async def test_slow_mode_waits_and_a_blocked_text_concerns_only_itself(
    scene: Scene, code: int, kind: type, scope: str
):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        scene.discord.rest.refused[said.key.chat] = code
        with pytest.raises(kind) as refused:
            await bot.send(delivery(said))

    assert scope == refused.value.scope
    assert 60.0 == refused.value.retry_after if kind is RateLimited else code == refused.value.context["code"]


async def test_a_refusal_says_what_it_means(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi", channel=55, mention=True)
        [said] = await scene.heard()
        scene.discord.rest.refused["55"] = 50013
        with pytest.raises(Permanent, match="allow it to send messages"):
            await bot.send(delivery(said))


async def test_typing_can_be_done_without_while_the_address_is_in_danger(scene: Scene):
    async with scene.running() as bot:
        await scene.says("hi")
        [said] = await scene.heard()
        for _ in range(NO_OTHER):
            scene.platform.shared.breaker.answered(403, VIA, scene.host.clock.monotonic())
        with pytest.raises(RateLimited):
            await bot.typing(said.address)
        await bot.send(delivery(said))

    assert ([], 1) == (scene.sent("typing"), len(scene.sent()))
