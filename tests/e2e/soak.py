"""`make soak`: many messages on all channels, a world that misbehaves in every way it knows, and random SIGKILLs.

Counted from the users' side: every question has its own answer, so it is known which was seen, and how often. The last
third runs without kills, so that one process's memory can be watched. `SOAK_MESSAGES` says how many (10,000).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import apsw
from aiohttp import ClientSession

from gateway.sandbox.faults import KINDS, Fault
from gateway.sandbox.sensay import SensaySandbox
from gateway.sandbox.sensay.state import Replica
from gateway.sandbox.server import Sandbox
from tests.e2e.audience import Audience, audience
from tests.e2e.ordeal import still_open
from tests.e2e.process import Program, configuration, write_configuration

MESSAGES = int(os.environ.get("SOAK_MESSAGES", "10000"))
RATE = float(os.environ.get("SOAK_RATE", "40"))
"""Messages a second: what a small machine can pretend beside the gateway itself."""
CHANNELS = ("telegram", "discord", "web", "webhook")
PERSONS = 25
KILL_EVERY = (4.0, 12.0)
FAULTS = ("complete", "history", "answer", "*")
PLATFORM_FAULTS = ("status", "delay", "drop_before", "drop_after")
SETTLE = float(os.environ.get("SOAK_SETTLE", "120"))
ANSWERED: Counter[str] = Counter()
"""How often a replica answered each question."""
_TAG = re.compile(r"q-\w+-\d+")


@dataclass
class Toll:
    messages: int = 0
    kills: int = 0
    faults: int = 0
    lost: list[str] = field(default_factory=list)
    asked_twice: int = 0
    seen_twice: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    dead_letters: int = 0
    memory: list[int] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """How much more memory the last third of the calm run took than its first third."""
        third = len(self.memory) // 3
        if third < 20:
            return 0.0  # a process this young is still growing up
        return median(self.memory[-third:]) / median(self.memory[:third]) - 1.0


class World:
    """The pretended services, the program, and everybody who talks to it."""

    def __init__(self, box: Sandbox, folder: Path, session: ClientSession, dice: random.Random) -> None:
        self.box, self.folder, self.dice = box, folder, dice
        self.people = {name: audience(name, box, session, PERSONS) for name in CHANNELS}
        self.path = write_configuration(folder, _configured(box, folder))
        self.toll = Toll(messages=MESSAGES)
        self.said: dict[str, tuple[str, int]] = {}
        self.program = Program([])

    async def start(self) -> None:
        self.program = await Program(["run", "-c", str(self.path)]).start()
        public = (await self.program.event("gateway.started"))["public"]
        for people in self.people.values():
            people.public = public

    async def speak(self) -> None:
        """At an even pace, whoever it is."""
        for number in range(MESSAGES):
            channel, person = self.dice.choice(CHANNELS), self.dice.randrange(PERSONS)
            tag = f"q-{channel}-{number}"
            self.said[tag] = channel, person
            await self.people[channel].say(person, f"Question {tag}?")
            await asyncio.sleep(1.0 / RATE)

    async def kill(self) -> None:
        """Until it is time to be calm."""
        while len(self.said) < MESSAGES * 2 / 3:
            await asyncio.sleep(self.dice.uniform(*KILL_EVERY))
            for people in self.people.values():
                people.public = None
            self.program.signal(signal.SIGKILL)
            await self.program.ended()
            self.toll.kills += 1
            await self.start()

    async def trouble(self) -> None:
        """Faults of every kind, everywhere."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.1, 0.5))
            service = self.dice.choice(("sensay", "sensay", "telegram", "discord"))
            kind = self.dice.choice(KINDS if service == "sensay" else PLATFORM_FAULTS)
            operation = self.dice.choice(FAULTS) if service == "sensay" else "*"
            # a bare 429 of Discord's is the shield before it: ten minutes of silence, as it should be
            status = self.dice.choice((500, 502, 503) if service == "discord" else (429, 500, 502, 503))
            wait, slow = self.dice.choice((None, 0.5)), self.dice.uniform(0.1, 3.0)
            self.box.faults.add(Fault(service, operation, kind, status, wait, slow))
            self.toll.faults += 1

    async def watch_memory(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            if len(self.said) > MESSAGES * 2 / 3 and self.program.process is not None:
                self.toll.memory.append(_memory(self.program.process.pid))

    async def settle(self) -> None:
        """Everything said is taken, and the journal has nothing open."""
        until = time.monotonic() + SETTLE
        while time.monotonic() < until:
            if not still_open(self.folder) and not any(
                self._posting(people) for people in self.people.values()
            ):
                return
            await asyncio.sleep(0.5)
        posting = {name: sum(map(self._is_posting, people.tasks)) for name, people in self.people.items()}
        sys.stdout.write(
            "\n".join(line[:300] for line in self.program.raw[-int(os.environ.get("SOAK_LOG", "0")) :])
        )
        sys.stdout.write(f"not settled: {still_open(self.folder)} open in the journal, posting {posting}\n")

    @staticmethod
    def _is_posting(task: Any) -> bool:
        return any(name in repr(task) for name in ("._say()", "._ask()"))

    @staticmethod
    def _posting(people: Audience) -> bool:
        return any(map(World._is_posting, people.tasks))

    async def count(self) -> Toll:
        seen: Counter[str] = Counter()
        failures: Counter[tuple[str, str]] = Counter()
        for channel, people in self.people.items():
            for person, text in await people.texts():
                tags = _TAG.findall(text)
                seen.update(tags)
                failures[channel, person] += not tags
        toll, letters = self.toll, _letters(self.folder)
        toll.failed, toll.dead_letters = failures.total(), letters.total()
        told = {
            channel: sum(n for (name, _), n in failures.items() if name == channel) for channel in CHANNELS
        }
        for channel in CHANNELS:
            missing = [tag for tag, (where, _) in self.said.items() if where == channel and not seen[tag]]
            sys.stdout.write(
                f"{channel}: {len(missing)} without an answer, {told[channel]} told of a failure, "
                f"{letters[channel]} given up\n"
            )
            if len(missing) > told[channel] + letters[channel]:
                toll.lost += missing
        sys.stdout.write("".join(f"{life}\n" for life in _lives(self.folder, toll.lost[:20])))
        toll.seen_twice.update(tag.split("-")[1] for tag, n in seen.items() for _ in range(n - 1))
        toll.asked_twice = sum(count - 1 for count in ANSWERED.values() if count > 1)
        return toll


def _configured(box: Sandbox, folder: Path) -> dict[str, Any]:
    document = configuration(box, folder)
    document["sensay"]["timeout"] = "20s"
    document["organizations"]["acme"]["quota"] = {
        "requests_per_minute": 100_000,
        "completions_per_hour": 1_000_000,
    }
    bot = document["bots"]["support"]
    bot |= {"coalesce": "off", "max_wait": "1h", "queued_after": "1h", "limits": {"user": "off"}}
    bot["queue"] = {"per_conversation": 10_000, "per_bot": 100_000}
    bot["telegram"]["unknown_send"] = "retry_once"
    everything = {"sessions_per_address": "off", "messages_per_session": "off", "messages_per_day": "off"}
    bot["web"]["limits"] = everything
    return document


def _letters(folder: Path) -> Counter[str]:
    """Parts that were given up, by channel; failed turns were told."""
    query = (
        "SELECT c.platform, count(*) FROM dead_letters d JOIN conversations c ON c.id = d.conversation"
        " WHERE d.kind <> 'turn' GROUP BY c.platform"
    )
    with closing(apsw.Connection(str(folder / "gateway.db"), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        return Counter(dict(db.execute(query)))


def _lives(folder: Path, tags: list[str]) -> list[str]:
    """What the journal knows of these questions."""
    query = (
        "SELECT m.id, m.state, m.outcome, m.cause, m.turn, t.attempt, t.cause,"
        " (SELECT group_concat(p.state || ' ' || p.attempt || ' ' || coalesce(p.platform_ids, p.cause, ''))"
        " FROM parts p WHERE p.owner IN (m.id, m.turn))"
        " FROM bodies b JOIN messages m ON m.seq = b.message LEFT JOIN turns t ON t.id = m.turn"
        " WHERE CAST(b.said AS TEXT) LIKE ?"
    )
    with closing(apsw.Connection(str(folder / "gateway.db"), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        return [f"{tag}: {list(db.execute(query, (f'%{tag}?%',)))}" for tag in tags]


def _memory(pid: int) -> int:
    """Resident kilobytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def soak() -> Toll:
    seed = int(os.environ.get("SOAK_SEED", "1"))
    sensay = SensaySandbox(requests_per_minute=None, completions_per_hour=None, latency=(0.05, 0.8))
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox(sensay=sensay) as box, ClientSession() as session:
            world = World(box, Path(folder), session, random.Random(seed))
            await world.start()
            await world.program.running(*CHANNELS)  # Discord keeps nothing for a bot that was never there
            beside = [asyncio.ensure_future(work) for work in (world.trouble(), world.watch_memory())]
            try:
                await asyncio.gather(world.speak(), world.kill())
                beside[0].cancel()
                box.faults.clear()
                await world.settle()
                world.program.signal(signal.SIGTERM)
                await world.program.ended()
                return await world.count()
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*(people.leave() for people in world.people.values()))
                await world.program.kill()


def _answer(_: Replica, question: str) -> str:
    """To each question an answer of its own. A question that a fault kept from the replica was not asked."""
    ANSWERED[question] += 1
    return f"Answer to {question}"


def main() -> None:
    Replica.answer = _answer  # type: ignore[method-assign]
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # connections dropped on purpose
    toll = asyncio.run(soak())
    memory = f"{toll.memory[-1] // 1024} MB, {toll.growth:+.0%}" if toll.memory else "not watched"
    sys.stdout.write(
        f"messages {toll.messages}, kills {toll.kills}, faults {toll.faults}\n"
        f"lost {len(toll.lost)} {toll.lost[:10]}, asked twice {toll.asked_twice}, seen twice {dict(toll.seen_twice)},"
        f" told of a failure {toll.failed}, parts given up {toll.dead_letters}\nmemory {memory}\n"
    )
    good = not toll.lost and not set(toll.seen_twice) - {"telegram"} and toll.growth < 0.25
    sys.exit(not good)


if __name__ == "__main__":
    main()
