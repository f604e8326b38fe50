"""The one place where clients of the server are made, and its errors become ours.

Nothing is left to the library's defaults. They repeat a command whose reply is late up to ten times, whether or not it
may be repeated, and give a blocking read five seconds. Here nothing is repeated (`Scripts` repeats what is idempotent),
and what waits long has a client of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import exceptions as refusals
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from gateway.errors import Misconfigured, Transient
from gateway.journal.valkey.place import Place

CONNECT = 1.0
"""Seconds to find out that a server is not there."""
ANSWER = 3.0
"""Seconds for the answer to a command: beyond, the server is stuck or the network is cut."""
CONNECTIONS = 64

_AWAY = (refusals.ConnectionError, refusals.TimeoutError, OSError, asyncio.TimeoutError)


def _options(at: Place, answer: float | None) -> dict[str, Any]:
    return {
        "db": at.database,
        "username": at.username,
        "password": at.password,
        "ssl": at.tls,
        "protocol": 2,  # what Redis 7.0 and every proxy speak; no push messages among the replies
        "socket_connect_timeout": CONNECT,
        "socket_timeout": answer,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "health_check_interval": 0,
        "decode_responses": False,
        "client_name": "sensay-gateway",
        "max_connections": 2 * CONNECTIONS,  # never reached: `Store` lets only CONNECTIONS in
    }


def make(at: Place, *, blocking: bool = False) -> Redis:
    """Make a client, which connects when it is used. `blocking`: for reads that wait as long as it takes."""
    options = _options(at, None if blocking else ANSWER)
    if at.primary is None:
        [(host, port)] = at.nodes
        return Redis(host=host, port=port, **options)
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        at.nodes,
        min_other_sentinels=0,
        sentinel_kwargs={
            "socket_connect_timeout": CONNECT,
            "socket_timeout": CONNECT,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        },
    )
    client: Redis = sentinels.master_for(at.primary, redis_class=Redis, **options)
    return client


class Away(Transient):
    """The server did not answer, or not as the one that may be written to: what was asked may have happened."""


@contextmanager
def translated(at: Place) -> Iterator[None]:
    """Say in our words what the server or the way to it did to us.

    And heed a cancellation: the library sends under `asyncio.wait_for`, which in Python 3.11 forgets one that comes
    when the sending has just been done.
    """
    task = asyncio.current_task()
    asked_before = task.cancelling() if task else 0
    try:
        yield
        if task and task.cancelling() > asked_before:
            raise asyncio.CancelledError
    except (
        refusals.AuthenticationError,
        refusals.AuthorizationError,
        refusals.NoPermissionError,
    ) as error:
        raise Misconfigured(
            f"{at} refused the gateway's name or password",
            remedy="correct the credentials in `journal`",
            error=_code(error),
        ) from None
    except _AWAY as error:
        raise Away(f"journal at {at} is away", error=type(error).__name__) from error
    except refusals.ResponseError as error:
        raise _refused(at, error) from error


def _refused(at: Place, error: refusals.ResponseError) -> Exception:
    """What the server said no to: most of it passes (a failover, no memory, no replica)."""
    code = _code(error)
    if code in {"READONLY", "LOADING", "MASTERDOWN", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "UNBLOCKED"}:
        return Away(f"journal at {at} is not the primary", error=code)
    if code in {"NOAUTH", "WRONGPASS", "NOPERM"}:
        return Misconfigured(
            f"{at} refused the gateway's name or password",
            remedy="correct the credentials in `journal`",
            error=code,
        )
    if code == "DB":
        return Misconfigured(
            f"{at} has no database {at.database}", remedy="name another one at the end of `journal`"
        )
    return Transient("journal cannot be written", error=code)


def _code(error: Exception) -> str:
    """The first word, which is the kind of error: further ones may quote what was sent."""
    known: dict[type[Exception], str] = {
        refusals.ReadOnlyError: "READONLY",
        refusals.OutOfMemoryError: "OOM",
        refusals.BusyLoadingError: "LOADING",
        refusals.NoPermissionError: "NOPERM",
    }
    return known.get(type(error)) or str(error).partition(" ")[0][:40]
