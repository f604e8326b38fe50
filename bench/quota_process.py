"""The quota through the whole process: the sandbox's own limiter, one loud bot, a SIGKILL in the middle.

100 requests per 6 s, upstream answers after 0.1 s, nine quiet bots and one that offers twenty times as much as they
do. Prints answered and p95 of the quiet ones, 429s, requests per answer, and the use of the budget. Takes about a
minute.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from aiohttp import ClientSession

sys.path.insert(0, str(Path(__file__).parents[1]))

from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sandbox.server import Sandbox

LIMITS = {"requests_per_minute": 100, "completions_per_hour": 100_000}
WINDOW, LATENCY = 6.0, 0.1
QUIET, EACH, SECONDS = 9, 0.1, 36.0
"""Quiet bots, messages a second of each, and how long they talk."""
LOUD = 20 * QUIET * EACH


def token(number: int) -> str:
    return f"{9000 + number}:bench-token-of-the-sandbox-{number:09d}"


def configuration(box: Sandbox, folder: str) -> dict:
    quiet = {
        "queue": {"per_conversation": 1000, "per_bot": 100_000},
        "coalesce": "off",
        "limits": {"user": "off"},
    }
    quota = {**LIMITS, "windows": {"minute": f"{WINDOW}s", "hour": "1h"}}
    return {
        "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
        "journal": f"sqlite:///{folder}/gateway.db",
        "sensay": {"base_url": box.url},
        "platforms": {"telegram": {"api_url": box.url}},
        "organizations": {"acme": {"secret": "bench-organisation", "quota": quota}},
        "defaults": {**quiet, "queued_after": "1h"},
        "bots": {f"bot{n}": {"replica": SUPPORT, "telegram": {"token": token(n)}} for n in range(QUIET + 1)},
    }


async def start(path: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "-c", str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    running = 0
    while running <= QUIET:
        line = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        running += line["event"] == "bot.running"
    process.drain = asyncio.create_task(_drain(process))  # type: ignore[attr-defined]
    return process


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.readline():
        pass


async def talk(
    session: ClientSession, box: Sandbox, number: int, rate: float, until: float, said: dict
) -> None:
    chance = random.Random(number)
    count = 0
    while time.time() < until:
        await asyncio.sleep(chance.expovariate(rate))
        text = f"What are your opening hours? ({count})"
        body = {"user": {"id": 1 + count % 3 if number else 1 + count % 40, "name": "U"}, "text": text}
        url = f"{box.url}/_control/telegram/{token(number)}/messages"
        async with session.post(url, json=body) as answer:
            answer.raise_for_status()
        said.setdefault((number, body["user"]["id"]), []).append(time.time())
        count += 1


async def waits(session: ClientSession, box: Sandbox, said: dict) -> tuple[list[tuple[float, float]], int]:
    """(said at, waited) of the quiet ones, first said first answered in each chat; and how many never were."""
    found, missing = [], 0
    for number in range(1, QUIET + 1):
        async with session.get(f"{box.url}/_control/telegram/{token(number)}/sent") as answer:
            items = [item for item in (await answer.json())["items"] if item["kind"] == "message"]
        for chat in {item["chat"] for item in items} | {user for bot, user in said if bot == number}:
            asked = said.get((number, int(chat)), [])
            answered = sorted(item["at"] for item in items if int(item["chat"]) == int(chat))
            found += [(a, b - a) for a, b in zip(asked, answered, strict=False)]
            missing += max(0, len(asked) - len(answered))
    return found, missing


async def main() -> int:
    sensay = SensaySandbox(**LIMITS, minute=WINDOW, latency=LATENCY)
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox(sensay=sensay) as box, ClientSession() as session:
            path = Path(folder) / "gateway.yaml"
            path.write_text(json.dumps(configuration(box, folder)))
            process = await start(path)
            said: dict[tuple[int, int], list[float]] = {}
            until = time.time() + SECONDS
            people = [talk(session, box, 0, LOUD, until, said)]
            people += [talk(session, box, n, EACH, until, said) for n in range(1, QUIET + 1)]
            talking = asyncio.gather(*people)
            await asyncio.sleep(SECONDS / 2)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            stopped = time.time()
            process = await start(path)
            back = time.time()
            await talking
            await asyncio.sleep(4 * WINDOW)
            seconds, missing = await waits(session, box, said)
            process.send_signal(signal.SIGTERM)
            await process.wait()
            warm = until - SECONDS + WINDOW
            calm = [wait for at, wait in seconds if at > warm and not stopped - 1 < at < back + WINDOW]
            cold = [wait for at, wait in seconds if at <= warm]
            report(sensay, calm, cold, [wait for _, wait in seconds], missing, back - stopped)
    return 0 if not missing else 1


def report(
    sensay: SensaySandbox, calm: list[float], cold: list[float], all_: list[float], missing: int, down: float
) -> None:
    statuses = Counter(request.status for request in sensay.requests)
    answers = sum(request.status == 200 and "completions" in request.path for request in sensay.requests)
    rows = [
        ("quiet messages answered", f"{len(all_)} of {len(all_) + missing}", "all"),
        ("p50 of their waits", f"{statistics.median(calm):.2f} s", ""),
        ("p95 of their waits", f"{statistics.quantiles(calm, n=20)[-1]:.2f} s", "<= 1 s"),
        ("longest in the first window, every user new", f"{max(cold, default=0.0):.2f} s", "3 requests each"),
        ("longest, over the kill", f"{max(all_):.1f} s", f"{down:.1f} s down"),
        ("429s", str(statuses[429]), "0"),
        ("requests per answer", f"{len(sensay.requests) / answers:.2f}", "1 and the users' creation"),
    ]
    print("| what | figure | target |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
