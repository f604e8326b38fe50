"""Histories: what a user and a replica said to each other."""

from __future__ import annotations

from aiohttp import web

from gateway.sandbox.sensay.bodies import Source
from gateway.sandbox.sensay.calls import Call, Handler, answer
from gateway.sandbox.sensay.places import place_of
from gateway.sandbox.sensay.replies import Done, History, HistoryItem
from gateway.sandbox.sensay.state import iso
from gateway.sandbox.sensay.talk import Message


def read(source: Source | None) -> Handler:
    """The history of the user with the replica, of one channel or of all."""

    async def handle(call: Call) -> web.StreamResponse:
        messages = call.organization.talk.history(call.replica, call.speaker)
        return answer(History(items=[_item(one) for one in messages if source in (None, one.source)]))

    return handle


def save(source: Source | None) -> Handler:
    """Keep a message as context, without an answer."""

    async def handle(call: Call) -> web.StreamResponse:
        filed, place = source or call.body.source, place_of(call.body)
        call.organization.talk.say(
            call.replica, call.speaker, "user", call.body.content, filed, call.now, place
        )
        return answer(Done())

    return handle


def _item(message: Message) -> HistoryItem:
    return HistoryItem(
        id=message.id,
        created_at=iso(message.created_at),
        content=message.content,
        role=message.role,
        is_private=message.replica.private,
        source=message.source,
        replica_uuid=message.replica.uuid,
        replica_slug=message.replica.slug,
        user_uuid=message.user.uuid,
    )
