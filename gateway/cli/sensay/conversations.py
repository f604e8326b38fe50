from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import click

from gateway.cli.sensay.desk import Desk, replica_argument, verb
from gateway.cli.sensay.lists import LARGEST, Some, Wish, list_options
from gateway.cli.sensay.screen import day, moment
from gateway.errors import InvalidArguments
from gateway.sensay.api import conversations as api
from gateway.sensay.api.client import Sensay
from gateway.sensay.api.conversations import Conversation, Group, Message, newest_first
from gateway.sensay.api.operation import Auth
from gateway.sensay.api.values import Page

F = TypeVar("F", bound=Callable[..., Any])
SORTS = {"replies": "replicaReplies", "first": "firstMessageAt", "last": "lastReplicaReplyAt"}


@click.group()
def conversations() -> None:
    """Conversations of a replica: who said what, and what lies between."""


def order_options(function: F) -> F:
    function = click.option("--oldest-first/--newest-first", "ascending", default=None)(function)
    return click.option("--sort", type=click.Choice(list(SORTS)), help="By number of replies, or by time.")(
        function
    )


def order(sort: str | None, ascending: bool | None) -> dict[str, Any]:
    found = {"sort_by": SORTS[sort]} if sort else {}
    return found if ascending is None else found | {"sort_order": "asc" if ascending else "desc"}


def cursor_options(function: F) -> F:
    function = click.option("--after", metavar="UUID", help="What comes right after this message.")(function)
    return click.option("--before", metavar="UUID", help="What comes right before this message.")(function)


def cursors(before: str | None, after: str | None) -> dict[str, str]:
    """Raises InvalidArguments for one that is no UUID."""
    found = {}
    for name, value in (("before", before), ("after", after)):
        if value is None:
            continue
        try:
            found[f"{name}_uuid"] = str(UUID(value))
        except ValueError:
            raise InvalidArguments(
                f"--{name} {value!r} is not a UUID", remedy="give the uuid of a message, as --json shows it"
            ) from None
    return found


@conversations.command("list")
@verb(api.LIST)
@replica_argument
@order_options
@list_options()
def list_(
    desk: Desk,
    replica: str,
    sort: str | None,
    ascending: bool | None,
    limit: int,
    page: int | None,
    everything: bool,
) -> None:
    """Who talks to it."""
    wish, by = Wish(limit, page, everything), order(sort, ascending)
    found = desk.ask_of(
        replica,
        lambda sensay, uuid: wish.of(sensay.conversations, uuid, desk.auth, **by),
    )
    tell_conversations(desk, found)


def tell_conversations(desk: Desk, found: Some[Conversation]) -> None:
    rows = [
        (one.uuid, one.source, one.message_count, day(one.last_message_at), one.conversation_name)
        for one in found.items
    ]
    columns = ["uuid", "source", "msgs", "last", "name"]
    found.tell(desk.screen, columns, rows, wide="name", none="no conversations")


@conversations.command()
@verb(api.GET, api.MENTIONS, api.MESSAGES)
@replica_argument
@click.argument("conversation")
@click.option("--expand", is_flag=True, help="Open placeholders: show what they stand for.")
@cursor_options
@list_options(20, pages=False)
def show(
    desk: Desk,
    replica: str,
    conversation: str,
    expand: bool,
    before: str | None,
    after: str | None,
    limit: int,
    everything: bool,
) -> None:
    """Mentions of the replica, and placeholders for what lies between them; oldest first.

    --limit counts groups of messages.
    """
    at, wish = cursors(before, after), Wish(limit, everything=everything)
    _check(at, wish)
    head, groups = desk.ask_of(replica, _Reading(desk.auth, conversation, expand, at, wish))
    oldest_first = list(reversed(groups))
    if desk.screen.as_json:
        desk.screen.json({"conversation": head, "groups": oldest_first})
        return
    _tell_head(desk, head)
    desk.screen.talk(_rows(oldest_first))
    if not groups:
        desk.screen.line("nothing there")


def _check(at: dict[str, str], wish: Wish) -> None:
    if at and (wish.everything or wish.limit > LARGEST):
        raise click.UsageError(f"--before and --after go with a --limit of {LARGEST} at most.")


