"""What each operation does, once the request has been found well-formed, authenticated and within its limits."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from aiohttp import web
from msgspec import UNSET

from gateway.sandbox.sensay import bodies
from gateway.sandbox.sensay.state import Entry, Organization, Replica, User
from gateway.sandbox.sensay.wire import Refusal

DEFAULT_PAGE, LARGEST_PAGE = 24, 100


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be carried out."""

    request: web.Request
    organization: Organization
    now: float
    user: User | None
    """None: with the organisation's secret alone."""
    body: Any = None

    @property
    def replica(self) -> Replica:
        """Raises Refusal: not there, or not for this user."""
        replica = self.organization.replicas.get(self.request.match_info["replica"])
        if replica is None:
            raise Refusal(404, "Cannot find replica")
        if not self.organization.visible(replica, self.user):
            raise Refusal(403, "User cannot access replica")
        return replica

    @property
    def speaker(self) -> User:
        """Who a turn is filed under; without user headers it is the replica's owner."""
        return self.user or self.replica.owner


Handler: TypeAlias = Callable[[Call], Awaitable[web.StreamResponse]]


def good(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.json_response({"success": True} | body, status=status)


def _given(value: Any) -> Any:
    return None if value is UNSET else value


# --- users ---


async def create_user(call: Call) -> web.StreamResponse:
    body: bodies.NewUser = call.body
    linked = [] if body.linked_accounts is UNSET else body.linked_accounts
    accounts: dict[str, str] = {account.account_type: account.account_id for account in linked}
    id_, email, name = _given(body.id), _given(body.email), _given(body.name)
    if call.organization.taken(id_, email, accounts):
        raise Refusal(409, "User, email, or linked account already exists")
    return web.json_response(call.organization.add_user(id_, email, name, accounts).shown())


async def get_user(call: Call) -> web.StreamResponse:
    user = call.organization.user(call.request.match_info["user"], None)
    if user is None:
        raise Refusal(404, "User not found")
    return web.json_response(user.shown())


async def get_me(call: Call) -> web.StreamResponse:
    if call.user is None:
        raise Refusal(401, "Unauthorized")
    return web.json_response(call.user.shown())


# --- replicas ---


async def create_replica(call: Call) -> web.StreamResponse:
    body: bodies.NewReplica = call.body
    owner = call.organization.user(body.owner_id, None)
    if owner is None:
        raise Refusal(400, "ownerID is not a user of this organization")
    if any(replica.slug == body.slug for replica in call.organization.replicas.values()):
        raise Refusal(409, "A replica with this slug already exists")
    replica = Replica(
        str(uuid.uuid4()), body.slug, body.name, body.short_description, body.greeting, owner, call.now
    )
    replica.suggestions, replica.private = tuple(body.suggested_questions), body.private
    replica.tags, replica.llm = tuple(body.tags), msgspec.to_builtins(body.llm)
    replica.picture = _given(body.profile_image) or replica.picture
    call.organization.replicas[replica.uuid] = replica
    return good({"uuid": replica.uuid}, status=201)


async def list_replicas(call: Call) -> web.StreamResponse:
    wanted = {key: call.request.query.get(key) for key in ("slug", "ownerID", "search", "integration")}
    shown = [
        replica.shown(str(call.request.url.origin()))
        for replica in call.organization.replicas.values()
        if call.organization.visible(replica, call.user) and _fits(replica, wanted)
    ]
    page, size = _paging(call.request)
    items = shown[(page - 1) * size : page * size]
    return good({"type": "array", "items": items, "total": len(shown)})


def _fits(replica: Replica, wanted: dict[str, str | None]) -> bool:
    return (
        wanted["slug"] in (None, replica.slug)
        and wanted["ownerID"] in (None, replica.owner.id)
        and (wanted["search"] or "").lower() in replica.name.lower()
        and wanted["integration"] is None
    )


def _paging(request: web.Request) -> tuple[int, int]:
    """Page (from 1) and size, under any of the names that the documents give them."""
    query = request.query
    try:
        page = int(query.get("pageIndex") or query.get("page") or query.get("page_index") or 1)
        size = int(query.get("pageSize") or query.get("page_size") or DEFAULT_PAGE)
    except ValueError:
        raise Refusal(400, "Page and page size must be numbers") from None
    if page < 1 or not 1 <= size <= LARGEST_PAGE:
        raise Refusal(400, f"The page starts at 1 and its size is from 1 to {LARGEST_PAGE}")
    return page, size


async def get_replica(call: Call) -> web.StreamResponse:
    return good(call.replica.shown(str(call.request.url.origin())))


# --- knowledge ---


async def add_knowledge(call: Call) -> web.StreamResponse:
    entry = call.organization.add_knowledge(call.replica, call.body.text, call.now)
    result = {"enqueued": True, "type": "text", "knowledgeBaseID": entry.id}
    return good({"results": [result]}, status=207)


async def list_knowledge(call: Call) -> web.StreamResponse:
    entries = [entry.shown() for entry in call.replica.knowledge.values()]
    return good({"type": "array", "items": entries, "total": len(entries)})


async def get_knowledge(call: Call) -> web.StreamResponse:
    entry = _entry(call)
    entry.looks += 1
    return good(entry.shown())


async def start_training(call: Call) -> web.StreamResponse:
    return good({"knowledgeBaseID": call.organization.add_knowledge(call.replica, "", call.now).id})


async def train(call: Call) -> web.StreamResponse:
    entry = _entry(call)
    entry.text, entry.updated_at, entry.looks = call.body.raw_text, call.now, 0
    return good({})


async def get_training(call: Call) -> web.StreamResponse:
    """The guide knows only that it is processing, and then done."""
    entry = _entry(call)
    entry.looks += 1
    status = entry.status if entry.status == "READY" else "PROCESSING"
    return good(entry.shown() | {"status": status})


def _entry(call: Call) -> Entry:
    number = call.request.match_info["entry"]
    entry = call.replica.knowledge.get(int(number)) if number.isdecimal() else None
    if entry is None:
        raise Refusal(404, "Cannot find knowledge base entry")
    return entry


# --- history ---


def history(source: str | None) -> Handler:
    """The history of the user with the replica, of one channel or of all."""

    async def read(call: Call) -> web.StreamResponse:
        items = call.organization.history(call.replica, call.speaker)
        shown = [item.shown() for item in items if source in (None, item.source)]
        return good({"type": "array", "items": shown})

    return read


def save(source: str | None) -> Handler:
    """Keep a message as context, without an answer."""

    async def keep(call: Call) -> web.StreamResponse:
        content, filed = call.body.content, source or call.body.source
        call.organization.say(call.replica, call.speaker, "user", content, filed, call.now)
        return good({})

    return keep
