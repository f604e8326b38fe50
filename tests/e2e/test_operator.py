"""What an operator does about messages, with the program's own verbs against the running program."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.journal.sqlite import SqliteJournal
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.clock import FakeClock
from tests.e2e.counting import asked
from tests.e2e.process import People, Program, configuration, eventually, write_configuration

pytestmark = pytest.mark.e2e
TOKEN = "operators-token-for-the-tests"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def thinking(box: Sandbox) -> None:
    """Wait until a replica has a question."""

    async def count() -> int:
        return asked(box).total()

    await eventually(count, lambda total: total == 1)


class Operator:
    """Runs verbs and reads what they print."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def verb(self, *words: str) -> tuple[int, str]:
        program = await Program([*words, "-c", str(self._path)]).start()
        return await program.ended(), "\n".join(program.raw)

    async def json(self, *words: str) -> Any:
        code, said = await self.verb(*words, "--json")
        assert code == 0, said
        return json.loads(said)


@pytest.fixture
async def people(sandbox: Sandbox) -> AsyncIterator[People]:
    async with ClientSession() as session:
        yield People(sandbox, session)


@pytest.fixture
def operator(sandbox: Sandbox, tmp_path: Path) -> Operator:
    server = {
        "public": {"host": "127.0.0.1", "port": 0},
        "admin": {"port": free_port(), "token": TOKEN},
    }
    return Operator(write_configuration(tmp_path, configuration(sandbox, tmp_path, server=server)))


@pytest.fixture
async def program(operator: Operator) -> AsyncIterator[Program]:
    program = await Program(["run", "-c", str(operator._path)]).start()
    yield program
    await program.kill()


async def test_a_failed_turn_is_found_by_the_reference_shown_and_answered_when_retried(
    program: Program, people: People, operator: Operator, sandbox: Sandbox
) -> None:
    await program.running("telegram")
    sandbox.faults.add(Fault("sensay", "complete", "status", status=404))
    await people.say("telegram", "What are your opening hours?")
    [told] = await people.hears("telegram", 1)
    [letter] = (await operator.json("dead-letters", "list"))["items"]
    life = await operator.json("trace", letter["id"])
    shown = await operator.json("dead-letters", "show", letter["id"])
    retried = await operator.json("dead-letters", "retry", letter["id"])
    answers = await people.hears("telegram", 2)

    assert letter["id"] in told["text"]
    assert ("turn", "failed", "support", "telegram") == tuple(
        letter[name] for name in ("kind", "outcome", "bot", "platform")
    )
    assert "404" in letter["cause"]
    assert ("failed", 1) == (life["status"], life["attempts"])
    assert life["upstream"] > 0
    assert shown["trace"]["parts"][0]["state"] == "sent"
    assert retried["ok"]
    assert "10:00" in answers[1]["text"]
    assert [] == (await operator.json("dead-letters", "list"))["items"]
    assert "answered" == (await operator.json("trace", letter["id"]))["status"]


async def test_a_dropped_letter_is_gone_and_its_cause_still_told(
    program: Program, people: People, operator: Operator, sandbox: Sandbox
) -> None:
    await program.running("telegram")
    sandbox.faults.add(Fault("sensay", "complete", "status", status=404))
    await people.say("telegram", "Hello?")
    await people.hears("telegram", 1)
    [letter] = (await operator.json("dead-letters", "list"))["items"]
    dropped = await operator.verb("dead-letters", "drop", letter["id"])
    again = await operator.verb("dead-letters", "drop", letter["id"])
    code, told = await operator.verb("trace", letter["id"])

    assert (0, 1) == (dropped[0], again[0])
    assert "no such dead letter" in again[1]
    assert (0, True) == (code, "failed: Sensay answered complete with 404" in told)


