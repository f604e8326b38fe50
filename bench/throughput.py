"""What a message costs: CPU at a fixed rate and in a burst, how fast a burst is through, how long it waits.

Each design is a process of its own against `peer.py`, on Telegram, all of them in one run:

    gateway    all of it, journal in SQLite with `synchronous=FULL`
    floor      poll, ask, send: `floor.py`
    journaled  the same, and each step in the gateway's own journal first
    script     python-telegram-bot's `Application` and httpx: `afternoon.py`

CPU is user and system time of the process divided by the messages, which tells the same on a busy machine; latencies
and rates are only as good as the machine is quiet. `--profile DIRECTORY` keeps a cProfile of each process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peer import Peer

from gateway.process import run_loop

ROOT = Path(__file__).parents[1]
TREE = Path(os.environ.get("BENCH_TREE", ROOT))
"""Whose gateway is measured: another revision's, for a comparison."""
DESIGNS = ("gateway", "floor", "journaled", "script")
REPLICA = "12345678-1234-1234-1234-123456789abc"
PATIENCE = 60.0
QUIET, LOST = 1.0, 10.0
"""Seconds without a request after which a start is over, without an answer after which the rest count as lost."""
Json = dict[str, Any]


def token(bot: int) -> str:
    return f"{1000 + bot}:benchmark-token-for-the-peer-0000000000"


class Process:
    """The process, by what Linux counts for it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu(self) -> float:
        """Seconds since its start."""
        fields = Path(f"/proc/{self.pid}/schedstat").read_text().split()
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9 if fields else 0

    def resident(self) -> float:
        """MiB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def configuration(address: str, folder: Path, bots: int) -> Path:
    quota = {"requests_per_minute": 10_000_000, "completions_per_hour": 10_000_000}
    document = {
        "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
        "journal": f"sqlite:///{folder}/journal.db",
        "sensay": {"base_url": address},
        "platforms": {"telegram": {"api_url": address}},
        "organizations": {"bench": {"secret": "bench-secret", "quota": quota}},
        "bots": {
            f"bot{bot}": {"replica": REPLICA, "limits": {"user": "off"}, "telegram": {"token": token(bot)}}
            for bot in range(bots)
        },
    }
    path = folder / "gateway.yaml"
    path.write_text(json.dumps(document))
    return path


def command(design: str, address: str, folder: Path, bots: int) -> list[str]:
    """How a design is started."""
    tokens = ",".join(map(token, range(bots)))
    match design:
        case "gateway":
            return ["-m", "gateway", "run", "-c", str(configuration(address, folder, bots))]
        case "floor":
            return ["bench/floor.py", address, tokens, "bench-secret", REPLICA]
        case "journaled":
            journal = str(folder / "floor.db")
            return ["bench/floor.py", "--journal", journal, address, tokens, "bench-secret", REPLICA]
        case _:
            return ["bench/afternoon.py", address, tokens, "bench-secret", REPLICA]


@asynccontextmanager
async def running(
    peer: Peer, bots: int, design: str = "gateway", profile: Path | None = None
) -> AsyncIterator[Process]:
    """A process of this design whose bots all poll."""
    with tempfile.TemporaryDirectory() as folder:
        address, known = await peer.open(), Path(folder)
        profiling = ["-m", "cProfile", "-o", str(profile)] if profile else []
        with (known / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *profiling,
                *command(design, address, known, bots),
                cwd=TREE,
                env={**os.environ, "PYTHONPATH": str(TREE)},
                stdout=log,
                stderr=log,
            )
            try:
                await until(lambda: peer.polled() == bots)
                await settled(lambda: sum(peer.requests.values()))  # menus are set, profiles fetched
                yield Process(process.pid)
            finally:
                process.terminate()
                await process.wait()
                peer.close()


async def settled(count: Callable[[], int], enough: int | None = None) -> None:
    """Until there are enough, or nothing was added for a while."""
    before, changed = count(), time.monotonic()
    while count() != enough and time.monotonic() - changed < (QUIET if enough is None else LOST):
        await asyncio.sleep(0.01)
        if count() != before:
            before, changed = count(), time.monotonic()


