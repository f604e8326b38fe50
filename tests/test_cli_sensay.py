"""Every command of `sensay …`, in both dialects, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from gateway.cli import verb
from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from tests.sensay.cli_world import BOT_TOKEN, DISCORD_TOKEN, OURS, SECRET, CliWorld, cli_world

R = "/v1/replicas/{replica}"
BOTH = ("openapi", "guide")
TELEGRAM = "--data chat_id=42 --data user_id=42"
DISCORD = " ".join(
    f"--data {name}={value}"
    for name, value in {
        "channel_id": 900,
        "channel_name": "general",
        "author_id": 42,
        "author_name": "ada",
        "message_id": 77,
    }.items()
)


@dataclass(frozen=True)
class Case:
    """`reaches`: endpoints by dialect, or the same in all. `says` is for people, `key` is in the JSON."""

    words: str
    reaches: Any
    says: str
    key: str
    dialects: tuple[str, ...] = BOTH
    typed: str | None = None

    def endpoints(self, dialect: str) -> set[str]:
        reached = self.reaches[dialect] if isinstance(self.reaches, dict) else self.reaches
        return {reached} if isinstance(reached, str) else set(reached)


def either(method: str, published: str, guide: str) -> dict[str, str]:
    return {"openapi": f"{method} {R}{published}", "guide": f"{method} {R}{guide}"}


COMPLETIONS, HISTORY = f"POST {R}/chat/completions", f"GET {R}/chat/history"
OPENAPI, GUIDE = ("openapi",), ("guide",)
CASES = (
    Case("users create bob --name Bob --linked telegram:7", "POST /v1/users", "telegram:7", "id"),
    Case("users create", "POST /v1/users", "id", "id"),
    Case("users ensure ada", "GET /v1/users/{user}", "ada", "id"),
    Case("users ensure eve", ("GET /v1/users/{user}", "POST /v1/users"), "eve", "id"),
    Case("users show ada", "GET /v1/users/{user}", "ada", "id"),
    Case("users me --as ada", "GET /v1/users/me", "ada", "id"),
    Case("users update --as ada --name Ada", ("GET /v1/users/me", "PUT /v1/users/me"), "Ada", "name"),
    Case("users usage --as ada", "GET /v1/users/me/usage", "conversations", "knowledgeBaseEntries"),
    Case("users delete --as ada --yes", "DELETE /v1/users/me", "deleted: ada", "deleted"),
    Case("replicas list", "GET /v1/replicas", "Support", "items"),
    Case("replicas list --all --search nel --owner ada --sort name", "GET /v1/replicas", "nel", "total"),
    Case("replicas show shop", f"GET {R}", "Fernweh", "uuid"),
    Case(
        "replicas create Bo --owner ada --slug bo --description d --greeting Hi --private --tag x",
        "POST /v1/replicas",
        "-",
        "uuid",
    ),
    Case("replicas ensure --owner ada", "GET /v1/replicas", "-", "uuid"),
    Case("replicas ensure --owner sample-greta", ("GET /v1/replicas", "POST /v1/replicas"), "-", "uuid"),
    Case("replicas update {replica} --greeting Ahoy", (f"GET {R}", f"PUT {R}"), "greeting", "changed"),
    Case("replicas update {replica} --model gpt-4", (f"GET {R}", f"PUT {R}"), "llm", "changed"),
    Case("replicas delete {replica} -y", f"DELETE {R}", "deleted", "deleted"),
    Case("chat shop -m Hello", COMPLETIONS, "Fernweh", "answer"),
    Case(
        "chat shop --as ada --channel embed --skip-history", COMPLETIONS, "Fernweh", "answer", typed="Hello\n"
    ),
    Case(f"chat shop -m Hello --channel discord {DISCORD}", COMPLETIONS, "Fernweh", "answer"),
    Case("chat shop -m Hello --monthly-quota 5", COMPLETIONS, "Fernweh", "answer", OPENAPI),
    Case(
        f"chat shop -m Hello --channel telegram {TELEGRAM}",
        either("POST", "/chat/completions/telegram", "/telegram/completions"),
        "Fernweh",
        "answer",
    ),
    Case(
        "chat shop --openai --as ada -m Hello",
        "POST /v1/experimental/replicas/{replica}/chat/completions",
        "Fernweh",
        "answer",
    ),
    Case("history shop --as ada", HISTORY, "nothing was said", "items"),
    Case(
        "history shop --channel telegram",
        either("GET", "/chat/history/telegram", "/telegram/history"),
        "",
        "items",
    ),
    Case(
        "history shop --channel discord",
        either("GET", "/chat/history/discord", "/discord/history"),
        "",
        "items",
    ),
    Case("history shop --channel embed", either("GET", "/chat/history/embed", "/embed/history"), "", "items"),
    Case(
        "history shop --channel web --all", either("GET", "/chat/history/web", "/chat/history"), "", "items"
    ),
    Case("history shop --save Noted --as ada", f"POST {R}/chat/history", "saved", "saved", OPENAPI),
    Case(
        f"history shop --save Noted --channel telegram {TELEGRAM} --data chat_type=private --data message_id=7",
        f"POST {R}/chat/history/telegram",
        "saved",
        "saved",
        OPENAPI,
    ),
    Case(
        "conversations list shop --sort last --newest-first --limit 3",
        f"GET {R}/conversations",
        "3 of",
        "items",
    ),
    Case("conversations list shop --all", f"GET {R}/conversations", "telegram", "total"),
    Case("conversations list shop --page 2 --limit 5", f"GET {R}/conversations", "5 of", "total"),
    Case(
        "conversations show shop {conversation}",
        (f"GET {R}/conversations/{{conversation}}", f"GET {R}/conversations/{{conversation}}/mentions"),
        "--expand shows them",
        "groups",
    ),
    Case(
        "conversations show shop {conversation} --expand --all",
        (
            f"GET {R}/conversations/{{conversation}}",
            f"GET {R}/conversations/{{conversation}}/mentions",
            f"GET {R}/conversations/{{conversation}}/messages",
        ),
        "Saturday",
        "groups",
    ),
    Case(
        "conversations show shop {conversation} --expand --before {message} --limit 3",
        (
            f"GET {R}/conversations/{{conversation}}",
            f"GET {R}/conversations/{{conversation}}/mentions",
            f"GET {R}/conversations/{{conversation}}/messages",
        ),
        "Saturday",
        "groups",
    ),
    Case(
        "conversations messages shop {conversation} --before {message}",
        f"GET {R}/conversations/{{conversation}}/messages",
        ":",
        "items",
    ),
    Case("chats list shop", f"GET {R}/chats", "discord", "total", OPENAPI),
    Case("chats show shop {chat}", f"GET {R}/chats/{{chat}}", "group", "uuid", OPENAPI),
    Case("chats messages shop {chat} --limit 5", f"GET {R}/chats/{{chat}}/messages", ":", "items", OPENAPI),
    Case(
        "chats messages shop {chat} --conversation {conversation} --all",
        f"GET {R}/chats/{{chat}}/conversations/{{conversation}}/messages",
        ":",
        "items",
        OPENAPI,
    ),
    Case(
        "chats conversations shop {chat}",
        f"GET {R}/chats/{{chat}}/conversations",
        "discord",
        "items",
        OPENAPI,
    ),
    Case(
        "chats conversation shop {chat} {conversation}",
        f"GET {R}/chats/{{chat}}/conversations/{{conversation}}",
        "{conversation}",
        "uuid",
        OPENAPI,
    ),
    Case("knowledge add text {replica} Hi", f"POST {R}/knowledge-base", "taken in", "results"),
    Case(
        "knowledge add text {replica} - ", f"POST {R}/knowledge-base", "taken in", "results", typed="Hi there"
    ),
    Case(
        "knowledge add text {replica} Hi --wait",
        (f"POST {R}/knowledge-base", f"GET {R}/knowledge-base/{{entry}}"),
        "VECTOR_CREATED",
        "results",
    ),
    Case(
        "knowledge add url {replica} https://shop.example.com/hours --auto-refresh --wait",
        (f"POST {R}/knowledge-base", f"GET {R}/knowledge-base/{{entry}}"),
        "VECTOR_CREATED",
        "results",
    ),
    Case(
        "knowledge add file {replica} {file} --wait",
        (
            f"POST {R}/knowledge-base",
            "PUT /storage/v1/upload",
            f"GET {R}/knowledge-base/{{entry}}",
        ),
        "VECTOR_CREATED",
        "results",
    ),
    Case("knowledge list {replica} --type text --newest-first", f"GET {R}/knowledge-base", "text", "items"),
    Case(
        "knowledge show {replica} {entry}", f"GET {R}/knowledge-base/{{entry}}", "We open at nine", "status"
    ),
    Case(
        "knowledge show {replica} {entry} --wait",
        f"GET {R}/knowledge-base/{{entry}}",
        "answers with it",
        "status",
    ),
    Case(
        "knowledge update {replica} {entry} --text Closed",
        either("PATCH", "/knowledge-base/{entry}", "/training/{entry}")
        | {"guide": f"PUT {R}/training/{{entry}}"},
        "changed",
        "changed",
    ),
    Case(
        "knowledge delete {replica} {entry} -y",
        either("DELETE", "/knowledge-base/{entry}", "/training/{entry}"),
        "entry {entry}",
        "deleted",
    ),
    Case(
        "training add {replica} Hi",
        (f"POST {R}/training", f"PUT {R}/training/{{entry}}"),
        "entry",
        "id",
        GUIDE,
    ),
    Case(
        "training upload {replica} {file}",
        (f"GET {R}/training/files/upload", "PUT /storage/v1/upload"),
        "entry",
        "id",
        GUIDE,
    ),
    Case("training show {replica} {entry}", f"GET {R}/training/{{entry}}", "PROCESSING", "status", GUIDE),
    Case("training update {replica} {entry} Closed", f"PUT {R}/training/{{entry}}", "entry", "id", GUIDE),
    Case("training delete {replica} {entry} -y", f"DELETE {R}/training/{{entry}}", "entry", "deleted", GUIDE),
    Case("integrations list", "GET /v1/replicas", "no integrations", "items"),
    Case(
        "integrations add-telegram {replica} --name nel_bot",
        either("POST", "/integrations/telegram", "/telegram"),
        "done",
        "id",
        typed=f"{BOT_TOKEN}\n",
    ),
    Case(
        "integrations add-discord {replica} --bot-token-file -",
        f"POST {R}/integrations/discord",
        "done",
        "",
        OPENAPI,
        typed=f"{DISCORD_TOKEN}\n",
    ),
    Case("analytics growth shop", f"GET {R}/analytics/conversations/historical", "█", "items"),
    Case("analytics sources shop", f"GET {R}/analytics/conversations/sources", "%", "items"),
    Case(
        "keys redeem AB12 --organization-name Acme --name Ada --email ada@example.com --save {new}",
        "POST /v1/api-keys/invites/{code}/redeem",
        "secret_file",
        "secretFile",
    ),
    Case("health", "GET /v1/healthcheck", "OK", "services"),
)
APART = {"integrations remove-telegram"}
"""Needs a bot that is there: it has tests of its own."""


def leaves(group: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from leaves(command, (*words, name))
    else:
        yield " ".join(words), group


COMMANDS = dict(leaves(verb("sensay")))


@pytest.fixture(scope="module", params=BOTH)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliWorld]:
    with cli_world(tmp_path_factory.mktemp("cli"), request.param) as world:
        yield world


@pytest.fixture
def world(served: CliWorld) -> Iterator[CliWorld]:
    yield served
    served.reset()


@pytest.mark.parametrize("as_json", [False, True], ids=["people", "machines"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
def test_a_command_reaches_its_endpoint_and_tells_what_came_of_it(
    world: CliWorld, case: Case, as_json: bool, tmp_path: Path
):
    if world.dialect not in case.dialects:
        pytest.skip("the dialect has no such request: see below")
    (tmp_path / "hours.txt").write_text("Open from nine to five.")
    places = asdict(world.scene()) | {"file": tmp_path / "hours.txt", "new": tmp_path / "key"}
    words = [word.format(**places) for word in case.words.split()]
    result = world.run(*words, *(["--json"] if as_json else []), typed=case.typed)

    assert result.exit_code == 0, result.output
    assert world.reached() == case.endpoints(world.dialect)
    if as_json:
        assert case.key in {"", *json.loads(result.stdout)}
    else:
        assert case.says.format(**places) in result.output
    assert [] == [
        secret for secret in (SECRET, OURS, BOT_TOKEN, DISCORD_TOKEN, "AB12") if secret in result.output
    ]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.dialects != BOTH], ids=lambda case: case.words
)
def test_what_a_dialect_does_not_have_is_told_before_anything_is_sent(
    world: CliWorld, case: Case, tmp_path: Path
):
    if world.dialect in case.dialects:
        pytest.skip("it has it")
    (tmp_path / "hours.txt").write_text("Open from nine to five.")
    places = asdict(world.scene()) | {"file": tmp_path / "hours.txt"}
    result = world.run(*(word.format(**places) for word in case.words.split()), typed=case.typed)

    assert result.exit_code == 1
    assert "error[InvalidArguments]: " in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert world.sent == []


def test_the_telegram_bot_that_sensay_runs_is_stopped(world: CliWorld):
    replica = world.scene().replica
    world.run("integrations", "add-telegram", replica, "--name", "nel_bot", typed=f"{BOT_TOKEN}\n")
    shown = world.run("integrations", "list")
    listed = world.json("integrations", "list")
    stopped = world.json("integrations", "remove-telegram", replica, "--yes")

    assert "nel_bot" in shown.stdout
    assert [
        {"uuid": replica, "slug": "nel", "platform": "telegram", "name": "nel_bot", "here": None}
    ] == listed["items"]
    assert BOT_TOKEN not in shown.output + json.dumps(listed)
    assert "message" in stopped  # a bot within its first minute: a 202


# --- nothing is left out ---


def test_every_command_is_tried():
    tried = {name for name in COMMANDS for case in CASES if f"{case.words} ".startswith(f"{name} ")}

    assert set(COMMANDS) - APART == tried


def test_the_commands_reach_every_endpoint_of_the_sandbox():
    reached = {
        endpoint for case in CASES for dialect in case.dialects for endpoint in case.endpoints(dialect)
    }
    of_its_own = {f"DELETE {R}/telegram", f"DELETE {R}/integrations/telegram"}

    assert {f"{route.method} {route.path}" for route in SensaySandbox().table} <= reached | of_its_own


def test_every_command_prints_json_and_takes_the_same_options():
    for name, command in COMMANDS.items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "-v", "-c", "--admin", "--token", "--organization", "--max-wait"} <= options, name


def test_a_replica_goes_by_its_bots_name_its_uuid_and_its_slug(world: CliWorld):
    names = ["shop", SUPPORT, "support", SUPPORT.upper()]

    assert {SUPPORT} == {world.json("replicas", "show", name)["uuid"] for name in names}
