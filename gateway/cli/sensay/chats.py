from __future__ import annotations

import click

from gateway.cli.sensay.conversations import (
    cursor_options,
    cursors,
    order,
    order_options,
    tell_conversations,
    tell_messages,
)
from gateway.cli.sensay.desk import Desk, replica_argument, verb
from gateway.cli.sensay.lists import Wish, list_options
from gateway.cli.sensay.screen import day, moment
from gateway.sensay.api import chats as api


@click.group()
def chats() -> None:
    """Chats: what a user or a group has with a replica on one platform. The guide does not know them."""


@chats.command("list")
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
    """Who talks to it, each once."""
    wish, by = Wish(limit, page, everything), order(sort, ascending)
    found = desk.ask_of(
        replica,
        lambda sensay, uuid: wish.of(sensay.chats, uuid, desk.auth, **by),
    )
    rows = [(c.uuid, c.source, c.message_count, day(c.last_message_at), c.chat_name) for c in found.items]
    found.tell(desk.screen, ["uuid", "source", "msgs", "last", "name"], rows, wide="name", none="no chats")


@chats.command()
@verb(api.GET)
@replica_argument
@click.argument("chat")
def show(desk: Desk, replica: str, chat: str) -> None:
    """One of them."""
    one = desk.ask_of(replica, lambda sensay, uuid: sensay.chats.get(uuid, chat, desk.auth))
    if desk.screen.as_json:
        desk.screen.json(one)
        return
    desk.screen.fields(
        [
            ("chat", one.uuid),
            ("name", one.chat_name),
            ("type", one.chat_type),
            ("source", one.source),
            ("messages", one.message_count),
            ("answers", one.replica_reply_count),
            ("from", moment(one.first_message_at)),
            ("to", moment(one.last_message_at)),
        ]
    )


@chats.command()
@verb(api.CONVERSATIONS)
@replica_argument
@click.argument("chat")
@order_options
@list_options(pages=False)
def conversations(
    desk: Desk,
    replica: str,
    chat: str,
    sort: str | None,
    ascending: bool | None,
    limit: int,
    everything: bool,
) -> None:
    """Conversations of a chat."""
    wish, by = Wish(limit, everything=everything), order(sort, ascending)
    found = desk.ask_of(
        replica, lambda sensay, uuid: wish.first(sensay.chats.conversations(uuid, chat, desk.auth, **by))
    )
    tell_conversations(desk, found)


@chats.command()
@verb(api.CONVERSATION)
@replica_argument
@click.argument("chat")
@click.argument("conversation")
def conversation(desk: Desk, replica: str, chat: str, conversation: str) -> None:
    """One conversation of a chat."""
    one = desk.ask_of(
        replica, lambda sensay, uuid: sensay.chats.conversation(uuid, chat, conversation, desk.auth)
    )
    if desk.screen.as_json:
        desk.screen.json(one)
        return
    desk.screen.fields(
        [
            ("conversation", one.uuid),
            ("chat", one.chat_uuid or chat),
            ("name", one.conversation_name),
            ("source", one.source),
            ("messages", one.message_count),
            ("answers", one.replica_reply_count),
            ("from", moment(one.first_message_at)),
            ("to", moment(one.last_message_at)),
        ]
    )


@chats.command()
@verb(api.MESSAGES, api.CONVERSATION_MESSAGES)
@replica_argument
@click.argument("chat")
@click.option("--conversation", metavar="UUID", help="Of this conversation only.")
@cursor_options
@list_options(20, pages=False)
def messages(
    desk: Desk,
    replica: str,
    chat: str,
    conversation: str | None,
    before: str | None,
    after: str | None,
    limit: int,
    everything: bool,
) -> None:
    """Messages of a chat; oldest first."""
    tell_messages(
        desk,
        replica,
        lambda sensay, uuid, at: sensay.chats.messages_page(
            uuid, chat, desk.auth, conversation=conversation, **at
        ),
        lambda sensay, uuid, size: sensay.chats.messages(
            uuid, chat, desk.auth, conversation=conversation, limit=size
        ),
        cursors(before, after),
        Wish(limit, everything=everything),
    )
