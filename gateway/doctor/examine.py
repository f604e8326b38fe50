"""All looks, side by side and bounded: a server that hangs costs its own look, and the whole ends in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from gateway.doctor import machine, options, reach, running
from gateway.doctor.findings import Report, below, placed
from gateway.errors import GatewayError, Misconfigured
from gateway.messages import PlatformName
from gateway.ports import Clock, Finding, Platform, Probed, Probes
from gateway.sensay import probe as sensay
from gateway.sensay.api.operation import Door
from gateway.settings import Loaded
from gateway.settings.plan import PLATFORMS

AT_ONCE = 32
ONE, ALL = 10.0, 60.0
"""Seconds for one look at a platform, and for everything."""
ORGANIZATION = 30.0
"""Seconds for one organisation at Sensay: several requests, one after the other."""


@dataclass(frozen=True, kw_only=True)
class Around:
    """What the looks go through.

    `door` opens a way to Sensay for an organisation, one at a time. `status` is the document of `/status.json` of
    the gateway that runs with this configuration, None when none does. `machine`: look at this machine, too.
    """

    clock: Clock
    platform: Callable[[PlatformName], Platform]
    door: Callable[[str], AbstractAsyncContextManager[Door]]
    status: Mapping[str, Any] | None = None
    machine: bool = True
    one: float = ONE
    all: float = ALL


@dataclass
class _Notes:
    findings: list[Finding] = field(default_factory=list)
    ahead: list[float] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)

    def add(self, prefix: str, probed: Probed) -> None:
        self.findings += below(prefix, probed.findings)
        self.ahead += [] if probed.ahead is None else [probed.ahead]


async def examine(loaded: Loaded, around: Around) -> Report:
    """Look at everything. Changes nothing outside; ends within `around.all` seconds and a little."""
    notes = _Notes()
    platforms: dict[PlatformName, Platform] = {}
    jobs = [*_channels(loaded, around, platforms, notes), _organizations(loaded, around, notes)]
    jobs.append(_address(loaded, around, notes))
    try:
        await _all(jobs, around.all, notes)
    finally:
        for platform in platforms.values():
            await platform.close()
    if around.status is not None:
        notes.findings += running.judge(around.status)
    if around.machine:
        notes.findings += options.judge(loaded.settings)
        notes.findings += machine.judge(machine.look(loaded.settings), running=around.status is not None)
        notes.findings += machine.judge_clock(median(notes.ahead) if notes.ahead else None)
    return Report(placed(notes.findings, loaded.where), notes.requests)


async def _all(jobs: Iterable[Awaitable[None]], seconds: float, notes: _Notes) -> None:
    tasks = [asyncio.ensure_future(job) for job in jobs]
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    failed = [error for error in results if isinstance(error, Exception)]
    if failed:
        raise failed[0]
    if late:
        what = f"{len(late)} looks were not done within {seconds:g} s: something hangs"
        remedy = "see the errors above, put them right and look again"
        notes.findings.append(Finding(severity="error", what=what, remedy=remedy, path="platforms"))


# --- platforms ------------------------------------------------------------------------------------------------------


def _channels(
    loaded: Loaded, around: Around, platforms: dict[PlatformName, Platform], notes: _Notes
) -> Iterator[Awaitable[None]]:
    room = asyncio.Semaphore(AT_ONCE)
    for name, bot in loaded.settings.bots.items():
        for kind in PLATFORMS if bot.enabled else ():
            section = getattr(bot, kind)
            if section is None:
                continue
            if kind not in platforms:
                platforms[kind] = around.platform(kind)
            platform = platforms[kind]
            if isinstance(platform, Probes):
                yield _channel(platform, name, section, room, around, notes)


async def _channel(
    platform: Any, bot: str, section: Any, room: asyncio.Semaphore, around: Around, notes: _Notes
) -> None:
    async with room:
        try:
            async with asyncio.timeout(around.one):
                probed = await platform.probe(bot, section, around.clock)
        except TimeoutError:
            probed = Probed(findings=(_silent(f"no answer within {around.one:g} s"),))
        except Exception as error:  # noqa: BLE001 - one bot's trouble is its own
            probed = Probed(findings=(_silent(f"could not be looked at: {type(error).__name__}"),))
    notes.add(f"bots.{bot}.{platform.name}", probed)


def _silent(what: str) -> Finding:
    return Finding(
        severity="error", what=what, remedy="check the network, and `platforms` in the configuration"
    )


# --- Sensay and the public address ----------------------------------------------------------------------------------


async def _organizations(loaded: Loaded, around: Around, notes: _Notes) -> None:
    """One after the other: without a gateway each of them holds the journal."""
    for name in loaded.settings.organizations:
        looking = sensay.Looking(loaded.settings, name, around.clock)
        try:
            async with asyncio.timeout(min(ORGANIZATION, 3 * around.one)), around.door(name) as door:
                await looking.run(door)
        except TimeoutError:
            what = "Sensay did not answer in time"
            looking.error(what, "check the network and sensay.base_url, and whether Sensay is well")
        except GatewayError as error:
            remedy = error.remedy if isinstance(error, Misconfigured) else error.context.get("remedy")
            looking.error(f"Sensay was not looked at: {error}", remedy)
        finally:
            notes.findings += looking.findings
            notes.requests[name] = looking.requests
            notes.ahead += looking.ahead


async def _address(loaded: Loaded, around: Around, notes: _Notes) -> None:
    async for finding in reach.look(loaded.settings, around.one, running=around.status is not None):
        notes.findings.append(finding)
