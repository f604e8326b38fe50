"""What this process holds of what several share: channels and dispatchers, each by one of them at a time.

A lease (`Journal.hold`) is what keeps two from acting; where each name belongs is `policy/placement.py`. Every process
says now and then that it is there, with the names that its configuration has; it waits for leases of names that
are to be its own, and gives back those that are to be another's. A process that owns its journal has all of it.

Where configurations differ, the newest one counts: a name is held only by processes that have it as that one has it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeAlias

from msgspec.structs import replace
from pydantic import SecretStr

from gateway.errors import Moved, Transient
from gateway.messages import BotState, Channel, Value, decode, encode
from gateway.policy.placement import assign
from gateway.ports import Clock, Journal, Lease, Noted, Observer
from gateway.settings.models import Settings
from gateway.settings.plan import channels

GATHER_EVERY, PRESENT = 0.1, 0.6
"""Parts of a lease's time: how often a process says that it is there, and for how long it is believed. Others are
ready to take over before the lease ends, and go on the moment that it does.
"""
ROSTER_TTL = 86_400.0
TOPIC = "members"

Waits: TypeAlias = Callable[[BotState, str | None], None]
"""Told that a lease is another's, and why if that needs a person."""


class Entry(Value, frozen=True):
    """One name of a configuration: a mark of how it is configured, and whose account it uses."""

    mark: str = ""
    account: str = ""


class Roster(Value, frozen=True):
    """All names of a configuration; `since` is when a process came with it for the first time."""

    entries: dict[str, Entry] = {}
    since: float = 0.0


