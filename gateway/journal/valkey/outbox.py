"""Parts on their way out: `scripts/outbox.lua`."""

from __future__ import annotations

from gateway.journal.valkey.homes import Homes
from gateway.journal.valkey.rows import Outgoing, text
from gateway.journal.valkey.store import Store
from gateway.messages import Channel, Delivery, Receipt
from gateway.ports import Lease


class Claims:
    """Numbers of this process's claims. A claim keeps its number until its reply was read, so that what it took
    is handed out by the next one if the reply was lost.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, str], tuple[int, int]] = {}

    def number(self, organization: str, channel: Channel, lease: Lease) -> int:
        token, number = self._numbers.get((organization, str(channel), lease.name), (lease.token, 0))
        return number if token == lease.token else 0

    def was_read(self, organization: str, channel: Channel, lease: Lease) -> None:
        number = self.number(organization, channel, lease)
        self._numbers[organization, str(channel), lease.name] = (lease.token, number + 1)


async def claim(
    store: Store, homes: Homes, claims: Claims, channel: Channel, lease: Lease, limit: int
) -> list[Delivery]:
    deliveries: list[Delivery] = []
    for organization in await _homes(store, homes, channel, lease):
        reply = await store.write(
            organization,
            "claim_deliveries",
            lease=lease,
            channel=str(channel),
            limit=limit - len(deliveries),
            number=claims.number(organization, channel, lease),
        )
        deliveries += [outgoing.delivery(organization) for outgoing in reply.many(Outgoing)]
        claims.was_read(organization, channel, lease)
        if len(deliveries) >= limit:
            break
    return deliveries


async def _homes(store: Store, homes: Homes, channel: Channel, lease: Lease) -> tuple[str, ...]:
    """Where the channel's parts are; where there are none yet, only the lease is looked at."""
    found = await homes.of(channel.bot)
    if not found:
        await store.check(lease)
    return found


async def delivered(store: Store, delivery: Delivery, lease: Lease, receipt: Receipt) -> None:
    await store.write(
        delivery.organization,
        "delivered",
        lease=lease,
        id=delivery.id,
        platform_ids=text(receipt.platform_ids),
    )


async def bury(store: Store, delivery: Delivery, lease: Lease, cause: str, unknown: bool) -> None:
    await store.write(
        delivery.organization, "bury", lease=lease, id=delivery.id, cause=cause, unknown=unknown
    )


async def postpone(
    store: Store,
    homes: Homes,
    channel: Channel,
    lease: Lease,
    until: float,
    delivery: Delivery | None,
    lane: str | None,
) -> None:
    facts = {"id": None if delivery is None else delivery.id, "lane": lane}
    given = {name: fact for name, fact in facts.items() if fact is not None}
    await homes.anywhere(channel.bot)
    for organization in await _homes(store, homes, channel, lease):
        await store.write(organization, "postpone", lease=lease, channel=str(channel), until=until, **given)


async def kill_lane(store: Store, homes: Homes, channel: Channel, lease: Lease, lane: str, cause: str) -> int:
    killed = 0
    for organization in await _homes(store, homes, channel, lease):
        reply = await store.write(
            organization, "kill_lane", lease=lease, channel=str(channel), lane=lane, cause=cause
        )
        killed += reply.one(int)
    return killed


async def inherit(store: Store, homes: Homes, channel: Channel, lease: Lease) -> list[Delivery]:
    inherited: list[Delivery] = []
    for organization in await _homes(store, homes, channel, lease):
        reply = await store.write(organization, "inherit_deliveries", lease=lease, channel=str(channel))
        inherited += [outgoing.delivery(organization) for outgoing in reply.many(Outgoing)]
    return inherited


async def next_due(store: Store, homes: Homes, channel: Channel) -> float | None:
    found = [
        (await store.read(organization, "next_due", channel=str(channel))).maybe(float)
        for organization in await homes.of(channel.bot)
    ]
    return min((due for due in found if due is not None), default=None)
