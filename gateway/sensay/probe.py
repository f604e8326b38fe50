"""Whether an organisation's part of the configuration works at Sensay. Only reads: one list, one history.

The list tells whether the key is good, which replicas there are, who may talk to them, and which bots Sensay runs
itself; the history, which is asked for as the organisation and makes no user, which dialect is served.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from gateway.errors import GatewayError, InvalidArguments, NoRoom, Permanent, RateLimited, Transient
from gateway.ports import Clock, Finding
from gateway.sensay.api import history, replicas
from gateway.sensay.api.operation import ADMIN, Arguments, Auth, Door, OfReplica, OnDelta, Operation
from gateway.sensay.api.replicas import LARGEST_PAGE, Replica, Replicas
from gateway.sensay.api.values import fingerprint
from gateway.sensay.failures import Unauthorized
from gateway.sensay.identity import DialectName
from gateway.sensay.models import Wire
from gateway.sensay.requests import Answered
from gateway.settings.models import Bot, Settings

A = TypeVar("A", bound=Arguments)
R = TypeVar("R", bound=Wire)
NOT_FOUND = 404
SINGLY = 5
"""Replicas that are not in the list and are asked for one by one, to be sure."""
DIALECTS: tuple[DialectName, ...] = ("openapi", "guide", "generic")
PER_MINUTE, PER_HOUR = 100, 1000
"""What the integration guide grants an organisation; Sensay itself tells no numbers."""
_KEY = "check the organisation's secret, and that the organisation is active at Sensay"
_WHERE = "check the id, and that `organization` is the one whose replica it is"
_PRIVATE = "make it public: sensay-gateway sensay replicas update {} --public"


class Looking:
    """One organisation. `findings` have complete paths; what was seen before an error is kept."""

    def __init__(self, settings: Settings, organization: str, clock: Clock) -> None:
        self.findings: list[Finding] = []
        self.requests = 0
        self.ahead: list[float] = []
        self._settings, self._path, self._clock = settings, f"organizations.{organization}", clock
        self._bots = {
            name: bot
            for name, bot in settings.bots.items()
            if bot.organization == organization and bot.enabled
        }

    async def run(self, door: Door) -> None:
        """Raises GatewayError, when Sensay could not be asked at all."""
        counted = self._counted(door)
        known = await self._replicas(counted)
        if known is None:
            return
        missing = {bot.replica for bot in self._bots.values()} - known.keys()
        for replica in sorted(missing)[:SINGLY]:
            if (found := await self._one(counted, replica)) is not None:
                known[replica] = found
        for name, bot in self._bots.items():
            self.findings += _judged(f"bots.{name}", bot, known)
        self.findings += _quota(self._path, self._settings, self._path.partition(".")[2])
        there = next((bot.replica for bot in self._bots.values() if bot.replica in known), None)
        if there is not None:
            await self._dialect(counted, there)

    def error(self, what: str, remedy: str | None) -> None:
        self._note("error", what, remedy, self._path)

    def _note(self, severity: str, what: str, remedy: str | None, path: str) -> None:
        self.findings.append(Finding(severity=severity, what=what, remedy=remedy, path=path))  # type: ignore[arg-type]

    def _counted(self, door: Door) -> Door:
        """The same door; what goes through it is counted, and Sensay's clock is looked at."""

        async def ask(
            operation: Operation[A, R], arguments: A, auth: Auth, on_delta: OnDelta | None = None, /
        ) -> Answered[R]:
            self.requests += 1
            try:
                answered = await door(operation, arguments, auth, on_delta)
            except (NoRoom, InvalidArguments):
                self.requests -= 1
                raise
            if answered.date is not None:
                self.ahead.append(
                    answered.date + 0.5 - self._clock.now()
                )  # whole seconds, half of one on average
            return answered

        return ask

    # --- the key and the replicas ---

    async def _replicas(self, door: Door) -> dict[str, Replica] | None:
        """By id; None when the list cannot be had."""
        try:
            known = {one.uuid: one async for one in Replicas(door).list(page_size=LARGEST_PAGE)}
        except Unauthorized as error:
            self._note("error", f"Sensay refuses the secret ({error})", _KEY, f"{self._path}.secret")
        except NoRoom as error:
            self._note("warning", f"not looked at: {error}", "look again later", f"{self._path}.quota")
        except RateLimited:
            what = (
                "Sensay answers 429 while our budget has room: it grants less, or somebody else uses this key"
            )
            self._note(
                "warning",
                what,
                "lower the quota, or give each program a key of its own",
                f"{self._path}.quota",
            )
        except Transient:
            raise
        except GatewayError as error:
            self.error(f"replicas cannot be listed: {error}", error.context.get("remedy"))
        else:
            self._note("ok", f"the secret is good: {len(known)} replicas", None, f"{self._path}.secret")
            return known
        return None

    async def _one(self, door: Door, replica: str) -> Replica | None:
        try:
            return (await door(replicas.GET, OfReplica(replica=replica), ADMIN)).value
        except Permanent:
            return None

    # --- the dialect ---

    async def _dialect(self, door: Door, replica: str) -> None:
        wanted = self._settings.sensay.dialect
        path = "sensay.dialect"
        served = await self._serves(door, replica, wanted)
        if served:
            self._note("ok", f"{wanted} is served, as far as its histories tell", None, path)
        elif served is None:
            self._note("warning", f"nobody knows whether {wanted} is served", "look again later", path)
        else:
            others = [one for one in DIALECTS if one != wanted and await self._serves(door, replica, one)]
            remedy = f"set sensay.dialect: {others[0]}" if others else "check sensay.base_url"
            self._note("error", f"Sensay does not serve the paths of {wanted}", remedy, path)

    async def _serves(self, door: Door, replica: str, dialect: DialectName) -> bool | None:
        """None: it could not be told."""
        channel = None if dialect == "generic" else "telegram"
        arguments = history.LIST.read({"replica": replica, "channel": channel, "dialect": dialect})
        try:
            await door(history.LIST, arguments, ADMIN)
        except Permanent as error:
            return False if error.context.get("status") == NOT_FOUND else None
        except GatewayError:
            return None
        return True


