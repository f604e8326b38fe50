"""`sensay chat`, `sensay history --follow` and the shell's completion, as they are on a terminal and in a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox.sensay import SUPPORT
from tests.sensay.cli_world import SECRET, CliWorld, cli_world

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
"""Seconds: a machine with other work takes long to start a process."""


@pytest.fixture(params=[False, True], ids=["journal in hand", "running gateway"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CliWorld]:
    with cli_world(tmp_path, gateway=request.param) as made:
        yield made


class Terminal:
    """The program on a terminal of 80 columns."""

    def __init__(self, world: CliWorld, *words: str) -> None:
        self.seen = ""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
            "COLUMNS": "80",
            "NO_COLOR": "1",
        }
        ours, theirs = pty.openpty()
        self._file = ours
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "sensay", *words, "-c", str(world.path)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self._file, text.encode())

    def shows(self, pattern: str) -> str:
        """Wait until this is seen; returns all that was, and forgets it."""
        until = time.monotonic() + PATIENCE
        while not re.search(pattern, self.seen):
            assert time.monotonic() < until, self.seen
            self._read()
        seen, self.seen = self.seen, ""
        return seen

    def _read(self) -> None:
        if select.select([self._file], [], [], 0.1)[0]:
            try:
                self.seen += os.read(self._file, 65_536).decode()
            except OSError:
                assert self.process.poll() is not None, self.seen

    def ends(self) -> int:
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._file)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


# --- conversations ---


@pytest.mark.parametrize("end", ["\x04", "\x03"], ids=["Ctrl+D", "Ctrl+C"])
def test_a_conversation_in_the_terminal_ends_cleanly(world: CliWorld, terminals: list[Terminal], end: str):
    world.run("users", "create", "ada")
    terminal = Terminal(world, "chat", "shop", "--as", "ada")
    terminals.append(terminal)
    terminal.shows("> ")
    terminal.type("When are you opem\x7fn?\n")  # the line can be edited
    answer = terminal.shows("10:00(.|\n)*> ")
    world.fault("complete", "status", status=404)
    terminal.type("And now?\n")
    trouble = terminal.shows(r"error\[Permanent\](.|\n)*> ")
    if end == "\x03":
        os.kill(terminal.process.pid, signal.SIGINT)
    else:
        terminal.type(end)

    assert terminal.ends() == 0
    assert "Monday to Friday" in answer
    assert "check that the replica exists" in " ".join(trouble.split())
    assert ["When are you open?", "And now?"] == [
        request.body["content"] for request in world.box.sensay.requests if request.operation == "complete"
    ]
    assert SECRET not in answer + trouble


def test_the_admin_port_passes_pieces_on(tmp_path: Path):
    with cli_world(tmp_path, gateway=True) as world:
        question = {"replica": SUPPORT, "content": "When are you open?"}
        pieces, last = world.lines({"operation": "chat.complete", "arguments": question})
        missing, whole = world.lines({"operation": "users.get", "arguments": {"user": "nobody"}})

    assert len(pieces) > 3
    assert 200 == last["status"]
    assert "".join(pieces) == last["body"]["result"]["content"]
    assert [] == missing, "what fails before the first piece fails as always"
    assert "Permanent" == whole["error"]


def test_an_answer_is_shown_while_it_is_written(world: CliWorld, terminals: list[Terminal]):
    terminal = Terminal(world, "chat", "shop", "-m", "When are you open?")
    terminals.append(terminal)
    terminal.shows("Baden-Württemberg")
    asked = [request.headers for request in world.box.sensay.requests if request.operation == "complete"]

    assert terminal.ends() == 0
    assert ["text/event-stream"] == [headers["Accept"] for headers in asked]


@pytest.mark.parametrize("more", [["--no-stream"], []], ids=["not wanted", "no terminal"])
def test_an_answer_comes_as_a_whole_otherwise(world: CliWorld, more: list[str]):
    result = world.run("chat", "shop", "-m", "When are you open?", *more)
    asked = [request.headers for request in world.box.sensay.requests if request.operation == "complete"]

    assert "10:00" in result.stdout
    assert ["application/json"] == [headers["Accept"] for headers in asked]


def test_out_of_a_pipe_each_line_is_a_question_with_one_answer(world: CliWorld):
    result = world.run("chat", "shop", "--json", typed="When are you open?\n\nhello\n")
    lines = [json.loads(line) for line in result.stdout.splitlines()]

    assert result.exit_code == 0
    assert ["When are you open?", "hello"] == [line["question"] for line in lines]
    assert "10:00" in lines[0]["answer"]


def test_what_fails_in_a_pipe_ends_it_after_what_was_answered(world: CliWorld):
    first = world.run("chat", "shop", typed="hello\n")
    world.fault("complete", "status", status=404)
    second = world.run("chat", "shop", typed="hello\nhello again\n")

    assert first.exit_code == 0
    assert second.exit_code == 1
    assert 2 == len([one for one in world.box.sensay.requests if one.operation == "complete"])


def test_marks_that_would_move_the_cursor_are_not_let_through(world: CliWorld):
    world.canned("complete", body=json.dumps({"success": True, "content": "a\x1b[2Jb\x07"}))
    result = world.run("chat", "shop", "-m", "hello")

    assert "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}\n" == result.stdout


# --- history ---


def test_a_history_goes_on_with_what_is_said(world: CliWorld, terminals: list[Terminal]):
    world.run("users", "create", "ada")
    world.run("chat", "shop", "--as", "ada", "-m", "hello")
    terminal = Terminal(world, "history", "shop", "--as", "ada", "--follow", "--every", "1", "--limit", "1")
    terminals.append(terminal)
    before = terminal.shows("Fernweh")
    said = world.run("chat", "shop", "--as", "ada", "-m", "When are you open?")
    after = terminal.shows("Monday")
    os.kill(terminal.process.pid, signal.SIGINT)

    assert said.exit_code == 0, said.output
    assert terminal.ends() == 0
    assert "hello" not in before
    assert "When are you open?" in after


# --- the shell ---


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sensay kn", "knowledge"),
        ("sensay knowledge add ", "file"),
        ("sensay chat sh", "shop"),
        ("sensay users me --a", "--as"),
        ("sensay chat shop --channel t", "telegram"),
    ],
)
def test_the_shell_completes_verbs_options_and_bots(tmp_path: Path, typed: str, offered: str):
    with cli_world(tmp_path) as world:
        words = f"sensay-gateway {typed}"
        environment = {
            "_SENSAY_GATEWAY_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            "GATEWAY_CONFIG": str(world.path),
        }
        done = subprocess.run(
            [sys.executable, "-m", "gateway"],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    assert offered in {line.partition(",")[2] for line in done.stdout.splitlines()}
    assert "" == done.stderr


def test_rich_is_not_loaded_before_something_is_drawn():
    count = "from gateway.cli import verb; print(len(verb('sensay').commands))"
    program = f"import sys; sys.modules['rich'] = None; {count}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    assert int(done.stdout) > 10
