"""`make chaos-cluster`: three processes over one server, 50 bots, people who talk to all of them, and the process that
holds most is killed again and again; then all are replaced one by one. Counted from the users' side.

`CHAOS_KILLS` says how often (10). Every question has its own answer, so it is known which was seen, and how often.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.sandbox.sensay import CAFE, DEVELOPER, SUPPORT, SensaySandbox
from gateway.sandbox.sensay.state import Replica
from gateway.sandbox.server import Sandbox
from tests.e2e.cluster import DURABLE, Pods, held, public, settled
from tests.e2e.counting import asked
from tests.e2e.process import ORIGIN, Program, eventually
from tests.valkey import Server

TELEGRAMS, DISCORDS, WEBS = 30, 17, 3
BOTS = TELEGRAMS + DISCORDS + WEBS
PODS = 3
LEASE = "10s"
QUOTA = 2_000
"""Requests a minute, here and there: enough for these people, and counted all the same."""
THINKS = (1.0, 4.0)
SETTLE = 90.0
SHORT = ClientTimeout(total=10.0)
_TAG = re.compile(r"q-\d+-\d+")


@dataclass
class Toll:
    said: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: Counter[str] = field(default_factory=Counter)
    """By platform."""
    asked_twice: int = 0
    refused: int = 0
    """429s that the pretended Sensay had to say."""
    conflicts: int = 0
    """Polls that another process's poll ended, as the gateways heard it."""
    takeovers: list[float] = field(default_factory=list)
    """Seconds from a kill until each channel of the killed process runs elsewhere."""
    calm: list[float] = field(default_factory=list)
    rolling: list[float] = field(default_factory=list)
    """Seconds that people waited for each answer."""


def configured() -> dict[str, Any]:
    plain = {"replica": SUPPORT, "coalesce": "off", "queued_after": "1h", "limits": {"user": "off"}}
    free = {"sessions_per_address": "off", "messages_per_session": "off", "messages_per_day": "off"}
    bots: dict[str, Any] = {}
    for number in range(BOTS):
        section: dict[str, Any] = {"token": token(number), "unknown_send": "retry_once"}
        if platform(number) == "discord":
            del section["unknown_send"]
        elif platform(number) == "web":
            section = {"allowed_origins": [ORIGIN], "limits": free}
        bots[f"bot{number}"] = {**plain, platform(number): section}
        if platform(number) == "web":  # one of each replica
            bots[f"bot{number}"]["replica"] = (SUPPORT, CAFE, DEVELOPER)[number - TELEGRAMS - DISCORDS]
    quota = {"requests_per_minute": QUOTA, "completions_per_hour": 1_000_000}
    return {
        "bots": bots,
        "organizations": {"acme": {"secret": "sandbox-organisation-secret", "quota": quota}},
    }


def platform(number: int) -> str:
    return "telegram" if number < TELEGRAMS else "discord" if number < TELEGRAMS + DISCORDS else "web"


def token(number: int) -> str:
    if platform(number) == "telegram":
        return f"{7000 + number}:sandbox-token-of-bot-{number:04}-0000000000"
    account = base64.b64encode(str(100_200_300_400_500_000 + number).encode()).decode().rstrip("=")
    return f"{account}.chaos0.sandbox-token-of-bot-{number:04}-0000000000000"


