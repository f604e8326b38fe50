"""A hundred Discord bots in one process, beside a stock `commands.Bot` for each. `make bench-discord`

Three processes: the sandbox, the bots, and this one, which speaks for people. The bots run twice, once as the gateway
runs them (its adapter and a host that only counts, so the figures end where the journal begins) and once as
`commands.Bot` does by itself. Plain sockets, one server of one channel a bot. Memory is the resident set, CPU what the
bots' process used.

    start     until all are ready
    further   memory of one more bot: of the hundred after the first, idle and after the traffic
    message   CPU for each direct message, the best of three rounds: what else the machine does only adds
    drop      every TCP connection is cut at once while people go on writing
    restart   the process ends, people write for five seconds, and it is back
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from gateway.process import run_loop

ROOT = Path(__file__).parents[1]

PATIENCE = 60.0
RESTART = 5.0
ROUNDS = 3
Json = dict[str, Any]


def token(number: int) -> str:
    return f"bench-bot-{number}"


# --- the process under test ---


class Bots(Protocol):
    heard: Counter[str]

    def start(self, number: int) -> None: ...

    def ready(self) -> int: ...

    async def stop(self) -> None: ...


class Ours:
    """The gateway's adapters."""

    def __init__(self, api: str, gateway: str, memory: Path) -> None:
        import structlog

        from adapters import discord
        from gateway.settings.models import DiscordServer, Platforms, Settings

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        server = DiscordServer(api_url=api, gateway_url=gateway)
        self.platform = discord.platform(Settings(platforms=Platforms(discord=server)))
        self.heard: Counter[str] = Counter()
        self.memory = memory
        self.kept: Json = json.loads(memory.read_text()) if memory.exists() else {}
        self.hosts: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, number: int) -> None:
        from gateway.settings.models import DiscordSettings

        host = host_of(self, f"bot{number}")
        self.hosts.append(host)
        section = DiscordSettings(token=token(number))
        adapter = self.platform.adapter(f"bot{number}", section)
        self.tasks.append(asyncio.create_task(adapter.run(host)))

    def ready(self) -> int:
        return sum(host.up for host in self.hosts)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.platform.close()
        self.memory.write_text(json.dumps(self.kept))


def host_of(bots: Ours, name: str) -> Any:
    """`gateway.ports.Host`, as far as the adapter asks: it counts what would be journaled."""
    from gateway.app import SystemClock
    from gateway.messages import Accepted, Said

    class Host:
        bot, platform, clock, up, images = name, "discord", SystemClock(), False, False

        async def accept(self, *arrivals: Any) -> list[Accepted]:
            bots.heard.update(arrival.message_id for arrival in arrivals if isinstance(arrival, Said))
            return [Accepted(id="m", outcome="accepted") for _ in arrivals]

        def ready(self, identity: str) -> None:  # noqa: ARG002 - as in the contract
            self.up = True

        def degraded(self, why: str) -> None:  # noqa: ARG002 - as in the contract
            self.up = False

        def beat(self) -> None: ...

        async def recall(self, key: str) -> bytes | None:
            kept = bots.kept.get(f"{name}/{key}")
            return None if kept is None else kept.encode()

        async def remember(self, key: str, value: bytes | None, **_: object) -> None:
            bots.kept[f"{name}/{key}"] = None if value is None else value.decode()

    return Host()


class Stock:
    """`commands.Bot`, as its documentation has it."""

    def __init__(self, api: str, gateway: str, _memory: Path) -> None:
        import discord
        import yarl

        discord.http.Route.BASE = api
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
        logging.getLogger("discord").setLevel(logging.CRITICAL)
        self.heard: Counter[str] = Counter()
        self.bots: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, number: int) -> None:
        import discord
        from discord.ext import commands

        intents = discord.Intents.default()
        intents.message_content = True
        bot = commands.Bot(command_prefix="!", intents=intents)

        @bot.event
        async def on_message(message: discord.Message) -> None:
            self.heard[str(message.id)] += 1
            await bot.process_commands(message)

        self.bots.append(bot)
        self.tasks.append(asyncio.create_task(bot.start(token(number))))

    def ready(self) -> int:
        return sum(bot.is_ready() and not bot.ws.socket.closed for bot in self.bots)

    async def stop(self) -> None:
        await asyncio.gather(*(bot.close() for bot in self.bots), return_exceptions=True)
        await asyncio.gather(*self.tasks, return_exceptions=True)


