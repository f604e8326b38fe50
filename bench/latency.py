"""What the gateway adds to an answer, and what it costs to have it running. `make bench-latency`

The sandbox, the gateway (journal in SQLite) and this client are three processes on one machine; the sandbox answers at
once. People write at a fixed rate, whether or not answers come (open loop), each a user whom Sensay knows already. Two
spans are timed and their sum:

    in   the platform has the message   → the request arrives at Sensay
    out  Sensay has answered            → the platform has the reply

Telegram and Discord are timed by the sandbox's own clock. Web and webhook have the gateway itself for a platform:
there `in` begins when the client posts, and `out` ends when it has read the answer (the stream's event; the held
response). The floor is `floor.py`, timed in the same run in the same way: the ratio to it says more than milliseconds
of a machine.
Memory is the resident set, CPU user and system time, both as Linux counts them for the process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector
from standardwebhooks import Webhook

from gateway.sandbox.sensay import SUPPORT

ROOT = Path(__file__).parents[1]
TOKEN = "{}:benchmark-token-for-the-sandbox-0000000"
DISCORD = "MTAwMjAwMzAwNDAwNTAwNjAw.bench0.sandbox-token-for-the-bench-00000"
WEBHOOK = "whsec_c2FuZGJveC1zZWNyZXQtZm9yLXRoZS10ZXN0cw=="
SECRET = "sandbox-secret-{}"
ORIGIN = "https://shop.example.com"
QUESTION = "What are your opening hours? #{}"
UNLIMITED = 1_000_000
PATIENCE = 40.0
TICK = os.sysconf("SC_CLK_TCK")

Json = dict[str, Any]


# --- processes ---


@dataclass
class Child:
    """A process of the bench, its output line by line."""

    process: asyncio.subprocess.Process

    async def line(self, good: Callable[[str], bool]) -> str:
        """The next line of output that is good; what comes before it is dropped."""
        assert self.process.stdout is not None
        seen: list[str] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                async for raw in self.process.stdout:
                    seen.append(raw.decode().rstrip())
                    if good(seen[-1]):
                        return seen[-1]
        raise RuntimeError("not the output that was expected:\n" + "\n".join(seen[-10:]))

    async def ignore_output(self) -> None:
        assert self.process.stdout is not None
        async for _ in self.process.stdout:
            pass

    def resident(self) -> float:
        """MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) / 1024

    def cpu(self) -> float:
        """Seconds since its start."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


@asynccontextmanager
async def child(*arguments: str, folder: Path = ROOT) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LOG_LEVEL": "info", "LOG_FORMAT": "json"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(10):
                    await process.communicate()
            except TimeoutError:
                process.kill()
                await process.wait()


@asynccontextmanager
async def sandbox() -> AsyncIterator[str]:
    limits = [f"--requests-per-minute={UNLIMITED}", f"--completions-per-hour={UNLIMITED}"]
    async with child("-m", "gateway", "sandbox", "--port=0", "--latency=0", *limits) as box:
        line = await box.line(lambda text: text.startswith("Control"))
        yield line.split()[1].removesuffix("/_control")


def configuration(box: str, folder: Path, name: str, bots: dict[str, Json]) -> Path:
    socket = box.replace("http", "ws", 1)
    quota = {"requests_per_minute": UNLIMITED, "completions_per_hour": UNLIMITED}
    document = {
        "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 0}},
        "journal": f"sqlite:///{folder}/{name}.db",
        "sensay": {"base_url": box},
        "platforms": {
            "telegram": {"api_url": box},
            "discord": {"api_url": f"{box}/api/v10", "gateway_url": f"{socket}/gateway"},
        },
        "organizations": {"bench": {"secret": SECRET.format(name), "quota": quota}},
        "bots": {bot: {"replica": SUPPORT, **channels} for bot, channels in bots.items()},
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML
    return path


@asynccontextmanager
async def gateway(path: Path, channels: int) -> AsyncIterator[tuple[Child, str]]:
    """A gateway with all its channels up, and its public address."""
    async with child("-m", "gateway", "run", "-c", str(path)) as process:
        public, states = "", dict[tuple[str, str], str]()
        while not public or list(states.values()).count("running") < channels:
            try:
                line = json.loads(await process.line(lambda text: text.startswith("{")))
            except RuntimeError as error:
                raise RuntimeError(f"not all channels came up: {states}; {error}") from None
            public = line["public"] if line["event"] == "gateway.started" else public
            if "state" in line:
                states[line["bot"], line["platform"]] = line["state"]
        reading = asyncio.ensure_future(process.ignore_output())
        try:
            yield process, public
        finally:
            reading.cancel()


# --- channels ---


@dataclass
class Times:
    """One message, in seconds since the epoch."""

    said: float
    asked: float
    answered: float
    heard: float


class Channel:
    """People on one channel. Each has at most one message open, so the k-th answer is to the k-th question."""

    def __init__(self, session: ClientSession, box: str, users: int) -> None:
        self.session, self.box, self.users = session, box, users

    async def open(self) -> None:
        """Before anyone speaks."""

    async def close(self) -> None:
        """After the last answer."""

    async def say(self, user: int, text: str) -> float:
        """Returns when the platform had it."""
        raise NotImplementedError

    async def heard(self) -> dict[int, list[float]]:
        """By user: when each answer reached the platform, oldest first."""
        raise NotImplementedError


class Messenger(Channel):
    """Telegram or Discord in the sandbox."""

    def __init__(self, session: ClientSession, box: str, users: int, name: str, token: str) -> None:
        super().__init__(session, box, users)
        self.control = f"{box}/_control/{name}/{token}"
        self.chats: dict[str, int] = {}

    async def say(self, user: int, text: str) -> float:
        body = {"user": {"id": 7000 + user, "name": "Robin"}, "text": text}
        async with self.session.post(f"{self.control}/messages", json=body) as response:
            said = await response.json()
        self.chats[str(said.get("channel", 7000 + user))] = user
        return float(said["at"])

    async def heard(self) -> dict[int, list[float]]:
        async with self.session.get(f"{self.control}/sent") as response:
            items = (await response.json())["items"]
        times: dict[int, list[float]] = defaultdict(list)
        for item in items:
            if item["kind"] == "message":
                times[self.chats[str(item["chat"])]].append(item["at"])
        return times


class Visitors(Channel):
    """The widget's HTTP: a session and an open stream each."""

    def __init__(self, session: ClientSession, box: str, users: int, public: str) -> None:
        super().__init__(session, box, users)
        self.base = f"{public}/v1/web/bench"
        self.bearers: list[Json] = []
        self.streams: list[asyncio.Task[None]] = []
        self.times: dict[int, list[float]] = defaultdict(list)

    async def open(self) -> None:
        for user in range(self.users):
            async with self.session.post(
                f"{self.base}/sessions", json={}, headers={"Origin": ORIGIN}
            ) as response:
                response.raise_for_status()
                token = (await response.json())["token"]
            self.bearers.append({"Origin": ORIGIN, "Authorization": f"Bearer {token}"})
            self.streams.append(asyncio.create_task(self._listen(user)))

    async def close(self) -> None:
        for stream in self.streams:
            stream.cancel()
        await asyncio.gather(*self.streams, return_exceptions=True)

    async def _listen(self, user: int) -> None:
        async with self.session.get(f"{self.base}/events", headers=self.bearers[user]) as response:
            async for line in response.content:
                if line.startswith(b"data:") and b'"role":"assistant"' in line:
                    self.times[user].append(time.time())

    async def say(self, user: int, text: str) -> float:
        said = time.time()
        headers = {**self.bearers[user], "Idempotency-Key": text.rpartition("#")[2]}
        async with self.session.post(f"{self.base}/messages", json={"text": text}, headers=headers) as answer:
            assert answer.status == 202, await answer.text()
        return said

    async def heard(self) -> dict[int, list[float]]:
        return self.times


