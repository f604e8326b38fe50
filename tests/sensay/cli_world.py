"""`sensay …` as it is typed, against the sandbox: with a running gateway, or with the journal in hand.

The services run in a thread of their own, so that commands may have their own event loops, as they do for real.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner, Result

from gateway.app import Gateway
from gateway.cli import cli
from gateway.cli.sensay.desk import Surroundings
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import SUPPORT, Canned, SensaySandbox
from gateway.sandbox.server import Sandbox
from gateway.sensay.api import Sensay
from gateway.sensay.requests import Requests
from gateway.settings.models import Settings

T = TypeVar("T")
SECRET = "a-secret-of-acme"
BOT_TOKEN = "123456789:AAexampleexampleexampleexample12345"
OURS = "987654321:AAoursoursoursoursoursoursours12345"
DISCORD_TOKEN = "d" * 60


class Hurried:
    """A clock on which nobody waits: sleeping moves it. `slept` tells for how long each time."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return time.time() + sum(self.slept)

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        """A deadline for what takes real time: it does not move the clock."""
        return asyncio.get_running_loop().call_later(seconds, ring).cancel


class Background:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


@dataclass(frozen=True)
class Scene:
    """Ids of things that are there: ada, her replica with an entry, and a group's conversation with the sample."""

    replica: str
    entry: int
    conversation: str
    chat: str
    message: str


class CliWorld:
    def __init__(self, background: Background, box: Sandbox, folder: Path, document: dict[str, Any]) -> None:
        self._background, self.box, self.folder, self._document = background, box, folder, document
        self.clock = Hurried()
        self.path = folder / "gateway.yaml"
        self.path.write_text(json.dumps(document))

    @property
    def dialect(self) -> str:
        return str(self._document["sensay"]["dialect"])

    def run(self, *words: object, typed: str | None = None) -> Result:
        """Exit code, stdout and stderr of one command."""
        arguments = ["sensay", *map(str, words), "-c", str(self.path)]
        return CliRunner().invoke(cli, arguments, input=typed, obj=Surroundings(self.clock))

    def json(self, *words: object, typed: str | None = None) -> Any:
        result = self.run(*words, "--json", typed=typed)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def lines(self, asking: dict[str, Any]) -> tuple[list[str], Any]:
        """An operation over the admin port, in lines: the pieces, and the last one."""
        port = self._document["server"]["admin"]["port"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/-/sensay/acme",
            json.dumps(asking).encode(),
            {"Accept": "application/x-ndjson", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                *pieces, last = map(json.loads, response.read().splitlines())
        except urllib.error.HTTPError as error:
            return [], json.load(error)
        return [piece["delta"] for piece in pieces], last

    def scene(self) -> Scene:
        return self._background.run(self._scene())

    async def _scene(self) -> Scene:
        settings = Settings.model_validate(self._document)
        requests = Requests(lambda: settings, lambda _: None, self.clock)

        async def door(operation: Any, arguments: Any, auth: Any) -> Any:
            return await requests.send("acme", operation.request(arguments, auth, self.dialect), lambda: None)

        sensay = Sensay(door, self.clock)
        try:
            await sensay.users.ensure("ada")
            replica = await sensay.replicas.create(
                slug="nel",
                name="Nel",
                short_description="d",
                greeting="Moin",
                owner_id="ada",
                llm={"model": "gpt-4o"},
            )
            added = await sensay.knowledge.add_text(replica, "We open at nine.")
            talks = [one async for one in sensay.conversations.list(SUPPORT, page_size=100)]
            group = next(one for one in talks if one.conversation_type == "group")
            page = await sensay.conversations.messages_page(SUPPORT, group.uuid, limit=3)
        finally:
            await requests.close()
        self.box.sensay.requests.clear()
        return Scene(replica, added.ids[0], group.uuid, group.chat_uuid or "", page.items[-1].uuid)

    def reset(self) -> None:
        self._background.run(self._reset())

    async def _reset(self) -> None:
        self.box.reset()

    def fault(self, operation: str, kind: Any, **how: Any) -> None:
        self.box.faults.add(Fault("sensay", operation, kind, **how))

    def canned(self, operation: str, **answer: Any) -> None:
        self.box.sensay.canned.append(Canned(operation, **answer))

    @property
    def sent(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.box.sensay.requests]

    def reached(self) -> set[str]:
        """Endpoints, as the sandbox's table spells them."""
        table = self.box.sensay.table
        return {
            f"{request.method} {next(_paths(table, request.method, request.path))}"
            for request in self.box.sensay.requests
        }


def _paths(table: Any, method: str, path: str) -> Iterator[str]:
    for route in table:
        if route.method == method and route.pattern.fullmatch(path.partition("?")[0]):
            yield route.path
    yield path.rpartition("/")[0]  # where files are put: the last part is a secret


@contextmanager
def cli_world(
    folder: Path,
    dialect: str = "openapi",
    *,
    gateway: bool = False,
    quota: Any = None,
    token: str | None = None,
    **sandbox: Any,
) -> Iterator[CliWorld]:
    """`gateway`: one runs, and commands go through its admin port; else each has the journal in hand."""
    background = Background()
    limits = {"requests_per_minute": None, "completions_per_hour": None, "uploads_per_hour": None} | sandbox
    box = Sandbox(sensay=SensaySandbox(errors="guide" if dialect == "guide" else "openapi", **limits))
    background.run(box.start())
    document = {
        "server": {"public": {"host": "127.0.0.1", "port": 0}, "admin": {"port": 1, "token": token}},
        "journal": f"sqlite:///{folder}/gateway.db",
        "shutdown_grace": "0s",
        "sensay": {"base_url": box.url, "timeout": "10s", "dialect": dialect},
        "platforms": {"telegram": {"api_url": box.url}},
        "organizations": {"acme": {"secret": SECRET, "quota": quota or {"requests_per_minute": 100_000}}},
        "bots": {
            "shop": {"replica": SUPPORT, "web": {}},
            "mute": {"replica": SUPPORT, "enabled": False, "telegram": {"token": OURS}},
        },
    }
    running: Gateway | None = None
    if gateway:
        document["server"]["admin"]["port"] = 0
        running = background.run(_started(document))
        document["server"]["admin"]["port"] = running.admin.port
    try:
        yield CliWorld(background, box, folder, document)
    finally:
        if running is not None:
            background.run(running.close())
        background.run(box.stop())
        background.stop()


async def _started(document: dict[str, Any]) -> Gateway:
    gateway = Gateway(Settings.model_validate(document))
    await gateway.start()
    return gateway
