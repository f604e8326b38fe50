"""One cell of the kill matrix: people ask, the process dies at a named step, another one starts; who saw what?"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apsw
from aiohttp import ClientSession

from gateway.sandbox.server import Sandbox
from tests.e2e.audience import Audience, audience
from tests.e2e.counting import asked
from tests.e2e.process import Program, configuration, eventually, write_configuration
from tests.valkey import Server

PERSONS = 1
"""Alone, so that a cell tells of its own step only; crowds are the soak's."""
HELLO, QUESTION = "What are your opening hours?", "How long is the warranty?"
PATIENCE = 60.0


@dataclass(frozen=True)
class Ways:
    """One row of the table: a channel, and how it treats a send whose outcome is unknown."""

    platform: str
    unknown_send: str | None = None

    def __str__(self) -> str:
        return self.platform + (f" (`unknown_send: {self.unknown_send}`)" if self.unknown_send else "")


ROWS = (
    Ways("telegram", "drop"),
    Ways("telegram", "retry_once"),
    Ways("discord"),
    Ways("web"),
    Ways("webhook"),
)


@dataclass(frozen=True)
class Toll:
    """Of the questions that were asked around the kill. `dead_letters`: not seen, but an operator sees it."""

    lost: int
    asked_twice: int
    seen_twice: int
    dead_letters: int


async def ordeal(box: Sandbox, folder: Path, ways: Ways, point: str, server: Server | None = None) -> Toll:
    """Everybody is known already; then everybody asks, and the process dies at its first passing of `point`.

    The journal is a file in the folder, or on the server.
    """
    more = {"journal": server.url, "cluster": {"lease": "2s"}} if server else {}
    path = write_configuration(folder, _configured(box, folder, ways) | more)
    armed = folder / "armed"
    async with ClientSession() as session:
        people = audience(ways.platform, box, session, PERSONS)
        first = Program([point, str(armed), str(path)], module="tests.e2e.killed")
        second = Program(["run", "-c", str(path)])
        try:
            await _meet(first, people, ways)
            armed.touch()
            await _die(first, people, point)
            return await _recover(
                second, people, ways, server.still_open if server else partial(still_open, folder)
            )
        finally:
            await people.leave()
            await first.kill()
            await second.kill()


def _configured(box: Sandbox, folder: Path, ways: Ways) -> dict[str, Any]:
    document = configuration(box, folder)
    bot = document["bots"]["support"]
    for name in ("telegram", "discord", "web", "webhook"):
        if name != ways.platform:
            del bot[name]
    if ways.unknown_send:
        bot["telegram"]["unknown_send"] = ways.unknown_send
    return document


async def _meet(first: Program, people: Audience, ways: Ways) -> None:
    """Sensay and the channel know everybody before it begins."""
    people.public = await (await first.start()).running(ways.platform)
    people.box.sensay.latency = 0.0
    for person in range(PERSONS):
        await people.say(person, f"{HELLO} ({person})")
    await eventually(people.heard, lambda heard: heard.total() >= PERSONS)
    people.box.sensay.latency = 0.2


async def _die(first: Program, people: Audience, point: str) -> None:
    for person in range(PERSONS):
        await people.say(person, f"{QUESTION} ({person})")
    if point == "acknowledged":

        async def told() -> bool:
            return people.acknowledged(2 * PERSONS)

        await eventually(told, bool)
        first.signal(signal.SIGKILL)
    code = await first.ended()
    people.public = None
    assert code == -signal.SIGKILL, "\n".join(first.raw[-20:])


def still_open(folder: Path) -> int:
    """Messages and parts that the journal has not ended."""
    with closing(apsw.Connection(str(folder / "gateway.db"), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        db.set_busy_timeout(2000)
        count = "SELECT (SELECT count(*) FROM messages WHERE ended_at IS NULL) + (SELECT count(*) FROM parts"
        return int(next(db.execute(f"{count} WHERE ended_at IS NULL)"))[0])


async def _recover(second: Program, people: Audience, ways: Ways, left: Callable[[], int]) -> Toll:
    people.public = await (await second.start()).running(ways.platform)
    admin = (await second.event("gateway.started"))["admin"]

    async def dead_letters() -> list[str]:
        """Whose they are: on Telegram a conversation is called as the person is counted."""
        async with people.session.get(f"{admin}/-/dead-letters") as answer:
            return [letter["conversation"] for letter in (await answer.json())["items"]]

    async def accounted_for() -> int:
        heard = await people.heard()
        return len({*await dead_letters(), *(person for person, count in heard.items() if count >= 2)})

    async def settled() -> bool:
        return await accounted_for() >= PERSONS and not left()

    with suppress(AssertionError):  # the count says it
        await eventually(settled, bool, PATIENCE)
    lost, letters = PERSONS - await accounted_for(), await dead_letters()
    second.signal(signal.SIGTERM)  # what still is under way is finished
    assert await second.ended() == 0, "\n".join(second.raw[-20:])
    heard, questions = await people.heard(), asked(people.box)
    return Toll(
        lost=lost,
        asked_twice=sum(max(0, questions[f"{QUESTION} ({person})"] - 1) for person in range(PERSONS)),
        seen_twice=sum(max(0, count - 2) for count in heard.values()),
        dead_letters=len(letters),
    )
