"""A pretended Sensay, strict where the real one is documented to be strict, with state per organisation.

Any secret is an organisation of its own, except one that starts with `invalid` or `revoked` (401). Both path
families are served, the published one and the guide's: `routes.py` is the table, and its operations are the names by
which faults and canned answers go. Besides there are `unknown`; `upload`, the PUT of a file; `answer`, which is the
inside of `complete` after the question has been stored (a fault `answer/status 500` is a 500 that follows the stored
prompt, `answer/delay` a late answer); and `stream`, the middle of an answer that is streamed (`drop_after`: it is
stored, and cut; the others leave it unstored).
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from aiohttp import web

from gateway.sandbox.faults import Faults
from gateway.sandbox.sensay import bodies, frames
from gateway.sandbox.sensay.calls import Call
from gateway.sandbox.sensay.completions import Completions
from gateway.sandbox.sensay.furnish import PICTURES, furnish
from gateway.sandbox.sensay.limits import KINDS, Algorithm, Gate, Limiter
from gateway.sandbox.sensay.operations.keys import Invites
from gateway.sandbox.sensay.page import page_routes
from gateway.sandbox.sensay.portrait import portrait
from gateway.sandbox.sensay.queries import Query
from gateway.sandbox.sensay.routes import Route, table, unknown
from gateway.sandbox.sensay.samples import SAMPLES
from gateway.sandbox.sensay.state import Organization, User
from gateway.sandbox.sensay.storage import PATH, Storage
from gateway.sandbox.sensay.wire import (
    API_VERSION,
    Canned,
    ErrorShape,
    Received,
    Refusal,
    fault_error,
    received,
    refuse,
)

_REMEMBERED = 100_000
"""Requests kept for whoever looks; older ones go by the half."""
_MOST_ORGANIZATIONS = 1_000
"""The one that was made first goes first."""
_NOBODY = ""
"""The account of those who need no key."""
_ACCOUNT_TYPES = ("discord", "telegram", "embed")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Account:
    organization: Organization
    gate: Gate
    uploads: Limiter | None


class SensaySandbox:
    """`faults` is replaced by the one that all services share. `requests` holds what was asked, oldest first.

    `latency` is seconds, or the bounds of a random wait that `seed` makes repeatable. A limit of None is none.
    `errors` is whose documents count where the path does not tell: with `guide`, errors have the guide's shape and
    `X-USER-ID-TYPE` may be `email`. `stream` is the version of the frames in which completions are written to those
    who accept an event stream. `monthly_quota` is how many completions an organisation may have before they are
    refused for good.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int | None = 100,
        completions_per_hour: int | None = 1000,
        uploads_per_hour: int | None = 10,
        minute: float = 60.0,
        hour: float = 3600.0,
        algorithm: Algorithm = "sliding",
        latency: float | tuple[float, float] = 0.0,
        errors: ErrorShape = "openapi",
        stream: frames.Version = "v5",
        monthly_quota: int | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.faults = Faults()
        self.requests: list[Received] = []
        self.canned: list[Canned] = []
        self.monthly_quota = monthly_quota
        self._limits = (
            (requests_per_minute, minute),
            (completions_per_hour, hour),
            (uploads_per_hour, hour),
        )
        self._algorithm: Algorithm = algorithm
        self.latency = latency
        self.errors: ErrorShape = errors
        self.stream: frames.Version = stream
        self._random = random.Random(seed)
        self.now = clock
        self._accounts: dict[str, Account] = {}
        self._invites, self._storage = Invites(), Storage(clock)
        self.table = table(Completions(self), self._invites)

    def reset(self) -> None:
        """As new, with its settings kept."""
        for kept in (self.requests, self.canned, self._accounts, self._invites, self._storage):
            kept.clear()

    def think(self) -> float:
        """How many seconds the next answer takes."""
        return self.latency if isinstance(self.latency, int | float) else self._random.uniform(*self.latency)

    # --- routes ---

    def routes(self) -> list[web.RouteDef]:
        """A HEAD is answered where a GET is."""
        nothing = unknown(self.table)
        return [
            *(web.route(route.method, route.path, self._serving(route)) for route in self.table),
            *(web.head(route.path, self._serving(route)) for route in self.table if route.method == "GET"),
            web.route("*", "/v1{anything:(/.*)?}", self._serving(nothing)),
            web.put(PATH, self._upload),
            *page_routes(self.table, lambda: self.errors),
        ]

    def control_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_control/sensay/requests", self._show_requests),
            web.post("/_control/sensay/canned", self._add_canned),
            web.get(PICTURES + "/{slug}.png", _show_picture),
        ]

    # --- one request ---

    def _serving(self, route: Route) -> Callable[[web.Request], Any]:
        async def serve(request: web.Request) -> web.StreamResponse:
            record = received(route.operation, request, self.now())
            self._remember(record)
            request_id = f"req_{uuid.uuid4().hex[:20]}"
            response = await self._checked(route, request, record, request_id)
            record.status, record.answered_at = response.status, self.now()
            response.headers.setdefault("X-API-Version", request.headers.get("X-API-Version", API_VERSION))
            response.headers.setdefault("X-Request-Id", request_id)
            return response

        return serve

    def _remember(self, record: Received) -> None:
        self.requests.append(record)
        if len(self.requests) > _REMEMBERED:
            del self.requests[: _REMEMBERED // 2]

    async def _checked(
        self, route: Route, request: web.Request, record: Received, request_id: str
    ) -> web.StreamResponse:
        """Headers, key and limits come first; a fault takes the place of what would be done after them."""
        shape, completion = route.errors or self.errors, route.extra.completion
        try:
            raw = await request.read()
            record.body = _loose_json(raw)
            account = self._account(route, request)
            self._admit(account.gate, completion=completion)
        except Refusal as refusal:
            return refuse(refusal, shape, request_id)

        async def carry_out() -> web.StreamResponse:
            try:
                return await self._carry_out(route, request, account, raw)
            except Refusal as refusal:
                return refuse(refusal, shape, request_id)

        response = await self.faults.around(
            request, "sensay", route.operation, carry_out, fault_error(shape, request_id)
        )
        if response.status == 429:
            account.gate.give_back(completion=completion)
        return response

    def _admit(self, gate: Gate, *, completion: bool) -> None:
        if wait := gate.enter(self.now(), completion=completion):
            raise Refusal(429, "Rate limit exceeded", retry_after=wait)

    def _account(self, route: Route, request: web.Request) -> Account:
        if not request.headers.get("Content-Type", "").lower().startswith("application/json"):
            raise Refusal(415, "Content-Type must be application/json")
        if not _DATE.fullmatch(request.headers.get("X-API-Version", API_VERSION)):
            raise Refusal(400, "X-API-Version must be a date, YYYY-MM-DD")
        if route.extra.auth == "none":
            return self._open(_NOBODY)
        secret = request.headers.get("X-ORGANIZATION-SECRET", "")
        if not secret or secret.startswith(("invalid", "revoked")):
            raise Refusal(401, "Unauthorized")
        return self._open(secret)

    def _open(self, secret: str) -> Account:
        if secret not in self._accounts:
            everything, completions, uploads = (
                None if limit is None else KINDS[self._algorithm](limit, window)
                for limit, window in self._limits
            )
            organization = Organization()
            if secret != _NOBODY:
                furnish(organization, self.now())
            self._accounts[secret] = Account(organization, Gate(everything, completions), uploads)
            if len(self._accounts) > _MOST_ORGANIZATIONS:
                del self._accounts[next(iter(self._accounts))]
        return self._accounts[secret]

    async def _carry_out(
        self, route: Route, request: web.Request, account: Account, raw: bytes
    ) -> web.StreamResponse:
        if canned := self._canned_for(route.operation):
            return canned.response()
        user = self._user(route, request, account.organization)
        wanted = route.extra.body
        body = None if wanted is None else _closed_json(raw, wanted)
        query = None if route.operation == "unknown" else _closed_query(request, route.extra.query)
        return await route.handler(
            Call(
                request,
                account.organization,
                self.now(),
                user,
                body,
                query,
                account.uploads,
                self._storage,
            )
        )

    def _user(self, route: Route, request: web.Request, organization: Organization) -> User | None:
        """Who the headers name; None without them."""
        if route.extra.auth in ("none", "organization"):
            return None
        guide = (route.errors or self.errors) == "guide"
        user = _named(request, organization, (*_ACCOUNT_TYPES, "email") if guide else _ACCOUNT_TYPES)
        if user is None and route.extra.auth == "user":
            raise Refusal(401, "Unauthorized")
        return user

    def _canned_for(self, operation: str) -> Canned | None:
        for canned in self.canned:
            if canned.operation == operation:
                canned.times -= 1
                if canned.times <= 0:
                    self.canned.remove(canned)
                return canned
        return None

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        """The one request without any of Sensay's headers: the address itself is the permission."""
        record = received("upload", request, self.now())
        self._remember(record)

        async def put() -> web.StreamResponse:
            return await self._storage.put(request)

        error = fault_error(self.errors, f"req_{uuid.uuid4().hex[:20]}")
        response = await self.faults.around(request, "sensay", "upload", put, error)
        record.status, record.answered_at = response.status, self.now()
        return response

    # --- control ---

    async def _show_requests(self, request: web.Request) -> web.Response:
        """All, or with `?after=N` those from number N on."""
        after = request.query.get("after", "0")
        if not after.isdecimal():
            return web.json_response({"error": "after must be a number"}, status=422)
        return web.json_response({"items": [asdict(record) for record in self.requests[int(after) :]]})

    async def _add_canned(self, request: web.Request) -> web.Response:
        try:
            canned = msgspec.json.decode(await request.read(), type=Canned)
        except msgspec.DecodeError as error:
            return web.json_response({"error": str(error)}, status=422)
        self.canned.append(canned)
        return web.json_response({"ok": True})


async def _show_picture(request: web.Request) -> web.Response:
    for sample in SAMPLES:
        if sample.slug == request.match_info["slug"]:
            headers = {"Access-Control-Allow-Origin": "*"}
            return web.Response(body=portrait(sample.color), content_type="image/png", headers=headers)
    raise web.HTTPNotFound


def _loose_json(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw) if raw else None
    except msgspec.DecodeError:
        return raw[:1000].decode("utf-8", "replace")


def _closed_json(raw: bytes, kind: type[bodies.Body]) -> bodies.Body:
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise Refusal(400, str(error)) from None


def _closed_query(request: web.Request, kind: type[Query]) -> Query:
    """Lists may be given as often as one likes, anything else once."""
    lists = {one.encode_name for one in msgspec.structs.fields(kind) if one.default_factory is list}
    given = {name: request.query.getall(name) for name in request.query}
    plain = {name: all_ if name in lists or len(all_) > 1 else all_[0] for name, all_ in given.items()}
    try:
        return msgspec.convert(plain, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal(400, str(error)) from None


def _named(request: web.Request, organization: Organization, types: tuple[str, ...]) -> User | None:
    id_, type_ = request.headers.get("X-USER-ID"), request.headers.get("X-USER-ID-TYPE")
    if type_ is not None and (id_ is None or type_ not in types):
        raise Refusal(400, f"X-USER-ID-TYPE goes with X-USER-ID and is one of {', '.join(types)}")
    if id_ is None:
        return None
    user = organization.user(id_, type_)
    if user is None:
        raise Refusal(401, "Unauthorized")
    return user
