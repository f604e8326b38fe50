"""How a verb gets to Sensay: through the running gateway and its quota; without one, with the journal in hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import msgspec
from aiohttp import ClientConnectionError, ClientError, ClientResponse, ClientSession, ClientTimeout

from gateway import errors
from gateway.errors import Ambiguous, GatewayError, Misconfigured, NoRoom, Permanent, Transient
from gateway.journal import open_journal
from gateway.journal.condition import condition
from gateway.operators import PATIENCE, alone
from gateway.ports import Clock
from gateway.sensay.api.operation import Arguments, Auth, Door, OnDelta, Operation
from gateway.sensay.models import Wire
from gateway.sensay.requests import Answered
from gateway.settings.models import Settings

A = TypeVar("A", bound=Arguments)
R = TypeVar("R", bound=Wire)
LINES = "application/x-ndjson"


class NoGateway(Transient):
    """Nobody answers at the admin listener's address."""


class Remote:
    """A door through the admin listener of a running gateway."""

    def __init__(self, session: ClientSession, url: str, organization: str) -> None:
        self._session, self._url = session, f"{url.rstrip('/')}/-/sensay/{organization}"

    async def __call__(
        self, operation: Operation[A, R], arguments: A, auth: Auth, on_delta: OnDelta | None = None, /
    ) -> Answered[R]:
        body: dict[str, Any] = {"operation": operation.name, "arguments": _given(arguments)}
        if auth.id is not None:
            body["user"] = {"id": auth.id, "type": auth.type}
        status, document = await self._post(msgspec.json.encode(body), operation, on_delta)
        if status != 200:
            raise _error(status, document)
        value = msgspec.convert(document.pop("result"), operation.reply)
        fields = ("status", "request_id", "api_version", "seconds", "asked")
        return Answered(value, date=document.get("date"), **{name: document[name] for name in fields})

    async def reachable(self) -> bool:
        """Whether a gateway is there at all."""
        try:
            async with self._session.get(self._url.partition("/-/")[0] + "/livez") as response:
                return response.status < 500
        except (ClientError, TimeoutError, OSError):
            return False

    async def _post(
        self, body: bytes, operation: Operation[Any, Any], on_delta: OnDelta | None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json", "Accept": LINES if on_delta else "application/json"}
        try:
            async with self._session.post(self._url, data=body, headers=headers) as response:
                if on_delta is not None and response.content_type == LINES:
                    return await _in_lines(response, on_delta)
                return response.status, await response.json(content_type=None)
        except ClientConnectionError as error:
            said = f"no gateway answers at {self._url}: {error}"
            raise NoGateway(said, remedy="start one, or name its address with --admin") from error
        except (ClientError, TimeoutError, ValueError) as error:
            said = f"the gateway's answer to {operation.name} was lost: {type(error).__name__}"
            raise (Transient if operation.repeatable else Ambiguous)(said) from error


async def _in_lines(response: ClientResponse, on_delta: OnDelta) -> tuple[int, dict[str, Any]]:
    """Pieces, and at last what there would have been without. Raises ValueError when that does not come."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            on_delta(msgspec.json.decode(line)["delta"])
    last = msgspec.json.decode(rest)
    return last["status"], last["body"]


def _given(arguments: Arguments) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(arguments)
    return {name: value for name, value in values.items() if value is not None}


def _error(status: int, problem: dict[str, Any]) -> GatewayError:
    """The error as it was raised there."""
    said, context = str(problem.get("detail") or problem.get("title") or status), problem.get("context") or {}
    context = {key: value for key, value in context.items() if key not in ("window", "retry_after")}
    retry_after, remedy = problem.get("retry_after"), problem.get("remedy")
    kind = getattr(errors, str(problem.get("error")), None)
    if kind is NoRoom:
        window = str((problem.get("context") or {}).get("window", "minute"))
        return NoRoom(said, retry_after=float(retry_after or 1.0), window=window, **context)
    if kind is Misconfigured:
        return Misconfigured(said, remedy=remedy or "", **context)
    if isinstance(kind, type) and issubclass(kind, Transient):
        return kind(said, retry_after=retry_after, remedy=remedy, **context)
    if isinstance(kind, type) and issubclass(kind, GatewayError):
        return kind(said, remedy=remedy, **context)
    if status == 401:
        return Misconfigured(
            "the gateway refuses the token", remedy="give the admin listener's with --token", status=status
        )
    return Permanent(said, remedy=remedy, status=status)


def leaving_no_trace(settings: Settings) -> Settings:
    """The same, for who only looks: requests are written down in the journal, but none is made or migrated for that."""
    kept = condition(settings.journal)
    if kept is None or kept.usable:
        return settings
    return settings.model_copy(update={"journal": "memory:"})


@asynccontextmanager
async def door_to_sensay(
    settings: Settings, organization: str, *, url: str, token: str | None, clock: Clock
) -> AsyncIterator[Door]:
    """Through the gateway at `url` if there is one; else with the journal opened here.

    Raises KeyError for an organisation that is not configured, and Transient when neither can be done.
    """
    async with AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        longest = settings.sensay.timeout + PATIENCE + 10.0
        timeout = ClientTimeout(total=longest, connect=10.0)
        session = await stack.enter_async_context(ClientSession(headers=headers, timeout=timeout))
        remote = Remote(session, url, organization)
        if await remote.reachable():
            yield remote
            return
        try:
            journal = open_journal(settings.journal, clock)
            door = await stack.enter_async_context(alone(settings, organization, journal, clock))
        except Transient as error:
            raise NoGateway(
                f"no gateway answers at {url}, and its journal is in use: {error}",
                remedy="name the admin listener's address with --admin",
            ) from error
        yield door
