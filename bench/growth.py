"""What a turn costs as the number of pods and of bots grows. `make bench-growth`

CPU a turn, of all gateway processes together, with 50 bots in 1, 2 and 4 pods over one Valkey at 25 turns a second for
each pod (the busier a process is, the more turns share one wake-up, so pods are compared at the same load), and with 50
to 2,000 bots in one pod at 100 a second, over SQLite and over Valkey. All people said something before; ten bots share
an organisation, so that pods can share the organisations. The last case is one organisation for all 2,000 bots. What an
idle process uses is measured too, with long polls that come back empty as often as Telegram lets them, and taken off:
"a turn" is what a turn adds. Writes `docs/discussion/growth.json` and its picture.

CPU is user and system time as Linux counts it; what else a machine does can only add to it, so of several `--rounds`
the least counts. Waits are not told: they depend on the machine. The peers are raw sockets (`peer.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from peer import Peer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from adapters.telegram import menu  # noqa: E402 - found through the line above
from gateway.app import SystemClock  # noqa: E402
from gateway.cli.run import SETTLED  # noqa: E402
from gateway.journal import open_journal  # noqa: E402
from gateway.process import run_loop  # noqa: E402
from tests.valkey import Server  # noqa: E402

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
RATE, POD_RATE = 100.0, 25.0
"""Turns a second: where bots are counted, and of each pod where pods are."""
SECONDS, FEWEST, QUIET = 4.0, 200, 3.0
"""How long turns are measured, and how many at least; how long idleness is."""
STEADY = 0.1
"""What a cost may rise by and is still called the same."""
PATIENCE = 90.0
REPLICA = "12345678-1234-1234-1234-123456789abc"
ACCOUNT = 7
"""Who each of the peer's bots is."""
POLL = 50.0
"""Seconds of a long poll."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    journal: str
    pods: int
    bots: int
    shared: int = 10
    """Bots to an organisation."""
    rate: float = RATE

    @property
    def turns(self) -> int:
        return max(FEWEST, int(self.rate * SECONDS))


BOTS, PODS = (50, 200, 1000, 2000), (1, 2, 4)
CASES = (
    *(Case("Valkey", pods, 50, rate=pods * POD_RATE) for pods in PODS),
    *(Case(journal, 1, bots) for bots in BOTS for journal in ("SQLite", "Valkey")),
    Case("SQLite", 1, 2000, shared=2000),
)
QUICK = (*CASES[:2], *(Case("SQLite", 1, bots) for bots in (50, 200)))
PICTURE = ROOT / "docs" / "discussion" / "growth.svg"


def token(bot: int) -> str:
    return f"{1000 + bot}:benchmark-token-for-the-peer-0000000000"


class Pods:
    """All gateway processes of a case, as Linux counts them."""

    def __init__(self, processes: list[asyncio.subprocess.Process]) -> None:
        self.pids = [process.pid for process in processes]

    def cpu(self) -> float:
        """Seconds since their start."""
        return sum(map(cpu, self.pids))

    def resident(self) -> float:
        """MiB."""
        return sum(map(resident, self.pids))


def cpu(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def resident(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def configuration(case: Case, address: str, journal: str) -> Json:
    quota = {"requests_per_minute": 10_000_000, "completions_per_hour": 10_000_000}
    organizations = -(-case.bots // case.shared)
    return {
        "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
        "journal": journal,
        "sensay": {"base_url": address},
        "platforms": {"telegram": {"api_url": address}},
        "organizations": {
            f"o{n}": {"secret": f"bench-secret-{n}", "quota": quota} for n in range(organizations)
        },
        "bots": {
            f"bot{bot}": {
                "organization": f"o{bot // case.shared}",
                "replica": REPLICA,
                "limits": {"user": "off"},
                "telegram": {"token": token(bot)},
            }
            for bot in range(case.bots)
        },
    }


@asynccontextmanager
async def started(case: Case, peer: Peer, folder: Path, server: Server | None) -> AsyncIterator[Pods]:
    """So many processes, whose bots all poll and have heard something."""
    journal = server.url if server else f"sqlite:///{folder}/journal.db"
    path, processes = folder / "gateway.yaml", []
    path.write_text(json.dumps(configuration(case, await peer.open(), journal)))
    await set_menus(journal, case.bots)
    with (folder / "gateway.log").open("wb") as log:
        try:
            for _ in range(case.pods):
                command = [sys.executable, "-m", "gateway", "run", "-c", str(path)]
                processes.append(
                    await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=log)
                )
            await until(lambda: joined(folder / "gateway.log", case.pods))
            await until(lambda: peer.polled() == case.bots)
            over = time.monotonic() + SETTLED + 1.0
            await turns(peer, case, 2 * RATE)  # the people are known from here on
            await asyncio.sleep(over - time.monotonic())  # channels have moved, the start is over
            await until(lambda: peer.polled() == case.bots)
            yield Pods(processes)
        finally:
            for process in processes:
                process.terminate()
            await asyncio.gather(*(process.wait() for process in processes))
            peer.close()


async def set_menus(url: str, bots: int) -> None:
    """Menus are set once in a bot's life, and slowly."""
    journal = open_journal(url, SystemClock())
    await journal.open()
    for bot in range(bots):
        await journal.remember(f"bot{bot}/telegram", "commands", menu.mark(ACCOUNT))
    await journal.close()


