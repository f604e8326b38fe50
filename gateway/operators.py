"""What operators ask of Sensay: any operation by its name, under the organisation's quota.

In a running gateway this is behind `POST /-/sensay/{organization}`; without one, `alone` opens the journal itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from gateway import forwarding
from gateway.errors import GatewayError, InvalidArguments, Transient
from gateway.messages import Facts
from gateway.pipeline.operating import Alone, Counter, Operating
from gateway.policy.quota import Quota
from gateway.ports import Clock, Journal, Observer
from gateway.sensay.api.operation import ADMIN, Arguments, Auth, OnDelta, Operation
from gateway.sensay.api.table import named
from gateway.sensay.frames import Frames
from gateway.sensay.models import Wire
from gateway.sensay.requests import Answered, Requests
from gateway.settings.models import Settings

A = TypeVar("A", bound=Arguments)
R = TypeVar("R", bound=Wire)
PATIENCE = 10.0
"""Seconds that a request may wait for room before it is told to come again."""
LEASE_PATIENCE = 3.0
"""Seconds to find out whether a gateway elsewhere asks for the organisation."""


class AskingUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By their own id, or by that of a linked account of this type."""

    id: str
    type: str | None = None


class Asking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /-/sensay/{organization}`. Without `user` the organisation itself asks."""

    operation: str
    arguments: dict[str, Any] = {}
    user: AskingUser | None = None


class Operators:
    """`counter` gives an organisation's budget, or None for one that there is not. `elsewhere` tells whether another
    process has it, and `forward` asks that one.
    """

    def __init__(
        self,
        *,
        current: Callable[[], Settings],
        requests: Requests,
        counter: Callable[[str], Counter | None],
        journal: Journal,
        clock: Clock,
        elsewhere: Callable[[str], bool] = lambda _: False,
        forward: Callable[[Facts], Awaitable[Facts]] | None = None,
    ) -> None:
        self._elsewhere, self._forward = elsewhere, forward
        self._current, self._requests, self._counter = current, requests, counter
        self._journal, self._clock = journal, clock

    async def call(
        self,
        organization: str,
        operation: Operation[A, R],
        arguments: A,
        auth: Auth = ADMIN,
        on_delta: OnDelta | None = None,
    ) -> Answered[R]:
        """Raises KeyError for an unknown organisation, and GatewayError."""
        counter = self._counter(organization)
        if counter is None or organization not in self._current().organizations:
            raise KeyError(organization)
        if self._forward is not None and self._elsewhere(organization):
            asked = forwarding.asked(organization, operation, arguments, auth)
            return forwarding.answered(operation, await self._forward(asked))
        request = operation.request(arguments, auth, self._current().sensay.dialect)
        frames = Frames(on_delta) if on_delta else None
        return await Operating(organization, counter, self._journal, self._clock).run(
            lambda left: self._requests.send(organization, request, left, frames),
            completion=operation.completion,
            upload=operation.upload,
            patience=PATIENCE,
        )

    async def answer(self, organization: str, body: bytes, on_delta: OnDelta | None = None) -> dict[str, Any]:
        """As HTTP has it: what was asked for and what Sensay says, as JSON values. Raises as `call` does."""
        asking = _read(body)
        operation = named(asking.operation)
        if operation.discloses and self._current().server.admin.token is None:
            said = f"{operation.name} tells secrets, which an admin listener without a token does not"
            raise InvalidArguments(said, remedy="set server.admin.token, or ask while no gateway runs")
        auth = Auth(asking.user.id, asking.user.type) if asking.user else ADMIN
        answered = await self.call(organization, operation, operation.read(asking.arguments), auth, on_delta)
        return {
            "operation": operation.name,
            "result": msgspec.to_builtins(answered.value),
            "asked": answered.asked,
            "status": answered.status,
            "request_id": answered.request_id,
            "api_version": answered.api_version,
            "date": answered.date,
            "seconds": round(answered.seconds, 3),
        }

    async def forwarded(self, asked: Facts) -> Facts | None:
        """What another process wants from the one that has the budget; None: that is not this one."""
        if self._elsewhere(asked["organization"]):
            return None
        try:
            operation = named(asked["operation"])
            auth = Auth(**asked["auth"])
            answered = await self.call(
                asked["organization"], operation, operation.read(asked["arguments"]), auth
            )
        except (GatewayError, KeyError) as error:
            return forwarding.failed(error)
        return forwarding.said(answered)

    async def close(self) -> None:
        await self._requests.close()


def _read(body: bytes) -> Asking:
    try:
        return msgspec.json.decode(body, type=Asking)
    except msgspec.DecodeError as error:
        raise InvalidArguments(f"the body is to be an operation and its arguments: {error}") from None


@dataclass(frozen=True, slots=True)
class Direct:
    """A door to Sensay out of this process."""

    operators: Operators
    organization: str

    async def __call__(
        self, operation: Operation[A, R], arguments: A, auth: Auth, on_delta: OnDelta | None = None, /
    ) -> Answered[R]:
        return await self.operators.call(self.organization, operation, arguments, auth, on_delta)


@asynccontextmanager
async def alone(
    settings: Settings,
    organization: str,
    journal: Journal,
    clock: Clock,
    observer: Observer = lambda _: None,
) -> AsyncIterator[Direct]:
    """A door for as long as the context lasts. What the journal has spent counts, and what is spent is written there.

    Raises KeyError for an unknown organisation, Transient when a gateway has the journal, Misconfigured.
    """
    limits = settings.organizations[organization].quota
    quota = Quota(
        requests_per_minute=limits.requests_per_minute,
        completions_per_hour=limits.completions_per_hour,
        uploads_per_hour=limits.uploads_per_hour,
        minute=limits.windows.minute,
        hour=limits.windows.hour,
    )
    await journal.open()
    requests = Requests(lambda: settings, observer, clock)
    try:
        async with _the_only_one(journal, organization):
            counter = Alone(organization, quota, journal, clock)
            past = clock.now() - limits.windows.hour - 60.0
            quota.restore(await journal.spent_since(organization, past), counter.now())
            operators = Operators(
                current=lambda: settings,
                requests=requests,
                counter=lambda name: counter if name == organization else None,
                journal=journal,
                clock=clock,
            )
            yield Direct(operators, organization)
    finally:
        await requests.close()
        await journal.close()


@asynccontextmanager
async def _the_only_one(journal: Journal, organization: str) -> AsyncIterator[None]:
    """Nobody else spends of this budget meanwhile, also where processes share a journal."""
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(LEASE_PATIENCE):
                await stack.enter_async_context(journal.hold(f"dispatcher/{organization}"))
        except TimeoutError:
            raise Transient(f"another gateway asks for {organization}") from None
        yield