class Crowd:
    """One person for each bot: says something, waits for the answer, thinks, goes on."""

    def __init__(self, box: Sandbox, session: ClientSession, pods: Pods, dice: random.Random) -> None:
        self.box, self.session, self.pods, self.dice = box, session, pods, dice
        self.said: dict[str, float] = {}
        self.heard: Counter[str] = Counter()
        self.waited: list[tuple[float, float]] = []
        self.quiet = False
        self._arrived: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        persons = (self._visitor if platform(number) == "web" else self._chatter for number in range(BOTS))
        for work in (self._watch(), *(person(number) for number, person in enumerate(persons))):
            self._tasks.add(asyncio.ensure_future(work))

    async def settle(self) -> None:
        """Say nothing new; wait for the answers to what was said."""
        self.quiet = True

        async def missing() -> list[str]:
            return [tag for tag in self.said if not self.heard[tag]]

        with suppress(AssertionError):
            await eventually(missing, lambda tags: not tags, SETTLE)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def waits(self, since: float) -> list[float]:
        """How long people waited who said something since then."""
        return [seconds for at, seconds in self.waited if at >= since]

    # --- what is seen ---

    def _note(self, text: str) -> None:
        """An answer shows the question that it answers."""
        if text.startswith("Answer to ") and (tag := _TAG.search(text)):
            self.heard[tag[0]] += 1
            if self.heard[tag[0]] == 1:
                at = self.said[tag[0]]
                self.waited.append((at, time.monotonic() - at))
                self._arrived[tag[0]].set()

    async def _watch(self) -> None:
        """What the bots write on Telegram and Discord."""
        seen: Counter[int] = Counter()
        while True:
            for number in range(TELEGRAMS + DISCORDS):
                service = self.box.telegram if platform(number) == "telegram" else self.box.discord
                items = service.bot(token(number)).sent
                for item in items[seen[number] :]:
                    self._note(str(item.get("text") or ""))
                seen[number] = len(items)
            await asyncio.sleep(0.05)

    # --- what is said ---

    async def _ask(self, number: int, turn: int) -> str | None:
        await asyncio.sleep(self.dice.uniform(*THINKS))
        if self.quiet:
            return None
        tag = f"q-{number}-{turn}"
        self.said[tag], self._arrived[tag] = time.monotonic(), asyncio.Event()
        return tag

    async def _chatter(self, number: int) -> None:
        turn, said = 0, {"user": {"id": 900 + number, "name": "Robin"}}
        while (tag := await self._ask(number, turn)) is not None:
            if platform(number) == "telegram":
                self.box.telegram.bot(token(number)).hear({**said, "text": f"{tag}?"})
            else:
                await self.box.discord.say(token(number), {**said, "text": f"{tag}?"})
            await self._arrived[tag].wait()
            turn += 1

    async def _somewhere(self, number: int) -> str:
        """Any process, as a load balancer has it."""
        return f"{await public(self.dice.choice(self.pods.running))}/v1/web/bot{number}"

    async def _visitor(self, number: int) -> None:
        headers = {"Origin": ORIGIN}
        while "Authorization" not in headers:
            with suppress(ClientError, TimeoutError, OSError):
                url = f"{await self._somewhere(number)}/sessions"
                async with self.session.post(url, json={}, headers=headers, timeout=SHORT) as answer:
                    if answer.status == 201:
                        headers["Authorization"] = f"Bearer {(await answer.json())['token']}"
        self._tasks.add(asyncio.ensure_future(self._listen(number, headers)))
        turn = 0
        while (tag := await self._ask(number, turn)) is not None:
            while not await self._posted(number, tag, headers):
                await asyncio.sleep(0.1)
            await self._arrived[tag].wait()
            turn += 1

    async def _posted(self, number: int, tag: str, headers: dict[str, str]) -> bool:
        with suppress(ClientError, TimeoutError, OSError):
            url = f"{await self._somewhere(number)}/messages"
            keyed = {**headers, "Idempotency-Key": tag}
            async with self.session.post(
                url, json={"text": f"{tag}?"}, headers=keyed, timeout=SHORT
            ) as answer:
                return answer.status == 202
        return False

    async def _listen(self, number: int, headers: dict[str, str]) -> None:
        last, current = None, None
        while True:
            with suppress(ClientError, TimeoutError, OSError):
                url = f"{await self._somewhere(number)}/events"
                more = {**headers, **({"Last-Event-ID": last} if last else {})}
                async with self.session.get(url, headers=more, timeout=ClientTimeout(total=None)) as stream:
                    async for line in stream.content:
                        name, _, value = line.decode().rstrip("\n").partition(": ")
                        if name == "id":
                            current = value
                        elif name == "data":
                            event, last = json.loads(value), current
                            if event.get("role") == "assistant":
                                self._note(event["text"])
            await asyncio.sleep(0.1)


