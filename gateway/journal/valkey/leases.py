"""Leases that processes share: `scripts/leases.lua`.

Theory. A process says every few seconds that it is alive: its session, one key with a time to live, by the server's
clock. A lease names the session that holds it and lasts as long as that session, so that thousands of leases cost one
renewal. A session that ended never comes back under its name; so whoever saw it gone may take what it held. The process
itself counts from before it sent the renewal, and by less than the whole time to live: it stops acting before anybody
else may start, also where it is cut off or was asleep. What it may still have on the way is kept out by the token,
which grows with each holder and is looked at in every script that writes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from redis.asyncio import Redis

from gateway.errors import GatewayError, Transient
from gateway.journal.valkey.client import make, translated
from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.store import Store
from gateway.journal.valkey.wires import Wires
from gateway.ports import Clock, Lease, Watch

SURE = 0.8
"""The part of a session's time to live that its process counts on."""
RENEWALS = 4
"""How often in that time to live it is renewed."""
LOOK_AGAIN = 30.0
"""Seconds after which a lease that nobody seemed to let go of is looked at anyway."""


class Drawn(msgspec.Struct):
    token: int | None = None
    holder: str = ""


class Session:
    """The process as the others see it. `until`: by the monotonic clock, how long it may act."""

    def __init__(self, clock: Clock) -> None:
        self.name = secrets.token_hex(8)
        self.until = 0.0
        self._clock = clock
        self._ended = asyncio.Event()

    @property
    def over(self) -> bool:
        return self._ended.is_set() or self._clock.monotonic() >= self.until

    def end(self) -> None:
        self._ended.set()

    async def wait_over(self) -> None:
        await self._ended.wait()


class Held:
    """A lease for as long as its session lasts."""

    def __init__(self, name: str, token: int, session: Session) -> None:
        self.name, self.token, self._session = name, token, session

    @property
    def lost(self) -> bool:
        return self._session.over

    async def wait_lost(self) -> None:
        await self._session.wait_over()


class Leases:
    """All leases of this process."""

    def __init__(self, store: Store, homes: Homes, wires: Wires, clock: Clock, lasting: float) -> None:
        self._store, self._homes, self._wires, self._clock = store, homes, wires, clock
        self._lasting = lasting
        self._client: Redis | None = None
        self._session: Session | None = None
        self._owed: dict[str, str] = {}
        """Claims that could not be given back: while the session lasts, nobody else gets those leases."""
        self._beginning = asyncio.Lock()
        self._keeping: asyncio.Task[None] | None = None
        self._rivals: dict[str, asyncio.Event] = {}
        self._looking: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._client = make(self._store.at)
        self._keeping = asyncio.create_task(self._keep())
        self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        for task in (self._keeping, self._looking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        client, self._client = self._client, None
        if client is not None:
            if self._session is not None:
                with suppress(GatewayError), translated(self._store.at):
                    await client.delete(_key(self._session.name))
                self._session.end()
            await client.aclose()

    # the session

    async def _alive(self) -> Session:
        """Return the session, a new one if there is none. Raises Transient."""
        async with self._beginning:
            if self._session is None or self._session.over:
                session = Session(self._clock)
                sent = self._clock.monotonic()
                with translated(self._store.at):
                    await self._connected().set(_key(session.name), b"", nx=True, px=self._milliseconds)
                session.until = sent + self._lasting * SURE
                self._session = session
            return self._session

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(self._lasting / RENEWALS)
            if self._session is not None and not await self._renewed(self._session):
                self._session.end()
                self._session = None
                self._owed.clear()
            for claim, name in list(self._owed.items()):
                await self._let_go(name, claim)

    async def _renewed(self, session: Session) -> bool:
        """Try until it is renewed or too late."""
        while (now := self._clock.monotonic()) < session.until:
            try:
                async with asyncio.timeout(session.until - now):
                    with translated(self._store.at):
                        known = await self._connected().pexpire(_key(session.name), self._milliseconds)
            except GatewayError:
                await self._clock.sleep(min(0.2, session.until - now))
            except TimeoutError:
                return False
            else:
                session.until = now + self._lasting * SURE
                return bool(known)
        return False

    @property
    def _milliseconds(self) -> int:
        return int(self._lasting * 1000)

    def _connected(self) -> Redis:
        if self._client is None:
            raise Transient("journal is closed")
        return self._client

    # others

    async def _look(self) -> None:
        """Find out when sessions end that hold what somebody here waits for."""
        while True:
            await self._clock.sleep(self._lasting / 10)
            names = list(self._rivals)
            if not names:
                continue
            with suppress(GatewayError), translated(self._store.at):
                pipeline = self._connected().pipeline(transaction=False)
                for name in names:
                    pipeline.execute_command("EXISTS", _key(name))
                for name, alive in zip(names, await pipeline.execute(), strict=True):
                    if not alive:
                        self._rivals.pop(name).set()

    async def _until_free(self, holder: str, freed: Watch) -> str | None:
        """Wait until it may be tried again; returns the holder's name if its session is gone."""
        rival = self._rivals.setdefault(holder, asyncio.Event())
        waits = {asyncio.ensure_future(freed.next()), asyncio.ensure_future(rival.wait())}
        waits.add(asyncio.ensure_future(self._clock.sleep(LOOK_AGAIN)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return holder if rival.is_set() else None

    # leases

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[Lease]:
        claim = secrets.token_hex(8)
        try:
            yield await self._taken(name, claim)
        finally:  # also of one that was cancelled while it was drawn
            await self._let_go(name, claim)

    async def _let_go(self, name: str, claim: str) -> None:
        """Give it back, if it was drawn; if the server is away just now, later."""
        if self._session is None or self._session.over:
            return
        self._owed[claim] = name
        with suppress(GatewayError):
            await self._store.write(f"lease/{name}", "let_go", name=name, claim=claim)
            self._owed.pop(claim, None)

    async def _taken(self, name: str, claim: str) -> Held:
        gone: str | None = None
        async with self._wires.watch(f"lease/{name}") as freed:
            while True:
                session = await self._alive()
                drawn = await self._draw(name, claim, session, 0, gone)
                if drawn.token is not None:
                    return Held(name, await self._planted(name, claim, session, drawn.token), session)
                gone = await self._until_free(drawn.holder, freed)

    async def _draw(self, name: str, claim: str, session: Session, above: int, gone: str | None) -> Drawn:
        given: dict[str, Any] = {"session": session.name, "claim": claim, "above": above}
        if gone is not None:
            given["gone"] = gone
        return (await self._store.write(f"lease/{name}", "draw", **given)).one(Drawn)

    async def _planted(self, name: str, claim: str, session: Session, token: int) -> int:
        """Make the token known where its holder will write; a counter that forgot is set right by what is there."""
        for organization in await self._writes_to(name):
            planted = Held(name, token, session)
            newest = (await self._store.write(organization, "plant", lease=planted)).maybe(int)
            if newest is not None:
                drawn = await self._draw(name, claim, session, newest, None)
                return await self._planted(name, claim, session, drawn.token or newest + 1)
        return token

    async def _writes_to(self, name: str) -> list[str]:
        kind, _, rest = name.partition("/")
        if kind == "dispatcher":
            await self._homes.settle(rest, ())
            return [rest]
        if kind == "channel":
            return list(await self._homes.of(rest.partition("/")[0], fresh=True))
        if kind == "account":
            return []
        return await self._homes.all()


def _key(session: str) -> str:
    return f"gw:{{session/{session}}}"
