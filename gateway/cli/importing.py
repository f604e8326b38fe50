"""`config import-sensay`: bots for the replicas of an organisation, for those who come from Sensay's own hosting."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gateway.app import SystemClock
from gateway.cli.admin import Admin, address
from gateway.cli.door import door_to_sensay, leaving_no_trace
from gateway.cli.options import config_option, json_option, read
from gateway.errors import GatewayError, InvalidArguments, Permanent
from gateway.sensay.api.client import Sensay
from gateway.sensay.api.patience import Patient
from gateway.sensay.api.replicas import LARGEST_PAGE, Replica
from gateway.settings import Loaded
from gateway.settings.bots_file import Found, block, bot_name, variable
from gateway.settings.models import Settings
from gateway.settings.secrets_file import add_secrets, replace_file

HEAD = "# Bots imported from Sensay. Change what you like: what is here is never overwritten.\nbots:\n"
_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")


class Unfit(Exception):
    """It cannot be written as it should be; the message is for the operator."""


@dataclass
class Imported:
    """What became of it, for people and machines; no secret is in it."""

    file: str
    secrets: str
    added: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    tokens: int = 0
    notes: list[str] = field(default_factory=list)


@click.command("import-sensay")
@config_option
@click.option("--organization", help="Which one, if there are several.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: bots.d/ORGANIZATION.yaml."
)
@click.option(
    "--secrets",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Default: ORGANIZATION.secrets beside it.",
)
@click.option("--force", is_flag=True, help="Secrets of the same name may be replaced.")
@click.option("--admin", "url", help="The admin listener's address. Default: the configuration's.")
@click.option("--token", envvar="GATEWAY_ADMIN_TOKEN", help="Default: the configuration's.")
@json_option
def import_sensay(
    path: Path,
    organization: str | None,
    out: Path | None,
    secrets: Path | None,
    force: bool,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Write a bot for each replica of the organisation that has none yet; tokens go to a file of their own."""
    loaded = read(path, 1, as_json=as_json)
    name = _chosen(loaded.settings, organization)
    target = out or path.parent / "bots.d" / f"{name}.yaml"
    kept = secrets or target.with_suffix(".secrets")
    try:
        replicas, tokens, notes = asyncio.run(
            _asked(loaded.settings, name, address(loaded.settings, url, token))
        )
        done = _write(loaded, name, replicas, tokens, target, kept, force=force)
    except (GatewayError, Unfit, OSError) as error:
        click.echo(_words(error), err=True)
        sys.exit(1)
    done.notes = [*notes, *done.notes, *_included(loaded, path, target, done)]
    click.echo(json.dumps(asdict(done), indent=2, ensure_ascii=False) if as_json else _told(done))


def _chosen(settings: Settings, wanted: str | None) -> str:
    known = list(settings.organizations)
    if wanted in known or (wanted is None and len(known) == 1):
        return wanted or known[0]
    said = "there are several organisations" if wanted is None else f"there is no organisation {wanted!r}"
    raise click.UsageError(f"{said}: give --organization with one of {', '.join(known) or '(none)'}.")


# --- asking ---------------------------------------------------------------------------------------------------------


async def _asked(
    settings: Settings, organization: str, admin: Admin
) -> tuple[list[Replica], dict[str, str], list[str]]:
    """All replicas, and the Telegram tokens that Sensay tells, by replica. Raises GatewayError."""
    clock = SystemClock()
    async with door_to_sensay(
        leaving_no_trace(settings), organization, url=admin.url, token=admin.token, clock=clock
    ) as door:
        sensay = Sensay(Patient(door, clock, waits=_waits), clock)
        replicas = [one async for one in sensay.replicas.list(page_size=LARGEST_PAGE)]
        try:
            hosted = [one async for one in sensay.integrations.list_telegram()]
        except (InvalidArguments, Permanent) as error:
            return replicas, {}, [f"no tokens: {_words(error)}"]
    found = {one.uuid: one.telegram.telegram_token for one in hosted if one.telegram is not None}
    return replicas, {uuid: token for uuid, token in found.items() if token and _TOKEN.fullmatch(token)}, []


def _waits(seconds: float, window: str) -> None:
    click.echo(f"the budget ({window}) is used up: going on in {seconds:.0f} s", err=True)


# --- writing --------------------------------------------------------------------------------------------------------


