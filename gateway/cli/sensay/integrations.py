from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.sensay.desk import Desk, replica_argument, verb, yes_option
from gateway.errors import InvalidArguments
from gateway.sensay.api import integrations as api
from gateway.sensay.api import replicas
from gateway.sensay.api.client import Sensay
from gateway.sensay.api.integrations import Integration
from gateway.sensay.api.replicas import Replica
from gateway.sensay.api.values import fingerprint

HOSTS = ("telegram", "discord")
_file_option = click.option(
    "--bot-token-file",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Where the bot's token is read from; - or a pipe: standard input. Else it is asked for.",
)


@click.group()
def integrations() -> None:
    """Bots that Sensay runs itself, in place of this gateway."""


@integrations.command("list")
@verb(replicas.LIST)
def list_(desk: Desk) -> None:
    """Replicas with bots that Sensay runs; `here` names a bot of this gateway with the same token."""

    async def work(sensay: Sensay) -> dict[str, list[Replica]]:
        return {
            name: [one async for one in sensay.replicas.list(desk.auth, integration=name)] for name in HOSTS
        }

    found = desk.ask(work)
    own = {
        fingerprint(bot.telegram.token.get_secret_value()): name
        for name, bot in desk.settings.bots.items()
        if bot.telegram is not None
    }
    rows = [
        {"uuid": one.uuid, "slug": one.slug, "platform": platform, "name": name, "here": own.get(token or "")}
        for platform, some in found.items()
        for one in some
        for name, token in [_hosted(one, platform)]
    ]
    if desk.screen.as_json:
        desk.screen.json({"items": rows, "total": len(rows)})
    elif rows:
        desk.screen.table(list(rows[0]), [list(row.values()) for row in rows], wide="name")
    else:
        desk.screen.line("no integrations")


def _hosted(replica: Replica, platform: str) -> tuple[str | None, str | None]:
    """The service's name, and the fingerprint of its token where it is known."""
    if platform == "discord":
        return replica.discord_service_name, None
    hosted = replica.telegram_integration
    return replica.telegram_service_name, hosted.telegram_token if hosted else None


def _token(desk: Desk, file: Path | None) -> str:
    """Never an argument: those can be seen by all of the machine. Raises InvalidArguments for one of our own bots."""
    if file is not None and str(file) != "-":
        token = file.read_text()
    elif file is not None or not sys.stdin.isatty():
        token = sys.stdin.readline()
    else:
        token = click.prompt("The bot's token", hide_input=True, err=True)
    token = token.strip()
    if not token:
        raise InvalidArguments("the bot's token is empty", remedy="give it with --bot-token-file")
    for name, bot in desk.settings.bots.items():
        for platform in (bot.telegram, bot.discord):
            if platform is not None and platform.token.get_secret_value() == token:
                raise InvalidArguments(
                    f"this is the token of bot {name} of this gateway: two would take each other's messages",
                    remedy="use another bot, or take it out of the configuration first",
                )
    return token


def _tell(desk: Desk, done: Integration, what: str) -> None:
    """A message tells of a delay (202)."""
    if desk.screen.as_json:
        desk.screen.json(done)
    elif done.message:
        desk.screen.line(f"accepted, {what} follows: {done.message}")
    else:
        desk.screen.line(f"done: {what}" + (f" (id {done.id})" if done.id is not None else ""))


@integrations.command("add-telegram")
@verb(api.CREATE_TELEGRAM)
@replica_argument
@click.option(
    "--name", required=True, help="What the bot answers to in groups; in the guide the service's name."
)
@_file_option
def add_telegram(desk: Desk, replica: str, name: str, file: Path | None) -> None:
    """Let Sensay run a Telegram bot."""
    token = _token(desk, file)
    done = desk.ask_of(
        replica, lambda sensay, uuid: sensay.integrations.create_telegram(uuid, token, name, desk.auth)
    )
    _tell(desk, done, "the bot's start")


@integrations.command("remove-telegram")
@verb(api.DELETE_TELEGRAM)
@replica_argument
@yes_option
def remove_telegram(desk: Desk, replica: str, yes: bool) -> None:
    """Stop the Telegram bot that Sensay runs."""
    desk.confirm(f"Stop the Telegram bot of {replica} at Sensay?", yes=yes)
    done = desk.ask_of(replica, lambda sensay, uuid: sensay.integrations.delete_telegram(uuid, desk.auth))
    _tell(desk, done, "the bot's end")


@integrations.command("add-discord")
@verb(api.CREATE_DISCORD)
@replica_argument
@_file_option
def add_discord(desk: Desk, replica: str, file: Path | None) -> None:
    """Let Sensay run a Discord bot."""
    token = _token(desk, file)
    done = desk.ask_of(
        replica, lambda sensay, uuid: sensay.integrations.create_discord(uuid, token, desk.auth)
    )
    _tell(desk, done, "the bot's start")
