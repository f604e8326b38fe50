from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from gateway.cli.sensay.desk import Desk, replica_argument, verb, yes_option
from gateway.cli.sensay.lists import Wish, list_options
from gateway.cli.sensay.screen import moment
from gateway.errors import InvalidArguments
from gateway.sensay.api import replicas as api

F = TypeVar("F", bound=Callable[..., Any])
MODEL, PROVIDER = "gpt-4o", "openai"


@click.group()
def replicas() -> None:
    """Replicas of the organisation."""


@replicas.command("list")
@verb(api.LIST)
@click.option("--slug", help="With this slug.")
@click.option("--owner", "owner_id", metavar="USER", help="Of this user.")
@click.option("--search", metavar="TEXT", help="With this in their name.")
@click.option("--tag", "tags", multiple=True, help="With this tag; may be repeated.")
@click.option(
    "--integration", type=click.Choice(["telegram", "discord"]), help="With a bot that Sensay runs."
)
@click.option("--sort", type=click.Choice(["name", "popularity"]))
@list_options()
def list_(
    desk: Desk, limit: int, page: int | None, everything: bool, tags: tuple[str, ...], **filters: str | None
) -> None:
    """Those that one may see."""
    wish = Wish(limit, page, everything)
    wanted = {key: value for key, value in {**filters, "tags": tags or None}.items() if value is not None}
    found = desk.ask(lambda sensay: wish.of(sensay.replicas, desk.auth, **wanted))
    rows = [(one.uuid, one.slug, one.owner_id, _name(one)) for one in found.items]
    found.tell(desk.screen, ["uuid", "slug", "owner", "name"], rows, wide="name", none="no replicas")


def _name(one: api.Replica) -> str:
    return (one.name or "–") + (" (private)" if one.private else "")


@replicas.command()
@verb(api.GET)
@replica_argument
def show(desk: Desk, replica: str) -> None:
    """One of them."""
    one = desk.ask_of(replica, lambda sensay, uuid: sensay.replicas.get(uuid, desk.auth))
    if desk.screen.as_json:
        desk.screen.json(one)
        return
    desk.screen.fields(
        [
            ("uuid", one.uuid),
            ("name", one.name),
            ("slug", one.slug),
            ("description", one.description),
            ("greeting", one.welcome),
            ("owner", one.owner_id or one.owner_uuid),
            ("private", one.private),
            ("model", one.llm.model if one.llm else None),
            ("system message", one.system_message),
            ("tags", one.tags),
            ("suggestions", one.suggested_questions),
            ("picture", one.picture),
            ("telegram", one.telegram_service_name),
            ("discord", one.discord_service_name),
            ("messages", one.chat_history_count),
            ("created", moment(one.created_at)),
        ]
    )


def _content(*, required: bool) -> Callable[[F], F]:
    """What a replica is made of."""
    options = [
        click.option("--description", "short_description", required=required, help="In a few words."),
        click.option("--greeting", required=required, help="The first thing that it says."),
        click.option("--model", help=f"Default for new ones: {MODEL}."),
        click.option("--provider", help=f"Default for new ones: {PROVIDER}; only the guide has it."),
        click.option("--system-message", help="What it is told about itself."),
        click.option("--private/--public", default=None, help="For its owner only, or for all."),
        click.option("--purpose"),
        click.option("--type", type=click.Choice(["individual", "character", "brand"])),
        click.option("--tag", "tags", multiple=True, help="May be repeated."),
        click.option("--suggestion", "suggested_questions", multiple=True, help="May be repeated."),
        click.option("--allow", "whitelist_emails", multiple=True, metavar="EMAIL", help="May be repeated."),
        click.option("--picture", "profile_image", metavar="URL"),
    ]

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _fields(given: dict[str, Any], llm: dict[str, Any]) -> dict[str, Any]:
    """What was given, as the client takes it. `llm`: what is known of the model so far."""
    own = {
        "model": given.pop("model"),
        "provider": given.pop("provider"),
        "system_message": given.pop("system_message"),
    }
    told = {name: value for name, value in own.items() if value is not None}
    fields = {name: value for name, value in given.items() if value not in (None, ())}
    return fields | ({"llm": llm | told} if told or llm else {})


@replicas.command()
@verb(api.CREATE)
@click.argument("name")
@click.option("--owner", "owner_id", required=True, metavar="USER", help="Whose it is.")
@click.option("--slug", required=True, help="Its name in addresses.")
@_content(required=True)
def create(desk: Desk, **given: Any) -> None:
    """Create a replica."""
    fields = _fields(given, {"model": MODEL, "provider": PROVIDER})
    _made(desk, desk.ask(lambda sensay: sensay.replicas.create(desk.auth, **fields)))


@replicas.command()
@verb(api.LIST, api.CREATE)
@click.option("--owner", required=True, metavar="USER", help="Whose it is.")
@click.option("--name", default="My replica", show_default=True)
@click.option("--slug", help="Default: made of the owner.")
@_content(required=False)
def ensure(desk: Desk, owner: str, slug: str | None, **given: Any) -> None:
    """The first replica of this user, or a new one when there is none."""
    defaults = {"short_description": "A helpful assistant", "greeting": "Hello! How can I help you today?"}
    fields = defaults | _fields(given, {"model": MODEL, "provider": PROVIDER})
    fields["slug"] = slug or "replica-of-" + re.sub(r"[^a-z0-9]+", "-", owner.lower()).strip("-")
    _made(desk, desk.ask(lambda sensay: sensay.replicas.ensure(owner, desk.auth, **fields)))


def _made(desk: Desk, uuid: str) -> None:
    if desk.screen.as_json:
        desk.screen.json({"uuid": uuid})
    else:
        desk.screen.line(uuid)


@replicas.command()
@verb(api.UPDATE, api.GET)
@replica_argument
@click.option("--name")
@click.option("--owner", "owner_id", metavar="USER")
@click.option("--slug")
@_content(required=False)
def update(desk: Desk, replica: str, **given: Any) -> None:
    """Change a replica; what is not given stays as it is."""
    asked = _fields(given, {})
    if not asked:
        raise InvalidArguments("there is nothing to change", remedy="see `sensay replicas update --help`")

    async def change(sensay: Any, uuid: str) -> str:
        fields = dict(asked)
        if "llm" in fields:
            before = (await sensay.replicas.get(uuid, desk.auth)).llm
            fields["llm"] = _known(before) | fields["llm"]
        await sensay.replicas.update(uuid, desk.auth, **fields)
        return uuid

    uuid = desk.ask_of(replica, change)
    if desk.screen.as_json:
        desk.screen.json({"uuid": uuid, "changed": sorted(asked)})
    else:
        desk.screen.line(f"changed: {', '.join(sorted(asked))}")


def _known(llm: api.Llm | None) -> dict[str, Any]:
    names = () if llm is None else llm.__struct_fields__
    return {name: getattr(llm, name) for name in names if getattr(llm, name) is not None}


@replicas.command()
@verb(api.DELETE)
@replica_argument
@yes_option
def delete(desk: Desk, replica: str, yes: bool) -> None:
    """Delete a replica with all it knows, for good."""
    desk.confirm(f"Delete the replica {replica} with all that it knows, for good?", yes=yes)

    async def work(sensay: Any, uuid: str) -> str:
        await sensay.replicas.delete(uuid, desk.auth)
        return uuid

    uuid = desk.ask_of(replica, work)
    if desk.screen.as_json:
        desk.screen.json({"deleted": True, "uuid": uuid})
    else:
        desk.screen.line(f"deleted: {uuid}")
