"""What to give the gateway: memory, CPU and disk by what it runs. `make bench-sizing`

    Telegram   `growth.py`'s cases in one process over SQLite: memory after some hundred messages, idle CPU, CPU a turn
    Discord    a process whose bots are on the sandbox's gateway: memory, and idle CPU, heartbeats included
    journal    bytes of a message in SQLite's file and in a Valkey's memory: while it waits, once it is answered, when
               its texts have gone (`retention.text`, a day) and only its trace is left (`retention.traces`, a week)

A question has 150 characters, its answer 600. Streams of the widget are measured by `widget.py`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import growth
from latency import configuration, gateway, sandbox

from gateway.app import SystemClock
from gateway.journal import open_journal
from gateway.messages import Ending, Part, Receipt
from gateway.ports import Journal, Retention
from gateway.process import run_loop
from tests.contracts.journal_kit import CHANNEL, intake, said, spend
from tests.valkey import Server

MESSAGES, TELEGRAM, DISCORD = 1000, (1, 50, 200, 1000), (1, 50, 200)
QUESTION, ANSWER = (
    "How long does it take? " * 6 + "Thank you...",
    "It takes three to five working days. " * 16,
)
HEARTBEAT = 42.0
WEEK = 604_800.0
Json = dict[str, Any]


async def telegram(bots: int) -> Json:
    case = growth.Case("SQLite", 1, bots, rate=min(growth.RATE, 20.0 * bots))
    return await growth.measure(case)


async def discord(bots: int) -> Json:
    """Idle for as long as one heartbeat of each takes."""
    with tempfile.TemporaryDirectory() as folder:
        async with sandbox() as box:
            section = {f"bot{n}": {"discord": {"token": f"bench-bot-{n}"}} for n in range(bots)}
            async with gateway(configuration(box, Path(folder), "bench", section), bots) as (process, _):
                await asyncio.sleep(2.0)
                spent, began = process.cpu(), time.monotonic()
                await asyncio.sleep(HEARTBEAT)
                used = (process.cpu() - spent) / (time.monotonic() - began)
                return {"memory_mib": round(process.resident(), 1), "idle_percent": round(100 * used, 2)}


# --- the journal ---


async def storage(kind: str) -> Json:
    """Bytes a message, by how far it is."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Path(folder)
        server = stack.enter_context(Server(place, *growth.DURABLE)) if kind == "Valkey" else None
        url = server.url if server else f"sqlite:///{place}/sizing.db"
        sizes = []
        for step in (nothing, wait, answer, forget_texts):
            journal = open_journal(url, SystemClock())
            await journal.open()
            await step(journal)
            await journal.close()  # all of it is in the file then
            sizes.append(size(server, place))
    names = ("waiting", "answered", "traced")
    return {name: round((at - sizes[0]) / MESSAGES) for name, at in zip(names, sizes[1:], strict=True)}


def size(server: Server | None, folder: Path) -> int:
    """Used memory; or what the file has in use, its log written back."""
    if server is not None:
        with server.client() as client:
            stats: Any = client.info("memory")
            return int(stats["used_memory"])
    with sqlite3.connect(folder / "sizing.db") as db:
        pages, free, each = (
            db.execute(f"PRAGMA {of}").fetchone()[0] for of in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * each)


async def nothing(_: Journal) -> None: ...


async def wait(journal: Journal) -> None:
    for number in range(MESSAGES):
        id_ = f"abcd-{number:012}"
        raw = json.dumps(
            {"update_id": 10**8 + number, "message": {"text": QUESTION, "chat": {"id": 10**9 + number}}}
        )
        heard = said(
            QUESTION, str(10**9 + number), id_=str(number), dedupe=(f"update:{id_}", f"chat:{id_}"), raw=raw
        )
        await journal.accept([intake(id_, heard)])


async def answer(journal: Journal) -> None:
    async with journal.hold("dispatcher/acme") as turns, journal.hold(f"channel/{CHANNEL}") as parts:
        for number in range(MESSAGES):
            turn = f"abcd-t{number:011}"
            await journal.claim(turn, [f"abcd-{number:012}"], turns, spend(turn))
            await journal.finish(turn, turns, Ending(outcome="answered", parts=(Part(text=ANSWER),)))
            for delivery in await journal.claim_deliveries(CHANNEL, parts, 32):
                await journal.delivered(delivery, parts, Receipt(platform_ids=("123456",)))


async def forget_texts(journal: Journal) -> None:
    while await journal.purge(Retention(text=0.0, web_history=WEEK, dedupe=WEEK, traces=WEEK)):
        pass


# --- all of it ---


def show(name: str, found: Json, turn: str = "") -> None:
    print(f"| {name} | {found['memory_mib']:.0f} MiB | {found['idle_percent']:.2f} % | {turn} |", flush=True)


async def run() -> None:
    print("| one process, SQLite | memory | idle CPU | CPU a turn |\n|---|--:|--:|--:|")
    for bots in TELEGRAM:
        found = await telegram(bots)
        show(f"{bots:,} Telegram", found, f"{found['turn_ms']:.1f} ms")
    for bots, found in zip(DISCORD, await asyncio.gather(*map(discord, DISCORD)), strict=True):
        show(f"{bots:,} Discord", found)
    print("\n| bytes a message | waiting | answered | traced |\n|---|--:|--:|--:|")
    for kind in ("SQLite", "Valkey"):
        found = await storage(kind)
        print(f"| {kind} | {found['waiting']:,} | {found['answered']:,} | {found['traced']:,} |", flush=True)


if __name__ == "__main__":
    run_loop(run)
