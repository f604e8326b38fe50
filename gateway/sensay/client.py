"""Sensay as the pipeline sees it: questions, look-ups, context records and profiles, in any dialect.

Every request is admitted before it leaves, carries the user it is for, and ends in a value or one typed error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, Literal, TypeVar

import msgspec

from gateway.errors import GatewayError, Permanent
from gateway.messages import Profile, Question, Reply, decode, encode
from gateway.ports import Admit, Clock, Left, Observer, UpstreamAnswered
from gateway.sensay.dialects import DIALECTS, ENSURE_USER, PROFILE, Dialect, Operation, channel_of
from gateway.sensay.failures import (
    Unauthorized,
    failure,
    malformed,
    unanswered,
)
from gateway.sensay.frames import Frames
from gateway.sensay.lookup import answer_in
from gateway.sensay.models import Replica, Wire
from gateway.sensay.transport import Answer, TimedOut, Transport, TransportError
from gateway.sensay.users import Recall, Remember, Users
from gateway.settings.models import Settings

T = TypeVar("T", bound=Wire)
PROFILES = "sensay/profiles"
PROFILE_TTL = 86_400.0
NOT_ACCEPTABLE = 406


class _Answered(msgspec.Struct, Generic[T], frozen=True):
    """A success: what it says, and when and under which id Sensay says it."""

    value: T
    request_id: str | None
    date: float | None


class SensayClient:
    """Implements `ports.Completions`.

    `current` gives the settings of this moment, so that a reload needs nothing here. `recall` and `remember` are
    the journal's. Nothing of a request is logged; `observer` hears of each answer.
    """

    def __init__(
        self,
        *,
        current: Callable[[], Settings],
        observer: Observer,
        clock: Clock,
        recall: Recall,
        remember: Remember,
    ) -> None:
        self._current, self._observer, self._clock = current, observer, clock
        self._recall, self._remember = recall, remember
        self._users = Users(recall, remember, clock)
        self._transport = Transport()

    async def complete(
        self,
        question: Question,
        admit: Admit,
        on_delta: Callable[[str], None] | None = None,
    ) -> Reply:
        """Ask once; an unknown user is created and the question repeated once.

        With `on_delta` Sensay is asked for a stream; one that cannot stream answers with JSON as always, or says so
        and is asked for JSON.
        """
        operation = self._dialect.complete[channel_of(question.platform)]
        try:
            answered = await self._for_user(operation, question, admit, on_delta)
        except Permanent as error:
            if on_delta is None or error.context.get("status") != NOT_ACCEPTABLE:
                raise
            answered = await self._for_user(operation, question, admit)
        return Reply(text=answered.value.content or "", request_id=answered.request_id)

    async def find(self, question: Question, since: float, admit: Admit) -> Reply | Literal["pending"] | None:
        """Look the question up in its channel's history. Raises Transient when the history cannot be had now."""
        operation = self._dialect.history[channel_of(question.platform)]
        left = await admit(operation.kind, operation.completion)
        try:
            answered = await self._exchange(operation, question, left)
        except Unauthorized:
            return None  # a user that Sensay does not know has asked nothing
        ahead = 0.0 if answered.date is None else answered.date - self._clock.now()
        found = answer_in(answered.value.items, question.text, since + ahead, operation.source)
        if found is None or found == "pending":
            return found
        return Reply(text=found.content, request_id=answered.request_id)

    async def record(self, question: Question, admit: Admit) -> None:
        """Store a message as context. Raises Permanent when the dialect has no such call."""
        operation = self._dialect.record.get(channel_of(question.platform))
        if operation is None:
            raise Permanent("this dialect cannot store context", operation="record")
        await self._for_user(operation, question, admit)

    async def profile(self, organization: str, replica: str, admit: Admit) -> Profile:
        """What a visitor may see of a replica; asked once a day, of Sensay, at most."""
        key = f"{organization}/{replica}"
        with suppress(GatewayError, msgspec.DecodeError):
            if (known := await self._recall(PROFILES, key)) is not None:
                return decode(known, Profile)
        left = await admit(PROFILE.kind, PROFILE.completion)
        answered = await self._send(PROFILE, organization, {"replica": replica}, {}, None, left)
        profile = _profile(answered.value)
        with suppress(GatewayError):
            await self._remember(PROFILES, key, encode(profile), ttl=PROFILE_TTL)
        return profile

    async def close(self) -> None:
        await self._transport.close()

    @property
    def _dialect(self) -> Dialect:
        return DIALECTS[self._current().sensay.dialect]

    # --- as a user ---

    async def _for_user(
        self,
        operation: Operation[T],
        question: Question,
        admit: Admit,
        on_delta: Callable[[str], None] | None = None,
    ) -> _Answered[T]:
        """One provisioning round: refused, created, repeated."""
        left = await admit(operation.kind, operation.completion)
        sent_at = self._clock.now()
        try:
            return await self._exchange(operation, question, left, on_delta)
        except Unauthorized:
            await self._create_user(question, sent_at, admit)
        left = await admit(operation.kind, operation.completion)
        try:
            return await self._exchange(operation, question, left, on_delta)
        except Unauthorized as error:
            raise Permanent("Sensay refuses the user that it has just created", **error.context) from error

    async def _create_user(self, question: Question, refused_at: float, admit: Admit) -> None:
        async def create() -> None:
            left = await admit(ENSURE_USER.kind, ENSURE_USER.completion)
            body = ENSURE_USER.body(question)
            try:
                await self._send(ENSURE_USER, question.organization, {}, {}, body, left)
            except Permanent as error:
                if error.context.get("status") != 409:  # somebody else was first: as good
                    raise

        await self._users.ensure(question.organization, question.user, refused_at, create)

    async def _exchange(
        self,
        operation: Operation[T],
        question: Question,
        left: Left,
        on_delta: Callable[[str], None] | None = None,
    ) -> _Answered[T]:
        """One request in the name of the question's user; never with the organisation's secret alone."""
        user = {"X-USER-ID": question.user.id}
        if question.user.type is not None:
            user["X-USER-ID-TYPE"] = question.user.type
        path = {"replica": question.replica}
        body = operation.body(question)
        frames = Frames(on_delta) if on_delta else None
        return await self._send(operation, question.organization, path, user, body, left, frames)

    # --- one request ---

    async def _send(
        self,
        operation: Operation[T],
        organization: str,
        path: Mapping[str, str],
        user: Mapping[str, str],
        body: Mapping[str, Any] | None,
        left: Left,
        frames: Frames | None = None,
    ) -> _Answered[T]:
        """Send, read, judge and tell the observer. Raises GatewayError."""
        sensay = self._current().sensay
        headers = {**self._headers(organization), **user}
        if frames is not None:
            headers["Accept"] = "text/event-stream"
        url = sensay.base_url.rstrip("/") + operation.path.format(**path)
        content = None if body is None else msgspec.json.encode(body)
        began = self._clock.monotonic()
        try:
            answer = await self._transport.fetch(
                operation.method, url, headers, content, sensay.timeout, left, frames.feed if frames else None
            )
            answered = _Answered(self._judged(operation, answer, frames), answer.request_id, answer.date)
        except TransportError as error:
            outcome = "timeout" if isinstance(error, TimedOut) else "unreachable"
            self._tell(operation, organization, outcome, began, {})
            raise unanswered(operation, error) from error
        except GatewayError as error:
            self._tell(operation, organization, str(error.context["status"]), began, error.context)
            raise
        self._tell(operation, organization, "ok", began, {"request_id": answered.request_id})
        return answered

    def _judged(self, operation: Operation[T], answer: Answer, frames: Frames | None) -> T:
        if not 200 <= answer.status < 300:
            raise failure(operation, answer, self._clock.now())
        try:
            value = msgspec.json.decode(_whole(answer, frames), type=operation.reply)
        except msgspec.DecodeError as error:
            raise malformed(operation, answer) from error
        if not value.good:
            raise failure(operation, answer, self._clock.now())
        return value

    def _headers(self, organization: str) -> dict[str, str]:
        settings = self._current()
        return {
            "X-ORGANIZATION-SECRET": settings.organizations[organization].secret.get_secret_value(),
            "X-API-Version": settings.sensay.api_version,
            "Content-Type": "application/json",  # on a GET too: without it Sensay answers 415
            "Accept": "application/json",
            "User-Agent": "sensay-gateway",
        }

    def _tell(
        self,
        operation: Operation[Any],
        organization: str,
        outcome: str,
        began: float,
        context: Mapping[str, Any],
    ) -> None:
        self._observer(
            UpstreamAnswered(
                organization=organization,
                operation=operation.name,
                outcome=outcome,
                seconds=self._clock.monotonic() - began,
                request_id=context.get("request_id"),
                fingerprint=context.get("fingerprint"),
                code=context.get("code"),
            )
        )


def _whole(answer: Answer, frames: Frames | None) -> bytes:
    """The body, of a stream what it would have been without one. Raises DecodeError for one that did not end well."""
    if frames is not None:
        frames.close()
        if frames.version and not frames.whole:
            raise msgspec.DecodeError("the stream broke off")
        if frames.version:
            return msgspec.json.encode({"success": True, "content": frames.text})
    return answer.body


def _profile(replica: Replica) -> Profile:
    return Profile(
        name=replica.name,
        greeting=replica.greeting or replica.introduction,
        suggestions=replica.suggested_questions or (),
        picture=replica.profile_image or replica.profile_image_before,
        private=replica.private or False,
    )
