from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from gateway.cli.admin import Admin, admin_options
from gateway.cli.options import json_option


@click.command()
@click.argument("id_", metavar="ID")
@json_option
@admin_options
def trace(admin: Admin, id_: str, as_json: bool) -> None:
    """One message's life: why (not) answered, its waits, its parts.

    ID is the reference that a user was shown, the id of a message, a turn or a part, or a message as its platform names
    it: BOT/discord/MESSAGE, BOT/telegram/CHAT/MESSAGE.
    """
    life = admin.ask("GET", f"/-/traces/{quote(id_, safe='/')}")
    click.echo(json.dumps(life, indent=2, ensure_ascii=False) if as_json else told(life))


def told(life: dict[str, Any]) -> str:
    """A life in lines."""
    where = f"{life['bot']}/{life['platform']}/{life['conversation']}"
    lines = [
        f"{life['id']}  {life['status']}" + (f": {life['cause']}" if life["cause"] else ""),
        f"  in {where}",
    ]
    if life["decision"]:
        lines.append(f"  because   {life['decision']}")
    elif life["addressed"]:
        lines.append(f"  addressed {life['addressed']}")
    times = ((name, life[f"{name}_at"]) for name in ("accepted", "claimed", "asked", "ended"))
    lines += [f"  {name:<9} {at}" for name, at in times if at]
    waits = {"queue": life["queue_wait"], "quota": life["quota_wait"], "Sensay": life["upstream"]}
    spent = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in waits.items() if seconds is not None)
    if spent:
        lines.append(f"  waited    {spent}; asked {life['attempts']} times")
    for part in life["parts"]:
        cause = f": {part['cause']}" if part["cause"] else ""
        lines.append(f"  {part['purpose']:<9} {part['id']}  {part['state']} (try {part['attempt']}){cause}")
    return "\n".join(lines)
