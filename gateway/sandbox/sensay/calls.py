"""A request that has been found well-formed, authenticated and within its limits, and how it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from gateway.sandbox.sensay.limits import Limiter
from gateway.sandbox.sensay.replies import Reply
from gateway.sandbox.sensay.state import Organization, Replica, User
from gateway.sandbox.sensay.storage import Storage
from gateway.sandbox.sensay.wire import Refusal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """`body` and `query` are of the classes that the route names."""

    request: web.Request
    organization: Organization
    now: float
    user: User | None
    """None: with the organisation's secret alone."""
    body: Any
    query: Any
    uploads: Limiter | None
    """What is left of the hour's uploads; None: there is no limit."""
    storage: Storage

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
    def own_replica(self) -> Replica:
        """To be changed, which only its owner may, and the organisation. Raises Refusal."""
        replica = self.replica
        if self.user is not None and replica.owner is not self.user:
            raise Refusal(403, "User does not own replica")
        return replica

    @property
    def speaker(self) -> User:
        """Who a turn is filed under; without user headers it is the replica's owner."""
        return self.user or self.replica.owner

    @property
    def me(self) -> User:
        if self.user is None:
            raise Refusal(401, "Unauthorized")
        return self.user

    @property
    def origin(self) -> str:
        return str(self.request.url.origin())


Handler: TypeAlias = Callable[[Call], Awaitable[web.StreamResponse]]


def answer(reply: Reply, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(reply), status=status, content_type="application/json")


def given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value


def stated(value: T | None) -> T | UnsetType:
    """What there is none of is left out of an answer."""
    return UNSET if value is None else value
