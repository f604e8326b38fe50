"""A pretended Sensay, strict where the real one is documented to be strict, with state per organisation.

Any secret is an organisation of its own, except one that starts with `invalid` or `revoked` (401). Both path
families are served: the published one and the guide's. The operations, by which faults and canned answers are
named: ensure_user, get_user, get_me, create_replica, replicas, get_replica, knowledge_base, training, complete,
history, record, unknown; and answer, which is the inside of `complete` after the question has been stored
(a fault `answer/status 500` is a 500 that follows the stored prompt, `answer/delay` a late answer); and stream, the
middle of an answer that is streamed (`drop_after` and `delay` come after it was stored, the others before).
"""

from __future__ import annotations

import asyncio
import random
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import msgspec
from aiohttp import web

from gateway.sandbox.faults import Faults
from gateway.sandbox.sensay import bodies, frames, operations
from gateway.sandbox.sensay.limits import KINDS, Algorithm, Gate
from gateway.sandbox.sensay.operations import Call, Handler, good
from gateway.sandbox.sensay.samples import SAMPLES, picture
from gateway.sandbox.sensay.state import PICTURES, Organization, User
from gateway.sandbox.sensay.wire import (
    API_VERSION,
    Canned,
    ErrorShape,
    Received,
    Refusal,
    received,
    refuse,
)

_REMEMBERED = 100_000
"""Requests kept for whoever looks; older ones go by the half."""
_ACCOUNT_TYPES = ("discord", "telegram", "embed")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_REPLICA = "/v1/replicas/{replica}"


@dataclass(frozen=True, slots=True)
class Route:
    operation: str
    method: str
    path: str
    handler: Handler
    body: type[bodies.Body] | None = None
    errors: ErrorShape | None = None
    """None: the shape that the sandbox was told to use."""
    as_user: bool = True
    """Whether user headers are looked at; otherwise the organisation's secret alone counts."""


