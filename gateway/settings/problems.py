"""What is wrong with a configuration, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A place in a file, counted from 1; line 0 is the file as a whole (or not a file at all)."""

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps a configuration from being used. Never shows the value that is wrong."""

    file: str
    line: int
    col: int
    path: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        path = f" {self.path}:" if self.path else ""
        hint = f" (did you mean {self.hint}?)" if self.hint else ""
        return f"{Spot(self.file, self.line, self.col)}:{path} {self.message}{hint}"


class Invalid(Exception):
    """The configuration cannot be used; `problems` has every reason, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(slots=True)
class Report:
    """Collects while a configuration is read: problems, warnings, and the files that were read."""

    _seen: dict[tuple[Spot, str], Problem] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    """What else was read: secret files, and folders that an `include` looks into."""

    def problem(self, spot: Spot, path: str, message: str, hint: str | None = None) -> None:
        """Note a problem. A place has one: what follows from it, or is found again by another bot, is dropped."""
        self._seen.setdefault((spot, path), Problem(spot.file, spot.line, spot.col, path, message, hint))

    def raise_if_any(self) -> None:
        """Raise Invalid with all problems so far."""
        rank = {str(file): place for place, file in reversed(list(enumerate(self.files)))}
        if self._seen:
            raise Invalid(
                sorted(self._seen.values(), key=lambda p: (rank.get(p.file, len(rank)), p.line, p.col))
            )


def nearest(word: str, words: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Guess which of the words was meant."""
    lower = {candidate.lower(): candidate for candidate in words}
    matches = get_close_matches(word.lower(), lower, n=1, cutoff=cutoff)
    return lower[matches[0]] if matches else None
