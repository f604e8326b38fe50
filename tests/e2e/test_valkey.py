"""The program with its journal on a server that is away, comes back, or is not fit for it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from gateway.app import secrets_of
from gateway.sandbox.server import Sandbox
from gateway.settings.models import Settings
from tests.e2e.counting import asked
from tests.e2e.process import ORIGIN, People, Program, configuration, eventually, write_configuration
from tests.valkey import Server, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def write(box: Sandbox, folder: Path, journal: str, **more: Any) -> Path:
    return write_configuration(
        folder, configuration(box, folder, journal=journal, cluster={"lease": "2s"}, **more)
    )


@pytest.fixture
async def programs() -> AsyncIterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        await program.kill()


async def status_of(session: ClientSession, url: str) -> int:
    try:
        async with session.get(url) as answer:
            return answer.status
    except ClientError:
        return 0


async def test_a_server_that_is_away_at_the_start_is_waited_for(
    sandbox: Sandbox, tmp_path: Path, session: ClientSession, people: People, programs: list[Program]
) -> None:
    port, admin = free_port(), free_port()
    public = {"host": "127.0.0.1", "port": 0}
    path = write(
        sandbox,
        tmp_path,
        f"valkey://127.0.0.1:{port}/0",
        server={"public": public, "admin": {"port": admin}},
    )
    programs.append(program := await Program(["run", "-c", str(path)]).start())
    await people.say("telegram", "Are you there?")
    await program.event("journal.awaited")

    assert 200 == await status_of(session, f"http://127.0.0.1:{admin}/livez")
    assert 503 == await status_of(session, f"http://127.0.0.1:{admin}/readyz")
    with Server(tmp_path / "server", *DURABLE, port=port):
        await people.hears("telegram", 1)
        assert 200 == await status_of(session, f"http://127.0.0.1:{admin}/readyz")
        program.signal(signal.SIGTERM)
        assert 0 == await program.ended()
    assert 1 == asked(sandbox)["Are you there?"]


async def test_a_process_that_waits_for_its_server_can_be_told_to_stop(
    sandbox: Sandbox, tmp_path: Path, programs: list[Program]
) -> None:
    path = write(sandbox, tmp_path, f"valkey://127.0.0.1:{free_port()}/0")
    programs.append(program := await Program(["run", "-c", str(path)]).start())
    await program.event("journal.awaited")
    program.signal(signal.SIGTERM)

    assert 0 == await program.ended()


async def test_while_the_server_is_away_nothing_is_taken_and_then_everything(
    sandbox: Sandbox, tmp_path: Path, session: ClientSession, people: People, programs: list[Program]
) -> None:
    """Longer than the leases last: all of them are lost, and taken anew."""
    with Server(tmp_path / "server", *DURABLE) as server:
        path = write(sandbox, tmp_path, server.url)
        programs.append(program := await Program(["run", "-c", str(path)]).start())
        public = await program.running("telegram", "discord")
        admin = (await program.event("gateway.started"))["admin"]
        await people.say("telegram", "One?")
        await people.hears("telegram", 1)
        server.stop()
        await program.event("dispatcher.superseded")
        await program.event("channel.superseded", platform="telegram")
        await people.say("telegram", "Two?")
        async with session.post(
            f"{public}/v1/web/support/sessions", json={}, headers={"Origin": ORIGIN}
        ) as answer:
            assert answer.status in (404, 503)
        assert 503 == await status_of(session, f"{admin}/readyz")
        assert 200 == await status_of(session, f"{admin}/livez")
        server.start()
        await people.hears("telegram", 2)
        await people.say("discord", "Three?")
        await people.hears("discord", 1)
        await eventually(lambda: status_of(session, f"{admin}/readyz"), lambda status: status == 200)
        program.signal(signal.SIGTERM)
        assert 0 == await program.ended()

    assert {"One?": 1, "Two?": 1, "Three?": 1} == dict(asked(sandbox))


@pytest.mark.parametrize(
    ("options", "credentials", "words"),
    [
        (("--maxmemory-policy", "allkeys-lru"), "", "noeviction"),
        (("--requirepass", "right-secret"), ":wrong-secret@", "credentials"),
    ],
    ids=["evicts", "wrong password"],
)
async def test_what_a_person_has_to_set_right_ends_the_start_in_words(
    sandbox: Sandbox,
    tmp_path: Path,
    programs: list[Program],
    options: tuple[str, ...],
    credentials: str,
    words: str,
) -> None:
    with Server(tmp_path / "server", *options) as server:
        path = write(sandbox, tmp_path, server.url.replace("://", f"://{credentials}"))
        programs.append(program := await Program(["run", "-c", str(path)]).start())
        said = await program.event("startup.failed")

        assert 78 == await program.ended()
    assert words in said["remedy"]
    assert "secret" not in "\n".join(program.raw)


async def test_another_process_takes_over_what_a_killed_one_held(
    sandbox: Sandbox, tmp_path: Path, people: People, programs: list[Program]
) -> None:
    with Server(tmp_path / "server", *DURABLE) as server:
        path = write(sandbox, tmp_path, server.url)
        programs.append(first := await Program(["run", "-c", str(path)]).start())
        await first.running("telegram")
        await people.say("telegram", "One?")
        await people.hears("telegram", 1)
        programs.append(second := await Program(["run", "-c", str(path)]).start())
        await second.event("gateway.started")
        await first.kill()
        await people.say("telegram", "Two?")
        await second.running("telegram")
        heard = await people.hears("telegram", 2)
        second.signal(signal.SIGTERM)
        assert 0 == await second.ended()

    assert 2 == len(heard)
    assert {"One?": 1, "Two?": 1} == dict(asked(sandbox))


def test_the_password_in_the_journals_address_is_a_secret() -> None:
    settings = Settings(journal="valkey+sentinel://:p%40ss-w0rd@a:1,b:2/primary/0")

    assert {"p%40ss-w0rd", "p@ss-w0rd"} <= set(secrets_of(settings))
