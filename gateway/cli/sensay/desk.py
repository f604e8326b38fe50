"""From a command to Sensay: the options that all commands have, for whom they ask, and through which door."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click
from click.shell_completion import CompletionItem

from gateway.app import SystemClock, secrets_of
from gateway.cli.admin import address
from gateway.cli.door import NoGateway, door_to_sensay
from gateway.cli.options import config_option, json_option, read
from gateway.cli.sensay.screen import Screen, duration
from gateway.errors import GatewayError, InvalidArguments
from gateway.ports import Clock
from gateway.sensay.api.client import Sensay
from gateway.sensay.api.files import Upload, put
from gateway.sensay.api.operation import Arguments, Auth, Door, OnDelta, Operation
from gateway.sensay.api.patience import LONGEST, Exchange, Patient
from gateway.sensay.models import Wire
from gateway.sensay.requests import Answered
from gateway.settings import Invalid, load
from gateway.settings.models import Settings
from gateway.telemetry import Mask

T = TypeVar("T")
A = TypeVar("A", bound=Arguments)
R = TypeVar("R", bound=Wire)
MOMENT = 3.0
"""Seconds to wait for a journal that somebody else has."""
_SHOWN = 2_000
"""Characters of a request's body that `-v` shows."""
_WINDOWS = {
    "minute": "the organisation's requests of this minute are used up",
    "hour": "the organisation's completions of this hour are used up",
    "uploads": "the organisation's file uploads of this hour are used up",
    "Sensay": "Sensay asks for a pause",
}


@dataclass(frozen=True)
class Surroundings:
    """What a test puts something of its own in the place of: click's `obj`."""

    clock: Clock
    upload: Upload = put


@dataclass(frozen=True, kw_only=True)
class Common:
    """The options that every command has."""

    path: Path
    admin: str | None
    token: str | None
    organization: str | None
    as_json: bool
    verbose: bool
    longest: float
    user: str | None = None
    user_type: str | None = None