@dataclass(frozen=True)
class _Reading:
    """A conversation and the groups that are wished for, newest first: a page at a cursor, or so many of the newest."""

    auth: Auth
    conversation: str
    expand: bool
    at: dict[str, str]
    wish: Wish

    async def __call__(self, sensay: Sensay, replica: str) -> tuple[Conversation, Sequence[Group]]:
        head = await sensay.conversations.get(replica, self.conversation, self.auth)
        if self.at:
            return head, await self._page(sensay, replica)
        asked = sensay.conversations.expanded if self.expand else sensay.conversations.mentions
        size = LARGEST if self.wish.everything else min(self.wish.limit, LARGEST)
        return head, (await self.wish.first(asked(replica, self.conversation, self.auth, limit=size))).items

    async def _page(self, sensay: Sensay, replica: str) -> Sequence[Group]:
        query: dict[str, Any] = {"limit": self.wish.limit, **self.at}
        page = await sensay.conversations.mentions_page(replica, self.conversation, self.auth, **query)
        if not self.expand:
            return page.items
        return [group async for group in self._opened(sensay, replica, page.items)]

    async def _opened(self, sensay: Sensay, replica: str, groups: Sequence[Group]) -> AsyncIterator[Group]:
        newer, end = _boundary(self.at.get("before_uuid")), _boundary(self.at.get("after_uuid"))
        for index, group in enumerate(groups):
            shown = group
            if group.placeholder:
                older = next((one for one in groups[index + 1 :] if one.messages), end)
                members = await sensay.conversations.expand(
                    replica, self.conversation, group, newer, older, self.auth
                )
                shown = Group(type="opened", count=len(members), members=members)
            yield shown
            newer = shown if shown.messages else newer


def _boundary(cursor: str | None) -> Group | None:
    """A cursor is as good as the message it names: placeholders next to it are opened from there."""
    if cursor is None:
        return None
    return Group(type="mention", members=(Message(uuid=cursor, content="", role=""),))


def _tell_head(desk: Desk, one: Conversation) -> None:
    desk.screen.fields(
        [
            ("conversation", one.uuid),
            ("name", one.conversation_name),
            ("source", one.source),
            ("messages", one.message_count),
            ("answers", one.replica_reply_count),
            ("from", moment(one.first_message_at)),
            ("to", moment(one.last_message_at)),
            ("summary", one.summary),
            ("topics", one.common_topics),
        ]
    )
    desk.screen.line("")


def _rows(groups: Iterable[Group]) -> Iterator[tuple[str | None, str, str]]:
    for group in groups:
        if group.placeholder:
            yield None, "", f"… {group.count or 'some'} messages; --expand shows them"
        yield from message_rows(reversed(newest_first(group.messages)))


def message_rows(messages: Iterable[Message]) -> Iterator[tuple[str | None, str, str]]:
    for one in messages:
        yield one.created_at, one.sender_name or one.role, one.content


@conversations.command()
@verb(api.MESSAGES)
@replica_argument
@click.argument("conversation")
@cursor_options
@list_options(20, pages=False)
def messages(
    desk: Desk,
    replica: str,
    conversation: str,
    before: str | None,
    after: str | None,
    limit: int,
    everything: bool,
) -> None:
    """All messages, also those between mentions; oldest first."""
    tell_messages(
        desk,
        replica,
        lambda sensay, uuid, at: sensay.conversations.messages_page(uuid, conversation, desk.auth, **at),
        lambda sensay, uuid, size: sensay.conversations.messages(uuid, conversation, desk.auth, limit=size),
        cursors(before, after),
        Wish(limit, everything=everything),
    )


def tell_messages(
    desk: Desk,
    replica: str,
    page: Callable[[Sensay, str, dict[str, Any]], Awaitable[Page[Message]]],
    each: Callable[[Sensay, str, int], AsyncIterator[Message]],
    at: dict[str, str],
    wish: Wish,
) -> None:
    """A page at a cursor, or so many of the newest."""
    _check(at, wish)

    async def work(sensay: Sensay, uuid: str) -> Sequence[Message]:
        if at:
            return newest_first((await page(sensay, uuid, {**at, "limit": wish.limit})).items)
        size = LARGEST if wish.everything else min(wish.limit, LARGEST)
        return (await wish.first(each(sensay, uuid, size))).items

    found = list(reversed(desk.ask_of(replica, work)))
    if desk.screen.as_json:
        desk.screen.json({"items": found})
    elif not found:
        desk.screen.line("nothing there")
    else:
        desk.screen.talk(message_rows(found))
