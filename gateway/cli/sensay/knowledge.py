from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli.sensay.desk import Desk, replica_argument, verb, yes_option
from gateway.cli.sensay.lists import Wish, list_options
from gateway.cli.sensay.screen import moment
from gateway.errors import GatewayError, InvalidArguments, Permanent
from gateway.sensay.api import knowledge as api
from gateway.sensay.api.client import Sensay
from gateway.sensay.api.files import checked
from gateway.sensay.api.knowledge import PATIENCE, STUCK, TRAINED, Added, Entry

F = TypeVar("F", bound=Callable[..., Any])
STEPS = ("NEW", "FILE_UPLOADED", "RAW_TEXT", "PROCESSED_TEXT", "VECTOR_CREATED", "READY")
_OTHERS = "what is listed with an id was taken in: add only the others again"


@click.group()
def knowledge() -> None:
    """What a replica knows."""


@knowledge.group()
def add() -> None:
    """Teach a text, a page, a video or files."""


def wait_options(function: F) -> F:
    function = click.option(
        "--wait-for",
        "patience",
        type=click.FloatRange(1),
        default=PATIENCE,
        show_default=True,
        help="Seconds.",
    )(function)
    return click.option("--wait", is_flag=True, help="Until the replica answers with it.")(function)


@dataclass
class Outcome:
    """What became of all that was to be taught, in order. Nothing of it is hidden."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def took(self, added: Added, name: str) -> list[int]:
        """Each text, page, video or file of an answer; the ids of those that were taken in."""
        for one in added.each:
            row = {"id": one.knowledge_base_id, "type": one.type, "name": name, "enqueued": one.enqueued}
            self.rows.append(row | ({"error": one.error or "no reason given"} if not one.enqueued else {}))
        return list(added.ids)

    def failed(self, name: str, error: GatewayError) -> None:
        self.rows.append({"name": name, "enqueued": False, "error": str(error)})

    def learnt(self, id_: int, status: str, error: str | None = None) -> None:
        row = next(row for row in self.rows if row.get("id") == id_)
        row |= {"status": status} | ({"error": error} if error else {})

    def tell(self, desk: Desk) -> None:
        """Ends with 1 when anything failed."""
        bad = [row for row in self.rows if "error" in row]
        if desk.screen.as_json:
            known = [{key: value for key, value in row.items() if value is not None} for row in self.rows]
            desk.screen.json({"results": known, "failed": len(bad)})
        else:
            rows = [(row.get("id"), row.get("type"), row["name"], _state(row)) for row in self.rows]
            desk.screen.table(["id", "type", "what", "state"], rows, wide="what")
            if bad:
                reasons = "; ".join(dict.fromkeys(str(row["error"]) for row in bad))
                remedy = STUCK if all(row["enqueued"] for row in bad) else _OTHERS
                desk.screen.fail(Permanent(f"{len(bad)} of {len(rows)} failed: {reasons}", remedy=remedy))
        if bad:
            click.get_current_context().exit(1)


def _state(row: dict[str, Any]) -> str:
    return str(row.get("status") or ("taken in" if row["enqueued"] else "failed"))


async def wait_for(
    desk: Desk, sensay: Sensay, uuid: str, ids: Sequence[int], outcome: Outcome, patience: float
) -> None:
    """Look until each of them is learnt; the others are looked at, too, when one cannot be."""
    for id_ in ids:
        try:
            outcome.learnt(id_, (await watched(desk, sensay, uuid, id_, patience)).status)
        except GatewayError as error:
            outcome.learnt(id_, "not learnt", str(error))


async def watched(desk: Desk, sensay: Sensay, uuid: str, id_: int, patience: float) -> Entry:
    """One entry until it is learnt, with a bar. Raises GatewayError."""
    with desk.screen.bar(f"entry {id_}", "steps") as count:

        def seen(entry: Entry) -> None:
            step = STEPS.index(entry.status) if entry.status in STEPS else 0
            count(step, STEPS.index("VECTOR_CREATED"), entry.status)

        return await sensay.knowledge.wait(uuid, id_, desk.auth, patience=patience, seen=seen)


@add.command()
@verb(api.ADD_TEXT, api.GET)
@replica_argument
@click.argument("text")
@wait_options
def text(desk: Desk, replica: str, text: str, wait: bool, patience: float) -> None:
    """A text; `-` reads it from standard input."""
    taught = sys.stdin.read() if text == "-" else text
    outcome = Outcome()

    async def work(sensay: Sensay, uuid: str) -> None:
        ids = outcome.took(await sensay.knowledge.add_text(uuid, taught, desk.auth), _short(taught))
        await wait_for(desk, sensay, uuid, ids if wait else (), outcome, patience)

    desk.ask_of(replica, work)
    outcome.tell(desk)


@add.command()
@verb(api.ADD_URL, api.GET)
@replica_argument
@click.argument("url")
@click.option("--auto-refresh", is_flag=True, default=None, help="Read the page again from time to time.")
@wait_options
def url(desk: Desk, replica: str, url: str, auto_refresh: bool | None, wait: bool, patience: float) -> None:
    """A page, a video or a playlist."""
    outcome = Outcome()

    async def work(sensay: Sensay, uuid: str) -> None:
        added = await sensay.knowledge.add_url(uuid, url, desk.auth, auto_refresh=auto_refresh)
        ids = outcome.took(added, url)
        await wait_for(desk, sensay, uuid, ids if wait else (), outcome, patience)

    desk.ask_of(replica, work)
    outcome.tell(desk)


@add.command("file")
@verb(api.ADD_FILE, api.GET, api.DELETE)
@replica_argument
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@wait_options
def file_(desk: Desk, replica: str, files: tuple[Path, ...], wait: bool, patience: float) -> None:
    """Files of up to 50 MB, ten an hour; all are looked at before the first one leaves."""
    for file in files:
        checked(file)
    outcome = Outcome()

    async def work(sensay: Sensay, uuid: str) -> None:
        ids = [
            id_
            for file in files
            for id_ in await send(desk, sensay, uuid, file, outcome, alone=len(files) == 1)
        ]
        await wait_for(desk, sensay, uuid, ids if wait else (), outcome, patience)

    desk.ask_of(replica, work)
    outcome.tell(desk)


async def send(
    desk: Desk, sensay: Sensay, uuid: str, file: Path, outcome: Outcome, *, alone: bool
) -> list[int]:
    """One file, with a bar; what fails is told with the others. Raises GatewayError when it is the only one."""
    with desk.screen.bar(file.name, "bytes") as count:
        try:
            return outcome.took(
                await sensay.knowledge.add_file(uuid, file, desk.auth, progress=count), file.name
            )
        except GatewayError as error:
            if alone:
                raise
            outcome.failed(file.name, error)
            return []


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"


@knowledge.command("list")
@verb(api.LIST)
@replica_argument
@click.option("--status", type=click.Choice([*STEPS, "UNPROCESSABLE"], case_sensitive=False))
@click.option("--type", "type_", type=click.Choice(["file", "text", "website", "youtube"]))
@click.option("--oldest-first/--newest-first", "ascending", default=None)
@list_options()
def list_(
    desk: Desk,
    replica: str,
    status: str | None,
    type_: str | None,
    ascending: bool | None,
    limit: int,
    page: int | None,
    everything: bool,
) -> None:
    """Its entries."""
    order = None if ascending is None else "asc" if ascending else "desc"
    given = {"status": status, "type": type_, "sort_order": order}
    wanted = {key: value for key, value in given.items() if value is not None}
    wish = Wish(limit, page, everything)
    found = desk.ask_of(
        replica,
        lambda sensay, uuid: wish.of(sensay.knowledge, uuid, desk.auth, **wanted),
    )
    rows = [(one.id, one.type, one.status, moment(one.updated_at), _name(one)) for one in found.items]
    found.tell(desk.screen, ["id", "type", "status", "changed", "what"], rows, wide="what", none="no entries")


def _name(entry: Entry) -> str | None:
    file = entry.file.name if entry.file else None
    return entry.title or entry.generated_title or file or entry.url or entry.summary


def tell_entry(desk: Desk, one: Entry) -> None:
    if desk.screen.as_json:
        desk.screen.json(one)
        return
    desk.screen.fields(
        [
            ("id", one.id),
            ("type", one.type),
            ("status", one.status + (" (the replica answers with it)" if one.status in TRAINED else "")),
            ("title", one.title or one.generated_title),
            ("address", one.url),
            ("file", one.file.name if one.file else None),
            ("error", one.error.message if one.error else None),
            ("fingerprint", one.error.fingerprint if one.error else None),
            ("summary", one.summary),
            ("facts", "\n".join(one.generated_facts or ())),
            ("text", one.raw_text),
            ("created", moment(one.created_at)),
            ("changed", moment(one.updated_at)),
        ]
    )


@knowledge.command()
@verb(api.GET)
@replica_argument
@click.argument("entry", type=int)
@wait_options
def show(desk: Desk, replica: str, entry: int, wait: bool, patience: float) -> None:
    """One entry, and how far it is."""

    async def work(sensay: Sensay, uuid: str) -> Entry:
        if wait:
            return await watched(desk, sensay, uuid, entry, patience)
        return await sensay.knowledge.get(uuid, entry, desk.auth)

    tell_entry(desk, desk.ask_of(replica, work))


@knowledge.command()
@verb(api.UPDATE)
@replica_argument
@click.argument("entry", type=int)
@click.option("--text", "raw_text", help="The text itself; `-` reads it from standard input.")
@click.option("--processed-text")
@click.option("--title")
@click.option("--summary")
@click.option("--fact", "facts", multiple=True, help="In place of those that are there; may be repeated.")
def update(desk: Desk, replica: str, entry: int, facts: tuple[str, ...], **given: str | None) -> None:
    """Change an entry; what is not given stays as it is."""
    if given["raw_text"] == "-":
        given["raw_text"] = sys.stdin.read()
    changes = {
        key: value for key, value in {**given, "generated_facts": facts or None}.items() if value is not None
    }
    if not changes:
        raise InvalidArguments("there is nothing to change", remedy="see `sensay knowledge update --help`")
    desk.ask_of(replica, lambda sensay, uuid: sensay.knowledge.update(uuid, entry, desk.auth, **changes))
    if desk.screen.as_json:
        desk.screen.json({"id": entry, "changed": sorted(changes)})
    else:
        desk.screen.line(f"changed: entry {entry}")


@knowledge.command()
@verb(api.DELETE)
@replica_argument
@click.argument("entry", type=int)
@yes_option
def delete(desk: Desk, replica: str, entry: int, yes: bool) -> None:
    """Forget an entry."""
    desk.confirm(f"Delete entry {entry} of {replica}, for good?", yes=yes)
    tell_deleted(
        desk,
        entry,
        desk.ask_of(replica, lambda sensay, uuid: sensay.knowledge.delete(uuid, entry, desk.auth)),
    )


def tell_deleted(desk: Desk, entry: int, gone: bool) -> None:
    """Not gone: it was accepted (202), and will be."""
    if desk.screen.as_json:
        desk.screen.json({"id": entry, "deleted": gone, "accepted": True})
    elif gone:
        desk.screen.line(f"deleted: entry {entry}")
    else:
        desk.screen.line(f"accepted (202): entry {entry} is being deleted, but may be there for a while yet")
