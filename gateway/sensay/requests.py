"""One request to Sensay and what became of it: a value of the expected type, or one typed error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec

from gateway.errors import GatewayError
from gateway.ports import Clock, Left, Observer, UpstreamAnswered
from gateway.sensay.failures import failure, malformed, unanswered
from gateway.sensay.frames import Frames
from gateway.sensay.models import Nothing, Wire
from gateway.sensay.transport import Answer, TimedOut, Transport, TransportError
from gateway.settings.models import Settings
from gateway.telemetry import current

T = TypeVar("T", bound=Wire)
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """What leaves. `path` is complete, with its query; `headers` say for whom.

    `repeatable`: doing it twice is as good as once. `keyed`: it carries the organisation's secret. `explained`: what
    Sensay says of a refusal becomes part of the error, for it is about the operator's own words, but for `secrets` in
    it. `remedies` are this operation's own, by status.
    """

    operation: str
    method: Method
    path: str
    reply: type[T]
    repeatable: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    keyed: bool = True
    explained: bool = False
    secrets: tuple[str, ...] = ()
    remedies: Mapping[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Method and path, without secrets."""
        path = self.path
        for secret in self.secrets:
            path = path.replace(quote(secret, safe=""), "***")
        return f"{self.method} {path}"


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """A success: what it says, and when, under which id and as which version Sensay says it."""

    value: T
    status: int = 200
    request_id: str | None = None
    api_version: str | None = None
    date: float | None = None
    seconds: float = 0.0
    asked: str = ""
    """Method and path of the request, without secrets."""


class Requests:
    """`current` gives the settings of this moment. Nothing of a request is logged; `observer` hears of each answer."""

    def __init__(self, current: Callable[[], Settings], observer: Observer, clock: Clock) -> None:
        self._current, self._observer, self._clock = current, observer, clock
        self._transport = Transport()

    async def send(
        self, organization: str, request: Request[T], left: Left, frames: Frames | None = None
    ) -> Answered[T]:
        """Send, read, judge and tell the observer. Raises GatewayError.

        `frames` reads the body while it comes, and makes the request ask for a stream.
        """
        sensay = self._current().sensay
        headers = {**self._headers(organization, keyed=request.keyed), **request.headers}
        if frames is not None:
            headers["Accept"] = "text/event-stream"
        url = sensay.base_url.rstrip("/") + request.path
        content = None if request.body is None else msgspec.json.encode(request.body)
        piece = frames.feed if frames else None
        began = self._clock.monotonic()
        try:
            answer = await self._transport.fetch(
                request.method, url, headers, content, sensay.timeout, left, piece
            )
            value = self._judged(request, answer, frames)
        except TransportError as error:
            outcome = "timeout" if isinstance(error, TimedOut) else "unreachable"
            self._tell(request, organization, outcome, began, {})
            raise _explained(request, unanswered(request, error)) from error
        except GatewayError as error:
            _explained(request, error)
            self._tell(request, organization, str(error.context["status"]), began, error.context)
            raise
        self._tell(request, organization, "ok", began, {"request_id": answer.request_id})
        seconds = self._clock.monotonic() - began
        return Answered(
            value, answer.status, answer.request_id, answer.api_version, answer.date, seconds, str(request)
        )

    async def close(self) -> None:
        await self._transport.close()

    def _judged(self, request: Request[T], answer: Answer, frames: Frames | None) -> T:
        if not 200 <= answer.status < 300:
            raise failure(request, answer, self._clock.now())
        try:
            value = msgspec.json.decode(_whole(request, answer, frames), type=request.reply)
        except msgspec.DecodeError as error:
            raise malformed(request, answer) from error
        if not value.good:
            raise failure(request, answer, self._clock.now())
        return value

    def _headers(self, organization: str, *, keyed: bool) -> dict[str, str]:
        settings = self._current()
        headers = {
            "X-API-Version": settings.sensay.api_version,
            "Content-Type": "application/json",  # on a GET too: without it Sensay answers 415
            "Accept": "application/json",
            "User-Agent": "sensay-gateway",
        }
        if keyed:
            secret = settings.organizations[organization].secret.get_secret_value()
            headers["X-ORGANIZATION-SECRET"] = secret
        return headers

    def _tell(
        self,
        request: Request[Any],
        organization: str,
        outcome: str,
        began: float,
        context: Mapping[str, Any],
    ) -> None:
        self._observer(
            UpstreamAnswered(
                organization=organization,
                operation=request.operation,
                outcome=outcome,
                seconds=self._clock.monotonic() - began,
                request_id=context.get("request_id"),
                fingerprint=context.get("fingerprint"),
                code=context.get("code"),
                at=self._clock.now(),
                turn=current.turn.get(),
            )
        )


def _explained(request: Request[Any], error: GatewayError) -> GatewayError:
    """Whoever asked may see what was sent."""
    if request.explained:
        error.context["asked"] = str(request)
    return error


def _whole(request: Request[Any], answer: Answer, frames: Frames | None) -> bytes:
    """The body; of a stream what it would have been without one. Raises DecodeError for one that did not end well."""
    if frames is not None:
        frames.close()
        if frames.version and not frames.whole:
            raise msgspec.DecodeError("the stream broke off")
        if frames.version:
            return msgspec.json.encode({"success": True, "content": frames.text})
    if request.reply is Nothing and not answer.body.strip():
        return b"{}"  # 204, and whoever has nothing more to say
    return answer.body
