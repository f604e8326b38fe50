"""A door that waits: what our budget or Sensay's has no room for now is asked again when there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.errors import GatewayError, NoRoom, RateLimited
from gateway.ports import Clock
from gateway.sensay.api.operation import Arguments, Auth, Door, OnDelta, Operation
from gateway.sensay.models import Wire
from gateway.sensay.requests import Answered

A = TypeVar("A", bound=Arguments)
R = TypeVar("R", bound=Wire)
LONGEST = 4000.0
"""Seconds: an hour's budget, and something over."""
UNTOLD = 5.0
"""Seconds to wait when Sensay does not say how long."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One operation as it went, for whoever wants to see requests. `error` is None when it was answered."""

    operation: str
    asked: str
    status: int | None
    seconds: float
    request_id: str | None
    api_version: str | None
    error: GatewayError | None = None


class Patient:
    """`waits` hears, before each wait, for how many seconds and for what: minute, hour, uploads or Sensay."""

    def __init__(
        self,
        door: Door,
        clock: Clock,
        *,
        longest: float = LONGEST,
        waits: Callable[[float, str], None] = lambda _seconds, _window: None,
        heard: Callable[[Exchange], None] = lambda _: None,
    ) -> None:
        self._door, self._clock, self._longest = door, clock, longest
        self._waits, self._heard = waits, heard

    async def __call__(
        self, operation: Operation[A, R], arguments: A, auth: Auth, on_delta: OnDelta | None = None, /
    ) -> Answered[R]:
        """Nothing that was refused for want of room was done, so asking again is always right."""
        until = self._clock.monotonic() + self._longest
        while True:
            try:
                return await self._told(operation, arguments, auth, on_delta)
            except (NoRoom, RateLimited) as error:
                wait = UNTOLD if error.retry_after is None else max(1.0, error.retry_after)
                if self._clock.monotonic() + wait > until:
                    raise
                self._waits(wait, error.window if isinstance(error, NoRoom) else "Sensay")
            await self._clock.sleep(wait)

    async def _told(
        self, operation: Operation[A, R], arguments: A, auth: Auth, on_delta: OnDelta | None
    ) -> Answered[R]:
        began = self._clock.monotonic()
        try:
            answered = await self._door(operation, arguments, auth, on_delta)
        except GatewayError as error:
            context = error.context
            self._heard(
                Exchange(
                    operation.name,
                    context.get("asked", ""),
                    context.get("status"),
                    self._clock.monotonic() - began,
                    context.get("request_id"),
                    context.get("api_version"),
                    error,
                )
            )
            raise
        self._heard(
            Exchange(
                operation.name,
                answered.asked,
                answered.status,
                self._clock.monotonic() - began,
                answered.request_id,
                answered.api_version,
            )
        )
        return answered