class Desk:
    """Where a command works: it asks Sensay, and prints on the `screen`."""

    def __init__(self, common: Common, surroundings: Surroundings) -> None:
        self._common, self.clock, self._upload = common, surroundings.clock, surroundings.upload
        self.auth = Auth(common.user, common.user_type)
        self._mask, self._slugs = Mask(), dict[str, str]()
        self.screen = Screen(self._mask, as_json=common.as_json)

    @cached_property
    def settings(self) -> Settings:
        settings = read(self._common.path, 1, as_json=self._common.as_json).settings
        self._mask.learn(secrets_of(settings))
        return settings

    def ask(self, work: Callable[[Sensay], Awaitable[T]], *, organization: str | None = None) -> T:
        """Run it with a client that is there for as long. Raises GatewayError."""

        async def run() -> T:
            async with self._sensay(organization or self._organization()) as sensay:
                return await work(sensay)

        return asyncio.run(run())

    def ask_of(self, replica: str, work: Callable[[Sensay, str], Awaitable[T]]) -> T:
        """The same about a replica, by its bot's name, its UUID or its slug."""
        bots = self.settings.bots
        bot = bots.get(replica) or next((one for one in bots.values() if one.replica == replica), None)
        organization = self._common.organization or (bot.organization if bot else None)

        async def run(sensay: Sensay) -> T:
            return await work(sensay, await self._uuid(sensay, replica))

        return self.ask(run, organization=organization)

    async def _uuid(self, sensay: Sensay, name: str) -> str:
        """Raises InvalidArguments."""
        try:
            return str(UUID(name))
        except ValueError:
            pass
        if name in self.settings.bots:
            return self.settings.bots[name].replica
        if name in self._slugs:
            return self._slugs[name]
        if not name.strip():
            raise InvalidArguments("the replica's name is empty", remedy=_NAMES)
        for one in (await sensay.replicas.page(slug=name)).items:
            if one.slug == name:
                self._slugs[name] = one.uuid
                return one.uuid
        raise InvalidArguments(f"there is no bot and no replica with the name {name!r}", remedy=_NAMES)

    async def pause(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    def _organization(self) -> str:
        known = list(self.settings.organizations)
        wanted = self._common.organization
        if wanted is None and len(known) == 1:
            return known[0]
        if wanted in known:
            return wanted
        if not known:
            raise InvalidArguments("no organisation is configured", remedy="add one under organizations")
        said = "there are several organisations" if wanted is None else f"there is no organisation {wanted!r}"
        raise click.UsageError(f"{said}: give --organization with one of {', '.join(known)}.")

    @asynccontextmanager
    async def _sensay(self, organization: str) -> AsyncIterator[Sensay]:
        if organization not in self.settings.organizations:
            organization = self._organization()
        async with AsyncExitStack() as stack:
            door = await self._door(stack, organization)
            loud = _Loud(door, self.settings, self.screen) if self._common.verbose else door
            heard = self._heard if self._common.verbose else lambda _: None
            patient = Patient(loud, self.clock, longest=self._common.longest, waits=self._waits, heard=heard)
            yield Sensay(patient, self.clock, self._put if self._common.verbose else self._upload)

    async def _door(self, stack: AsyncExitStack, organization: str) -> Door:
        """Another command may have the journal in hand, for a moment."""
        admin = address(self.settings, self._common.admin, self._common.token)
        until = self.clock.monotonic() + MOMENT
        while True:
            opened = door_to_sensay(
                self.settings, organization, url=admin.url, token=admin.token, clock=self.clock
            )
            try:
                return await stack.enter_async_context(opened)
            except NoGateway:
                if self.clock.monotonic() >= until:
                    raise
            await self.clock.sleep(0.2)

    def _waits(self, seconds: float, window: str) -> None:
        self.screen.note(f"{_WINDOWS.get(window, window)}: going on in {duration(seconds)}")

    async def _put(self, address: str, file: Path, size: int, progress: Callable[[int, int], None]) -> None:
        self.screen.note(f"> PUT {file.name}, {size} bytes, to the address that Sensay signed")
        await self._upload(address, file, size, progress)

    def _heard(self, exchange: Exchange) -> None:
        status = exchange.status or (type(exchange.error).__name__ if exchange.error else "")
        said = [f"< {status} in {exchange.seconds:.2f} s"]
        said += [f"request {exchange.request_id}"] if exchange.request_id else []
        said += [f"version {exchange.api_version}"] if exchange.api_version else []
        self.screen.note(", ".join(said))

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """Whatever is raised here ends the command with one line and exit code 1."""
        try:
            yield
        except GatewayError as error:
            self.screen.fail(error)
            sys.exit(1)
        except BrokenPipeError:
            raise  # whoever read this has seen enough
        except OSError as error:
            self.screen.fail(InvalidArguments(f"{error.filename or 'a file'}: {error.strerror or error}"))
            sys.exit(1)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only with a yes; where nobody can be asked `--yes` has to say it."""
        if yes:
            return
        try:
            agreed = click.confirm(question, err=True)
        except click.Abort:
            agreed = False
        if not agreed:
            raise InvalidArguments("not confirmed: nothing was done", remedy="answer yes, or give --yes")


_NAMES = "name a bot of the configuration, a replica's UUID or its slug; `sensay replicas list` shows them"


class _Loud:
    """A door that tells what goes through it; secrets are masked."""

    def __init__(self, door: Door, settings: Settings, screen: Screen) -> None:
        self._door, self._settings, self._screen = door, settings, screen

    async def __call__(
        self, operation: Operation[A, R], arguments: A, auth: Auth, on_delta: OnDelta | None = None, /
    ) -> Answered[R]:
        sensay = self._settings.sensay
        request = operation.request(arguments, auth, sensay.dialect)
        method, _, path = str(request).partition(" ")
        self._screen.note(f"> {method} {sensay.base_url.rstrip('/')}{path}")
        headers = {"X-API-Version": sensay.api_version, "Content-Type": "application/json", **request.headers}
        if request.keyed:
            headers["X-ORGANIZATION-SECRET"] = "***"
        for name, value in headers.items():
            self._screen.header(name, value)
        if request.body is not None:
            body = json.dumps(request.body, ensure_ascii=False)
            for secret in request.secrets:
                body = body.replace(secret, "***")
            self._screen.note(f">   {body[:_SHOWN]}" + ("…" if len(body) > _SHOWN else ""))
        return await self._door(operation, arguments, auth, on_delta)


# --- how a command is declared ---


def verb(*operations: Operation[Any, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command that makes requests of these kinds. It gets a `desk`, and all commands get the same options.

    For whom it may ask follows from the operations: with `--as` required, possible or absent.
    """
    authorities = {operation.auth for operation in operations}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def wrapped(**arguments: Any) -> None:
            names = [name for name in Common.__dataclass_fields__ if name in arguments]
            common = Common(**{name: arguments.pop(name) for name in names})
            desk = Desk(common, click.get_current_context().find_object(Surroundings) or _real())
            with desk.trouble():
                if desk.auth.id is None and desk.auth.type is not None:
                    raise click.UsageError("--as-type goes with --as.")
                function(desk, **arguments)

        options = _options(required=authorities == {"user"}, possible=not authorities <= {"admin", "none"})
        update_wrapper(wrapped, function)
        params = getattr(function, "__click_params__", [])
        wrapped.__click_params__ = [*options, *params]  # type: ignore[attr-defined]
        wrapped.operations = tuple(operation.name for operation in operations)  # type: ignore[attr-defined]
        return wrapped

    return decorate


def _real() -> Surroundings:
    return Surroundings(SystemClock())


def _options(*, required: bool, possible: bool) -> list[click.Parameter]:
    """In the order that click keeps them: the last one first."""

    def nothing() -> None: ...

    made = [
        config_option,
        click.option("--organization", metavar="NAME", help="Where there are several."),
        json_option,
        click.option("-v", "--verbose", is_flag=True, help="Show requests, secrets masked."),
        click.option(
            "--max-wait",
            "longest",
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            default=LONGEST,
            show_default=True,
            help="How long to wait for quota.",
        ),
        click.option("--admin", metavar="URL", help="The running gateway's admin address."),
        click.option(
            "--token", envvar="GATEWAY_ADMIN_TOKEN", help="Its token. Default: the configuration's."
        ),
    ]
    if required or possible:
        made = [
            click.option(
                "--as",
                "user",
                metavar="ID",
                required=required,
                help="Ask as this user, not as the organisation.",
            ),
            click.option(
                "--as-type",
                "user_type",
                type=click.Choice(["telegram", "discord", "embed", "email"]),
                help="The user's id is of a linked account.",
            ),
            *made,
        ]
    for option in reversed(made):
        option(nothing)
    params: list[click.Parameter] = nothing.__click_params__  # type: ignore[attr-defined]
    return params


def _bots(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For the shell: the bots of the configuration, if it can be read."""
    import os

    try:
        path = context.params.get("path") or os.environ.get("GATEWAY_CONFIG") or "config/gateway.yaml"
        bots = load(Path(path), os.environ).settings.bots
    except (Invalid, OSError):
        return []
    return [CompletionItem(name) for name in bots if name.startswith(incomplete)]


replica_argument = click.argument("replica", metavar="REPLICA", shell_complete=_bots)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask back.")
