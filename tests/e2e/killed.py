"""The gateway as `run` makes it, in a process that dies by SIGKILL at one named step of a message's life.

`python -m tests.e2e.killed POINT ARMED -c CONFIG`. The contracts are wrapped, the program is not changed: what a
proxy at the journal and at Sensay cannot see did not matter to anybody. It dies only once the file ARMED is there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from gateway.app import Makers
from gateway.cli.options import CONFIGURATION, read
from gateway.cli.run import serve
from gateway.journal import open_journal
from gateway.messages import Said
from gateway.ports import Left
from gateway.sensay.client import SensayClient

POINTS = {
    "received": "received",
    "journaled": "journaled",
    "acknowledged": "platform acknowledged",
    "claimed": "turn claimed",
    "granted": "quota granted",
    "requested": "upstream request sent",
    "read": "upstream reply read",
    "finished": "finish committed",
    "sending": "part claimed",
    "sent": "part sent",
    "delivered": "receipt committed",
}
"""Every step, in its order. `acknowledged` cannot be seen from inside: there the process stops for its killer."""


class Trigger:
    """Dies at `point`, once armed."""

    def __init__(self, point: str, armed: Path) -> None:
        self._point, self._armed = point, armed

    def here(self, point: str) -> bool:
        return point == self._point and self._armed.exists()

    def pull(self, point: str) -> None:
        if self.here(point):
            os.kill(os.getpid(), signal.SIGKILL)


class DyingJournal:
    """A `ports.Journal` before and after whose commits the process may die."""

    def __init__(self, journal: Any, trigger: Trigger) -> None:
        self._journal, self._trigger = journal, trigger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def accept(self, intakes: Any) -> Any:
        said = any(isinstance(intake.arrival, Said) for intake in intakes)
        if said:
            self._trigger.pull("received")
        outcomes = await self._journal.accept(intakes)
        if said:
            self._trigger.pull("journaled")
        return outcomes

    async def claim(self, *claim: Any) -> Any:
        if self._trigger.here("acknowledged"):
            await asyncio.Event().wait()
        self._trigger.pull("granted")  # the slot is taken, and nothing is written yet
        turn = await self._journal.claim(*claim)
        if turn is not None:
            self._trigger.pull("claimed")
        return turn

    async def finish(self, *finish: Any) -> None:
        await self._journal.finish(*finish)
        self._trigger.pull("finished")

    async def claim_deliveries(self, *claim: Any) -> Any:
        deliveries = await self._journal.claim_deliveries(*claim)
        if deliveries:
            self._trigger.pull("sending")
        return deliveries

    async def delivered(self, *delivered: Any) -> None:
        self._trigger.pull("sent")
        await self._journal.delivered(*delivered)
        self._trigger.pull("delivered")


class DyingCompletions:
    """A `ports.Completions` that may die with a question on the wire, or with its answer in hand."""

    def __init__(self, completions: Any, trigger: Trigger) -> None:
        self._completions, self._trigger = completions, trigger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._completions, name)

    async def complete(self, question: Any, admit: Any, *more: Any) -> Any:
        async def admitted(kind: Any, completion: bool) -> Left:
            left = await admit(kind, completion)

            def leaves() -> None:
                left()
                if completion:
                    self._trigger.pull("requested")

            return leaves

        reply = await self._completions.complete(question, admitted, *more)
        self._trigger.pull("read")
        return reply


def main(point: str, armed: str, path: str) -> None:
    assert point in POINTS
    trigger = Trigger(point, Path(armed))
    makers = Makers(
        journal=lambda *place, **more: DyingJournal(open_journal(*place, **more), trigger),  # type: ignore[arg-type,return-value]
        completions=lambda **parts: DyingCompletions(SensayClient(**parts), trigger),  # type: ignore[arg-type,return-value]
    )
    sys.exit(serve(read(Path(path), CONFIGURATION), makers))


if __name__ == "__main__":
    main(*sys.argv[1:])