async def test_a_backup_while_running_is_a_journal(
    program: Program, people: People, operator: Operator, tmp_path: Path
) -> None:
    await program.running("telegram")
    await people.say("telegram", "What are your opening hours?")
    await people.hears("telegram", 1)
    file = tmp_path / "backup.db"
    code, said = await operator.verb("journal", "backup", str(file))
    journal = SqliteJournal(file, FakeClock())
    await journal.open()
    counts = await journal.counts()
    await journal.close()

    assert (0, True) == (code, str(file) in said)
    assert 1 == counts["support"].answered
    assert 0 == file.stat().st_mode & 0o077
    assert {"gateway.db", "backup.db"} <= _names(tmp_path)
    assert not any("copy" in name for name in _names(tmp_path))


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


async def test_the_verbs_say_in_words_why_they_cannot(
    program: Program, operator: Operator, tmp_path: Path
) -> None:
    await program.running("web")
    unknown = await operator.verb("trace", "nothing-like-it")
    wrong = await operator.verb("trace", "x", "--token", "wrong")
    nobody = await operator.verb("trace", "x", "--admin", f"http://127.0.0.1:{free_port()}")
    nowhere = await operator.verb("trace", "x", "--admin", "nowhere")
    unwritable = await operator.verb("journal", "backup", str(tmp_path / "no" / "backup.db"))
    program.signal(signal.SIGTERM)

    assert [1, 1, 1, 1, 1] == [code for code, _ in (unknown, wrong, nobody, nowhere, unwritable)]
    assert "Nothing is known" in unknown[1]
    assert "Unauthorized" in wrong[1]
    assert nobody[1].rstrip().endswith("Connection refused")
    assert "no gateway answers" in nobody[1]
    assert "nowhere is no address of a gateway" in nowhere[1]
    assert f"cannot write {tmp_path / 'no' / 'backup.db'}" in unwritable[1]
    assert 0 == await program.ended()


async def test_dead_letters_are_counted_by_bot(
    program: Program, people: People, operator: Operator, sandbox: Sandbox
) -> None:
    started = await program.event("gateway.started")
    await program.running("telegram")
    sandbox.faults.add(Fault("sensay", "complete", "status", status=404))
    await people.say("telegram", "Hello?")
    await people.hears("telegram", 1)

    async def metric() -> str:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            ClientSession(headers=headers) as session,
            session.get(f"{started['admin']}/metrics") as answer,
        ):
            return await answer.text()

    await eventually(metric, lambda text: 'gateway_dead_letters{bot="support"} 1.0' in text)


async def test_a_second_sigterm_ends_it_at_once_and_loses_nothing(
    program: Program, people: People, operator: Operator, sandbox: Sandbox
) -> None:
    await program.running("telegram")
    sandbox.sensay.latency = 15.0
    await people.say("telegram", "What are your opening hours?")

    await thinking(sandbox)
    program.signal(signal.SIGTERM)
    await program.event("gateway.draining")
    await people.say("telegram", "And a second one?", user=43)
    loop = asyncio.get_running_loop()
    before = loop.time()
    program.signal(signal.SIGTERM)
    code = await program.ended()
    took = loop.time() - before
    sandbox.sensay.latency = 0.0
    second = await Program(["run", "-c", str(operator._path)]).start()
    try:
        heard = await eventually(lambda: people.heard("telegram"), lambda items: len(items) >= 2, 40.0)
    finally:
        await second.kill()

    assert 0 == code
    assert took < 4.0
    assert {"42", "43"} == {str(item["chat"]) for item in heard}
    assert {1} == set(asked(sandbox).values()), "what was asked is looked up, not asked again"


async def test_sigterm_lets_a_running_question_end(
    program: Program, people: People, sandbox: Sandbox
) -> None:
    await program.running("telegram")
    sandbox.sensay.latency = 1.5
    await people.say("telegram", "What are your opening hours?")

    await thinking(sandbox)
    program.signal(signal.SIGTERM)

    assert 0 == await program.ended()
    assert 1 == len(await people.heard("telegram"))