async def until(good: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not good():  # noqa: ASYNC110 - processes tell no event
            await asyncio.sleep(0.05)


def joined(log: Path, pods: int) -> bool:
    """Whether somebody knows of all of them."""
    if pods == 1:
        return True
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"members.changed"' in line]
    return max((len(line["members"]) for line in lines), default=0) == pods


async def idle(peer: Peer, pods: Pods, bots: int, seconds: float) -> float:
    """CPU seconds a second while nobody writes, with long polls that end as often as they would."""
    names, began, spent = [token(bot) for bot in range(bots)], time.monotonic(), pods.cpu()
    for number in range(int(bots * seconds / POLL)):
        await asyncio.sleep(began + number * POLL / bots - time.monotonic())
        bot = peer.bots[names[number % bots]]
        if bot.holder is not None:
            holder, bot.holder = bot.holder, None
            holder.answer([])
    await asyncio.sleep(began + seconds - time.monotonic())
    return (pods.cpu() - spent) / (time.monotonic() - began)


async def turns(peer: Peer, case: Case, rate: float) -> None:
    """So many questions, one after the other to each bot, from people of their own; until all are answered."""
    peer.forget()
    began = time.monotonic()
    for number in range(case.turns):
        await asyncio.sleep(began + number / rate - time.monotonic())
        peer.say(token(number % case.bots), 10_000 + number, f"Question {number}?")
    await until(lambda: len(peer.heard) == case.turns)
    await asyncio.sleep(0.3)  # what is left to do when the answer is out belongs to the turn, too


def served(server: Server) -> Json:
    """What the server has done and holds."""
    assert server.process is not None
    with server.client() as client:
        stats: Any = client.info()
    return {
        "cpu": cpu(server.process.pid),
        "calls": stats["total_commands_processed"],
        "sent": stats["total_net_input_bytes"] + stats["total_net_output_bytes"],
        "memory": stats["used_memory"],
    }


async def measure(case: Case) -> Json:
    peer = Peer()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = (
            stack.enter_context(Server(folder / "server", *DURABLE)) if case.journal == "Valkey" else None
        )
        pods = await stack.enter_async_context(started(case, peer, folder, server))
        rest = await idle(peer, pods, case.bots, QUIET)
        before, began, was = served(server) if server else {}, time.monotonic(), pods.cpu()
        await turns(peer, case, case.rate)
        whole, seconds = pods.cpu() - was, time.monotonic() - began
        after = served(server) if server else {}
        spent = {f"server_{name}": round((after[name] - old) / case.turns, 6) for name, old in before.items()}
        return {
            "turn_ms": round(1000 * (whole - rest * seconds) / case.turns, 2),
            "idle_percent": round(100 * rest, 2),
            "memory_mib": round(pods.resident(), 1),
            **spent,
        }


# --- what is shown ---


def table(results: dict[Case, Json]) -> str:
    lines = [
        "| journal | pods | bots | organisations | turns/s | CPU a turn | idle CPU | memory | server a turn |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for case, found in results.items():
        server = ""
        if "server_cpu" in found:
            spent, kept = 1000 * found["server_cpu"], found["server_memory"] / 1000
            server = f"{spent:.1f} ms · {found['server_calls']:.0f} commands · {kept:.1f} kB"
        whose = f"{case.bots:,} | {-(-case.bots // case.shared)} | {case.rate:g}"
        lines.append(
            f"| {case.journal} | {case.pods} | {whose} | {found['turn_ms']:.2f} ms"
            f" | {found['idle_percent']:.2f} % | {found['memory_mib']:.0f} MiB | {server} |"
        )
    return "\n".join(lines)


def lines(results: dict[Case, Json]) -> dict[str, list[tuple[int, float]]]:
    """What is drawn: name → (how many, milliseconds)."""
    plain = {case: found["turn_ms"] for case, found in results.items() if case.shared == Case.shared}
    full = {case: cost for case, cost in plain.items() if case.rate == RATE and case.pods == 1}
    drawn = {
        f"bots in one pod, {journal}": [
            (case.bots, cost) for case, cost in full.items() if case.journal == journal
        ]
        for journal in ("SQLite", "Valkey")
    }
    pods = [(case.pods, cost) for case, cost in plain.items() if case.rate == case.pods * POD_RATE]
    named = {**drawn, "pods with 50 bots, Valkey": pods}
    return {name: sorted(points) for name, points in named.items() if points}


def verdicts(results: dict[Case, Json]) -> list[str]:
    """Whether a cost grows along its line, beside its first point; that it falls is noise, and said, too."""
    said = []
    for name, points in lines(results).items():
        (start, first), *others = points
        changes = [cost / first - 1 for _, cost in others] or [0.0]
        verdict = "does not grow" if max(changes) <= STEADY else "GROWS"
        said.append(f"{name}: {verdict}; {min(changes):+.0%} to {max(changes):+.0%} beside {start}")
    return said


WIDE, HIGH, LEFT, TOP, PLOT = 920, 330, 60, 60, 210
COLOURS = ("#0f766e", "#1d4ed8", "#c2410c")


def draw(results: dict[Case, Json]) -> str:
    """Two panels beside each other: by bots and by pods. From zero, so that flat looks flat."""
    drawn = lines(results)
    most = 1.25 * max(cost for points in drawn.values() for _, cost in points)
    *bots, pods = drawn.items()
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDE}" height="{HIGH}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15">CPU of a turn, in milliseconds, all processes together</text>',
        *panel(LEFT, 500, most, bots, COLOURS),
        *panel(LEFT + 580, 240, most, [pods], COLOURS[1:]),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def panel(left: int, width: int, most: float, drawn: Any, colours: tuple[str, ...]) -> list[str]:
    """One point a column; the columns are as far from each other as if each step were the same."""
    numbers = sorted({number for _, points in drawn for number, _ in points})
    ground = TOP + PLOT
    parts = []
    for value in range(0, int(most) + 1, 2):
        y = ground - PLOT * value / most
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.0f}" y2="{y:.0f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end" fill="#6b7280">{value}</text>')
    at = {number: left + width * (i + 0.5) / len(numbers) for i, number in enumerate(numbers)}
    for number, x in at.items():
        parts.append(
            f'<text x="{x:.0f}" y="{ground + 20}" text-anchor="middle" fill="#6b7280">{number:,}</text>'
        )
    for row, ((name, points), colour) in enumerate(zip(drawn, colours, strict=False)):
        places = [(at[number], ground - PLOT * cost / most) for number, cost in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (number, cost) in zip(places, points, strict=True):
            title = f"<title>{name}: {number:,}, {cost} ms</title>"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">{title}</circle>')
        parts.append(f'<text x="{left}" y="{ground + 44 + 16 * row}" fill="{colour}">{name}</text>')
    return parts


def least(rounds: list[Json]) -> Json:
    """Of each figure."""
    return {name: min(found[name] for found in rounds) for name in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description="CPU a turn by number of pods and bots: four to five minutes."
    )
    parser.add_argument("--quick", action="store_true", help="four small cases in a minute; writes nothing")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    cases = QUICK if given.quick else CASES
    seen: dict[Case, list[Json]] = {case: [] for case in cases}
    for number in range(given.rounds):
        for case in cases[:: -1 if number % 2 else 1]:
            run_loop(partial(note, case, seen[case]))
    results = {case: least(found) for case, found in seen.items()}
    print("\n".join([table(results), "", *verdicts(results)]))
    if not given.quick:
        about = {"python": platform.python_version(), "cores": os.cpu_count(), "rounds": given.rounds}
        rows = [asdict(case) | found for case, found in results.items()]
        PICTURE.with_suffix(".json").write_text(json.dumps({"about": about, "cases": rows}, indent=1) + "\n")
        PICTURE.write_text(draw(results))


async def note(case: Case, seen: list[Json]) -> None:
    seen.append(await measure(case))
    print(json.dumps(asdict(case) | seen[-1]), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
