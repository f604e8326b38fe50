"""The verbs and their exit codes, as a shell or a service manager meets them."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from gateway import __version__
from gateway.app import SystemClock, pinned_widget
from gateway.cli import MODULES, cli
from gateway.journal import open_journal
from gateway.settings import load
from tests.e2e.process import Program, write_configuration

REPLICA = "12345678-1234-1234-1234-123456789abc"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIGURATION = 78


def document(**changes: Any) -> dict[str, Any]:
    """A configuration that works without any service: one bot on the web."""
    return {
        "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
        "journal": "memory:",
        "shutdown_grace": "0s",
        "sensay": {"base_url": "http://127.0.0.1:9"},
        "organizations": {"acme": {"secret": "acme-sensay-secret"}},
        "bots": {"shop": {"replica": REPLICA, "web": {}}},
    } | changes


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's environment, and a working directory without a configuration."""
    for name in ("GATEWAY_CONFIG", "LOG_FORMAT", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_configuration(tmp_path, document())


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Four things are wrong with it."""
    path = tmp_path / "bad.yaml"
    path.write_text(
        f"""\
servr: {{}}
organizations:
  acme: {{secret: "${{NOBODY_SET_THIS}}"}}
bots:
  shop:
    replica: no-uuid
    wieght: 2
    webhook: {{secret: {WHSEC}}}
"""
    )
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


# --- usage ---


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--nonsense"],
        ["sandbox", "--port", "no-number"],
        ["config", "fly"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str]):
    result = call(*arguments)

    assert result.exit_code == 2
    assert "Usage:" in result.output


@pytest.mark.parametrize("verb", [[], *([verb] for verb in MODULES), ["config", "show"]])
def test_every_verb_explains_itself(verb: list[str]):
    result = call(*verb, "--help")

    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_the_version_is_told():
    assert __version__ in call("--version").output


# --- check ---


def test_a_good_configuration_is_0(good: Path):
    result = call("check", "-c", good)

    assert result.exit_code == 0
    assert "good (1 bots, 1 channels)" in result.output


def test_a_check_tells_what_a_page_pins_the_widget_with(good: Path):
    """What is served under that path has that value: tests/web/test_web_assets.py."""
    path, integrity = pinned_widget()

    assert f"{path} integrity {integrity}" in call("check", "-c", good).output


def test_a_bad_configuration_is_1_and_every_problem_is_printed(bad: Path):
    result = call("check", "-c", bad)

    assert result.exit_code == 1
    problems = [line for line in result.stderr.splitlines() if line.startswith(f"{bad}:")]
    for where in ("bots.shop.replica", "NOBODY_SET_THIS", "bots.shop.wieght", "servr"):
        assert any(where in problem for problem in problems), (where, problems)
    assert any("weight" in problem and "did you mean" in problem for problem in problems)
    assert WHSEC not in result.output


@pytest.mark.parametrize(
    ("journal", "place", "why"),
    [
        ("sqlite:///missing/gateway.db", ":1:91: journal:", "the folder missing does not exist"),
        (None, ":1:1: journal:", "the folder data does not exist"),
        ("sqlite:///locked/gateway.db", ":1:91: journal:", "the folder locked cannot be written"),
    ],
)
def test_a_journal_that_could_not_be_opened_is_found_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: str | None, place: str, why: str
):
    (tmp_path / "locked").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in str(path) and access(path, mode))
    written = {**document(), "journal": journal}
    if journal is None:
        del written["journal"]
    path = tmp_path / "gateway.yaml"
    path.write_text(json.dumps(written))
    result = call("check", "-c", path)

    assert result.exit_code == 1
    assert why in result.output
    assert place in result.output


def test_the_alias_checks_the_same(good: Path, bad: Path):
    assert call("--check-config", "-c", good).output == call("check", "-c", good).output
    assert call("--check-config", "-c", bad).exit_code == 1
    assert call("--check-config", "-c", bad).stderr == call("check", "-c", bad).stderr


def test_the_configuration_is_found_by_its_variable_and_by_its_usual_place(
    good: Path, monkeypatch: pytest.MonkeyPatch
):
    nothing = call("check")
    (good.parent / "config").mkdir()
    (good.parent / "config" / "gateway.yaml").write_text(good.read_text())
    usual = call("check")
    monkeypatch.setenv("GATEWAY_CONFIG", str(good))
    named = call("check")

    assert nothing.exit_code == 1
    assert "config/gateway.yaml" in nothing.stderr
    assert usual.output.startswith("config/gateway.yaml: good")
    assert named.output.startswith(f"{good}: good")


def test_a_check_for_machines_is_json(good: Path, bad: Path):
    fine, broken = call("check", "--json", "-c", good), call("check", "--json", "-c", bad)

    told = json.loads(fine.output)
    assert told.pop("widget").keys() == {"path", "integrity"}
    assert told == {"ok": True, "bots": 1, "warnings": []}
    assert fine.exit_code == 0
    assert json.loads(broken.stdout)["ok"] is False
    assert len(json.loads(broken.stdout)["problems"]) >= 4
    assert broken.exit_code == 1


# --- config ---


@pytest.fixture
def secretive(tmp_path: Path) -> Path:
    shop = {
        "replica": REPLICA,
        "telegram": {"token": "123456:telegram-token"},
        "discord": {"token": "discord-token-of-the-shop"},
        "web": {"identity_secret": "an-identity-secret-of-32-characters"},
        "webhook": {"secret": [WHSEC]},
    }
    admin = {"port": 0, "token": "the-admin-token"}
    return write_configuration(tmp_path, document(bots={"shop": shop}, server={"admin": admin}))


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_effective_configuration_shows_defaults_and_no_secret(secretive: Path, form: list[str]):
    result = call("config", "show", "-c", secretive, *form)

    assert result.exit_code == 0
    for secret in (
        "telegram-token",
        "discord-token-of-the-shop",
        "an-identity-secret-of-32-characters",
        WHSEC,
        "the-admin-token",
        "acme-sensay-secret",
    ):
        assert secret not in result.output
    shown = YAML(typ="safe").load(result.output)
    assert shown["bots"]["shop"]["organization"] == "acme"
    assert shown["bots"]["shop"]["weight"] == 1.0
    assert shown["bots"]["shop"]["telegram"]["mode"] == "polling"


def test_a_bad_configuration_cannot_be_shown(bad: Path):
    result = call("config", "show", "-c", bad)

    assert result.exit_code == 1
    assert result.stdout == ""


def test_the_schema_is_json_schema():
    result = call("config", "schema")

    assert result.exit_code == 0
    assert {"organizations", "bots", "server"} <= json.loads(result.output)["properties"].keys()


# --- run ---


@asynccontextmanager
async def running(path: Path, **environment: str) -> AsyncIterator[Program]:
    program = await Program(["run", "-c", str(path)], environment, folder=path.parent).start()
    try:
        yield program
    finally:
        await program.kill()


async def outcome(path: Path) -> tuple[int, list[str]]:
    """The exit code of a `run` that does not get far, and what it wrote."""
    async with running(path) as program:
        return await program.ended(), program.raw


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ('organizations: {acme: {secret: "${NOBODY_SET_THIS}"}}', "NOBODY_SET_THIS"),
        (json.dumps(document(server={"admin": {"host": "0.0.0.0"}})), "token"),
        ("bots: [", "gateway.yaml:"),
    ],
    ids=["empty file", "unset variable", "open admin", "no YAML"],
)
def test_what_is_wrong_in_the_configuration_is_78_in_one_line(tmp_path: Path, text: str, said: str):
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    result = call("run", "-c", path)

    assert result.exit_code == CONFIGURATION
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert said in line


def test_a_file_that_is_not_there_is_78(tmp_path: Path):
    result = call("run", "-c", tmp_path / "nowhere.yaml")

    assert result.exit_code == CONFIGURATION
    assert "nowhere.yaml" in result.stderr


async def test_a_journal_without_a_folder_is_78_in_one_line(tmp_path: Path):
    path = write_configuration(tmp_path, document(journal="sqlite:///missing/gateway.db"))
    code, lines = await outcome(path)
    failures = [line for line in lines if "missing" in line]

    assert code == CONFIGURATION
    assert len(failures) == 1
    assert "Traceback" not in failures[0]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


async def test_a_port_in_use_is_1_in_one_line(tmp_path: Path, taken: int):
    ports = {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": taken}}
    code, lines = await outcome(write_configuration(tmp_path, document(server=ports)))
    failures = [json.loads(line) for line in lines if "failed" in line]

    assert code == 1
    assert len(failures) == 1
    assert failures[0]["level"] == "error"
    assert str(taken) in failures[0]["error"]
    assert "exception" not in failures[0]


async def test_a_journal_that_another_process_has_is_1_in_one_line(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/gateway.db"
    journal = open_journal(url, SystemClock())
    await journal.open()
    try:
        code, lines = await outcome(write_configuration(tmp_path, document(journal=url)))
    finally:
        await journal.close()
    failures = [json.loads(line) for line in lines if "failed" in line]

    assert code == 1
    assert len(failures) == 1
    assert "another process" in failures[0]["error"]


async def test_a_run_that_is_told_to_stop_is_0_and_every_line_is_an_event(tmp_path: Path):
    path = write_configuration(tmp_path, document(watch=True))
    async with running(path) as program:
        await program.running("web")
        program.signal(signal.SIGTERM)

        assert await program.ended() == 0
    lines = [json.loads(line) for line in program.raw]
    events = [line["event"] for line in lines]
    doubts = [line["problem"] for line in lines if line["event"] == "configuration.doubted"]
    assert doubts == list(load(path, {}).warnings), "each is said once, and run goes on"
    assert events[-1] == "gateway.stopped"
    assert "gateway.draining" in events
