from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from gateway.cli.sensay.desk import Desk, verb
from gateway.errors import Permanent
from gateway.sensay.api import account as api
from gateway.sensay.api.account import Key


@click.group()
def keys() -> None:
    """Keys of organisations."""


@keys.command()
@verb(api.REDEEM)
@click.argument("code")
@click.option("--organization-name", required=True, help="What the new organisation is called.")
@click.option("--name", required=True, help="Who answers for it.")
@click.option("--email", required=True)
@click.option(
    "--save",
    "file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new file that the key is kept in; it is not printed.",
)
def redeem(desk: Desk, code: str, organization_name: str, name: str, email: str, file: Path) -> None:
    """Trade an invitation for an organisation and its key. `-` reads the CODE from standard input."""
    if code == "-":
        code = sys.stdin.readline().strip()
    fields = {"organization_name": organization_name, "name": name, "email": email}
    key = _kept(file, lambda: desk.ask(lambda sensay: sensay.account.redeem(code, **fields)))
    if desk.screen.as_json:
        known = {
            "organizationID": key.organization_id,
            "validUntil": key.valid_until,
            "secretFile": str(file),
        }
        desk.screen.json({name: value for name, value in known.items() if value is not None})
        return
    desk.screen.fields(
        [
            ("organisation", key.organization_id),
            ("valid until", key.valid_until),
            ("key", f"in {file}; in the configuration: organizations.NAME.secret_file"),
        ]
    )


def _kept(file: Path, redeem: Any) -> Key:
    """The file is there before the invitation is used up: it is good for one time only."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Permanent(f"{file} is there already", remedy="name a new file with --save") from None
    kept = False
    try:
        with os.fdopen(descriptor, "w") as out:
            key: Key = redeem()
            out.write(f"{key.api_key}\n")
        kept = True
    finally:
        if not kept:
            file.unlink(missing_ok=True)
    return key


@click.command()
@verb(api.HEALTH)
def health(desk: Desk) -> None:
    """How Sensay is; 1 when a part of it is not well."""
    found = desk.ask(lambda sensay: sensay.account.health())
    parts = found.services or {}
    sick = [name for name, part in parts.items() if str(part.status).lower() not in ("200", "ok", "healthy")]
    if desk.screen.as_json:
        desk.screen.json(found)
    elif parts:
        desk.screen.table(
            ["service", "status", "message"], [(n, p.status, p.message) for n, p in parts.items()]
        )
    else:
        desk.screen.line("Sensay is well")
    if sick:
        click.get_current_context().exit(1)