async def until(good: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not good():
        if time.monotonic() > end:
            raise RuntimeError("it took too long")
        await asyncio.sleep(0.01)


async def messages(
    peer: Peer, process: Process, bots: int, users: int, count: int, rate: float | None
) -> Json:
    """So many messages, spread over bots and users; all at once without a rate."""
    peer.forget()
    began, spent = time.monotonic(), process.cpu()
    for number in range(count):
        if rate:
            await asyncio.sleep(began + number / rate - time.monotonic())
        bot, user = number % bots, (number // bots) % users
        peer.say(token(bot), 10_000 + bot * users + user, f"Question {number}?")
    first = time.perf_counter()
    await settled(lambda: len(peer.heard), count)
    await asyncio.sleep(0.3)  # what is left to do when the answer is out belongs to the message, too
    cpu = process.cpu() - spent
    begin = min(peer.said.values()) if rate else first
    whole = [heard - peer.said[text] for text, heard in peer.heard.items()]
    added = [
        all_ - (peer.answered[text] - peer.asked[text]) for all_, text in zip(whole, peer.heard, strict=True)
    ]
    cuts, wholly = (statistics.quantiles(times, n=100, method="inclusive") for times in (added, whole))
    return {
        "messages": count,
        "lost": count - len(peer.heard),
        "cpu_ms": round(1000 * cpu / count, 2),
        "added_p50_ms": round(1000 * cuts[49], 1),
        "added_p99_ms": round(1000 * cuts[98], 1),
        "whole_p99_ms": round(1000 * wholly[98], 1),
        "per_second": round(len(peer.heard) / (max(peer.heard.values()) - begin), 1),
        "requests": {name: round(n / count, 2) for name, n in peer.requests.items()},
        "load": round(os.getloadavg()[0], 2),
    }


async def steady(design: str, profile: Path | None) -> Json:
    peer = Peer()
    async with running(peer, 1, design, profile) as process:
        fresh = process.resident()
        await messages(peer, process, 1, 40, 40, 20.0)
        found = await messages(peer, process, 1, 40, 200, 20.0)
        return found | {"rss_mib": fresh, "rss_after_mib": process.resident()}


async def burst(design: str, profile: Path | None) -> Json:
    """One to each of 200 bots, the first that they hear; then 20 to each."""
    peer = Peer()
    async with running(peer, 200, design, profile) as process:
        fresh = process.resident()
        first = await messages(peer, process, 200, 1, 200, None)
        again = await messages(peer, process, 200, 1, 200, None)
        many = await messages(peer, process, 200, 20, 4000, None)
        return {
            "first": first,
            "again": again,
            "many": many,
            "rss_mib": fresh,
            "rss_after_mib": process.resident(),
        }


async def chats(design: str, profile: Path | None) -> Json:
    """500 people at once, for each of whom Sensay thinks a second."""
    peer = Peer(delay=1.0)
    async with running(peer, 50, design, profile) as process:
        await messages(peer, process, 50, 2, 100, None)
        return await messages(peer, process, 50, 10, 500, None)


RUNS = {"steady": steady, "burst": burst, "chats": chats}
ROWS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("CPU a message at 20/s", ("steady", "cpu_ms"), "{:.2f} ms", "≤ 3.6"),
    ("added at 20/s, p50", ("steady", "added_p50_ms"), "{:.1f} ms", "≤ 4"),
    ("added at 20/s, p99", ("steady", "added_p99_ms"), "{:.1f} ms", "≤ 8"),
    ("CPU a message in a burst of 4,000", ("burst", "many", "cpu_ms"), "{:.2f} ms", "≤ 1.1"),
    ("burst of 4,000 to 200 bots", ("burst", "many", "per_second"), "{:.0f}/s", "≥ 900"),
    ("… never answered", ("burst", "many", "lost"), "{}", "0"),
    ("first burst, one to each of 200, p99", ("burst", "first", "whole_p99_ms"), "{:.0f} ms", "≤ 500"),
    ("the next one, p99", ("burst", "again", "whole_p99_ms"), "{:.0f} ms", "≤ 500"),
    ("500 chats at once, 1 s upstream", ("chats", "per_second"), "{:.0f}/s", "≥ 300"),
    ("one bot, resident", ("steady", "rss_mib"), "{:.0f} MiB", "≤ 57"),
    ("200 bots, resident", ("burst", "rss_mib"), "{:.0f} MiB", "≤ 72"),
)
"""What it is called, where it is found, how it is written, what is wanted. 60 and 75 MB are 57 and 72 MiB."""


def table(results: Json) -> str:
    """Markdown; a column a design."""

    def cell(design: str, path: tuple[str, ...], form: str) -> str:
        value: Any = results[design]
        for key in path:
            value = value.get(key, {})
        return form.format(value) if value != {} else "-"

    lines = [f"| | {' | '.join(results)} | target |", "|---" * (len(results) + 2) + "|"]
    lines += [
        f"| {name} | {' | '.join(cell(design, path, form) for design in results)} | {target} |"
        for name, path, form, target in ROWS
    ]
    return "\n".join(lines)


def machine() -> Json:
    versions = {name: version(name) for name in ("aiohttp", "apsw", "python-telegram-bot", "uvloop")}
    cores = os.cpu_count()
    return {"python": sys.version.split()[0], "cores": cores, "kernel": os.uname().release, **versions}


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU a message, rates and waits, on Telegram.")
    parser.add_argument("runs", nargs="*", default=list(RUNS), metavar="|".join(RUNS))
    parser.add_argument("--design", action="append", choices=DESIGNS, help="only this; may be given again")
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    given = parser.parse_args()
    results: Json = {}

    async def run() -> None:
        for name in given.runs:  # the designs side by side: the machine may be busier in an hour
            for design in given.design or DESIGNS:
                profile = given.profile / f"{design}-{name}.prof" if given.profile else None
                results.setdefault(design, {})[name] = found = await RUNS[name](design, profile)
                print(json.dumps({design: {name: found}}), file=sys.stderr, flush=True)

    before = os.getloadavg()[0]
    run_loop(run)
    about = {**machine(), "load_before": round(before, 2)}
    print(", ".join(f"{name} {value}" for name, value in about.items()) + "\n\n" + table(results))
    if given.json:
        given.json.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
