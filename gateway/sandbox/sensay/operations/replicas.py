"""Replicas."""

from __future__ import annotations

import uuid

import msgspec
from aiohttp import web
from msgspec import UNSET

from gateway.sandbox.sensay import bodies
from gateway.sandbox.sensay.calls import Call, answer, given
from gateway.sandbox.sensay.queries import ReplicaQuery
from gateway.sandbox.sensay.replies import (
    DiscordHosting,
    Done,
    ReplicaItem,
    ReplicaList,
    ReplicaMade,
    ReplicaShown,
    TelegramHosting,
)
from gateway.sandbox.sensay.state import (
    DEFAULT_MODEL,
    DEFAULT_PICTURE,
    MOST_REPLICAS,
    Hosting,
    Organization,
    Replica,
    User,
    iso,
)
from gateway.sandbox.sensay.wire import Refusal


async def create(call: Call) -> web.StreamResponse:
    body: bodies.NewReplica = call.body
    owner = _owner(call)
    _check_slug(call.organization, body.slug)
    if len(call.organization.replicas) >= MOST_REPLICAS:
        raise Refusal(429, "The organization has all the replicas it may have", code="REPLICA_QUOTA_EXCEEDED")
    replica = Replica(
        str(uuid.uuid4()), body.slug, body.name, body.short_description, body.greeting, owner, call.now
    )
    _take_over(replica, body)
    call.organization.replicas[replica.uuid] = replica
    return answer(ReplicaMade(uuid=replica.uuid), status=201)


async def list_all(call: Call) -> web.StreamResponse:
    query: ReplicaQuery = call.query
    fitting = [
        replica
        for replica in call.organization.replicas.values()
        if call.organization.visible(replica, call.user) and _fits(replica, query)
    ]
    if query.sort == "name" or query.search is not UNSET:
        fitting.sort(key=lambda replica: replica.name.lower())
    if query.sort == "popularity":
        fitting.sort(key=lambda replica: replica.said)
    items = [item(replica, call.origin) for replica in fitting[query.window]]
    return answer(ReplicaList(items=items, total=len(fitting)))


async def get(call: Call) -> web.StreamResponse:
    fields = msgspec.structs.asdict(item(call.replica, call.origin))
    return answer(ReplicaShown(**fields))


async def update(call: Call) -> web.StreamResponse:
    body: bodies.NewReplica = call.body
    replica, owner = call.own_replica, _owner(call)
    _check_slug(call.organization, body.slug, but=replica)
    replica.slug, replica.name, replica.owner = body.slug, body.name, owner
    replica.description, replica.greeting = body.short_description, body.greeting
    _take_over(replica, body)
    return answer(Done())


async def delete(call: Call) -> web.StreamResponse:
    call.organization.remove_replica(call.own_replica)
    return answer(Done())


def item(replica: Replica, origin: str) -> ReplicaItem:
    picture = origin + replica.picture if replica.picture.startswith("/") else replica.picture
    telegram, discord = replica.telegram, replica.discord
    return ReplicaItem(
        uuid=replica.uuid,
        name=replica.name,
        slug=replica.slug,
        type=replica.type,
        purpose=replica.purpose,
        short_description_=replica.description,
        greeting=replica.greeting,
        owner_id=replica.owner.id,
        private=replica.private,
        whitelist_emails=list(replica.whitelist),
        profile_image_=picture,
        suggested_questions=list(replica.suggestions),
        tags=list(replica.tags),
        llm=replica.llm,
        profile_image=picture,
        short_description=replica.description,
        introduction=replica.greeting,
        created_at=iso(replica.created_at),
        owner_uuid=replica.owner.uuid,
        chat_history_count=replica.said,
        system_message=given(replica.llm.system_message) or "",
        telegram_service_name=None if telegram is None else telegram.name,
        discord_service_name=None if discord is None else discord.name,
        discord_is_active=None if discord is None else True,
        telegram_integration=_telegram(telegram),
        discord_integration=_discord(discord),
    )


def _telegram(hosted: Hosting | None) -> TelegramHosting | None:
    if hosted is None:
        return None
    return TelegramHosting(id=hosted.id, service_name=hosted.name, telegram_token=hosted.token)


def _discord(hosted: Hosting | None) -> DiscordHosting | None:
    if hosted is None:
        return None
    return DiscordHosting(id=hosted.id, service_name=hosted.name, is_active=True)


def _take_over(replica: Replica, body: bodies.NewReplica) -> None:
    replica.suggestions, replica.private = tuple(body.suggested_questions), body.private
    replica.tags, replica.purpose = tuple(body.tags), given(body.purpose) or ""
    replica.type = given(body.type) or "character"
    replica.whitelist = tuple(given(body.whitelist_emails) or ())
    replica.picture = given(body.profile_image) or DEFAULT_PICTURE
    llm = msgspec.structs.asdict(body.llm)
    replica.llm = bodies.LlmShown(**llm | {"model": given(body.llm.model) or DEFAULT_MODEL})


def _owner(call: Call) -> User:
    owner = call.organization.user(call.body.owner_id, None)
    if owner is None:
        raise Refusal(400, "ownerID is not a user of this organization")
    if call.user is not None and owner is not call.user:
        raise Refusal(403, "A user cannot make replicas for another")
    return owner


def _check_slug(organization: Organization, slug: str, but: Replica | None = None) -> None:
    if any(one.slug == slug and one is not but for one in organization.replicas.values()):
        raise Refusal(409, "A replica with this slug already exists")


def _fits(replica: Replica, query: ReplicaQuery) -> bool:
    hosted = {"telegram": replica.telegram, "discord": replica.discord}
    return (
        query.slug in (UNSET, replica.slug)
        and query.owner_id in (UNSET, replica.owner.id)
        and query.owner_uuid in (UNSET, replica.owner.uuid)
        and (given(query.search) or "").lower() in replica.name.lower()
        and set(query.tags) <= set(replica.tags)
        and (query.integration is UNSET or hosted[query.integration] is not None)
    )