class Servers(Channel):
    """Signed requests that are held until the answer is there."""

    def __init__(self, session: ClientSession, box: str, users: int, public: str) -> None:
        super().__init__(session, box, users)
        self.url = f"{public}/v1/hooks/bench/messages"
        self.signer = Webhook(WEBHOOK)
        self.times: dict[int, list[float]] = defaultdict(list)

    async def say(self, user: int, text: str) -> float:
        body, now = json.dumps({"user": {"id": str(user)}, "text": text}), time.time()
        number = f"bench-{text.rpartition('#')[2]}"
        headers = {
            "webhook-id": number,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": self.signer.sign(number, datetime.fromtimestamp(now, UTC), body),
            "Content-Type": "application/json",
            "Prefer": "wait=20",
        }
        said = time.time()
        async with self.session.post(self.url, data=body, headers=headers) as response:
            assert (await response.json())["status"] == "answered", await response.text()
        self.times[user].append(time.time())
        return said

    async def heard(self) -> dict[int, list[float]]:
        return self.times


# --- measuring ---


async def speak(channel: Channel, numbers: range, rate: float) -> dict[int, list[tuple[int, float]]]:
    """Say each number at its time, whether or not the one before was answered. By user: (number, when)."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def one(number: int) -> tuple[int, float]:
        await asyncio.sleep(began + (number - numbers.start) / rate - loop.time())
        return number, await channel.say(number % channel.users, QUESTION.format(number))

    said: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, at in await asyncio.gather(*(one(number) for number in numbers)):
        said[number % channel.users].append((number, at))
    return said


async def answers(channel: Channel, count: int) -> dict[int, list[float]]:
    """Wait for so many, no longer than is sensible."""
    until = time.monotonic() + PATIENCE
    while sum(map(len, (heard := await channel.heard()).values())) < count:
        if time.monotonic() > until:
            raise RuntimeError(f"{sum(map(len, heard.values()))} of {count} answers")
        await asyncio.sleep(0.1)
    return heard


async def asked(session: ClientSession, box: str, after: int) -> tuple[dict[int, tuple[float, float]], int]:
    """By number: when its question reached Sensay and when the answer left; and how many requests there were."""
    async with session.get(f"{box}/_control/sensay/requests", params={"after": str(after)}) as response:
        items = (await response.json())["items"]
    times = {
        int(item["body"]["content"].rpartition("#")[2]): (item["at"], item["answered_at"])
        for item in items
        if item["operation"] == "complete" and item["status"] == 200
    }
    return times, after + len(items)


async def measure(channel: Channel, rate: float, seconds: float, worker: Child) -> tuple[list[Times], float]:
    """Everybody's times after one round to warm up, and the worker's CPU seconds a message."""
    await channel.open()
    try:
        _, before = await asked(channel.session, channel.box, 0)
        await speak(channel, range(channel.users), rate)
        await answers(channel, channel.users)
        numbers = range(channel.users, channel.users + int(rate * seconds))
        began = worker.cpu()
        said = await speak(channel, numbers, rate)
        heard = await answers(channel, channel.users + len(numbers))
        spent = worker.cpu() - began
        upstream, _ = await asked(channel.session, channel.box, before)
    finally:
        await channel.close()
    times = [
        Times(at, *upstream[number], reply)
        for user, messages in said.items()
        for (number, at), reply in zip(messages, heard[user][1:], strict=True)
    ]
    return times, spent / len(numbers)


def percentiles(values: list[float]) -> Json:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49] * 1000, 2), "p99": round(cuts[98] * 1000, 2)}


def summary(times: list[Times], cpu: float) -> Json:
    arriving = [one.asked - one.said for one in times]
    leaving = [one.heard - one.answered for one in times]
    return {
        "messages": len(times),
        "in_ms": percentiles(arriving),
        "out_ms": percentiles(leaving),
        "added_ms": percentiles([a + b for a, b in zip(arriving, leaving, strict=True)]),
        "cpu_ms_per_message": round(cpu * 1000, 2),
    }


@dataclass
class Bench:
    session: ClientSession
    box: str
    folder: Path
    rate: float
    seconds: float
    users: int

    async def latency(self) -> dict[str, Json]:
        """The floor, then the gateway's channels, one after the other."""
        found: dict[str, Json] = {}
        token, secret = TOKEN.format(1), SECRET.format("floor")
        async with child(str(ROOT / "bench/floor.py"), self.box, token, secret, SUPPORT) as bare:
            await bare.line(lambda text: text == "polling")
            found["floor (Telegram)"] = await self._measured(self._messenger("telegram", token), bare)
        token = TOKEN.format(2)
        channels = {
            "telegram": {"token": token},
            "discord": {"token": DISCORD},
            "web": {
                "allowed_origins": [ORIGIN],
                "limits": {"sessions_per_address": "off", "messages_per_session": "off"},
            },
            "webhook": {"secret": WEBHOOK},
        }
        path = configuration(self.box, self.folder, "latency", {"bench": channels})
        async with gateway(path, len(channels)) as (process, public):
            every: dict[str, Channel] = {
                "telegram": self._messenger("telegram", token),
                "discord": self._messenger("discord", DISCORD),
                "web": Visitors(self.session, self.box, self.users, public),
                "webhook": Servers(self.session, self.box, self.users, public),
            }
            for name, channel in every.items():
                found[name] = await self._measured(channel, process)
        return found

    def _messenger(self, name: str, token: str) -> Messenger:
        return Messenger(self.session, self.box, self.users, name, token)

    async def _measured(self, channel: Channel, worker: Child) -> Json:
        return summary(*await measure(channel, self.rate, self.seconds, worker))

    async def footprint(self, *sizes: int, idle: float = 10.0, load: int = 100) -> dict[str, Json]:
        """Memory and idle CPU of gateways with so many Telegram bots, watched at the same time."""
        return dict(await asyncio.gather(*(self._footprint(bots, idle, load) for bots in sizes)))

    async def _footprint(self, bots: int, idle: float, load: int) -> tuple[str, Json]:
        tokens = [TOKEN.format(1000 * bots + number) for number in range(bots)]
        section = {f"bot{number}": {"telegram": {"token": token}} for number, token in enumerate(tokens)}
        path = configuration(self.box, self.folder, f"bots{bots}", section)
        async with gateway(path, bots) as (process, _):
            await asyncio.sleep(1.0)
            fresh, began = process.resident(), process.cpu()
            await asyncio.sleep(idle)
            busy = process.cpu() - began
            each = load // bots
            people = [Messenger(self.session, self.box, each, "telegram", token) for token in tokens]
            await asyncio.gather(*(speak(one, range(each), 50 / bots) for one in people))
            await asyncio.gather(*(answers(one, each) for one in people))
            return str(bots), {
                "rss_mib": round(fresh, 1),
                f"rss_mib_after_{load}_messages": round(process.resident(), 1),
                "idle_cpu_percent": round(100 * busy / idle, 2),
            }