class World:
    def __init__(self, box: Sandbox, folder: Path, session: ClientSession, journal: str, seed: int) -> None:
        self.box = box
        self.pods = Pods(box, folder, journal, lease=LEASE, **configured())
        self.crowd = Crowd(box, session, self.pods, random.Random(seed))
        self.toll = Toll()

    async def start(self) -> None:
        for _ in range(PODS):
            await self.pods.start()
        await self.spread()
        self.crowd.begin()

    async def spread(self) -> None:
        """Every channel runs once, and nobody has more than its share."""
        share = (BOTS + 1) // PODS
        await settled(self.pods.running, BOTS, lambda numbers: numbers[0] >= share - 1)

    async def calm(self, seconds: float) -> None:
        began = time.monotonic()
        await asyncio.sleep(seconds)
        self.toll.calm += self.crowd.waits(began)

    async def kill(self) -> None:
        """The one that holds most; another one takes its place. Returns when all is well again."""
        victim = max(self.pods.running, key=lambda pod: len(held(pod)))
        theirs, at = held(victim), time.time()
        await self.pods.kill(victim)
        starting = asyncio.ensure_future(self.pods.start())
        await eventually(self._takeovers(theirs, at), lambda found: len(found) == len(theirs))
        self.toll.takeovers += (await self._takeovers(theirs, at)()).values()
        await starting
        await self.spread()

    def _takeovers(self, theirs: dict[str, str], at: float) -> Any:
        async def look() -> dict[str, float]:
            found: dict[str, float] = {}
            for pod in self.pods.running:
                for channel, when in _began(pod).items():
                    if channel in theirs and when >= at:
                        found[channel] = min(found.get(channel, 1e9), when - at)
            return found

        return look

    async def roll(self) -> None:
        """As an orchestrator does it: a new one, and when it is ready, an old one less."""
        began = time.monotonic()
        for pod in list(self.pods.running):
            await self.pods.start()
            await self.pods.end(pod)
        await self.spread()
        await asyncio.sleep(THINKS[1])
        self.toll.rolling += self.crowd.waits(began)

    async def count(self) -> Toll:
        await self.crowd.settle()
        toll, crowd = self.toll, self.crowd
        toll.said = len(crowd.said)
        toll.lost = [tag for tag in crowd.said if not crowd.heard[tag]]
        toll.asked_twice = sum(count - 1 for count in asked(self.box).values() if count > 1)
        for tag, count in crowd.heard.items():
            if count > 1:
                toll.doubled[platform(int(tag.split("-")[1]))] += count - 1
        return toll


def _began(pod: Program) -> dict[str, float]:
    """When each channel ran there for the first time since it was not."""
    began: dict[str, float] = {}
    for line in pod.lines:
        if line.get("event") == "bot.running" and "platform" in line:
            at = datetime.fromisoformat(line["timestamp"]).timestamp()
            began[f"{line['bot']}/{line['platform']}"] = at
    return began


@asynccontextmanager
async def world(folder: Path, seed: int = 1) -> AsyncIterator[World]:
    """A running one. To each question there is an answer of its own."""

    def answer(_: Replica, question: str) -> str:
        return f"Answer to {question}"

    say = Replica.answer
    Replica.answer = answer  # type: ignore[method-assign]
    sensay = SensaySandbox(requests_per_minute=QUOTA, completions_per_hour=None, latency=(0.05, 0.8))
    try:
        async with Sandbox(sensay=sensay) as box, ClientSession() as session:
            with Server(folder / "server", *DURABLE) as server:
                made = World(box, folder, session, server.url, seed)
                try:
                    await made.start()
                    yield made
                finally:
                    await made.crowd.leave()
                    await made.pods.close()
    finally:
        Replica.answer = say  # type: ignore[method-assign]


async def chaos(folder: Path, kills: int, calm: float = 15.0) -> Toll:
    async with world(folder) as made:
        await made.calm(calm)
        for number in range(kills):
            await made.kill()
            _tell(f"kill {number + 1}: {len(made.crowd.said)} said")
        await made.roll()
        return await made.count()


def quantile(numbers: list[float], part: float) -> float:
    return sorted(numbers)[min(len(numbers) - 1, int(part * len(numbers)))] if numbers else 0.0


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # connections of those that are killed
    kills = int(os.environ.get("CHAOS_KILLS", "10"))
    with tempfile.TemporaryDirectory() as folder:
        toll = asyncio.run(chaos(Path(folder), kills))
    _tell(
        f"messages           {toll.said}, of {BOTS} bots in {PODS} processes, {kills} kills, a rolling restart"
    )
    _tell(f"lost               {len(toll.lost)} {toll.lost[:5]}")
    _tell(f"seen twice         {sum(toll.doubled.values())} {dict(toll.doubled)}")
    _tell(f"asked twice        {toll.asked_twice}")
    _tell(f"429 of Sensay      {toll.refused}")
    _tell(f"409 of Telegram    {toll.conflicts}, with {len(toll.takeovers)} channels taken over")
    for name, numbers in (("takeover", toll.takeovers), ("calm", toll.calm), ("rolling", toll.rolling)):
        found = " ".join(f"{quantile(numbers, part):6.2f}" for part in (0.5, 0.95, 0.99, 1.0))
        _tell(f"{name:<18} {found} s  (p50, p95, p99, longest of {len(numbers)})")
    # of Telegram, a send whose outcome is unknown is made again here
    wrong = toll.lost or toll.refused or set(toll.doubled) - {"telegram"}
    sys.exit(bool(wrong or quantile(toll.takeovers, 0.95) > 12.0))


if __name__ == "__main__":
    main()
