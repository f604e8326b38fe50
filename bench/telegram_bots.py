"""Hundreds of Telegram bots in one process, side by side with python-telegram-bot's own way. `make bench-telegram`

Each design is a process of its own; the pretended Bot API lives in this one, on the same machine. A bot polls, and
answers each message:

    gateway   everything: journal in SQLite, pipeline, delivery
    adapter   ours, without the rest: what arrives is answered at once
    ptb       `Application` per bot as its builder makes it

"A further bot" is the growth of the unshared memory (USS) from few bots to many, by number of bots. Idle CPU is that of
a whole process while nobody writes, over a little more than one long poll of ours. In a burst every bot gets one
message at the same moment, a command that has a fixed answer; "asked" is the same with a question that the gateway asks
the pretended Sensay, which thinks no time (what that costs is measured by `latency.py`). A time runs until the answer
has arrived at the pretended server. A start runs from the end of the imports until the last bot polls. The file is not
called `telegram.py`, which would hide the library.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import certifi
from aiohttp import web

from gateway.process import run_loop
from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sandbox.server import Sandbox

ROOT = Path(__file__).parents[1]
TOKEN = "{}:benchmark-token-for-the-sandbox-0000000"
UNLIMITED = 1_000_000
FEW = 50
PATIENCE = 90.0
BACKLOG = 1024
"""All bots connect at once; one whose first packet is dropped waits a second for the next."""
TICK = os.sysconf("SC_CLK_TCK")
TARGETS = {"further_kb": 60.0, "further_tls_kb": 150.0, "idle": 0.3, "burst_p99": 0.5, "start": 1.0}

Json = dict[str, Any]


# --- the designs, each in its own process -----------------------------------------------------------------------


def begin() -> None:
    print(f"begin {time.monotonic()}", flush=True)


async def be_gateway(url: str, count: int, folder: str) -> None:
    from adapters.telegram import menu
    from gateway.app import Gateway, SystemClock
    from gateway.journal import open_journal
    from gateway.settings import Settings

    journal = f"sqlite:///{folder}/gateway-{count}.db"
    quota = {"requests_per_minute": UNLIMITED, "completions_per_hour": UNLIMITED}
    bots = {
        f"b{n}": {"organization": "acme", "replica": SUPPORT, "telegram": {"token": TOKEN.format(1000 + n)}}
        for n in range(count)
    }
    settings = Settings.model_validate(
        {
            "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
            "journal": journal,
            "sensay": {"base_url": url},
            "platforms": {"telegram": {"api_url": url}},
            "organizations": {"acme": {"secret": "sandbox-secret", "quota": quota}},
            "bots": bots,
        }
    )
    kept = open_journal(settings.journal, SystemClock())
    await kept.open()
    for n in range(count):  # menus are set once in a bot's life
        await kept.remember(f"b{n}/telegram", "commands", menu.mark(1000 + n))
    await kept.close()
    begin()
    await Gateway(settings).run(asyncio.Event())


async def be_adapter(url: str, count: int, _: str) -> None:
    from adapters.telegram import TelegramPlatform, menu
    from gateway.app import SystemClock
    from gateway.messages import Delivery, Part, Said
    from gateway.settings.models import TelegramSettings
    from tests.platforms.fake_host import FakeHost

    class Echo(FakeHost):
        adapter: Any = None

        async def accept(self, *arrivals: Any) -> Any:
            accepted = await super().accept(*arrivals)
            for arrival in arrivals:
                if isinstance(arrival, Said):
                    answer = Delivery(
                        id="d", organization="acme", key=arrival.key, address=arrival.address,
                        part=Part(text="hello"), owner="t", index=0, count=1, created_at=0.0,
                    )  # fmt: skip
                    await self.adapter.send(answer)
            return accepted

    platform = TelegramPlatform(url)
    hosts = [Echo(f"b{n}", "telegram", SystemClock()) for n in range(count)]
    begin()
    async with asyncio.TaskGroup() as group:
        for n, host in enumerate(hosts):
            host.memory["commands"] = menu.mark(1000 + n)
            host.adapter = platform.adapter(host.bot, TelegramSettings(token=TOKEN.format(1000 + n)))
            group.create_task(host.adapter.run(host))


async def be_ptb(url: str, count: int, _: str) -> None:
    from telegram import Update
    from telegram.ext import ApplicationBuilder, ContextTypes, MessageHandler, filters

    async def reply(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        await update.message.reply_text("hello")

    async def start(number: int) -> Any:
        application = ApplicationBuilder().token(TOKEN.format(number)).base_url(f"{url}/bot").build()
        application.add_handler(MessageHandler(filters.TEXT, reply))
        await application.initialize()
        await application.start()
        assert application.updater is not None
        await application.updater.start_polling()
        return application

    begin()
    running = await asyncio.gather(*(start(1000 + n) for n in range(count)))
    await asyncio.Event().wait()
    del running


DESIGNS: dict[str, Callable[[str, int, str], Awaitable[None]]] = {
    "gateway": be_gateway,
    "adapter": be_adapter,
    "ptb": be_ptb,
}


# --- measuring --------------------------------------------------------------------------------------------------


class Design:
    """A running process of one design."""

    def __init__(self, process: asyncio.subprocess.Process, began: float) -> None:
        self.process, self.began = process, began

    def _of(self, what: str, pattern: str) -> float:
        text = Path(f"/proc/{self.process.pid}/{what}").read_text()
        return sum(float(number) for number in re.findall(pattern, text))

    def uss(self) -> float:
        """KiB that no other process shares."""
        return self._of("smaps_rollup", r"Private_(?:Clean|Dirty):\s+(\d+) kB")

    def rss(self) -> float:
        return self._of("status", r"VmRSS:\s+(\d+) kB")

    def cpu(self) -> float:
        """Seconds since its start."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