class SensaySandbox:
    """`faults` is replaced by the one that all services share. `requests` holds what was asked, oldest first.

    `latency` is seconds, or the bounds of a random wait that `seed` makes repeatable. A limit of None is none.
    `stream` is the version of the frames in which completions are written to those who accept an event stream.
    `monthly_quota` is how many completions an organisation may have before they are refused for good.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int | None = 100,
        completions_per_hour: int | None = 1000,
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
        self._limits = (requests_per_minute, minute), (completions_per_hour, hour)
        self._algorithm: Algorithm = algorithm
        self.latency = latency
        self.errors: ErrorShape = errors
        self.stream: frames.Version = stream
        self._random = random.Random(seed)
        self._clock = clock
        self._organizations: dict[str, tuple[Organization, Gate]] = {}

    def reset(self) -> None:
        """As new, with its settings kept."""
        self.requests.clear()
        self.canned.clear()
        self._organizations.clear()

    # --- routes ---

    def routes(self) -> list[web.RouteDef]:
        table = [web.route(route.method, route.path, self._serving(route)) for route in self._table()]
        unknown = Route("unknown", "*", "/v1/{anything:.*}", _unknown)
        return [*table, web.route("*", unknown.path, self._serving(unknown))]

    def control_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_control/sensay/requests", self._show_requests),
            web.post("/_control/sensay/canned", self._add_canned),
            web.get(PICTURES + "/{slug}.svg", _show_picture),
        ]

    def _table(self) -> list[Route]:
        history, save = operations.history, operations.save
        telegram, web_chat = self._completing("telegram"), self._completing(None)
        channels = ("discord", "embed", "telegram")
        return [
            Route("ensure_user", "POST", "/v1/users", operations.create_user, bodies.NewUser, as_user=False),
            Route("get_me", "GET", "/v1/users/me", operations.get_me),
            Route("get_user", "GET", "/v1/users/{user}", operations.get_user, as_user=False),
            Route("create_replica", "POST", "/v1/replicas", operations.create_replica, bodies.NewReplica),
            Route("replicas", "GET", "/v1/replicas", operations.list_replicas),
            Route("get_replica", "GET", _REPLICA, operations.get_replica),
            *self._knowledge_routes(),
            Route("complete", "POST", f"{_REPLICA}/chat/completions", web_chat, bodies.Completion),
            Route(
                "complete",
                "POST",
                f"{_REPLICA}/chat/completions/telegram",
                telegram,
                bodies.TelegramCompletion,
            ),
            Route(
                "complete",
                "POST",
                f"{_REPLICA}/telegram/completions",
                telegram,
                bodies.GuideTelegramCompletion,
                "guide",
            ),
            Route("history", "GET", f"{_REPLICA}/chat/history", history(None)),
            *(
                Route("history", "GET", f"{_REPLICA}/chat/history/{channel}", history(channel))
                for channel in (*channels, "web")
            ),
            *(
                Route("history", "GET", f"{_REPLICA}/{channel}/history", history(channel), None, "guide")
                for channel in channels
            ),
            Route("record", "POST", f"{_REPLICA}/chat/history", save(None), bodies.Saved),
            Route(
                "record", "POST", f"{_REPLICA}/chat/history/telegram", save("telegram"), bodies.TelegramSaved
            ),
        ]

    @staticmethod
    def _knowledge_routes() -> list[Route]:
        knowledge, training = f"{_REPLICA}/knowledge-base", f"{_REPLICA}/training"
        return [
            Route("knowledge_base", "POST", knowledge, operations.add_knowledge, bodies.Knowledge),
            Route("knowledge_base", "GET", knowledge, operations.list_knowledge),
            Route("knowledge_base", "GET", knowledge + "/{entry}", operations.get_knowledge),
            Route("training", "POST", training, operations.start_training, bodies.Nothing, "guide"),
            Route("training", "PUT", training + "/{entry}", operations.train, bodies.Training, "guide"),
            Route("training", "GET", training + "/{entry}", operations.get_training, None, "guide"),
        ]

    # --- one request ---

    def _serving(self, route: Route) -> Callable[[web.Request], Any]:
        async def serve(request: web.Request) -> web.StreamResponse:
            record = received(route.operation, request, self._clock())
            self._remember(record)
            request_id = f"req_{uuid.uuid4().hex[:20]}"
            response = await self._checked(route, request, record, request_id)
            record.status, record.answered_at = response.status, self._clock()
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
        shape = route.errors or self.errors
        completion = route.operation == "complete"
        try:
            raw = await request.read()
            record.body = _loose_json(raw)
            organization, gate = self._organization(request)
            self._admit(gate, completion=completion)
        except Refusal as refusal:
            return refuse(refusal, shape, request_id)

        async def carry_out() -> web.StreamResponse:
            try:
                return await self._carry_out(route, request, organization, raw)
            except Refusal as refusal:
                return refuse(refusal, shape, request_id)

        response = await self.faults.around(
            request, "sensay", route.operation, carry_out, _fault_error(shape, request_id)
        )
        if response.status == 429:
            gate.give_back(completion=completion)
        return response

    def _admit(self, gate: Gate, *, completion: bool) -> None:
        if wait := gate.enter(self._clock(), completion=completion):
            raise Refusal(429, "Rate limit exceeded", retry_after=wait)

    def _organization(self, request: web.Request) -> tuple[Organization, Gate]:
        if not request.headers.get("Content-Type", "").lower().startswith("application/json"):
            raise Refusal(415, "Content-Type must be application/json")
        if not _DATE.fullmatch(request.headers.get("X-API-Version", API_VERSION)):
            raise Refusal(400, "X-API-Version must be a date, YYYY-MM-DD")
        secret = request.headers.get("X-ORGANIZATION-SECRET", "")
        if not secret or secret.startswith(("invalid", "revoked")):
            raise Refusal(401, "Unauthorized")
        if secret not in self._organizations:
            everything, completions = (
                None if limit is None else KINDS[self._algorithm](limit, window)
                for limit, window in self._limits
            )
            self._organizations[secret] = (Organization(self._clock()), Gate(everything, completions))
        return self._organizations[secret]

    async def _carry_out(
        self, route: Route, request: web.Request, organization: Organization, raw: bytes
    ) -> web.StreamResponse:
        if canned := self._canned_for(route.operation):
            return canned.response()
        user = _user(request, organization) if route.as_user else None
        body = None if route.body is None else _closed_json(raw, route.body)
        return await route.handler(Call(request, organization, self._clock(), user, body))

    def _canned_for(self, operation: str) -> Canned | None:
        for canned in self.canned:
            if canned.operation == operation:
                canned.times -= 1
                if canned.times <= 0:
                    self.canned.remove(canned)
                return canned
        return None

    # --- completions ---

    def _completing(self, source: str | None) -> Handler:
        """Store the question, take as long as told, then store and give the answer."""

        async def complete(call: Call) -> web.StreamResponse:
            self._check_quota(call)
            filed, kept = source or call.body.source, not getattr(call.body, "skip_chat_history", False)
            content, replica, user = call.body.content, call.replica, call.speaker
            if kept:
                call.organization.say(replica, user, "user", content, filed, call.now)

            def store(text: str) -> None:
                call.organization.completions += 1
                if kept:
                    call.organization.say(replica, user, "assistant", text, filed, self._clock())

            async def answer() -> web.StreamResponse:
                seconds, text = self._think(), replica.answer(content)
                if self.stream != "off" and frames.wanted(call.request):
                    return await self._stream(call.request, text, seconds, partial(store, text))
                await asyncio.sleep(seconds)
                store(text)
                return good({"content": text})

            error = _fault_error(self.errors, f"req_{uuid.uuid4().hex[:20]}")
            return await self.faults.around(call.request, "sensay", "answer", answer, error)

        return complete

    async def _stream(
        self, request: web.Request, text: str, seconds: float, store: Callable[[], None]
    ) -> web.Response:
        """Think for half of the time, and write for the other half."""
        await asyncio.sleep(seconds / 2)
        fault = self.faults.take("sensay", "stream")
        if fault is None or fault.kind in ("delay", "drop_after"):
            store()
        version: Literal["v4", "v5"] = "v4" if self.stream == "v4" else "v5"
        return frames.streamed(request, version, text, seconds / 2, fault)

    def _check_quota(self, call: Call) -> None:
        limits = getattr(call.body, "usage_limits", msgspec.UNSET)
        quotas = [] if limits is msgspec.UNSET else [limits.conversations.monthly_quota]
        quotas += [] if self.monthly_quota is None else [self.monthly_quota]
        if quotas and call.organization.completions >= min(quotas):
            raise Refusal(429, "Monthly conversation quota exceeded", code="MONTHLY_QUOTA_EXCEEDED")

    def _think(self) -> float:
        return self.latency if isinstance(self.latency, int | float) else self._random.uniform(*self.latency)

    # --- control ---

    async def _show_requests(self, request: web.Request) -> web.Response:
        """All, or with `?after=N` those from number N on."""
        after = request.query.get("after", "0")
        if not after.isdecimal():
            return web.json_response({"error": "after must be a number"}, status=400)
        return web.json_response({"items": [asdict(record) for record in self.requests[int(after) :]]})

    async def _add_canned(self, request: web.Request) -> web.Response:
        try:
            canned = msgspec.json.decode(await request.read(), type=Canned)
        except msgspec.DecodeError as error:
            return web.json_response({"error": str(error)}, status=400)
        self.canned.append(canned)
        return web.json_response({"ok": True})


async def _unknown(call: Call) -> web.StreamResponse:
    raise Refusal(404, f"Route {call.request.method} {call.request.path} not found")


async def _show_picture(request: web.Request) -> web.Response:
    for sample in SAMPLES:
        if sample.slug == request.match_info["slug"]:
            headers = {"Access-Control-Allow-Origin": "*"}
            return web.Response(text=picture(sample), content_type="image/svg+xml", headers=headers)
    raise web.HTTPNotFound


def _fault_error(shape: ErrorShape, request_id: str) -> Callable[[int, float | None], web.Response]:
    def error(status: int, retry_after: float | None) -> web.Response:
        return refuse(Refusal(status, "It went wrong on purpose", retry_after=retry_after), shape, request_id)

    return error


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


def _user(request: web.Request, organization: Organization) -> User | None:
    """Who the headers name; None without them."""
    id_, type_ = request.headers.get("X-USER-ID"), request.headers.get("X-USER-ID-TYPE")
    if type_ is not None and (id_ is None or type_ not in _ACCOUNT_TYPES):
        raise Refusal(400, f"X-USER-ID-TYPE goes with X-USER-ID and is one of {', '.join(_ACCOUNT_TYPES)}")
    if id_ is None:
        return None
    user = organization.user(id_, type_)
    if user is None:
        raise Refusal(401, "Unauthorized")
    return user
