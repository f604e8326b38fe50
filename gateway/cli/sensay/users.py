from __future__ import annotations

from typing import Any

import click

from gateway.cli.sensay.desk import Desk, verb, yes_option
from gateway.cli.sensay.screen import Screen
from gateway.errors import InvalidArguments
from gateway.sensay.api import users as api
from gateway.sensay.api.users import LinkedAccount, User


@click.group()
def users() -> None:
    """Users of the organisation."""


def _linked(
    _: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> tuple[LinkedAccount, ...] | None:
    """`telegram:42`, any number of times."""
    accounts = []
    for one in given:
        type_, colon, id_ = one.partition(":")
        if type_ not in ("telegram", "discord", "embed") or not colon or not id_:
            raise click.BadParameter(f"{one!r} is not like telegram:ID, discord:ID or embed:ID")
        accounts.append(LinkedAccount(account_id=id_, account_type=type_))  # type: ignore[arg-type]
    return tuple(accounts) or None


_linked_option = click.option(
    "--linked", multiple=True, callback=_linked, metavar="TYPE:ID", help="A linked account; may be repeated."
)
_email_option = click.option("--email", help="E-mail address.")
_name_option = click.option("--name", help="At most 50 letters, digits and spaces.")


def _tell(screen: Screen, user: User) -> None:
    if screen.as_json:
        screen.json(user)
        return
    accounts = [f"{one.account_type}:{one.account_id}" for one in user.linked_accounts or ()]
    screen.fields([("id", user.id), ("name", user.name), ("email", user.email), ("linked", accounts)])


@users.command()
@verb(api.CREATE)
@click.argument("id_", metavar="[ID]", required=False)
@_email_option
@_name_option
@_linked_option
def create(desk: Desk, id_: str | None, email: str | None, name: str | None, linked: Any) -> None:
    """Create a user. Without an ID Sensay makes one up."""
    user = desk.ask(lambda sensay: sensay.users.create(id_, email=email, name=name, linked=linked))
    _tell(desk.screen, user)


@users.command()
@verb(api.GET, api.CREATE)
@click.argument("id_", metavar="ID")
def ensure(desk: Desk, id_: str) -> None:
    """The user of this ID, created unless there already."""
    _tell(desk.screen, desk.ask(lambda sensay: sensay.users.ensure(id_)))


@users.command()
@verb(api.GET)
@click.argument("id_", metavar="ID")
def show(desk: Desk, id_: str) -> None:
    """A user by ID."""
    _tell(desk.screen, desk.ask(lambda sensay: sensay.users.get(id_)))


@users.command()
@verb(api.ME)
def me(desk: Desk) -> None:
    """The user that one asks as."""
    _tell(desk.screen, desk.ask(lambda sensay: sensay.users.me(desk.auth)))


@users.command()
@verb(api.UPDATE, api.ME)
@click.option("--id", "id_", metavar="ID", help="A new id.")
@_email_option
@_name_option
@_linked_option
def update(desk: Desk, id_: str | None, email: str | None, name: str | None, linked: Any) -> None:
    """Change the user that one asks as; what is not given stays as it is."""
    given = {"id": id_, "email": email, "name": name, "linked_accounts": linked}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise InvalidArguments("there is nothing to change", remedy="give --id, --email, --name or --linked")
    _tell(desk.screen, desk.ask(lambda sensay: sensay.users.update(desk.auth, **changes)))


@users.command()
@verb(api.DELETE)
@yes_option
def delete(desk: Desk, yes: bool) -> None:
    """Delete the user that one asks as, with all replicas, for good."""
    desk.confirm(f"Delete the user {desk.auth.id} and all replicas of this user, for good?", yes=yes)
    desk.ask(lambda sensay: sensay.users.delete(desk.auth))
    if desk.screen.as_json:
        desk.screen.json({"deleted": True, "user": desk.auth.id})
    else:
        desk.screen.line(f"deleted: {desk.auth.id}")


@users.command()
@verb(api.USAGE)
def usage(desk: Desk) -> None:
    """Conversations of this month and knowledge, of the user's replicas."""
    used = desk.ask(lambda sensay: sensay.users.usage(desk.auth))
    if desk.screen.as_json:
        desk.screen.json(used)
        return
    talks, entries = used.conversations, used.knowledge_base_entries
    by_talks = (talks.current_month_by_replica if talks else None) or {}
    by_entries = (entries.by_replica if entries else None) or {}
    rows = [
        (uuid, by_talks.get(uuid, 0), by_entries.get(uuid, 0)) for uuid in sorted({*by_talks, *by_entries})
    ]
    total = ("all", talks and talks.current_month_total, entries and entries.total)
    desk.screen.table(["replica", "conversations this month", "knowledge"], [*rows, total])