class Bench:
    def __init__(self, box: Sandbox, url: str, folder: str, idle: float) -> None:
        self.box, self.url, self.folder, self.idle = box, url, folder, idle

    @asynccontextmanager
    async def running(self, design: str, count: int) -> AsyncIterator[Design]:
        """Once all bots poll."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--be", design, self.url, str(count), self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE):
                while not (line := await process.stdout.readline()).startswith(b"begin"):
                    assert line, f"{design} ended before it began"
            yield Design(process, float(line.split()[1]))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            self.box.reset()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - the pretended server has no events of its own
                await asyncio.sleep(0.005)

    async def polling(self, design: Design, count: int) -> float:
        """Wait until the last bot polls; returns how long that took."""
        bots = [self.box.telegram.bot(TOKEN.format(1000 + n)) for n in range(count)]
        await self.until(lambda: all(bot.calls["getupdates"] for bot in bots))
        return time.monotonic() - design.began

    async def memory(self, design: str, count: int) -> float:
        async with self.running(design, count) as process:
            await self.polling(process, count)
            await asyncio.sleep(2.0)
            return process.uss()

    async def burst(self, count: int, user: int, text: str) -> list[float]:
        """One message to every bot; seconds until each answer has arrived."""
        bots = [self.box.telegram.bot(TOKEN.format(1000 + n)) for n in range(count)]
        at = time.time()
        for bot in bots:
            bot.hear({"user": {"id": user, "name": "Ada"}, "text": text})

        def answers() -> list[float]:
            return [
                item["at"] - at
                for bot in bots
                for item in bot.sent
                if item["kind"] == "message" and item["chat"] == user
            ]

        await self.until(lambda: len(answers()) >= count)
        return answers()

    async def measure(self, design: str, count: int) -> Json:
        few = await self.memory(design, FEW)
        async with self.running(design, count) as process:
            start = await self.polling(process, count)
            await asyncio.sleep(2.0)
            uss, rss, cpu, at = process.uss(), process.rss(), process.cpu(), time.monotonic()
            await asyncio.sleep(self.idle)
            idle = 100 * (process.cpu() - cpu) / (time.monotonic() - at)
            times = await self._bursts(count, "/help", (6, 7, 8))
            asked = await self._bursts(count, "When do you open?", (9, 10, 11)) if design == "gateway" else []
        return {
            "design": design,
            "bots": count,
            "start": start,
            "further_kb": (uss - few) / (count - FEW),
            "rss_mb": rss / 1024,
            "idle": idle,
            "burst_p50": statistics.median(times),
            "burst_p99": statistics.quantiles(times, n=100)[98],
            **({"asked_p99": statistics.quantiles(asked, n=100)[98]} if asked else {}),
        }

    async def _bursts(self, count: int, text: str, users: tuple[int, ...]) -> list[float]:
        times: list[float] = []
        for user in users:
            await asyncio.sleep(4.0)  # a bot's own pace is not what is measured
            for bot in self.box.telegram.bots.values():
                bot.sent.clear()
            times += await self.burst(count, user, text)
        return times


@asynccontextmanager
async def served(tls: tuple[str, str] | None) -> AsyncIterator[tuple[Sandbox, str]]:
    """The pretended services, in the clear or behind a certificate of our own."""
    sensay = SensaySandbox(requests_per_minute=None, completions_per_hour=None, latency=0.0)
    box, context = Sandbox(sensay=sensay), None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
    runner = web.AppRunner(box.app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context, backlog=BACKLOG).start()
    try:
        yield box, f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        box.reset()
        await runner.cleanup()


def certificate(folder: str) -> tuple[str, str]:
    """A certificate for this machine, which the designs are told to trust beside all the usual ones: those are what
    makes a TLS context large.
    """
    cert, key, trusted = f"{folder}/cert.pem", f"{folder}/key.pem", Path(folder, "trusted.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", key, "-out", cert,
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    trusted.write_text(Path(certifi.where()).read_text() + Path(cert).read_text())
    os.environ["SSL_CERT_FILE"] = str(trusted)
    return cert, key


async def run(arguments: argparse.Namespace, results: list[Json]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with served(None) as (box, url):
            bench = Bench(box, url, folder, arguments.idle)
            results += [await bench.measure(design, arguments.bots) for design in DESIGNS]
        if arguments.tls:
            async with served(certificate(folder)) as (box, url):
                for result in results:
                    bench = Bench(box, url, tempfile.mkdtemp(dir=folder), arguments.idle)
                    few = await bench.memory(result["design"], FEW)
                    many = await bench.memory(result["design"], arguments.bots)
                    result["further_tls_kb"] = (many - few) / (arguments.bots - FEW)


COLUMNS = {
    "further_kb": ("a further bot", "{:.0f} KB"),
    "further_tls_kb": ("with TLS", "{:.0f} KB"),
    "rss_mb": ("RSS", "{:.0f} MB"),
    "idle": ("idle CPU", "{:.2f} %"),
    "burst_p50": ("burst p50", "{:.3f} s"),
    "burst_p99": ("burst p99", "{:.3f} s"),
    "asked_p99": ("asked p99", "{:.3f} s"),
    "start": ("start", "{:.2f} s"),
}


def table(results: list[Json]) -> str:
    def row(name: str, values: Json, prefix: str = "") -> str:
        cells = [
            prefix + form.format(values[key]) if key in values else "-" for key, (_, form) in COLUMNS.items()
        ]
        return f"| {' | '.join([name, *cells])} |"

    head = ["", *(title for title, _ in COLUMNS.values())]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [row(result["design"], result) for result in results]
    return "\n".join([*lines, row("target", TARGETS, "≤ ")])


def main() -> None:
    parser = argparse.ArgumentParser(description="Many Telegram bots in one process.")
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--idle", type=float, default=52.0, help="seconds of idleness measured")
    parser.add_argument("--no-tls", dest="tls", action="store_false", help="leave the runs over TLS out")
    parser.add_argument("--be", nargs=4, metavar=("DESIGN", "URL", "BOTS", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.be:
        design, url, count, folder = arguments.be
        run_loop(lambda: DESIGNS[design](url, int(count), folder))  # type: ignore[arg-type,return-value]
        return
    logging.disable(logging.ERROR)  # what the pretended server says when a process is killed
    load = os.getloadavg()[0]
    results: list[Json] = []
    run_loop(lambda: run(arguments, results))
    about = f"{arguments.bots} bots, Python {sys.version.split()[0]}, {os.cpu_count()} cores, load before: {load:.1f}"
    print(f"{about}\n\n{table(results)}")
    print(f"\n{json.dumps(results)}")


if __name__ == "__main__":
    main()