def _write(
    loaded: Loaded,
    organization: str,
    replicas: list[Replica],
    tokens: dict[str, str],
    target: Path,
    secrets: Path,
    *,
    force: bool,
) -> Imported:
    """First the secrets, then the bots that need them. Raises Unfit and OSError; nothing is half done then."""
    done = Imported(str(target), str(secrets))
    before = target.read_text("utf-8") if target.exists() else HEAD
    here = _bots_in(before, target)
    known = {bot.replica: name for name, bot in loaded.settings.bots.items()} | {
        str(bot.get("replica", "")).lower(): name for name, bot in here.items()
    }
    used = {
        bot.telegram.token.get_secret_value(): name
        for name, bot in loaded.settings.bots.items()
        if bot.telegram is not None
    }
    taken, kept, text = {*loaded.settings.bots, *here}, {}, before if before.endswith("\n") else before + "\n"
    for replica in sorted(replicas, key=lambda one: (one.slug or "", one.uuid)):
        if (name := known.get(replica.uuid.lower())) is not None:
            done.skipped.append({"replica": replica.uuid, "bot": name})
            continue
        name = bot_name(replica.slug or replica.name or "", taken)
        taken.add(name)
        found = _found(replica)
        token = tokens.get(replica.uuid)
        if token is not None and token in used:
            found = replace(found, telegram_why=f"the same token as that of {used[token]}")
        elif token is not None:
            used[token] = name
            kept[variable(name, "telegram")] = token
            found = replace(found, telegram=f"{secrets}#{variable(name, 'telegram')}")
        text += block(name, organization, found)
        done.added.append(
            {
                "bot": name,
                "replica": replica.uuid,
                "name": replica.name,
                "telegram": found.telegram is not None,
            }
        )
    _check_whole(text, {*here, *(one["bot"] for one in done.added)}, target)
    if done.added:
        target.parent.mkdir(parents=True, exist_ok=True)
        if kept:
            secrets.parent.mkdir(parents=True, exist_ok=True)
            add_secrets(secrets, kept, force=force)
        replace_file(target, text, 0o644)
    done.tokens = len(kept)
    if kept:
        done.notes.append(
            "Sensay still runs these Telegram bots: take each integration away before you start it here"
        )
    return done


def _found(replica: Replica) -> Found:
    hosted = {
        "telegram": replica.telegram_service_name or replica.telegram_integration,
        "discord": replica.discord_service_name or replica.discord_is_active,
    }
    why = "Sensay runs one, and did not tell its token" if hosted["telegram"] else ""
    return Found(
        replica=replica.uuid,
        slug=replica.slug or "",
        name=replica.name or replica.slug or replica.uuid,
        private=bool(replica.private),
        hosted=tuple(name for name, there in hosted.items() if there),
        telegram_why=why,
    )


def _bots_in(text: str, target: Path) -> dict[str, Any]:
    """What a file of bots has; raises Unfit for another kind of file."""
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        raise Unfit(f"{target} is no YAML: put it right, or choose another file with --out") from None
    if not isinstance(document, dict) or set(document) - {"bots"}:
        raise Unfit(f"{target} is no file of bots only: choose another one with --out")
    bots = document.get("bots") or {}
    return {str(name): bot or {} for name, bot in bots.items()} if isinstance(bots, dict) else {}


def _check_whole(text: str, names: set[str], target: Path) -> None:
    """Adding lines made what it was meant to make."""
    try:
        whole = set(_bots_in(text, target)) == names
    except Unfit:
        whole = False
    if not whole:
        raise Unfit(
            f"{target} is written in a way that nothing can be added to: choose another file with --out"
        )


# --- telling --------------------------------------------------------------------------------------------------------


def _included(loaded: Loaded, path: Path, target: Path, done: Imported) -> list[str]:
    if not done.added or target.resolve() in {file.resolve() for file in loaded.files}:
        return []
    if target.parent.resolve() in {folder.resolve() for folder in loaded.beside}:
        return []
    try:
        pattern = target.parent.resolve().relative_to(path.parent.resolve()) / "*.yaml"
    except ValueError:
        pattern = target.resolve()
    return [f"{path} does not have it yet: add  include: [{pattern}]"]


def _told(done: Imported) -> str:
    names = ", ".join(one["bot"] for one in done.added)
    lines = [f"{done.file}: {_counted(len(done.added), 'bot')} added{': ' + names if names else ''}"]
    lines += [f"skipped, there already: {one['replica']} ({one['bot']})" for one in done.skipped]
    lines += [f"{done.secrets}: {_counted(done.tokens, 'token')}, for you only (0600)"] if done.tokens else []
    return "\n".join([*lines, *done.notes])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _words(error: Exception) -> str:
    remedy = getattr(error, "remedy", None) or getattr(error, "context", {}).get("remedy")
    said = str(error)
    if isinstance(error, FileExistsError):
        remedy = "give --force to replace it, or another file with --secrets"
    elif isinstance(error, OSError):
        said = f"{error.filename}: {error.strerror}"
    return f"{said}: {remedy}" if remedy else said