# --- telling ---


def markdown(result: Json, floor: str = "floor (Telegram)") -> str:
    lines = [
        "| | in p50 | in p99 | out p50 | out p99 | added p50 | added p99 | of floor, p50 | CPU a message |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, found in result["latency"].items():
        spans = [found[span][cut] for span in ("in_ms", "out_ms", "added_ms") for cut in ("p50", "p99")]
        ratio = found["added_ms"]["p50"] / result["latency"][floor]["added_ms"]["p50"]
        cells = [f"{value:.1f} ms" for value in spans] + [f"{ratio:.1f}×"]
        lines.append(f"| {name} | {' | '.join(cells)} | {found['cpu_ms_per_message']:.1f} ms |")
    lines += ["", "| Telegram bots | RSS | RSS after 100 messages | idle CPU |", "|---|--:|--:|--:|"]
    for bots, found in result["footprint"].items():
        fresh, loaded, idle = found.values()
        lines.append(f"| {bots} | {fresh:.1f} MiB | {loaded:.1f} MiB | {idle:.2f} % |")
    return "\n".join(lines)


async def run(arguments: argparse.Namespace) -> Json:
    with tempfile.TemporaryDirectory() as folder:
        connector = TCPConnector(limit=0)
        async with (
            sandbox() as box,
            ClientSession(connector=connector, timeout=ClientTimeout(total=None)) as session,
        ):
            bench = Bench(session, box, Path(folder), arguments.rate, arguments.seconds, arguments.users)
            work: list[tuple[str, Callable[[], Awaitable[Json]]]] = [
                ("footprint", lambda: bench.footprint(1, 50)),
                ("latency", bench.latency),
            ]
            result: Json = {
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "load_before": round(os.getloadavg()[0], 2),
                "rate": arguments.rate,
            }
            for name, what in work:
                result[name] = await what()
            return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Added latency by channel, memory and idle CPU.")
    parser.add_argument("--rate", type=float, default=20.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=7.0, help="how long each channel is measured")
    parser.add_argument("--users", type=int, default=30, help="people on each channel")
    arguments = parser.parse_args()
    began = time.monotonic()
    result = asyncio.run(run(arguments))
    print(markdown(result))
    print(f"\n{json.dumps(result | {'took_s': round(time.monotonic() - began, 1)})}")


if __name__ == "__main__":
    main()
