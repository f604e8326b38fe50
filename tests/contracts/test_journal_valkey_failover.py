"""Sentinels choose another primary: nothing that was taken is lost, nothing is taken twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.app import SystemClock
from gateway.errors import Transient
from gateway.journal.valkey import ValkeyJournal
from tests.contracts.journal_kit import intake, said, take, waiting
from tests.valkey import Server, free_port

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@dataclass
class Quorum:
    """A primary, two replicas and three Sentinels."""

    data: list[Server] = field(default_factory=list)
    sentinels: list[Server] = field(default_factory=list)

    @property
    def url(self) -> str:
        nodes = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"valkey+sentinel://{nodes}/primary/0"

    async def primary(self) -> int:
        """The port of the one that the Sentinels name now."""
        with self.sentinels[0].client() as client:
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "primary")
            return int(port)

    async def in_step(self) -> None:
        async with asyncio.timeout(30):
            for sentinel in self.sentinels:
                with sentinel.client() as client:
                    while not _knows_all(client.execute_command("SENTINEL", "MASTER", "primary")):
                        await asyncio.sleep(0.05)
            for replica in self.data[1:]:
                with replica.client() as client:
                    while client.info("replication").get("master_link_status") != "up":
                        await asyncio.sleep(0.05)


def _knows_all(said: object) -> bool:
    known = dict(zip(said[::2], said[1::2], strict=True)) if isinstance(said, list) else said
    assert isinstance(known, dict)
    facts = {name.decode() if isinstance(name, bytes) else name: value for name, value in known.items()}
    return int(facts["num-slaves"]) == 2 and int(facts["num-other-sentinels"]) == 2


@pytest.fixture
async def quorum(tmp_path: Path) -> AsyncIterator[Quorum]:
    made = Quorum()
    with ExitStack() as stack:
        made.data.append(stack.enter_context(Server(tmp_path / "0", *DURABLE)))
        follow = ("--replicaof", "127.0.0.1", str(made.data[0].port), "--repl-diskless-sync-delay", "0")
        for n in (1, 2):
            made.data.append(stack.enter_context(Server(tmp_path / str(n), *DURABLE, *follow)))
        for n in (3, 4, 5):
            folder, port = tmp_path / str(n), free_port()
            folder.mkdir()
            (folder / "sentinel.conf").write_text(
                f"sentinel monitor primary 127.0.0.1 {made.data[0].port} 2\n"
                "sentinel down-after-milliseconds primary 1000\n"
                "sentinel failover-timeout primary 5000\n"
            )
            made.sentinels.append(stack.enter_context(Server(folder, port=port, sentinel=True)))
        await made.in_step()
        yield made


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stalled"])
async def test_a_failover_loses_nothing_that_was_taken(quorum: Quorum, fault: signal.Signals) -> None:
    journal = ValkeyJournal(quorum.url, SystemClock())
    await journal.open()
    taken: list[str] = []

    async def people(until: int) -> None:
        while len(taken) < until:
            id_ = f"m{len(taken)}"
            try:
                [outcome] = await take(journal, intake(id_, said(chat=id_, dedupe=(id_,))))
            except Transient:
                await asyncio.sleep(0.05)
            else:
                assert outcome in ("accepted", "duplicate")
                taken.append(id_)

    await people(50)
    quorum.data[0].signal(fault)
    async with asyncio.timeout(60):
        await people(100)
    found = await waiting(journal)
    if fault == signal.SIGSTOP:
        quorum.data[0].signal(signal.SIGCONT)
    await journal.close()

    assert (await quorum.primary()) != quorum.data[0].port
    assert taken == found
