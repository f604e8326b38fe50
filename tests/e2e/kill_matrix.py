"""`make kill-matrix`: every step on every channel, and the table of docs/discussion/delivery.md.

`python -m tests.e2e.kill_matrix valkey` goes through all of it with the journal on a server, where the same holds.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from gateway.sandbox.server import Sandbox
from tests.e2e.killed import POINTS
from tests.e2e.ordeal import ROWS, Toll, Ways, ordeal
from tests.valkey import Server

PAGE = Path(__file__).parents[2] / "docs" / "discussion" / "delivery.md"
BEGIN, END = "<!-- kill-matrix: begin -->\n", "<!-- kill-matrix: end -->"


def told_by_platform(ways: Ways, point: str) -> bool:
    """Discord is never told that an event was taken: there is nothing to die after."""
    return (ways.platform, point) != ("discord", "acknowledged")


def expected(ways: Ways, point: str) -> Toll:
    """What is promised: nothing lost, nothing asked twice, and one window on Telegram with a choice."""
    in_window = ways.platform == "telegram" and point in ("sending", "sent")
    dropped = in_window and ways.unknown_send == "drop"
    repeated = in_window and ways.unknown_send == "retry_once" and point == "sent"
    return Toll(lost=0, asked_twice=0, seen_twice=int(repeated), dead_letters=int(dropped))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def one(ways: Ways, point: str, on_server: bool) -> Toll:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        server = None
        if on_server:
            server = stack.enter_context(Server(Path(folder) / "server", "--appendonly", "yes"))
        async with Sandbox() as box:
            return await ordeal(box, Path(folder), ways, point, server)


async def all_of_it(on_server: bool) -> dict[tuple[Ways, str], Toll]:
    tolls = {}
    for ways in ROWS:
        for point in POINTS:
            if told_by_platform(ways, point):
                toll = tolls[ways, point] = await one(ways, point, on_server)
                say(f"{ways!s:<42} {POINTS[point]:<24} {toll}")
    return tolls


def table(tolls: dict[tuple[Ways, str], Toll]) -> str:
    head = "| killed when | " + " | ".join(map(str, ROWS)) + " |"
    lines = [head, "|---" * (len(ROWS) + 1) + "|"]
    for point, name in POINTS.items():
        lines.append(f"| {name} | " + " | ".join(cell_of(tolls.get((ways, point))) for ways in ROWS) + " |")
    return "\n".join(lines) + "\n"


def cell_of(toll: Toll | None) -> str:
    if toll is None:
        return "–"
    cell = f"{toll.lost} / {toll.asked_twice} / {toll.seen_twice}"
    return cell + (f" ({toll.dead_letters} unknown)" if toll.dead_letters else "")


def main() -> None:
    on_server = "valkey" in sys.argv
    tolls = asyncio.run(all_of_it(on_server))
    if not on_server:
        page = PAGE.read_text()
        before, rest = page.split(BEGIN)
        PAGE.write_text(before + BEGIN + table(tolls) + END + rest.split(END)[1])
    broken = {key: toll for key, toll in tolls.items() if toll != expected(*key)}
    for (ways, point), toll in broken.items():
        say(f"not as promised: {ways}, {POINTS[point]}: {toll}")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
