"""How a verb talks to the running gateway: its admin HTTP, found through the configuration."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, InvalidURL

from gateway.cli.options import config_option, read
from gateway.settings.models import Settings

F = TypeVar("F", bound=Callable[..., Any])
TIMEOUT = ClientTimeout(total=None, connect=10.0, sock_read=60.0)


@dataclass(frozen=True)
class Admin:
    """A running gateway's admin listener."""

    url: str
    token: str | None

    def ask(self, method: str, path: str, **query: Any) -> Any:
        """Return what it answers, decoded; says in words what went wrong and exits with 1."""
        return _or_exit(lambda: self.request(method, path, **query))

    def request(self, method: str, path: str, **query: Any) -> Any:
        """Return what it answers, decoded. Raises NoAnswerError."""

        async def work() -> Any:
            async with self._sent(method, path, query) as response:
                return await response.json()

        return self._run(work())

    def save(self, path: str, file: Path) -> int:
        """POST, and keep the answer in a file that is either whole or not there; returns its size."""

        async def work() -> int:
            async with self._sent("POST", path, {}) as response:
                return await _kept(response, file)

        size: int = _or_exit(lambda: self._run(work()))
        return size

    def _run(self, work: Any) -> Any:
        try:
            return asyncio.run(work)
        except InvalidURL as error:
            known = "they look like http://127.0.0.1:9090"
            raise NoAnswerError(f"{self.url} is no address of a gateway; {known}") from error
        except (ClientError, TimeoutError, OSError) as error:
            raise NoAnswerError(f"no gateway answers at {self.url}: {_why(error)}") from error

    @asynccontextmanager
    async def _sent(self, method: str, path: str, query: dict[str, Any]) -> AsyncIterator[ClientResponse]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        known = {name: str(value) for name, value in query.items() if value is not None}
        async with (
            ClientSession(headers=headers, timeout=TIMEOUT) as session,
            session.request(method, self.url.rstrip("/") + path, params=known) as response,
        ):
            if response.status >= 400:
                raise NoAnswerError(await _reason(response))
            yield response


class NoAnswerError(Exception):
    """Nobody answered, or the gateway said no; the message is for the operator."""


def _or_exit(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except NoAnswerError as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def _why(error: Exception) -> str:
    """The system's words where it has some: the library's hold its own objects."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else str(error)


async def _reason(response: ClientResponse) -> str:
    try:
        body = await response.json(content_type=None)
        said = str(body.get("detail") or body["title"])
        return "\n".join([said, *map(str, body.get("errors", ()))])
    except (ValueError, KeyError, AttributeError):
        return f"the gateway answered {response.status}"


async def _kept(response: ClientResponse, file: Path) -> int:
    part, size = file.with_name(f".{file.name}.part"), 0
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            async for chunk in response.content.iter_chunked(256 * 1024):
                size += out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except ClientError:
        raise
    except OSError as error:
        raise NoAnswerError(f"cannot write {file}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return size


def admin_options(verb: F) -> F:
    """`--admin` and `--token`, with the configuration behind them; the verb gets `admin`."""

    def wrapped(path: Path, url: str | None, token: str | None, **arguments: Any) -> Any:
        return verb(admin=_found(path, url, token), **arguments)

    wrapped.__doc__ = verb.__doc__
    wrapped.__name__ = verb.__name__
    params = getattr(verb, "__click_params__", [])
    wrapped.__click_params__ = params  # type: ignore[attr-defined]
    for option in (
        click.option("--token", envvar="GATEWAY_ADMIN_TOKEN", help="Default: the configuration's."),
        click.option("--admin", "url", help="The admin listener's address. Default: the configuration's."),
        config_option,
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def _found(path: Path, url: str | None, token: str | None) -> Admin:
    """What is not given comes from the configuration, which is not read when nothing is missing."""
    if url is not None and (token is not None or not path.exists()):
        return Admin(url, token)
    return address(read(path, 1).settings, url, token)


def address(settings: Settings, url: str | None, token: str | None) -> Admin:
    """What is not given is the configuration's."""
    admin = settings.server.admin
    if url is None:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(admin.host, admin.host)  # noqa: S104 - read, not bound
        url = f"http://{host}:{admin.port}"
    if token is None and admin.token is not None:
        token = admin.token.get_secret_value()
    return Admin(url, token)


def table(rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
