"""Webhook mode: Telegram's pretended server calls our real routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import Misconfigured, Transient
from gateway.messages import Said, Unreadable
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.clock import FakeClock
from tests.platforms.fake_host import FakeHost, until
from tests.platforms.telegram_scene import TOKEN, Scene, delivery, telegram_scene

SECRET = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    sandbox.telegram.webhooks.pace = 0.0
    async with telegram_scene(sandbox) as scene:
        scene.host.clock = FakeClock(scene.host.clock.time)  # type: ignore[assignment]
        yield scene


def hooked(scene: Scene):
    return scene.running(scene.adapter(mode="webhook"))


async def post(scene: Scene, body: bytes = b"{}", bot: str = "support", **headers: str):
    url = f"http://127.0.0.1:{scene.port}/v1/telegram/{bot}"
    async with scene.http.post(url, data=body, headers=headers) as response:
        return response.status, await response.text(), response.headers


async def test_telegram_calls_us_and_the_answer_goes_out(scene: Scene) -> None:
    await scene.says("before the webhook was there")
    async with hooked(scene) as adapter:
        await scene.says("hello")
        first, second = await scene.heard(2)
        await adapter.send(delivery("hi", second.address))
        await until(lambda: not scene.bot.updates)

    assert ["before the webhook was there", "hello"] == [first.text, second.text]
    assert f"http://127.0.0.1:{scene.port}/v1/telegram/support" == scene.bot.webhook["url"]
    assert ("ready", "@bot4711_bot") == scene.host.states[0]
    assert scene.host.beats >= 3
    assert ["hi"] == [item["text"] for item in scene.sent()]


async def test_the_webhook_is_set_only_when_telegram_has_another(scene: Scene) -> None:
    async with hooked(scene):
        pass
    async with hooked(scene):
        pass
    assert 1 == scene.bot.calls["setwebhook"]

    scene.bot.allowed = ["message"]
    async with hooked(scene):
        pass
    assert 2 == scene.bot.calls["setwebhook"]

    del scene.host.memory["webhook"]  # another secret, for all we know
    async with hooked(scene):
        pass
    assert 3 == scene.bot.calls["setwebhook"]
    assert 0 == scene.bot.calls["getupdates"]


async def test_200_comes_after_the_journal_and_503_when_it_cannot_write(scene: Scene) -> None:
    async with hooked(scene):
        scene.host.accepting = Transient("disk full", retry_after=7.0)
        status, _, headers = await post(scene, b'{"update_id": 1}', **{SECRET: scene.bot.webhook["secret"]})
        assert (200, "0") == (status, headers["Content-Length"]), "nothing to journal in it"
        await scene.says("hold on")
        await until(lambda: scene.host.offered)
        body = b'{"update_id": 2, "message": {"message_id": 1}}'
        status, _, headers = await post(scene, body, **{SECRET: scene.bot.webhook["secret"]})
        assert (503, "7") == (status, headers["Retry-After"])
        assert scene.bot.updates
        assert [] == scene.host.accepted
        scene.host.accepting = None
        status, text, headers = await post(scene, body, **{SECRET: scene.bot.webhook["secret"]})

    assert (200, "") == (status, text)
    assert [Unreadable] == [type(arrival) for arrival in scene.host.accepted]


@pytest.mark.parametrize(
    "body",
    [b"not json", b"[1, 2]", b'{"update_id": 5, "message": {"chat": "?"}}', b'"\xff\xfe"', b"[" * 100_000],
    ids=["text", "list", "poison", "bytes", "deep"],
)
async def test_what_cannot_be_read_is_kept_and_taken(scene: Scene, body: bytes) -> None:
    async with hooked(scene):
        status, text, _ = await post(scene, body, **{SECRET: scene.bot.webhook["secret"]})
        await scene.says("next")
        await scene.heard(2)

    assert (200, "") == (status, text)
    assert [Unreadable, Said] == [type(arrival) for arrival in scene.host.accepted]


async def test_who_does_not_know_the_secret_is_not_heard(scene: Scene) -> None:
    async with hooked(scene):
        refused = [
            await post(scene, b'{"update_id": 1}', **headers)
            for headers in ({}, {SECRET: ""}, {SECRET: scene.bot.webhook["secret"][:-1]}, {SECRET: "ü"})
        ]
        too_large = await post(scene, b"x" * (2**20 + 1), **{SECRET: scene.bot.webhook["secret"]})
        unread = await post(scene, b"x" * (2**20 + 1))

    assert [401] * 4 == [status for status, _, _ in refused]
    assert (413, 401) == (too_large[0], unread[0])
    assert [] == scene.host.offered
    assert all(scene.bot.webhook["secret"] not in text for _, text, _ in [*refused, too_large])


async def test_only_a_running_bot_with_a_webhook_has_one(scene: Scene) -> None:
    async with scene.running():
        polling = await post(scene)
    gone = await post(scene)
    unknown = await post(scene, bot="nobody")

    assert [404] * 3 == [polling[0], gone[0], unknown[0]]


@pytest.mark.parametrize("address", ["http://shop.example.com", "https://shop.example.com:444"])
async def test_an_address_that_telegram_refuses_needs_a_person(
    sandbox: Sandbox, scene: Scene, address: str
) -> None:
    scene.platform.shared = type(scene.platform.shared)(sandbox.url, address, scene.platform.shared.api)

    with pytest.raises(Misconfigured, match="Bad webhook") as failure:
        await scene.adapter(mode="webhook").run(scene.host)
    assert "base_url" in failure.value.remedy


async def test_a_webhook_without_an_address_needs_a_person(sandbox: Sandbox, scene: Scene) -> None:
    scene.platform.shared = type(scene.platform.shared)(sandbox.url, None, scene.platform.shared.api)

    with pytest.raises(Misconfigured, match="address"):
        await scene.adapter(mode="webhook").run(scene.host)


async def test_a_refused_token_needs_a_person(scene: Scene) -> None:
    scene.sandbox.telegram.revoke(TOKEN)
    host = FakeHost("support", "telegram")

    with pytest.raises(Misconfigured, match="token"):
        await scene.adapter(mode="webhook").run(host)
    assert [1.0] == host.clock.slept


async def test_a_send_that_is_refused_for_its_token_makes_the_webhook_look_at_once(scene: Scene) -> None:
    scene.live = adapter = scene.adapter(mode="webhook")
    run = asyncio.create_task(adapter.run(scene.host))
    await until(lambda: ("ready", "@bot4711_bot") in scene.host.states)
    await scene.says("hello")
    [said] = await scene.heard()
    scene.sandbox.telegram.revoke(TOKEN)
    with pytest.raises(Misconfigured):
        await adapter.send(delivery("hi", said.address))
    await until(lambda: scene.host.clock.next == 1.0)
    await scene.host.clock.advance(1.0)

    with pytest.raises(Misconfigured, match="token"):
        await asyncio.wait_for(run, 5)


@pytest.mark.parametrize("kind", ["drop_before", "malformed", "status"])
async def test_trouble_while_registering_is_told_and_survived(scene: Scene, kind: str) -> None:
    scene.host.clock = FakeHost("x", "telegram").clock
    scene.sandbox.faults.add(Fault("telegram", "setWebhook", kind, status=502, times=2))
    async with scene.running(scene.adapter(mode="webhook")):
        states = [state for state, _ in scene.host.states]

    assert ["degraded", "degraded", "ready"] == states[:3]


async def test_a_webhook_that_somebody_else_sets_is_told_and_taken_back(scene: Scene) -> None:
    async with hooked(scene):
        scene.bot.webhook = {"url": "https://other.example/hook"}
        await scene.host.clock.advance(301)
        await until(lambda: scene.host.state == "degraded")
        assert "another process" in scene.host.states[-1][1]
        assert scene.bot.webhook["url"].endswith("/v1/telegram/support")
        await scene.host.clock.advance(31)
        await until(lambda: scene.host.state == "ready")


async def test_telegrams_own_words_about_failed_deliveries_are_passed_on(scene: Scene) -> None:
    async with hooked(scene):
        scene.bot.updates.append({"update_id": 1, "message": {}})
        trouble = {
            "last_error_message": "Connection refused",
            "last_error_date": scene.host.clock.now() + 250,
        }
        scene.bot.webhook["trouble"] = trouble
        await scene.host.clock.advance(301)
        await until(lambda: scene.host.state == "degraded")
        told = scene.host.states[-1][1]
        scene.bot.updates.clear()
        await scene.host.clock.advance(31)
        await until(lambda: scene.host.state == "ready")

    assert "Connection refused" in told


async def test_changing_from_webhook_to_polling_and_back_loses_nothing(scene: Scene) -> None:
    async with hooked(scene):
        await scene.says("one")
        await scene.heard(1)
    await scene.says("two")
    async with scene.running():
        await scene.heard(2)
    async with hooked(scene):
        await scene.says("three")
        await scene.heard(3)

    assert ["one", "two", "three"] == [said.text for said in scene.host.accepted]
