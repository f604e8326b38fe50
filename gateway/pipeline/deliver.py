"""3. Outbox → platform. One courier per channel; lanes (chats) go in parallel, each in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.errors import Ambiguous, GatewayError, Superseded, Transient
from gateway.messages import Channel, Delivery
from gateway.pipeline.bell import Bell
from gateway.policy.retry import SCHEDULES, Bury, Postpone, after_send
from gateway.ports import Adapter, Clock, DeliveryEnded, Journal, Lease, Noted, Observer

IN_FLIGHT = 32
"""Sends of one channel at a time; each is another lane."""


class Courier:
    """Sends one channel's parts while its lease is held. `repeat_unknown`: the bot's `unknown_send` is `retry_once`."""

    def __init__(
        self,
        channel: Channel,
        adapter: Adapter,
        lease: Lease,
        journal: Journal,
        clock: Clock,
        observer: Observer,
        jitter: Callable[[], float],
        *,
        repeat_unknown: bool = False,
        paused: Callable[[], bool] = lambda: False,
    ) -> None:
        self._channel, self._adapter, self._lease = channel, adapter, lease
        self._journal, self._clock, self._observer, self._jitter = journal, clock, observer, jitter
        self._repeat_unknown, self._schedule = repeat_unknown, SCHEDULES[channel.platform]
        self._bell = Bell(clock)
        self._sending: set[asyncio.Task[None]] = set()
        self._more = False
        """Whether there may be parts that the last claim had no room for."""
        self._draining, self._paused = False, paused

    @property
    def idle(self) -> bool:
        return not self._sending

    def drain(self) -> None:
        """Start no more sends; those under way end."""
        self._draining = True

    def ring(self) -> None:
        """A pause ended: look again."""
        self._bell.ring()

    async def until_idle(self, seconds: float) -> None:
        """Wait, so long at most, for the sends under way."""
        if self._sending:
            await asyncio.wait(set(self._sending), timeout=seconds)

    async def run(self) -> None:
        """Until cancelled. Raises Superseded when another process took the channel over."""
        async with self._journal.watch(f"outbox/{self._channel}") as outbox:
            follow = asyncio.ensure_future(self._bell.follow(outbox))
            try:
                await self._inherit()
                while True:
                    await self._bell.wait(await self._start_sends())
            finally:
                follow.cancel()
                for task in self._sending:
                    task.cancel()

    async def _inherit(self) -> None:
        """What an earlier process left in `sending` may have arrived: an unknown outcome, judged like any other."""
        unknown = Ambiguous("the process ended while this part was being sent")
        for delivery in await self._journal.inherit_deliveries(self._channel, self._lease):
            await self._judge(delivery, unknown)

    async def _start_sends(self) -> float | None:
        """Claim and start what is due; returns after how many seconds to look again."""
        try:
            free = IN_FLIGHT - len(self._sending)
            if free <= 0 or self._draining or self._paused():
                return None  # the next send that ends rings, and so does the end of a pause
            claimed = await self._journal.claim_deliveries(self._channel, self._lease, free)
            self._more = len(claimed) == free
            for delivery in claimed:
                task = asyncio.ensure_future(self._send(delivery))
                self._sending.add(task)
                task.add_done_callback(self._done)
            due = await self._journal.next_due(self._channel)
        except Transient:
            return 1.0
        return None if due is None else due - self._clock.now()

    def _done(self, task: asyncio.Task[None]) -> None:
        """What may go now is told by the journal; only room that was missing is not."""
        self._sending.discard(task)
        if self._more:
            self._bell.ring()

    async def _send(self, delivery: Delivery) -> None:
        began = self._clock.now()
        if self._lease.lost:  # whoever holds it now finds it as we leave it
            return
        try:
            receipt = await self._adapter.send(delivery)
        except GatewayError as error:
            await self._judge(delivery, error, began)
        except Exception as error:  # noqa: BLE001 - an adapter's fault concerns this part only
            fields = {
                "bot": self._channel.bot,
                "platform": self._channel.platform,
                "error": repr(error)[:300],
            }
            self._observer(Noted(event="delivery.crashed", level="error", fields=fields))
            await self._judge(delivery, Ambiguous(f"the adapter failed: {type(error).__name__}"), began)
        else:
            await self._surely(lambda: self._journal.delivered(delivery, self._lease, receipt))
            self._tell(delivery, "sent", began=began)

    async def _judge(self, delivery: Delivery, error: GatewayError, began: float | None = None) -> None:
        if (
            isinstance(error, Ambiguous)
            and self._adapter.idempotent
            and delivery.attempt < self._schedule.attempts
        ):
            error = Transient(str(error), scope=error.scope)  # a repetition does not show
        verdict = after_send(
            error,
            delivery.attempt,
            self._jitter(),
            repeat_unknown=self._repeat_unknown,
            schedule=self._schedule,
        )
        match verdict:
            case Postpone(wait, scope, pause):
                now = self._clock.now()
                until, over = now + wait, now + (wait if pause is None else pause)
                await self._surely(
                    lambda: self._journal.postpone(self._channel, self._lease, until, delivery=delivery)
                )
                if scope == "channel":
                    await self._surely(lambda: self._journal.postpone(self._channel, self._lease, over))
                self._tell(delivery, "retried", str(error), began)
            case Bury(cause, unknown, lane):
                await self._surely(lambda: self._journal.bury(delivery, self._lease, cause, unknown=unknown))
                dropped = await self._drop_lane(delivery, cause) if lane else None
                self._tell(delivery, "unknown" if unknown else "dead", cause, began, dropped)

    async def _drop_lane(self, delivery: Delivery, cause: str) -> int:
        """Nothing reaches this chat any more: what waits for it is given up, too. Told with the number of parts, the
        refused one included; returns how many others there were.
        """
        dropped: list[int] = []

        async def kill() -> None:
            to = delivery.address.to
            dropped.append(await self._journal.kill_lane(self._channel, self._lease, to, cause))

        await self._surely(kill)
        fields = {"bot": delivery.key.bot, "platform": delivery.key.platform, "parts": 1 + sum(dropped)}
        fields |= {"conversation": str(delivery.key), "cause": cause}
        self._observer(Noted(event="lane.dropped", level="warning", fields=fields))
        return sum(dropped)

    async def _surely(self, write: Callable[[], object]) -> None:
        """What a platform did must be written down: while the journal cannot, wait and try again."""
        while True:
            try:
                await write()  # type: ignore[misc]
            except Superseded:
                return
            except Transient:
                await self._clock.sleep(1.0)
            else:
                return

    def _tell(
        self,
        delivery: Delivery,
        outcome: str,
        cause: str | None = None,
        began: float | None = None,
        dropped: int | None = None,
    ) -> None:
        self._observer(
            DeliveryEnded(
                bot=self._channel.bot,
                platform=self._channel.platform,
                outcome=outcome,  # type: ignore[arg-type]
                delivery=delivery.id,
                owner=delivery.owner,
                at=self._clock.now(),
                last=delivery.index == delivery.count - 1,
                conversation=str(delivery.key),
                cause=cause,
                began=began,
                dropped=dropped,
            )
        )
