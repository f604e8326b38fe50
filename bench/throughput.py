"""What a message costs: CPU at a fixed rate and in a burst, how fast a burst is through, how long it waits.

The gateway (journal in SQLite, `synchronous=FULL`) is a process of its own against `peer.py`, on Telegram. CPU is user
and system time of the gateway's process divided by the messages, which tells the same on a busy machine; latencies and
rates are only as good as the machine is quiet. `python bench/throughput.py --profile DIRECTORY` keeps a cProfile of
the gateway's event loop for each run.
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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from peer import Peer

from gateway.process import run_loop

ROOT = Path(__file__).parents[1]
TICK = os.sysconf("SC_CLK_TCK")
REPLICA = "12345678-1234-1234-1234-123456789abc"
PATIENCE = 60.0
Json = dict[str, Any]


def token(bot: int) -> str:
    return f"{1000 + bot}:benchmark-token-for-the-peer-0000000000"


class Gateway:
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


@asynccontextmanager
async def running(peer: Peer, bots: int, profile: Path | None = None) -> AsyncIterator[Gateway]:
    """A gateway whose bots all poll."""
    with tempfile.TemporaryDirectory() as folder:
        path = configuration(await peer.open(), Path(folder), bots)
        profiling = ["-m", "cProfile", "-o", str(profile)] if profile else []
        with (Path(folder) / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *profiling,
                "-m",
                "gateway",
                "run",
                "-c",
                str(path),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
            try:
                await until(lambda: peer.polled() == bots)
                await settled(peer)
                yield Gateway(process.pid)
            finally:
                process.terminate()
                await process.wait()
                peer.close()


async def settled(peer: Peer) -> None:
    """Until a second passes without a request: menus are set, profiles fetched."""
    before = -1
    while (now := sum(peer.requests.values())) != before:
        before = now
        await asyncio.sleep(1.0)


async def until(good: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not good():
        if time.monotonic() > end:
            raise RuntimeError("it took too long")
        await asyncio.sleep(0.01)


async def messages(
    peer: Peer, gateway: Gateway, bots: int, users: int, count: int, rate: float | None
) -> Json:
    """So many messages, spread over bots and users; all at once without a rate."""
    peer.forget()
    began, spent = time.monotonic(), gateway.cpu()
    for number in range(count):
        if rate:
            await asyncio.sleep(began + number / rate - time.monotonic())
        bot, user = number % bots, (number // bots) % users
        peer.say(token(bot), 10_000 + bot * users + user, f"Question {number}?")
    first = time.perf_counter()
    await until(lambda: len(peer.heard) == count)
    await asyncio.sleep(0.3)  # what is left to do when the answer is out belongs to the message, too
    cpu = gateway.cpu() - spent
    begin = min(peer.said.values()) if rate else first
    whole = [peer.heard[text] - said for text, said in peer.said.items()]
    added = [
        all_ - (peer.answered[text] - peer.asked[text]) for all_, text in zip(whole, peer.said, strict=True)
    ]
    cuts = statistics.quantiles(added, n=100, method="inclusive")
    return {
        "messages": count,
        "cpu_ms": round(1000 * cpu / count, 2),
        "added_p50_ms": round(1000 * cuts[49], 1),
        "added_p99_ms": round(1000 * cuts[98], 1),
        "per_second": round(count / (max(peer.heard.values()) - begin), 1),
        "requests": {name: round(n / count, 2) for name, n in peer.requests.items()},
        "load": round(os.getloadavg()[0], 2),
    }


async def steady(profile: Path | None) -> Json:
    peer = Peer()
    async with running(peer, 1, profile) as gateway:
        fresh = gateway.resident()
        await messages(peer, gateway, 1, 40, 40, 20.0)
        return await messages(peer, gateway, 1, 40, 200, 20.0) | {
            "rss_mib": [round(fresh, 1), round(gateway.resident(), 1)]
        }


async def burst(profile: Path | None) -> Json:
    peer = Peer()
    async with running(peer, 200, profile) as gateway:
        fresh = gateway.resident()
        one = await messages(peer, gateway, 200, 1, 200, None)
        many = await messages(peer, gateway, 200, 20, 4000, None)
        return {"one_each": one, "many": many, "rss_mib": [round(fresh, 1), round(gateway.resident(), 1)]}


async def chats(profile: Path | None) -> Json:
    peer = Peer(delay=1.0)
    async with running(peer, 50, profile) as gateway:
        await messages(peer, gateway, 50, 2, 100, None)
        return await messages(peer, gateway, 50, 10, 500, None)


RUNS = {"steady": steady, "burst": burst, "chats": chats}


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU a message, rates and waits, on Telegram.")
    parser.add_argument("runs", nargs="*", default=list(RUNS), metavar="|".join(RUNS))
    parser.add_argument("--profile", type=Path)
    arguments = parser.parse_args()

    async def run() -> None:
        for name in arguments.runs:
            profile = arguments.profile / f"{name}.prof" if arguments.profile else None
            print(json.dumps({name: await RUNS[name](profile)}), flush=True)

    run_loop(run)


if __name__ == "__main__":
    main()
