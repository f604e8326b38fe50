"""A part of the kill matrix in each run: every step once, every channel. All of it: `make kill-matrix`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.sandbox.server import Sandbox
from tests.e2e.kill_matrix import BEGIN, END, PAGE, cell_of, expected, told_by_platform
from tests.e2e.killed import POINTS
from tests.e2e.ordeal import ROWS, Ways, ordeal
from tests.valkey import Server

DROP, REPEAT = Ways("telegram", "drop"), Ways("telegram", "retry_once")
DISCORD, WEB, WEBHOOK = Ways("discord"), Ways("web"), Ways("webhook")
HERE = [
    (WEBHOOK, "received"),
    (DISCORD, "journaled"),
    (DROP, "acknowledged"),
    (WEB, "claimed"),
    (WEB, "requested"),
    (REPEAT, "sent"),
    (DROP, "sending"),
    (DISCORD, "sent"),
]


@pytest.mark.e2e
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("ways", "point"), HERE, ids=[f"{ways.platform}-{point}" for ways, point in HERE])
async def test_a_kill_costs_what_is_promised_and_no_more(
    sandbox: Sandbox, tmp_path: Path, ways: Ways, point: str
) -> None:
    assert expected(ways, point) == await ordeal(sandbox, tmp_path, ways, point)


@pytest.mark.e2e
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("ways", "point"), HERE, ids=[f"{ways.platform}-{point}" for ways, point in HERE])
async def test_a_kill_costs_the_same_with_the_journal_on_a_server(
    sandbox: Sandbox, tmp_path: Path, ways: Ways, point: str
) -> None:
    with Server(tmp_path / "server", "--appendonly", "yes") as server:
        assert expected(ways, point) == await ordeal(sandbox, tmp_path, ways, point, server)


def test_the_published_table_is_whole_and_promises_what_is_required() -> None:
    table = PAGE.read_text().split(BEGIN)[1].split(END)[0].strip().splitlines()
    cells = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in table[2:]}

    assert set(POINTS.values()) == set(cells)
    for point, name in POINTS.items():
        for ways, cell in zip(ROWS, cells[name], strict=True):
            promised = cell_of(expected(ways, point)) if told_by_platform(ways, point) else cell_of(None)

            assert promised == cell, (name, ways)
