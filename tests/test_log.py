"""The log under trouble: floods of the same failure, and nobody at the other end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.sandbox.server import Sandbox
from gateway.telemetry.repeats import EVERY, MOST, Repeats
from tests.e2e.process import PATIENCE, ROOT, configuration, eventually, write_configuration


def record(event: str = "bot.degraded", level: int = logging.WARNING, **fields: Any) -> logging.LogRecord:
    return logging.LogRecord("gateway", level, "", 0, {"event": event, **fields}, None, None)


def of_library(text: str, *words: Any) -> logging.LogRecord:
    return logging.LogRecord("discord", logging.WARNING, "", 0, text, words, None)


def counts(repeats: Repeats, now: float) -> list[int]:
    return [summary.repeated for summary in repeats.over(now)]


def test_the_first_is_written_and_the_others_of_its_minute_become_a_count():
    repeats = Repeats()
    written = [repeats.take(record(bot="shop", error="down"), at) for at in (0.0, 1.0, 59.0)]
    early, late = counts(repeats, EVERY - 1), counts(repeats, EVERY)
    still = repeats.take(record(bot="shop", error="down"), EVERY + 1)

    assert [True, False, False] == written
    assert ([], [2]) == (early, late)
    assert not still, "a minute begins anew with its summary"
    assert [1] == counts(repeats, 2 * EVERY)
    assert [] == counts(repeats, 3 * EVERY)
    assert repeats.take(record(bot="shop", error="down"), 3 * EVERY + 1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (record(bot="a", seconds=1.0), record(bot="a", seconds=2.5), True),
        (record(bot="a", request_id="r1"), record(bot="a", request_id="r2"), True),
        (record(bot="a"), record(bot="b"), False),
        (record(bot="a", error="down"), record(bot="a", error="refused"), False),
        (record("turn.completed", reference="t1"), record("turn.completed", reference="t2"), False),
        (record(bot="a"), record(bot="a", level=logging.ERROR), False),
        (of_library("again in %.1fs", 1.5), of_library("again in %.1fs", 9.0), True),
        (of_library("%s is late", "one"), of_library("%s is late", "two"), False),
    ],
)
def test_lines_are_the_same_when_their_words_are(
    one: logging.LogRecord, other: logging.LogRecord, same: bool
):
    repeats = Repeats()
    repeats.take(one, 0.0)

    assert same is not repeats.take(other, 1.0)


def test_what_is_no_failure_is_always_written():
    repeats = Repeats()

    assert all(repeats.take(record("turn.completed", logging.INFO), 0.0) for _ in range(3))


def test_different_failures_do_not_pile_up():
    repeats = Repeats()
    for number in range(MOST + 50):
        repeats.take(record(error=f"number {number}"), 0.0)
        repeats.take(record(error=f"number {number}"), 0.0)
        told = counts(repeats, 0.0)

    assert [1] == told, "the oldest makes room, and its count is told"
    assert len(repeats._known) == MOST


SCRIPT = """
import logging, structlog
from gateway.telemetry import Mask, configure_logs
configure_logs({format!r}, "info", Mask())
for n in range(500):
    structlog.get_logger("gateway").warning("bot.degraded", bot="shop", error="down", seconds=n)
    logging.getLogger("telegram").warning("no answer after %d s", n)
"""


async def said(**how: Any) -> list[str]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT.format(**how), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    out, _ = await asyncio.wait_for(program.communicate(), PATIENCE)
    assert program.returncode == 0
    return out.decode().splitlines()


async def test_a_flood_is_two_lines_also_at_the_end_of_the_process():
    lines = [json.loads(line) for line in await said(format="json")]

    assert [
        ("bot.degraded", None),
        ("library.logged", None),
        ("bot.degraded", 499),
        ("library.logged", 499),
    ] == [(line["event"], line.get("repeated")) for line in lines]


async def test_text_for_people_is_one_readable_line():
    first = (await said(format="text"))[0]

    assert "\x1b" not in first
    assert "[warning" in first
    assert "bot=shop" in first
    assert "error=down" in first


@pytest.mark.e2e
async def test_a_gateway_whose_log_nobody_reads_any_more_goes_on_serving(sandbox: Sandbox, tmp_path: Path):
    path = write_configuration(tmp_path, configuration(sandbox, tmp_path))
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "-c", str(path), stdout=writing, stderr=writing, cwd=ROOT
    )
    os.close(writing)
    try:
        admin = await asyncio.to_thread(_admin, reading)
        os.close(reading)
        async with ClientSession() as http:

            async def restart() -> int:
                async with http.post(f"{admin}/-/bots/support/restart") as answer:
                    return answer.status

            statuses = {await restart() for _ in range(3)}

            async def ready() -> int:
                async with http.get(f"{admin}/readyz") as answer:
                    return answer.status

            await eventually(ready, lambda status: status == 200)
        process.send_signal(signal.SIGTERM)

        assert {200} == statuses
        assert 0 == await asyncio.wait_for(process.wait(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()


def _admin(reading: int) -> str:
    with os.fdopen(os.dup(reading)) as log:
        for line in log:
            if json.loads(line)["event"] == "gateway.started":
                return str(json.loads(line)["admin"])
    raise AssertionError("it ended")
