"""Sensay as the pipeline sees it: questions, look-ups, context records and profiles, in any dialect.

Every request is admitted before it leaves, carries the user it is for, and ends in a value or one typed error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, TypeVar

import msgspec

from gateway.errors import GatewayError, Permanent
from gateway.messages import Profile, Question, Reply, decode, encode
from gateway.ports import Admit, Clock, Left, Observer
from gateway.sensay.dialects import DIALECTS, ENSURE_USER, PROFILE, Dialect, Operation, channel_of
from gateway.sensay.failures import Unauthorized
from gateway.sensay.frames import Frames
from gateway.sensay.lookup import answer_in
from gateway.sensay.models import Replica, Wire
from gateway.sensay.requests import Answered, Request, Requests
from gateway.sensay.users import Recall, Remember, Users
from gateway.settings.models import Settings

T = TypeVar("T", bound=Wire)
PROFILES = "sensay/profiles"
PROFILE_TTL = 86_400.0
NOT_ACCEPTABLE = 406


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
        self._current, self._clock = current, clock
        self._recall, self._remember = recall, remember
        self._users = Users(recall, remember, clock)
        self._requests = Requests(current, observer, clock)

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
        operation = self._dialect.complete[self._dialect.filed(question)]
        try:
            answered = await self._for_user(operation, question, admit, on_delta)
        except Permanent as error:
            if on_delta is None or error.context.get("status") != NOT_ACCEPTABLE:
                raise
            answered = await self._for_user(operation, question, admit)
        return Reply(text=answered.value.content or "", request_id=answered.request_id)

    async def find(self, question: Question, since: float, admit: Admit) -> Reply | Literal["pending"] | None:
        """Look the question up in its channel's history. Raises Transient when the history cannot be had now."""
        operation = self._dialect.history[self._dialect.filed(question)]
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
        answered = await self._requests.send(organization, _request(PROFILE, replica), left)
        profile = _profile(answered.value)
        with suppress(GatewayError):
            await self._remember(PROFILES, key, encode(profile), ttl=PROFILE_TTL)
        return profile

    async def close(self) -> None:
        await self._requests.close()

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
    ) -> Answered[T]:
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
            request = _request(ENSURE_USER, body=ENSURE_USER.body(question))
            try:
                await self._requests.send(question.organization, request, left)
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
    ) -> Answered[T]:
        """One request in the name of the question's user; never with the organisation's secret alone."""
        user = {"X-USER-ID": question.user.id}
        if question.user.type is not None:
            user["X-USER-ID-TYPE"] = question.user.type
        request = _request(operation, question.replica, user, operation.body(question))
        frames = Frames(on_delta) if on_delta else None
        return await self._requests.send(question.organization, request, left, frames)


def _request(
    operation: Operation[T],
    replica: str = "",
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
) -> Request[T]:
    path = operation.path.format(replica=replica)
    return Request(
        operation.name, operation.method, path, operation.reply, operation.repeatable, headers or {}, body
    )


def _profile(replica: Replica) -> Profile:
    return Profile(
        name=replica.name,
        greeting=replica.greeting or replica.introduction,
        suggestions=replica.suggested_questions or (),
        picture=replica.profile_image or replica.profile_image_before,
        private=replica.private or False,
    )
