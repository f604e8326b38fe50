"""Turns per second through the journal: append, finish, deliver; alone and with 64 at once, on slow disks too.

`make bench-journal`. SQLite and a Valkey server (`appendfsync always`) side by side. Each figure comes from a process
of its own; on Valkey the CPU is the client's. A turn here is what a message costs the journal: accepted, claimed and
asked, finished with one part, the part claimed and delivered: five transactions.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from gateway.app import SystemClock  # noqa: E402 - found through the line above
from gateway.journal import open_journal  # noqa: E402
from gateway.messages import Channel, Ending, Part, Receipt  # noqa: E402
from gateway.ports import Journal, Lease  # noqa: E402
from tests.contracts.journal_kit import intake, said, spend  # noqa: E402
from tests.disk import environment, shim  # noqa: E402
from tests.valkey import Server  # noqa: E402

SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
KINDS = ("SQLite", "Valkey")
CASES = [(kind, concurrency, extra) for extra in (0, 2000) for concurrency in (1, 64) for kind in KINDS]
CHANNEL = Channel(bot="shop", platform="telegram")
TEXT = "How long does it take until a parcel arrives abroad? " * 3


class Courier:
    """Delivers as the pipeline does: one claim takes what is due for everybody."""

    def __init__(self, journal: Journal, lease: Lease) -> None:
        self.journal, self.lease = journal, lease
        self.done: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        async with self.journal.watch(f"outbox/{CHANNEL}") as outbox:
            while True:
                due = await self.journal.claim_deliveries(CHANNEL, self.lease, 64)
                await asyncio.gather(*(self.deliver(delivery) for delivery in due))
                if not due:
                    await outbox.next()

    async def deliver(self, delivery) -> None:
        await self.journal.delivered(delivery, self.lease, Receipt(platform_ids=("1",)))
        self.done.pop(delivery.owner).set()


async def person(
    journal: Journal, name: int, turns: Lease, courier: Courier, until: float, took: list[float]
):
    number = 0
    while time.perf_counter() < until:
        number += 1
        id_, turn, began = f"m-{name}-{number}", f"t-{name}-{number}", time.perf_counter()
        await journal.accept([intake(id_, said(TEXT, f"c{name}", id_=id_, dedupe=(id_,)))])
        await journal.claim(turn, [id_], turns, spend(turn))
        courier.done[turn] = done = asyncio.Event()
        await journal.finish(turn, turns, Ending(outcome="answered", parts=(Part(text=TEXT),)))
        await done.wait()
        took.append(time.perf_counter() - began)


async def measure(url: str, concurrency: int) -> dict[str, float]:
    journal = open_journal(url, SystemClock())
    await journal.open()
    took: list[float] = []
    async with journal.hold("dispatcher/acme") as turns, journal.hold(f"channel/{CHANNEL}") as lease:
        courier = Courier(journal, lease)
        sending = asyncio.ensure_future(courier.run())
        cpu, began = time.process_time(), time.perf_counter()
        people = (person(journal, name, turns, courier, began + SECONDS, took) for name in range(concurrency))
        await asyncio.gather(*people)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await journal.close()
    return {
        "turns_per_second": round(len(took) / seconds, 1),
        "p50_ms": round(median(took) * 1000, 2),
        "p99_ms": round(quantiles(took, n=100)[98] * 1000, 2),
        "cpu_ms_per_turn": round(cpu / len(took) * 1000, 3),
    }


def in_a_process(kind: str, concurrency: int, extra: int, library: Path | None) -> dict[str, float]:
    surroundings = environment(library, DISK_FSYNC_US=extra) if extra and library else dict(os.environ)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder, ExitStack() as stack:
        url = f"sqlite:///{folder}/gateway.db"
        if kind == "Valkey":
            server = Server(Path(folder), *DURABLE, environment=surroundings)
            url = stack.enter_context(server).url
        command = [sys.executable, __file__, str(concurrency), url]
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(measure(sys.argv[2], int(sys.argv[1])))))
        return
    with tempfile.TemporaryDirectory() as folder:
        library = shim(Path(folder))
        print(
            "| journal | at once | fsync | turns/s | p50 | p99 | CPU a turn |\n|---|---|---|---|---|---|---|"
        )
        for kind, concurrency, extra in CASES:
            if extra and library is None:
                continue
            seen = in_a_process(kind, concurrency, extra, library)
            disk = f"+{extra / 1000:g} ms" if extra else "as it is"
            print(
                f"| {kind} | {concurrency} | {disk} | {seen['turns_per_second']:,.0f} | {seen['p50_ms']} ms"
                f" | {seen['p99_ms']} ms | {seen['cpu_ms_per_turn']} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