def resident() -> int:
    """Kilobytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def serve(kind: str, api: str, gateway: str, memory: Path) -> None:
    """Obey lines on stdin: `start FIRST COUNT`, `report`, `stop`; answer each with a line of JSON."""
    bots: Bots = (Ours if kind == "ours" else Stock)(api, gateway, memory)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := (await reader.readline()).decode().split():
        match line:
            case ["start", first, count]:
                began = time.perf_counter()
                for number in range(int(first), int(first) + int(count)):
                    bots.start(number)
                async with asyncio.timeout(PATIENCE):
                    while bots.ready() < int(first) + int(count):  # noqa: ASYNC110 - stock bots tell nobody
                        await asyncio.sleep(0.01)
                answer: Json = {"seconds": time.perf_counter() - began}
            case ["stop"]:
                await bots.stop()
                answer = {}
            case _:
                answer = {
                    "rss": resident(),
                    "cpu": time.process_time(),
                    "ready": bots.ready(),
                    "heard": len(bots.heard),
                    "twice": sum(count > 1 for count in bots.heard.values()),
                }
        print(json.dumps(answer), flush=True)
        if line == ["stop"]:
            return


# --- the bench ---


class Child:
    """A process of the bots."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def of(cls, kind: str, sandbox: Sandbox, memory: Path) -> Child:
        arguments = [
            "--serve",
            kind,
            "--api",
            sandbox.api,
            "--gateway",
            sandbox.gateway,
            "--memory",
            str(memory),
        ]
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                __file__,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "MALLOC_ARENA_MAX": "2"},
            )
        )

    async def ask(self, command: str) -> Json:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n".encode())
        async with asyncio.timeout(PATIENCE + 5):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bots' process died at {command!r}")
        return json.loads(line)

    async def until(self, condition: Any) -> tuple[Json, float]:
        """Ask until the report is as wanted, or patience ends; returns the last report and how long it took."""
        began = time.perf_counter()
        while True:
            report = await self.ask("report")
            waited = time.perf_counter() - began
            if condition(report) or waited > PATIENCE:
                return report, waited
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        with contextlib.suppress(Exception):
            await self.ask("stop")
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


