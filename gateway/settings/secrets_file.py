"""A file of several secrets, `NAME=value` a line: `x_file: FILE#NAME` reads one of them, a shell or a service all."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
MODE = 0o600


def secrets_in(text: str) -> dict[str, str]:
    """Blank lines and those that begin with # are passed over. Raises ValueError, without what stands there."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} is not NAME=value")
        found[match[1]] = _unquoted(match[2].strip())
    return found


def read_secret(source: str) -> str:
    """The content of a file, without trailing white space; of `FILE#NAME` the one of that name.

    Raises OSError, or ValueError in words.
    """
    path, mark, name = source.rpartition("#")
    if not mark or Path(source).exists():
        return _text(Path(source)).rstrip()
    found = secrets_in(_text(Path(path)))
    if name not in found:
        raise ValueError(f"the file has no {name}")
    return found[name]


def secret_path(source: str) -> Path:
    """The file that `read_secret` reads."""
    path, mark, _ = source.rpartition("#")
    return Path(path) if mark and not Path(source).exists() else Path(source)


def add_secrets(path: Path, more: Mapping[str, str], *, force: bool = False) -> None:
    """Add lines; the file is whole at every moment, and for its owner only.

    Raises FileExistsError, and changes nothing, where a name has another value or the file is something else:
    unless `force` says that it may be replaced.
    """
    before = path.read_text("utf-8") if path.exists() else _HEAD
    try:
        known = secrets_in(before)
    except ValueError as error:
        if not force:
            raise FileExistsError(f"{path} is there and {error}") from None
        before, known = _HEAD, {}
    changed = [name for name, value in more.items() if known.get(name, value) != value]
    if changed and not force:
        raise FileExistsError(f"{path} has another value for {', '.join(changed)}")
    kept = [
        line for line in before.splitlines() if not line.startswith(tuple(f"{name}=" for name in changed))
    ]
    added = [f"{name}={value}" for name, value in more.items() if name in changed or name not in known]
    replace_file(path, "\n".join([*kept, *added]) + "\n", MODE)


_HEAD = "# Secrets of the gateway: keep this file to yourself.\n"


def replace_file(path: Path, text: str, mode: int) -> None:
    """Put a whole file in the place of another; nobody ever sees a half or with other rights. Raises OSError."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
        ) as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
