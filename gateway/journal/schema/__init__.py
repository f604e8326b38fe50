"""Numbered migrations, `NNNN_what.sql`: applied in order, each in a transaction. A released one is never edited."""

from __future__ import annotations

from importlib.resources import files

import apsw

from gateway.errors import Misconfigured


def migrations() -> dict[int, str]:
    """Version → script."""
    scripts = (entry for entry in files(__name__).iterdir() if entry.name.endswith(".sql"))
    return {int(entry.name[:4]): entry.read_text("utf-8") for entry in sorted(scripts, key=lambda e: e.name)}


def migrate(db: apsw.Connection) -> None:
    """Bring the database to the newest version. Raises Misconfigured if a newer program wrote it."""
    scripts = migrations()
    newest, found = max(scripts), db.pragma("user_version")
    if found > newest:
        raise Misconfigured(
            f"journal has version {found}, this program knows up to {newest}",
            remedy="run the newer program, or give this one another journal",
        )
    for version, script in scripts.items():
        if version > found:
            with db:
                db.execute(script)
                db.pragma("user_version", version)
