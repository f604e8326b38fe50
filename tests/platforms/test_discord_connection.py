"""What happens to a bot's connection, over sockets: dropped, told to leave, refused, restarted, killed."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import discord
import msgspec
import pytest
from discord.gateway import DiscordWebSocket, KeepAliveHandler, ReconnectWebSocket
from discord.http import Route
from discord.state import ConnectionState

from adapters.discord import connection, inbox
from adapters.discord.connection import Attempts, End
from adapters.discord.inbox import Session
from adapters.discord.limits import Pacer
from gateway.errors import Transient
from gateway.messages import Said, Unreadable
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import Scene, scene_of
from tests.platforms.fake_host import FakeHost, until


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with scene_of(sandbox) as made:
        yield made


async def test_a_refused_first_connection_is_tried_again(scene: Scene, sandbox: Sandbox):
    sandbox.faults.add(Fault("discord", "gateway", "drop_before", times=3))
    sandbox.faults.add(Fault("discord", "gateway", "status", status=503))
    async with scene.running():
        await scene.says("hi")

        assert await scene.texts() == ["hi"]
    assert scene.gateway.identifies == 1


async def test_a_dropped_connection_resumes_with_what_was_missed(scene: Scene):
    async with scene.running():
        await scene.says("one")
        await scene.heard()
        scene.gateway.drop()
        await scene.says("two")

        assert await scene.texts(2) == ["one", "two"]
        await until(lambda: scene.readies() == 2)
    assert (scene.gateway.identifies, scene.gateway.resumes) == (1, 1)


@pytest.mark.parametrize("how", ["reconnect", "invalid, resumable"])
async def test_told_to_come_back_it_resumes(scene: Scene, how: str):
    async with scene.running():
        if how == "reconnect":
            await scene.gateway.reconnect()
        else:
            await scene.gateway.invalidate(resumable=True)
        await until(lambda: scene.readies() == 2)
        await scene.says("still there?")

        assert await scene.texts() == ["still there?"]
    assert (scene.gateway.identifies, scene.gateway.resumes) == (1, 1)


async def test_an_invalid_session_is_replaced_after_a_pause(scene: Scene):
    async with scene.running():
        await scene.gateway.invalidate(resumable=False)
        await until(lambda: scene.readies() == 2)
        await scene.says("still there?")

        assert await scene.texts() == ["still there?"]
    assert (scene.gateway.identifies, scene.gateway.resumes) == (2, 0)
    assert any(1.0 <= pause <= 5.0 for pause in scene.host.clock.slept)


async def test_a_resume_of_a_forgotten_session_becomes_a_new_one(scene: Scene):
    async with scene.running():
        scene.gateway.forget_sessions()
        scene.gateway.drop()
        await until(lambda: scene.readies() == 2)

    assert (scene.gateway.identifies, scene.gateway.resumes) == (2, 1)


async def test_three_refused_resumes_give_the_session_up(scene: Scene):
    async with scene.running():
        scene.gateway.bricked_resumes = 99
        scene.gateway.drop()
        await until(lambda: scene.readies() == 2)

    assert (scene.gateway.identifies, scene.gateway.resumes) == (2, 3)


async def test_a_server_that_cannot_be_reached_says_nothing_about_the_session(scene: Scene, sandbox: Sandbox):
    async with scene.running():
        sandbox.faults.add(Fault("discord", "gateway", "drop_before", times=6))
        scene.gateway.drop()
        await until(lambda: scene.readies() == 2)

    assert (scene.gateway.identifies, scene.gateway.resumes) == (1, 1)


@pytest.mark.parametrize(
    ("code", "identifies"), [(1000, 1), (1001, 1), (4000, 1), (4008, 1), (4007, 2), (4009, 2)]
)
async def test_each_close_code_is_survived(scene: Scene, code: int, identifies: int):
    async with scene.running():
        await scene.gateway.close(code)
        await until(lambda: scene.readies() == 2)
        await scene.says("still there?")

        assert await scene.texts() == ["still there?"]
    assert identifies == scene.gateway.identifies


async def test_silence_is_noticed(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("adapters.discord.adapter.HEARTBEAT_TIMEOUT", 0.1)
    scene.gateway.acknowledges = False
    async with scene.running():
        await until(lambda: scene.readies() == 2)

    assert scene.gateway.resumes >= 1


async def test_an_unreadable_frame_costs_a_connection_and_not_the_bot(scene: Scene):
    async with scene.running():
        [session] = scene.gateway.sessions.values()
        await session.wire.socket.send_str('{"op": 0, "t": "MESSAGE')
        await until(lambda: scene.readies() == 2)
        await scene.says("still there?")

        assert await scene.texts() == ["still there?"]
    assert scene.gateway.identifies == 1


async def test_a_restart_resumes_and_hears_what_was_said_meanwhile(scene: Scene):
    async with scene.running():
        await scene.says("before")
        await scene.heard()
    await scene.says("meanwhile")
    scene.host.states.clear()
    async with scene.running():
        assert await scene.texts(2) == ["before", "meanwhile"]

    assert (scene.gateway.identifies, scene.gateway.resumes) == (1, 1)
    assert len(scene.host.offered) == 2, "what was journaled need not come again"


async def test_a_restart_after_a_kill_hears_at_least_what_was_not_journaled(scene: Scene):
    async with scene.running():
        await until(lambda: "session" in scene.host.memory)
        kept = dict(scene.host.memory)
        await scene.says("before")
        await scene.heard()
    scene.host.memory = kept  # killed: what was remembered on the way out is not there
    await scene.says("meanwhile")
    scene.host.states.clear()
    async with scene.running():
        assert await scene.texts(2) == ["before", "meanwhile"]

    assert scene.gateway.identifies == 1


async def test_what_the_journal_refuses_is_offered_again(scene: Scene):
    async with scene.running():
        scene.host.accepting = Transient("disk full")
        await scene.says("one")
        await until(lambda: len(scene.host.offered) >= 3)
        scene.host.accepting = None

        assert await scene.texts() == ["one"]
    assert scene.gateway.connects == 1


async def test_with_no_room_left_it_leaves_and_lets_discord_keep_the_rest(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inbox, "ROOM", 3)
    monkeypatch.setattr(connection, "ROOM_TIMEOUT", 0.05)
    async with scene.running():
        scene.host.accepting = Transient("disk full")
        for number in range(8):
            await scene.says(f"{number}")
        await until(lambda: not scene.gateway.wires)
        scene.host.accepting = None

        assert [str(number) for number in range(8)] == await scene.texts(8)
    assert scene.gateway.identifies == 1


async def test_the_position_of_what_was_not_journaled_is_not_remembered(scene: Scene):
    async with scene.running():
        await scene.says("journaled")
        await scene.heard()
        scene.host.accepting = Transient("disk full")
        await scene.says("refused")
        await until(lambda: len(scene.host.offered) >= 2)
    scene.host.accepting = None
    scene.host.states.clear()
    async with scene.running():
        assert await scene.texts(2) == ["journaled", "refused"]


async def test_an_error_of_the_journal_that_is_no_matter_of_time_ends_the_run(scene: Scene):
    run = asyncio.create_task(scene.adapter().run(scene.host))
    await until(lambda: scene.host.state == "ready")
    scene.host.accepting = RuntimeError("broken")  # type: ignore[assignment]
    await scene.says("hi")

    with pytest.raises(RuntimeError, match="broken"):
        await asyncio.wait_for(run, 5)
    await until(lambda: not scene.gateway.wires)


async def test_a_garbled_memory_is_a_new_session(scene: Scene):
    scene.host.memory["session"] = b"not json"
    async with scene.running():
        assert scene.gateway.identifies == 1


async def test_a_resume_host_that_is_gone_is_not_asked_for_ever(scene: Scene):
    async with scene.running():
        await scene.says("before")
        await scene.heard()
    kept = msgspec.json.decode(scene.host.memory["session"])
    scene.host.memory["session"] = msgspec.json.encode(kept | {"url": "ws://127.0.0.1:9/gone"})
    await scene.says("meanwhile")
    scene.host.states.clear()
    async with scene.running():
        assert await scene.texts(2) == ["before", "meanwhile"]

    assert scene.gateway.identifies == 1


async def test_a_hundred_bots_resume_without_identifying_again(scene: Scene):
    count = 100
    hosts = [FakeHost(f"bot{number}", "discord") for number in range(count)]
    async with AsyncExitStack() as stack:
        for number, host in enumerate(hosts):
            await stack.enter_async_context(scene.running(scene.adapter(f"token-{number}"), host))
        for number in range(count):
            await scene.discord.say(f"token-{number}", {"text": "before"})
        scene.gateway.drop()
        for number in range(count):
            await scene.discord.say(f"token-{number}", {"text": "missed"})
        await until(lambda: all(len(host.accepted) == 2 for host in hosts), 30)
        await until(lambda: all(host.state == "ready" for host in hosts), 30)

    assert (count, count) == (scene.gateway.identifies, scene.gateway.resumes)
    assert [["before", "missed"]] * count == [[said.text for said in host.accepted] for host in hosts]


async def test_a_stopped_bot_keeps_its_session_and_leaves_no_thread(scene: Scene):
    async with scene.running():
        pass
    await until(lambda: not scene.gateway.wires)

    assert len(scene.gateway.sessions) == 1
    keepers = [thread for thread in threading.enumerate() if isinstance(thread, KeepAliveHandler)]
    await until(lambda: not any(keeper.is_alive() for keeper in keepers))


# --- decisions ------------------------------------------------------------------------------------------------

HELD = Session(id="s", sequence=7, url="wss://x")


def test_the_first_retry_is_at_once_and_the_next_ones_wait_longer_up_to_a_bound():
    attempts = Attempts()
    waits = [attempts.after(End("x", HELD), resumed=True, jitter=1.0)[1] for _ in range(2)]
    attempts.strikes = 0
    many = [attempts.after(End("x", HELD, opened=False), resumed=True, jitter=1.0)[1] for _ in range(30)]

    assert waits == [0.0, 1.0]
    assert max(many) == connection.RESUME_WAIT


def test_new_sessions_are_rationed_harder_than_resumes():
    attempts = Attempts(failures=20)

    assert attempts.after(End("x", None), resumed=False, jitter=1.0) == (None, connection.IDENTIFY_WAIT)


def test_an_outage_does_not_make_the_new_session_after_it_wait():
    attempts = Attempts()
    attempts.after(End("x", HELD, answered=True, lasted=connection.STEADY), resumed=False, jitter=1.0)
    for _ in range(20):
        attempts.after(End("x", HELD, opened=False), resumed=True, jitter=1.0)

    assert attempts.after(End("x", None, invalid=True), resumed=True, jitter=1.0) == (None, 5.0)


def test_a_connection_that_lasted_is_no_failure():
    attempts = Attempts(failures=20)

    lasted = End("x", HELD, answered=True, lasted=connection.STEADY)
    assert attempts.after(lasted, resumed=True, jitter=1.0) == (HELD, 0.0)


def test_the_pace_allows_a_burst_and_then_one_at_a_time():
    pacer = Pacer(interval=1.0, burst=3)

    assert [pacer.reserve(100.0) for _ in range(5)] == [0, 0, 0, 1, 2]
    assert pacer.reserve(200.0) == 0


# --- private points of the library that this is built on: they must not move unnoticed --------------------------


def test_discord_py_still_has_what_the_connection_is_built_on():
    assert "parsers" in inspect.getsource(ConnectionState.__init__)
    assert "ws._discord_parsers = " in inspect.getsource(DiscordWebSocket.from_client)
    assert "ws._dispatch = client.dispatch" in inspect.getsource(DiscordWebSocket.from_client)
    assert "self._discord_parsers[event]" in inspect.getsource(DiscordWebSocket.received_message)
    assert "client._connection.shard_count" in inspect.getsource(DiscordWebSocket.from_client)
    assert {"initial", "gateway", "shard_id", "session", "sequence", "resume"} <= set(
        inspect.signature(DiscordWebSocket.from_client).parameters
    )
    assert inspect.iscoroutinefunction(DiscordWebSocket.poll_event)
    assert "receive(timeout=self._max_heartbeat_timeout)" in inspect.getsource(DiscordWebSocket.poll_event)
    assert "utils._from_json(msg)" in inspect.getsource(DiscordWebSocket.received_message)
    assert isinstance(inspect.getattr_static(DiscordWebSocket, "open"), property)
    assert {"session_id", "sequence", "_keep_alive", "socket"} <= set(
        inspect.getsource(DiscordWebSocket.__init__).replace("self.", " ").replace(":", " ").split()
    )
    assert ReconnectWebSocket(None, resume=False).resume is False
    assert hasattr(DiscordWebSocket, "DEFAULT_GATEWAY")
    assert hasattr(Route, "BASE")


def test_discord_py_still_waits_only_before_identifies_that_are_not_the_first():
    assert "if not initial" in inspect.getsource(discord.Client.before_identify_hook)


def test_discord_py_still_asks_the_rest_api_as_the_directory_does():
    http = discord.http.HTTPClient

    assert list(inspect.signature(http.get_channel).parameters) == ["self", "channel_id"]
    assert list(inspect.signature(http.get_guild).parameters) == ["self", "guild_id", "with_counts"]
    for name in ("get_guilds", "get_all_guild_channels", "get_active_threads", "get_member", "logs_from"):
        assert callable(getattr(http, name))
    for name in ("bulk_upsert_global_commands", "get_bot_gateway", "start_thread_with_message"):
        assert callable(getattr(http, name))


# --- events that kill the process -------------------------------------------------------------------------------


class DeathError(Exception):
    """Stands for what no handler survives."""


async def die_of(scene: Scene, monkeypatch: pytest.MonkeyPatch, deadly: str) -> None:
    """A run that ends with the deadly message in flight, and without a chance to tidy up."""

    def convert(event, data, *more):
        if data.get("content") == deadly:
            raise DeathError
        return real(event, data, *more)

    async def untidy(_: object) -> None: ...

    real = inbox.convert
    with monkeypatch.context() as patch:
        patch.setattr(inbox, "convert", convert)
        patch.setattr(inbox.Inbox, "over", untidy)
        with pytest.raises(DeathError):
            await scene.adapter().run(scene.host)
    scene.host.states.clear()


async def test_an_event_that_kills_the_process_twice_is_quarantined_and_the_others_are_heard(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    async with scene.running():
        await scene.says("before")
        await scene.heard()
    for text in ("good", "deadly", "good too"):
        await scene.says(text)
    for _ in range(2):
        await die_of(scene, monkeypatch, "deadly")
    async with scene.running():
        arrived = await scene.heard(4)

    assert ["before", "good", "good too"] == [a.text for a in arrived if isinstance(a, Said)]
    [kept] = [a for a in arrived if isinstance(a, Unreadable)]
    assert "died twice" in kept.error
    assert '"content":"deadly"' in kept.raw


async def test_a_tidy_end_leaves_no_suspicion(scene: Scene):
    async with scene.running():
        await scene.says("hi")
        await scene.heard()

    assert not [key for key in scene.host.memory if "taking" in key or "suspect" in key]
