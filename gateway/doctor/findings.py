"""What came out, in the order in which an operator reads it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from gateway.ports import Finding
from gateway.settings.problems import Spot

RANK = {"error": 0, "warning": 1, "ok": 2}
_NAMED = ("bots.", "organizations.")


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding in its place: `finding.path` is complete; `group` is what it is printed under."""

    group: str
    finding: Finding
    spot: Spot | None = None

    @property
    def key(self) -> str:
        """The path below its group."""
        path = self.finding.path
        return ".".join(path.split(".")[2:]) if path.startswith(_NAMED) else path

    def document(self) -> dict[str, Any]:
        """As JSON."""
        place = None
        if self.spot is not None:
            place = {"file": self.spot.file, "line": self.spot.line, "col": self.spot.col}
        return {
            "group": self.group,
            "severity": self.finding.severity,
            "path": self.finding.path or None,
            "place": place,
            "what": self.finding.what,
            "remedy": self.finding.remedy,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """`requests`: how many were sent to Sensay, by organisation."""

    seen: tuple[Seen, ...] = ()
    requests: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.count("error") == 0

    def count(self, severity: str) -> int:
        return sum(seen.finding.severity == severity for seen in self.seen)

    def groups(self) -> Iterator[tuple[str, list[Seen]]]:
        """In order, and in each the worst first."""
        for group, members in groupby(self.seen, key=lambda seen: seen.group):
            yield group, sorted(members, key=lambda seen: RANK[seen.finding.severity])

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ok": self.ok,
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "findings": [seen.document() for seen in self.seen],
            "sensay_requests": dict(self.requests),
        }


def placed(findings: Iterable[Finding], where: Callable[[str], Spot | None]) -> tuple[Seen, ...]:
    """By group: the bots first, by name, then the organisations, the gateway and the machine."""
    seen = [
        Seen(_group(one.path), one, where(one.path) if one.path else None) for one in dict.fromkeys(findings)
    ]
    return tuple(sorted(seen, key=lambda one: (_order(one.finding.path), one.group)))


def below(prefix: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same, with complete paths."""
    for one in findings:
        path = f"{prefix}.{one.path}" if one.path else prefix
        yield Finding(severity=one.severity, what=one.what, remedy=one.remedy, path=path)


def _order(path: str) -> int:
    first = path.partition(".")[0]
    return {"bots": 0, "organizations": 1, "": 3}.get(first, 2)


def _group(path: str) -> str:
    if path.startswith(_NAMED):
        kind, name = path.split(".")[:2]
        return f"{kind.removesuffix('s')} {name}"
    return "gateway" if path else "machine"