class Sandbox:
    """The pretended Discord in a process of its own, and the people there."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, http: aiohttp.ClientSession) -> None:
        self.process, self.url, self.http = process, url, http
        self.api = f"{url}/api/v10"
        self.gateway = f"ws{url.removeprefix('http')}/gateway"
        self.said: list[str] = []
        self._doors = asyncio.Semaphore(16)

    @classmethod
    async def start(cls, http: aiohttp.ClientSession) -> Sandbox:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            "--serve",
            "sandbox",
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        return cls(process, (await process.stdout.readline()).decode().strip(), http)

    async def say(self, number: int, text: str, **more: object) -> None:
        async with (
            self._doors,
            self.http.post(
                f"{self.url}/_control/discord/{token(number)}/messages",
                json={"user": {"id": 7, "name": "Ada"}, "text": text, **more},
            ) as answer,
        ):
            if not more:
                self.said.append((await answer.json())["id"])

    async def everybody(self, bots: int, each: int) -> None:
        """Direct messages to all bots."""
        await asyncio.gather(*(self.say(number, "hi") for _ in range(each) for number in range(bots)))

    async def counters(self) -> Json:
        async with self.http.get(f"{self.url}/_control/discord-gateway") as answer:
            return await answer.json()

    async def drop(self) -> None:
        async with self.http.post(f"{self.url}/_control/discord-gateway/drop"):
            pass


async def measure(kind: str, bots: int, each: int) -> Json:
    """All figures of one kind of bots."""
    async with aiohttp.ClientSession() as http:
        sandbox = await Sandbox.start(http)
        with tempfile.TemporaryDirectory() as folder:
            try:
                return await _measure(kind, sandbox, Path(folder) / "memory.json", bots, each)
            finally:
                sandbox.process.kill()
                await sandbox.process.wait()


async def _measure(kind: str, sandbox: Sandbox, memory: Path, bots: int, each: int) -> Json:
    for number in range(bots + 1):  # everybody's server
        await sandbox.say(number, "hello", channel=1000 + number)
    child = await Child.of(kind, sandbox, memory)
    found: Json = {}
    try:
        await child.ask("start 0 1")
        one = await child.ask("report")
        found["start"] = (await child.ask(f"start 1 {bots}"))["seconds"]
        bots += 1
        idle = await child.ask("report")
        found["idle"] = (idle["rss"] - one["rss"]) / (bots - 1)

        rounds = [await _round(child, sandbox, bots, each) for _ in range(ROUNDS)]
        found["message"] = min(cost for cost, _ in rounds)
        after = rounds[-1][1]
        found["busy"] = (after["rss"] - one["rss"]) / (bots - 1)

        before = await sandbox.counters()
        dropping = asyncio.create_task(sandbox.everybody(bots, 2))
        await sandbox.drop()
        await dropping
        told = len(sandbox.said)
        report, found["drop_seconds"] = await child.until(
            lambda report: report["heard"] >= told and report["ready"] >= bots
        )
        counters = await sandbox.counters()
        found["resumed"] = counters["resumes"] - before["resumes"]
        found["identified"] = counters["identifies"] - before["identifies"]
        found["lost"], found["doubled"] = told - report["heard"], report["twice"]

        await child.stop()
        heard = report["heard"]
        began = time.perf_counter()
        await sandbox.everybody(bots, 2)
        await asyncio.sleep(RESTART - (time.perf_counter() - began))
        child = await Child.of(kind, sandbox, memory)
        await child.ask(f"start 0 {bots}")
        missed = len(sandbox.said) - heard
        found["restart_lost"], found["restart_doubled"] = await _settled(child, missed)
    finally:
        await child.stop()
    return found


async def _round(child: Child, sandbox: Sandbox, bots: int, each: int) -> tuple[float, Json]:
    """Microseconds of CPU for each message, and the report after the last."""
    told, before = len(sandbox.said), await child.ask("report")
    await sandbox.everybody(bots, each)
    after, _ = await child.until(lambda report: report["heard"] >= len(sandbox.said))
    return (after["cpu"] - before["cpu"]) / (len(sandbox.said) - told) * 1e6, after


async def _settled(child: Child, missed: int) -> tuple[int, int]:
    """How many of the missed messages came, once no more come."""
    heard, quiet = -1, time.perf_counter()
    while time.perf_counter() - quiet < 2.0:
        report = await child.ask("report")
        if report["heard"] >= missed:
            return 0, report["twice"] + report["heard"] - missed
        if report["heard"] != heard:
            heard, quiet = report["heard"], time.perf_counter()
        await asyncio.sleep(0.1)
    return missed - max(heard, 0), 0


ROWS = (
    ("start of all bots", "start", "s", lambda x: x <= 3, "≤ 3 s"),
    ("a further bot, idle", "idle", "KB", lambda x: x <= 150, "≤ 150 KB"),
    ("a further bot, after the traffic", "busy", "KB", lambda x: x <= 150, "≤ 150 KB"),
    ("CPU per message to the journal", "message", "µs", lambda x: x <= 100, "≤ 100 µs"),
    ("all connections dropped: all back after", "drop_seconds", "s", lambda _: True, ""),
    ("… resumed", "resumed", "", lambda _: True, "all"),
    ("… new sessions", "identified", "", lambda x: x == 0, "0"),
    ("… messages lost", "lost", "", lambda x: x == 0, "0"),
    ("… messages doubled", "doubled", "", lambda x: x == 0, "0"),
    ("restart of 5 s: messages lost", "restart_lost", "", lambda x: x == 0, "0"),
    ("… messages doubled", "restart_doubled", "", lambda x: x == 0, "0"),
)


def table(ours: Json, stock: Json) -> bool:
    """Print it; whether all targets are met."""
    good = True
    print(f"{'':42}{'gateway':>12}{'commands.Bot':>14}  target")
    for name, key, unit, reached, target in ROWS:
        met = reached(ours[key])
        good = good and met
        cells = (f"{found[key]:.2f}" if unit == "s" else f"{found[key]:.0f}" for found in (ours, stock))
        mine, theirs = (f"{cell} {unit}".strip() for cell in cells)
        print(f"{name:42}{mine:>12}{theirs:>14}  {target:10}{'' if met else 'MISSED'}")
    return good


async def sandbox_process() -> None:
    from gateway.sandbox.server import Sandbox as Box

    async with Box() as box:
        print(box.url, flush=True)
        await asyncio.Event().wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bots", type=int, default=100)
    parser.add_argument("--each", type=int, default=20, help="messages to each bot while CPU is measured")
    for name in ("--serve", "--api", "--gateway", "--memory"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    if given.serve == "sandbox":
        asyncio.run(sandbox_process())
        return 0
    if given.serve:
        # each as it is run: the gateway on its own choice of a loop, a stock bot on asyncio's
        serving = partial(serve, given.serve, given.api, given.gateway, Path(given.memory))
        run_loop(serving) if given.serve == "ours" else asyncio.run(serving())
        return 0
    ours, stock = (asyncio.run(measure(kind, given.bots, given.each)) for kind in ("ours", "stock"))
    return 0 if table(ours, stock) else 1


if __name__ == "__main__":
    sys.exit(main())
