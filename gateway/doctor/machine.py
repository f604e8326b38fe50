"""The machine: the journal's disk, memory, descriptors, ports, the clock. `look` sees, the rest judges and is pure."""

from __future__ import annotations

import os
import resource
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.journal.condition import Condition, condition
from gateway.ports import Finding
from gateway.settings.models import Settings

MB, GB = 2**20, 2**30
LITTLE, VERY_LITTLE = 2 * GB, 200 * MB
"""Bytes free on the journal's disk."""
OFF, FAR_OFF = 2.0, 30.0
"""Seconds between our clock and others'."""
BASE_MEMORY, BOT_MEMORY = 150 * MB, MB // 4
"""Bytes that the process needs, and each channel of a bot besides."""
BASE_FILES, BOT_FILES, VISITORS = 64, 3, 500
"""Descriptors: of the process, of a Telegram or Discord bot, and for streams of visitors where there is a web."""
_CGROUP = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
FREE = "free"


@dataclass(frozen=True, slots=True)
class Machine:
    """What was seen. `ports` says of each listener `free`, or why it cannot be had."""

    journal: Condition | None
    disk_free: int | None
    memory: int | None
    files: int
    files_needed: int
    memory_needed: int
    ports: tuple[tuple[str, int, str], ...]


# --- looking --------------------------------------------------------------------------------------------------------


def look(settings: Settings) -> Machine:
    kept = condition(settings.journal)
    connected = [
        name
        for bot in settings.bots.values()
        if bot.enabled
        for name in ("telegram", "discord")
        if getattr(bot, name)
    ]
    web = any(bot.enabled and (bot.web or bot.webhook) for bot in settings.bots.values())
    listeners = {"server.public": settings.server.public, "server.admin": settings.server.admin}
    return Machine(
        journal=kept,
        disk_free=shutil.disk_usage(kept.file.parent).free if kept and kept.folder_there else None,
        memory=_memory(),
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        files_needed=BASE_FILES + BOT_FILES * len(connected) + (VISITORS if web else 0),
        memory_needed=BASE_MEMORY + BOT_MEMORY * len(connected),
        ports=tuple(
            (name, one.port, _port(one.host, one.port)) for name, one in listeners.items() if one.port
        ),
    )


def _memory() -> int | None:
    """Bytes that may still be had: of the machine, or of our share of it."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        most, now = (int(file.read_text(encoding="ascii")) for file in _CGROUP)
    except (OSError, ValueError):
        return free
    return min(free, most - now)


def _port(host: str, port: int) -> str:
    """Take it for a moment, as the gateway would, and let it go."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), port))
    except OSError as error:
        return (
            os.strerror(error.errno) if error.errno and error.errno > 0 else "the host is not of this machine"
        )
    return FREE


# --- judging --------------------------------------------------------------------------------------------------------


def judge(machine: Machine, *, running: bool) -> Iterator[Finding]:
    """`running`: the gateway of this configuration runs, so what is taken is taken by it."""
    if machine.journal is not None:
        yield _journal(machine.journal)
    if machine.disk_free is not None:
        yield _disk(machine.disk_free)
    for name, port, said in machine.ports:
        yield _judged_port(name, port, said, running=running)
    yield _files(machine)
    if machine.memory is not None and not running:
        yield _judged_memory(machine.memory, machine.memory_needed)


def judge_clock(ahead: float | None) -> Iterator[Finding]:
    """`ahead`: by how many seconds others' clocks are before ours."""
    if ahead is None:
        what = "nobody told the time, so this machine's clock was not compared"
        yield Finding(
            severity="warning", what=what, remedy="look again when Sensay or Telegram can be reached"
        )
    elif abs(ahead) <= OFF:
        yield Finding(severity="ok", what=f"the clock is right (within {OFF:g} s)")
    else:
        way = "behind" if ahead > 0 else "ahead"
        yield Finding(
            severity="error" if abs(ahead) > FAR_OFF else "warning",
            what=f"the clock is {abs(ahead):.0f} s {way}: signed requests, sessions and the quota go by it",
            remedy="let the machine's time be kept by NTP (timedatectl set-ntp true)",
        )


def _journal(kept: Condition) -> Finding:
    wrong = {
        f"the folder {kept.file.parent} does not exist": not kept.folder_there,
        f"the folder {kept.file.parent} cannot be written by this user": not kept.folder_writable,
        f"{kept.file} cannot be written by this user": kept.file_there and not kept.file_writable,
        f"{kept.file} is damaged, or no journal": kept.damaged,
        f"version {kept.version} was written by a newer program, this one knows up to {kept.newest}": (
            kept.version is not None and kept.version > kept.newest
        ),
    }
    remedies = (
        "create it",
        "let the gateway's user write to it; look again as that user",
        "let the gateway's user write to it; look again as that user",
        "restore a backup, or name another file",
        "run the newer program, or name another file",
    )
    for (what, is_so), remedy in zip(wrong.items(), remedies, strict=True):
        if is_so:
            return Finding(severity="error", what=what, remedy=remedy, path="journal")
    if not kept.file_there:
        return Finding(severity="ok", what=f"{kept.file} is made at the first start", path="journal")
    if kept.version is not None and kept.version < kept.newest:
        what = (
            f"version {kept.version}: migrated to {kept.newest} at the next start, a copy is kept beside it"
        )
        return Finding(severity="ok", what=what, path="journal")
    return Finding(severity="ok", what=f"{kept.file} is there, in this program's version", path="journal")


def _disk(free: int) -> Finding:
    said = f"{free / GB:.1f} GB are free where the journal is"
    if free >= LITTLE:
        return Finding(severity="ok", what=said)
    severity = "error" if free < VERY_LITTLE else "warning"
    remedy = "make room: with a full disk nothing is taken in"
    return Finding(severity=severity, what=said, remedy=remedy)  # type: ignore[arg-type]


def _judged_port(name: str, port: int, said: str, *, running: bool) -> Finding:
    path = f"{name}.port"
    if said == FREE:
        return Finding(severity="ok", what=f"{port} is free", path=path)
    if running:
        return Finding(severity="ok", what=f"{port} is taken, as it should be: a gateway runs", path=path)
    remedy = "stop the program that listens there, or choose another port"
    return Finding(severity="error", what=f"{port} cannot be had: {said}", remedy=remedy, path=path)


def _files(machine: Machine) -> Finding:
    what = f"{machine.files} open files are allowed, about {machine.files_needed} are needed"
    if machine.files >= machine.files_needed:
        return Finding(severity="ok", what=what)
    remedy = f"raise the limit (ulimit -n {2 * machine.files_needed}; LimitNOFILE in systemd)"
    return Finding(severity="error", what=what, remedy=remedy)


def _judged_memory(free: int, needed: int) -> Finding:
    what = f"{free / MB:,.0f} MB of memory are free, about {needed / MB:,.0f} are needed"
    if free >= needed:
        return Finding(severity="ok", what=what)
    return Finding(
        severity="warning", what=what, remedy="give the process more memory, or run fewer bots in it"
    )
