"""Every endpoint on every side: the page, the guide's rows, the client's table, the sandbox, the commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from ruamel.yaml import YAML

from gateway.cli.sensay import sensay
from gateway.messages import PlatformName
from gateway.sandbox.sensay import SensaySandbox
from gateway.sensay.api import OPERATIONS, Operation, Sensay
from gateway.sensay.api.history import Reading
from gateway.sensay.api.operation import Channel
from gateway.sensay.dialects import DIALECTS, ENSURE_USER, PROFILE, channel_of
from tests.clock import FakeClock

ROOT = Path(__file__).parents[2]
GUIDE = YAML(typ="safe").load(Path(__file__).with_name("guide.yaml"))
Endpoint = tuple[str, str]


@dataclass(frozen=True)
class Row:
    endpoint: Endpoint
    guide: tuple[str, ...]
    published: Endpoint | None
    """None: the same."""
    methods: tuple[str, ...]
    commands: tuple[str, ...]


def endpoint(text: str) -> Endpoint:
    method, path = text.strip("` ").split(" ")
    return method, re.sub(r"^R(?=/|$)", "/v1/replicas/{replica}", path)


def rows() -> Iterator[Row]:
    """The table of docs/sensay.md."""
    for line in (ROOT / "docs" / "sensay.md").read_text().splitlines():
        if re.match(r"\| `(GET|POST|PUT|PATCH|DELETE) ", line):
            where, guide, published, methods, commands = (
                cell.strip() for cell in line.strip("|").split(" | ")
            )
            yield Row(
                endpoint(where),
                tuple(re.findall(r"\d{3}:\d+", guide)),
                None if published == "the same" else endpoint(published),
                tuple(re.findall(r"`([\w.]+)`", methods)),
                tuple(re.findall(r"`([^`]+)`", commands)),
            )


ROWS = list(rows())
SERVED = {(route.method, route.path): route for route in SensaySandbox().table}


# --- what the client may send ---


def arguments(operation: Operation[Any, Any]) -> list[Any]:
    """Where the address depends on the channel: one of each."""
    channels = get_args(Channel)
    if operation.arguments is Reading:
        return [Reading(replica="r", channel=channel) for channel in (None, *channels)]
    return [operation.arguments(replica="r", content="x", channel=channel) for channel in channels]


def spelt(operation: Operation[Any, Any]) -> set[Endpoint]:
    found: set[Endpoint] = set()
    for spelling in operation.spellings.values():
        if isinstance(spelling.path, str):
            found.add((spelling.method, spelling.path))
        else:
            found |= {(spelling.method, spelling.path(asked)) for asked in arguments(operation)}
    return found


def hot() -> set[Endpoint]:
    """What the bots themselves ask."""
    channels = {channel_of(platform) for platform in get_args(PlatformName)}
    operations = [
        table[channel]
        for dialect in DIALECTS.values()
        for table in (dialect.complete, dialect.history, dialect.record)
        for channel in channels
        if channel in table
    ]
    return {(operation.method, operation.path) for operation in (*operations, ENSURE_USER, PROFILE)}


# --- the sides, two by two ---


def test_the_page_has_every_endpoint_of_the_sandbox_once():
    assert sorted(SERVED) == sorted(row.endpoint for row in ROWS)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_an_operation_of_the_client_is_in_the_rows_of_its_endpoints(operation: Operation[Any, Any]):
    documented = {row.endpoint for row in ROWS if operation.name in row.methods}

    assert spelt(operation)
    assert spelt(operation) == documented


def test_what_the_bots_ask_is_served_and_on_the_page():
    assert hot() <= set(SERVED)
    assert len(hot()) > 10


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.endpoint))
def test_a_row_names_operations_that_exist_and_a_published_form_that_is_served(row: Row):
    assert set(row.methods) <= set(OPERATIONS)
    assert row.methods
    family = SERVED[row.endpoint].extra.family
    assert (row.published is not None) == (family == "guide")
    if row.published is not None:
        assert SERVED[row.published].extra.family != "guide"


def test_each_request_of_the_guide_is_in_the_row_of_its_endpoint():
    shown = {at: row.endpoint for row in ROWS for at in row.guide}
    served, operations = {}, {row.endpoint: row.methods for row in ROWS}
    for request in GUIDE["requests"]:
        method, path = request["send"].split()
        path = re.sub(r"\$(\w+)", r"{\1}", path.partition("?")[0])
        if (method, path) in SERVED:
            served[request["at"]] = (method, path)
            assert request["ours"] in operations[method, path]

    assert served == shown
    assert 43 == len(served)  # the other four ask where there is nothing, to see the headers


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_has_a_method(operation: str):
    family, name = operation.split(".")
    client = Sensay(lambda *_: None, FakeClock())  # type: ignore[arg-type]

    assert hasattr(client, family)
    assert name  # the family decides how its methods are called


# --- the command line ---

OTHERS = {"integrations.list_telegram"}
"""No command of `sensay`: it tells tokens, which other verbs compare."""


def leaves(group: click.Command, words: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(group, click.Group):
        yield words, group
        return
    for name, command in group.commands.items():
        yield from leaves(command, f"{words} {name}".strip())


COMMANDS = dict(leaves(sensay))


def named(words: str) -> str:
    """The command, without the option that a row names."""
    return words.partition(" --")[0]


@pytest.mark.parametrize("words", sorted({words for row in ROWS for words in row.commands}))
def test_a_command_of_the_page_is_there_with_its_options(words: str):
    command, _, option = words.partition(" --")

    assert command in COMMANDS
    options = {name for parameter in COMMANDS[command].params for name in parameter.opts}
    assert not option or f"--{option}" in options


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.endpoint))
def test_a_command_of_a_row_makes_an_operation_of_the_row(row: Row):
    assert row.commands
    for words in row.commands:
        assert set(row.methods) & set(COMMANDS[named(words)].callback.operations), words


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in OTHERS])
def test_an_operation_has_a_command_and_each_that_makes_it_is_in_its_rows(operation: str):
    making = {words for words, command in COMMANDS.items() if operation in command.callback.operations}
    documented = {named(words) for row in ROWS if operation in row.methods for words in row.commands}

    assert making
    assert making <= documented


def test_no_command_is_missing_on_the_page():
    assert set(COMMANDS) == {named(words) for row in ROWS for words in row.commands}