# --- judging --------------------------------------------------------------------------------------------------------


def _judged(path: str, bot: Bot, known: dict[str, Replica]) -> Iterator[Finding]:
    replica = known.get(bot.replica)
    if replica is None:
        what = "there is no such replica in this organisation"
        yield Finding(severity="error", what=what, remedy=_WHERE, path=f"{path}.replica")
        return
    name = replica.name or replica.slug or replica.uuid
    if replica.private:
        what = f"{name} is private: the users whom the gateway creates have no access to it"
        yield Finding(
            severity="error", what=what, remedy=_PRIVATE.format(replica.uuid), path=f"{path}.replica"
        )
    else:
        yield Finding(severity="ok", what=f"{name} is there, and public", path=f"{path}.replica")
    yield from _hosted_telegram(path, bot, replica, known)
    if bot.discord and (replica.discord_is_active or replica.discord_service_name):
        yield Finding(
            severity="warning",
            what="Sensay runs a Discord bot for this replica, too; it does not tell whether with the same token",
            remedy="if it is the same, everything is answered twice: take that integration away at Sensay",
            path=f"{path}.discord.token",
        )


def _hosted_telegram(path: str, bot: Bot, own: Replica, known: dict[str, Replica]) -> Iterator[Finding]:
    if bot.telegram is None:
        return
    ours = fingerprint(bot.telegram.token.get_secret_value())
    for replica in known.values():
        hosted: Any = replica.telegram_integration
        if hosted is not None and hosted.telegram_token == ours:
            yield Finding(
                severity="error",
                what=f"Sensay runs this bot, too (for {replica.name or replica.uuid}): two programs poll it and end "
                "each other's polls, and some messages are answered twice",
                remedy=f"sensay-gateway sensay integrations remove-telegram {replica.uuid}",
                path=f"{path}.telegram.token",
            )
            return
    hosted = own.telegram_integration
    if own.telegram_service_name and (hosted is None or hosted.telegram_token is None):
        yield Finding(
            severity="warning",
            what="Sensay runs a Telegram bot for this replica, too; it does not tell whether with the same token",
            remedy=f"if it is the same: sensay-gateway sensay integrations remove-telegram {own.uuid}",
            path=f"{path}.telegram.token",
        )


def _quota(path: str, settings: Settings, organization: str) -> Iterator[Finding]:
    quota = settings.organizations[organization].quota
    said = f"{quota.requests_per_minute} requests a minute, {quota.completions_per_hour} completions an hour"
    if quota.requests_per_minute > PER_MINUTE or quota.completions_per_hour > PER_HOUR:
        yield Finding(
            severity="warning",
            what=f"{said}: more than the {PER_MINUTE} and {PER_HOUR} of Sensay's guide",
            remedy="leave it so only if Sensay granted more; Sensay tells no numbers of its own",
            path=f"{path}.quota",
        )
    else:
        what = f"{said}; Sensay tells no numbers of its own to compare"
        yield Finding(severity="ok", what=what, path=f"{path}.quota")
    bots = settings.bots.values()
    reserved = sum(bot.reserve_per_hour for bot in bots if bot.organization == organization and bot.enabled)
    if reserved > quota.completions_per_hour:
        yield Finding(
            severity="warning",
            what=f"bots reserve {reserved} completions an hour, and there are {quota.completions_per_hour}",
            remedy="lower reserve_per_hour of some bots",
            path=f"{path}.quota",
        )
