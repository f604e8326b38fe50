"""What needs no key: trading an invitation for one, and asking whether Sensay is well."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import field

from gateway.sensay.api.operation import ADMIN, Arguments, Door, Id, Operation, everywhere
from gateway.sensay.api.values import Said, Thing


class Redemption(Arguments, frozen=True):
    secrets: ClassVar[tuple[str, ...]] = ("code",)
    code: Id
    organization_name: Id
    name: Id
    email: Id


class Key(Said, frozen=True):
    """`api_key` is the organisation's secret: whoever shows it has to want that."""

    api_key: str
    organization_id: str | None = field(default=None, name="organizationID")
    valid_until: str | None = None

    def __repr__(self) -> str:
        return (
            f"Key(api_key='***', organization_id={self.organization_id!r}, valid_until={self.valid_until!r})"
        )


class Service(Thing, frozen=True):
    status: int | str | None = None
    message: str | None = None


class Health(Said, frozen=True):
    time: int | None = None
    services: dict[str, Service] | None = None


REDEEM = Operation(
    "account.redeem",
    "Trade an invitation for an organisation and its key",
    Redemption,
    Key,
    everywhere("POST", "/v1/api-keys/invites/{code}/redeem"),
    "none",
    remedies={404: "the invitation is unknown or has been redeemed: ask Sensay for another one"},
)
HEALTH = Operation(
    "account.health",
    "How Sensay is",
    Arguments,
    Health,
    everywhere("GET", "/v1/healthcheck"),
    "none",
    repeatable=True,
)
OPERATIONS: tuple[Operation[Any, Any], ...] = (REDEEM, HEALTH)


class Account:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def redeem(self, code: str, *, organization_name: str, name: str, email: str) -> Key:
        fields = {"code": code, "organization_name": organization_name, "name": name, "email": email}
        return (await self._door(REDEEM, REDEEM.read(fields), ADMIN)).value

    async def health(self) -> Health:
        return (await self._door(HEALTH, Arguments(), ADMIN)).value
