"""A disk that is really full: nothing is acknowledged, nothing is lost, and it recovers by itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest
from aiohttp import ClientSession

from gateway.sandbox.server import Sandbox
from tests.e2e.counting import asked
from tests.e2e.process import (
    ORIGIN,
    TELEGRAM,
    People,
    Program,
    configuration,
    eventually,
    write_configuration,
)

pytestmark = pytest.mark.e2e
SIZE = 6 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("NOT ROOT: a full disk is not tested here, only a full file (RLIMIT_FSIZE)")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", folder], check=False)
    if mounted.returncode:
        pytest.skip("NO MOUNT: a full disk is not tested here, only a full file (RLIMIT_FSIZE)")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


def fill(disk: Path) -> Path:
    """Write until there is no room at all."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast


async def test_a_full_disk_takes_nothing_in_and_recovers_by_itself(
    sandbox: Sandbox, session: ClientSession, small_disk: Path, tmp_path: Path
) -> None:
    people = People(sandbox, session)
    path = write_configuration(tmp_path, configuration(sandbox, small_disk))
    program = await Program(["run", "-c", str(path)]).start()
    try:
        public = await program.running("telegram", "web")
        admin = (await program.event("gateway.started"))["admin"]
        await people.say("telegram", "What are your opening hours? (before)", user=50)
        await people.hears("telegram", 1)

        async def ready() -> int:
            async with session.get(f"{admin}/readyz") as answer:
                return answer.status

        origin = {"Origin": ORIGIN}
        async with session.post(f"{public}/v1/web/support/sessions", json={}, headers=origin) as answer:
            token = (await answer.json())["token"]

        async def post() -> int:
            headers = {**origin, "Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
            url = f"{public}/v1/web/support/messages"
            async with session.post(url, json={"text": "Do you ship abroad?"}, headers=headers) as answer:
                assert answer.status != 503 or int(answer.headers["Retry-After"]) >= 1
                return answer.status

        ready_before, ballast = await ready(), fill(small_disk)
        await eventually(ready, lambda status: status == 503)
        refused = await post()
        for n in range(5):
            await people.say("telegram", f"What are your opening hours? ({n})", user=60 + n)
        await program.event("bot.degraded", platform="telegram")
        kept, heard = len(sandbox.telegram.bot(TELEGRAM).updates), await people.heard("telegram")
        ballast.unlink()
        answers = await people.hears("telegram", 6)
        await eventually(ready, lambda status: status == 200)
        taken = await post()
        program.signal(signal.SIGTERM)
        code = await program.ended()
    finally:
        await program.kill()

    assert (200, 503, 202) == (ready_before, refused, taken)
    assert (5, 1) == (kept, len(heard)), "Telegram was not told that they are taken"
    assert 6 == len({item["chat"] for item in answers}) == len(answers)
    assert {1} == set(asked(sandbox).values())
    assert 0 == code
    with apsw.Connection(str(small_disk / "gateway.db")) as db:
        assert "ok" == db.pragma("integrity_check")


async def test_a_disk_that_fills_up_while_questions_are_asked_loses_no_answer(
    sandbox: Sandbox, session: ClientSession, small_disk: Path, tmp_path: Path
) -> None:
    people = People(sandbox, session)
    sandbox.sensay.latency = 2.0
    path = write_configuration(tmp_path, configuration(sandbox, small_disk))
    program = await Program(["run", "-c", str(path)]).start()
    try:
        await program.running("telegram")
        for n in range(4):
            await people.say("telegram", f"What are your opening hours? ({n})", user=60 + n)

        async def thinking() -> int:
            return asked(sandbox).total()

        await eventually(thinking, lambda total: total == 4)
        ballast = fill(small_disk)

        async def thought() -> int:
            return sum(
                request.answered_at is not None
                for request in sandbox.sensay.requests
                if request.status == 200
            )

        await eventually(thought, lambda count: count >= 4)
        before = len(await people.heard("telegram"))
        ballast.unlink()
        answers = await people.hears("telegram", 4)
    finally:
        await program.kill()

    assert 0 == before
    assert 4 == len({item["chat"] for item in answers}) == len(answers)
    assert {1} == set(asked(sandbox).values())