class Placement:
    """Implements `supervisor.Leases`. `pod` is this process's name among the others."""

    def __init__(self, journal: Journal, clock: Clock, observer: Observer, lease: float) -> None:
        self.pod = f"{socket.gethostname()[:40]}-{secrets.token_hex(3)}"
        self.problems: list[str] = []
        """Where the configurations of two processes contradict each other."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when others have come or gone."""
        self._journal, self._clock, self._observer, self._lease = journal, clock, observer, lease
        self._roster = Roster()
        self._key = b""
        self._digest, self._written = "", ""
        self._known: dict[str, Roster] = {}
        self._members: dict[str, str] = {}
        self._assigned: dict[str, str] = {}
        self._held: set[str] = set()
        self._changed = asyncio.Event()
        self._left = False
        self._gathering: asyncio.Task[None] | None = None

    # --- membership ---

    async def join(self, settings: Settings) -> None:
        """Be one of those who hold things. Raises Transient."""
        if self._journal.shared:
            self._key = await self._journal.secret("roster")
            self.configure(settings)
            await self._gather()
            self._gathering = asyncio.get_running_loop().create_task(self._keep_gathering())
            await self._journal.publish(TOPIC, {})

    def configure(self, settings: Settings) -> None:
        """The configuration in force is this one. What is new in it waits until the others have been told."""
        if self._journal.shared:
            entries = roster(settings, self._key)
            self._roster = Roster(entries=entries, since=self._journal.time())
            self._digest = hashlib.blake2b(encode(entries), digest_size=8).hexdigest()
            self._known[self._digest] = self._roster

    async def leave(self) -> None:
        """Give everything to the others, if there are any."""
        self._left = True
        if self._gathering is not None:
            with suppress(Transient):
                await self._journal.leave(self.pod)
                await self._journal.publish(TOPIC, {})
            self._settle({pod: digest for pod, digest in self._members.items() if pod != self.pod})

    async def close(self) -> None:
        if self._gathering is not None:
            if not self._left:
                await self.leave()
            self._gathering.cancel()
            await asyncio.gather(self._gathering, return_exceptions=True)

    @property
    def others(self) -> list[str]:
        """The other processes, as far as is known."""
        return sorted(pod for pod in self._members if pod != self.pod)

    async def _keep_gathering(self) -> None:
        async with self._journal.watch(TOPIC) as watch:
            while not self._left:
                news = asyncio.ensure_future(watch.next())
                alarm = asyncio.ensure_future(self._clock.sleep(self._lease * GATHER_EVERY))
                try:
                    await asyncio.wait({news, alarm}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
                    alarm.cancel()
                watch.drain()
                with suppress(Transient):
                    await self._gather()

    async def _gather(self) -> None:
        if self._written != self._digest:
            await self._write()
        members = await self._journal.gather(self.pod, self._digest, self._lease * PRESENT)
        if self._left:
            await self._journal.leave(self.pod)  # it was on its way when the process left
            return
        if members.keys() - self._members.keys():  # whoever is new has to find what we are known by
            await self._write()
        for digest in set(members.values()) - self._known.keys():
            written = await self._journal.recall("rosters", digest)
            if written is not None:
                self._known[digest] = decode(written, Roster)
        self._settle(members)

    async def _write(self) -> None:
        digest, ours = self._digest, self._roster
        if (written := await self._journal.recall("rosters", digest)) is not None:
            ours = replace(ours, since=min(ours.since, decode(written, Roster).since))
        await self._journal.remember("rosters", digest, encode(ours), ttl=ROSTER_TTL)
        if digest == self._digest:
            self._roster = self._known[digest] = ours
            self._written = digest

    def _settle(self, members: dict[str, str]) -> None:
        """Who holds what, from now on."""
        members = {pod: digest for pod, digest in members.items() if digest in self._known}
        if members == self._members:
            return
        self._members = members
        self._assigned = assign(eligible({pod: self._known[digest] for pod, digest in members.items()}))
        self._known = {digest: self._known[digest] for digest in {*members.values(), self._digest}}
        self._compare()
        self._changed.set()
        self._changed = asyncio.Event()
        self._note("members.changed", members=sorted(members))
        self.on_change()

    def _compare(self) -> None:
        found = disagreements(self._roster.entries, [known.entries for known in self._known.values()])
        for problem in found:
            if problem not in self.problems:
                self._note("config.disagreed", "warning", error=problem)
        self.problems = found

    # --- leases ---

    def mine(self, name: str) -> bool:
        """Whether this process is to hold it. What no configuration has any more stays where it is."""
        to = self._assigned.get(name)
        ours = name not in self._roster.entries if to is None else to == self.pod
        return ours and not (self._left and self.others)

    def elsewhere(self, bot: str) -> bool:
        """Whether the newest configuration, which may be another process's, has this bot."""
        newest = newest_of(self._known[digest] for digest in self._members.values())
        return any(name.startswith(f"channel/{bot}/") for name in newest.entries)

    async def until_moved(self, name: str) -> None:
        """Return when it is held here and is to be another's."""
        await self._until(lambda: name in self._held and not self.mine(name))

    @asynccontextmanager
    async def hold(self, name: str, waits: Waits = lambda _, __: None) -> AsyncIterator[Lease]:
        """As `Journal.hold`, once it is to be held here. `waits` hears that it is not. Raises Moved when it is to be
        another's before it was had.
        """
        if not self._journal.shared:
            async with self._journal.hold(name) as lease:
                yield lease
            return
        async with AsyncExitStack() as stack:
            await self._until_mine(name, waits)
            entering = stack.enter_async_context(self._journal.hold(name))
            held: Lease = await self._unless_moved(name, entering)
            await self._hold_account(name, stack, waits)
            if not self.mine(name):
                raise Moved("the lease is to be another's", lease=name)
            self._held.add(name)
            stack.callback(self._held.discard, name)
            yield held

    async def _until_mine(self, name: str, waits: Waits) -> None:
        if not self.mine(name):
            waits("stopped", None)
            await self._until(lambda: self.mine(name))

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._changed.wait()

    async def _hold_account(self, name: str, stack: AsyncExitStack, waits: Waits) -> None:
        """One account is used once, also where two configurations have it under two names. Raises Moved."""
        account = self._roster.entries.get(name, Entry()).account
        if account:
            entering = stack.enter_async_context(self._journal.hold(f"account/{account}"))
            alarm = asyncio.get_running_loop().call_later(
                self._lease,
                waits,
                "degraded",
                "another process uses this bot's account under another name: give all of them one configuration",
            )
            try:
                await self._unless_moved(name, entering)
            finally:
                alarm.cancel()

    async def _unless_moved(self, name: str, work: Any) -> Any:
        """Do it, unless the name becomes another's meanwhile. Raises Moved."""
        working = asyncio.ensure_future(work)
        moved = asyncio.ensure_future(self._until(lambda: not self.mine(name)))
        try:
            await asyncio.wait({working, moved}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Moved("the lease is to be another's", lease=name)
            return working.result()
        finally:
            moved.cancel()
            if not working.done():
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)

    def _note(self, event: str, level: str = "info", **fields: Any) -> None:
        self._observer(Noted(event=event, level=level, fields=fields))  # type: ignore[arg-type]


def newest_of(rosters: Iterable[Roster]) -> Roster:
    return max(rosters, key=lambda known: known.since, default=Roster())


def eligible(rosters: Mapping[str, Roster]) -> dict[str, list[str]]:
    """What each process may hold: what it has as the newest configuration has it."""
    newest = newest_of(rosters.values())
    return {
        pod: [name for name, entry in newest.entries.items() if known.entries.get(name) == entry]
        for pod, known in rosters.items()
    }


def roster(settings: Settings, key: bytes) -> dict[str, Entry]:
    """Everything of a configuration that is held, each with a mark that tells no secret. All that an organisation's
    questions depend on marks its dispatcher.
    """

    def mark(value: Any) -> str:
        return hmac.digest(key, repr(_plain(value)).encode(), hashlib.sha256).hex()[:16]

    found = {
        f"dispatcher/{name}": Entry(
            mark=mark(
                [organization, {bot: of for bot, of in settings.bots.items() if of.organization == name}]
            )
        )
        for name, organization in settings.organizations.items()
    }
    for channel, built_from in channels(settings).items():
        account = _account(channel, built_from[-1])
        found[f"channel/{channel}"] = Entry(mark=mark(built_from), account=account)
    return found


def _account(channel: Channel, section: Any) -> str:
    """Whom a token belongs to: both platforms put the account's number before the secret part."""
    if channel.platform not in {"telegram", "discord"}:
        return ""
    number = section.token.get_secret_value().partition(":" if channel.platform == "telegram" else ".")[0]
    return hashlib.sha256(f"{channel.platform}/{number}".encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """With the secrets in it: what two processes have to agree on."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if hasattr(type(value), "model_fields"):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def disagreements(ours: Mapping[str, Entry], theirs: Iterable[Mapping[str, Entry]]) -> list[str]:
    """Where others have a bot otherwise than we have: names only."""
    accounts = {entry.account: name for name, entry in ours.items() if entry.account}
    found = set()
    for known in theirs:
        for name, entry in known.items():
            if name in ours and ours[name].mark != entry.mark:
                found.add(f"another process has {name.partition('/')[2]} configured otherwise")
            elif accounts.get(entry.account, name) != name:
                mine, its = (of.partition("/")[2] for of in (accounts[entry.account], name))
                found.add(f"another process uses the account of {mine} for {its}")
    return sorted(found)
