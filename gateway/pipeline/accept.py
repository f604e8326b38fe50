"""1. Arrivals → inbox. Policy judges, the journal takes the batch in one transaction; only then is the platform
acknowledged.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from gateway.errors import Transient
from gateway.messages import (
    Accepted,
    Arrival,
    Channel,
    ConversationKey,
    Deleted,
    Part,
    Said,
    TextName,
    Unreadable,
    decode,
    encode,
)
from gateway.pipeline.notices import Notices
from gateway.pipeline.presence import Presence
from gateway.policy.access import People, Rules, judge
from gateway.policy.handover import SAYS, Order, order
from gateway.ports import Bounds, Clock, Intake, Journal, MessageReceived, Noted, Observer
from gateway.settings.models import AccessList, Bot, Settings

_HEARD: dict[str, Literal["accepted", "duplicate", "ignored", "denied", "quarantined"]] = {
    "duplicate": "duplicate",
    "mismatch": "duplicate",
    "ignored": "ignored",
    "denied": "denied",
    "limited": "denied",
    "quarantined": "quarantined",
}

MOST_WAITING = 100_000
"""Messages of an organisation: beyond, its platforms keep what people say."""


def tag(organization: str) -> str:
    """Four letters that every id of an organisation begins with, so that a shared store can keep its rows together."""
    return base64.b32encode(hashlib.sha256(organization.encode()).digest())[:4].decode().lower()


def new_id(organization: str) -> str:
    """A fresh id, short enough to be read out on the telephone: `k3fq-7mzp2xwd4c`."""
    return f"{tag(organization)}-{base64.b32encode(secrets.token_bytes(10))[:12].decode().lower()}"


class Acceptor:
    """The one door into the journal, for all channels."""

    def __init__(
        self,
        journal: Journal,
        current: Callable[[], Settings],
        notices: Notices,
        presence: Presence,
        clock: Clock,
        observer: Observer,
        warm: Callable[[Bot], Awaitable[object]],
        waiting: Callable[[str], int] = lambda _: 0,
        hand_over: Callable[[Order, ConversationKey], Awaitable[None]] | None = None,
    ) -> None:
        """`warm(bot)` has the replica's own greeting fetched before it is first said; `waiting` counts; `hand_over`
        does what an admin ordered.
        """
        self._journal, self._current, self._notices, self._warm = journal, current, notices, warm
        self._presence, self._clock, self._observer = presence, clock, observer
        self._waiting, self._hand_over = waiting, hand_over
        self._rules: dict[Channel, Rules] = {}
        self._rules_of: Settings | None = None
        self.closed = False

    async def accept(self, channel: Channel, arrivals: Sequence[Arrival]) -> list[Accepted]:
        """Journal a batch of one channel. Raises Transient: nothing was taken, nothing may be acknowledged."""
        if self.closed:
            raise Transient("the gateway is shutting down", retry_after=5.0)
        bot = self._current().bots.get(channel.bot)
        if bot is None:
            raise Transient("the bot is not configured any more", retry_after=60.0)
        if not arrivals:
            return []
        if self._waiting(bot.organization) >= MOST_WAITING:
            raise Transient("too many messages wait", retry_after=5.0)
        if any(isinstance(arrival, Said) and arrival.answer_with == "greeting" for arrival in arrivals):
            await self._warm(bot)
        began = self._clock.now()
        judged = [self._intake(channel, bot, writable(arrival)) for arrival in arrivals]
        outcomes = await self._journal.accept([intake for intake, _ in judged])
        for (intake, why), accepted in zip(judged, outcomes, strict=True):
            self._tell(channel, intake, accepted, why, began)
            await self._obey(bot, intake, accepted)
        return outcomes

    def _intake(self, channel: Channel, bot: Bot, arrival: Arrival) -> tuple[Intake, str | None]:
        """The arrival as policy has judged it, and why."""
        intake = Intake(id=new_id(bot.organization), organization=bot.organization, arrival=arrival)
        if not isinstance(arrival, Said):
            return intake, None
        if (given := self._order(bot, arrival)) is not None:
            addressed = arrival.addressed or "command"
            arrival = replace(arrival, addressed=addressed, answer_with=SAYS[given.verb])
        judgement = judge(arrival, self._rules_for(channel, bot), self._clock.now())
        verdict = judgement.verdict
        if verdict == "record":
            arrival = replace(arrival, kind="record")
        user = bot.limits.user
        bounds = Bounds(
            per_conversation=bot.queue.per_conversation,
            per_bot=bot.queue.per_bot,
            user_limit=(user.count, user.seconds) if user else None,
        )
        endings = self._endings(channel, verdict, arrival, intake.id)
        judged = replace(intake, arrival=arrival, verdict=verdict, bounds=bounds, endings=endings)
        return judged, judgement.why

    def _order(self, bot: Bot, said: Said) -> Order | None:
        return order(said, frozenset(bot.access.admins)) if self._hand_over else None

    async def _obey(self, bot: Bot, intake: Intake, accepted: Accepted) -> None:
        """Take a conversation over, or give it back. A repetition too: the first may have been cut off before this."""
        said = intake.arrival
        if self._hand_over is None or accepted.outcome not in {"answered", "duplicate"}:
            return
        if isinstance(said, Said) and (given := self._order(bot, said)) is not None:
            await self._hand_over(given, said.key)

    def _endings(
        self, channel: Channel, verdict: str, said: Said, reference: str
    ) -> dict[str, tuple[Part, ...]]:
        names: dict[str, TextName]
        match verdict:
            case "ask":
                names = {"busy": "busy", "limited": "busy"}
            case "answer":
                names = {"answer": said.answer_with or "unsupported", "limited": "busy"}
            case "deny" if said.place.direct:
                names = {"denied": "denied"}
            case _:
                names = {}
        return {
            ending: self._notices.parts(
                channel.bot,
                channel.platform,
                name,
                said.address,
                locale=said.sender.locale,
                reference=reference,
            )
            for ending, name in names.items()
        }

    def _rules_for(self, channel: Channel, bot: Bot) -> Rules:
        """Built once per configuration."""
        settings = self._current()
        if self._rules_of is not settings:
            self._rules_of, self._rules = settings, {}
        if channel not in self._rules:
            self._rules[channel] = rules(bot, channel.platform)
        return self._rules[channel]

    def _tell(
        self, channel: Channel, intake: Intake, accepted: Accepted, why: str | None, began: float
    ) -> None:
        arrival = intake.arrival
        key = None if isinstance(arrival, Unreadable) else getattr(arrival, "key", None)
        self._observer(
            MessageReceived(
                organization=intake.organization,
                bot=channel.bot,
                platform=channel.platform,
                outcome=_HEARD.get(accepted.outcome, "accepted"),
                conversation=str(key) if key else None,
                message=accepted.id,
                why=why,
                at=self._clock.now(),
                began=began,
            )
        )
        if isinstance(arrival, Unreadable):
            fields = {"bot": channel.bot, "platform": channel.platform, "error": arrival.error}
            self._observer(Noted(event="update.quarantined", level="warning", fields=fields))
        elif isinstance(arrival, Said):
            self._write_down(channel, arrival, accepted)
            if accepted.outcome == "accepted":
                self._presence.begin(arrival.key, arrival.address, accepted.id)
        elif isinstance(arrival, Deleted) and accepted.outcome == "amended":
            self._presence.end(arrival.key, [accepted.id])

    def _write_down(self, channel: Channel, said: Said, accepted: Accepted) -> None:
        """What was said, in the log: only where the operator has asked for it."""
        if self._current().log.message_text:
            fields = {
                "bot": channel.bot,
                "platform": channel.platform,
                "conversation": str(said.key),
                "message": accepted.id,
                "text": said.text[:1000],
            }
            self._observer(Noted(event="message.said", fields=fields))


def writable(arrival: Arrival) -> Arrival:
    """Replace halves of surrogate pairs: JSON may hold them, no journal can, and one must not keep out its batch."""
    try:
        encode(arrival)
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(arrival), ensure_ascii=False)
        return decode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), type(arrival))
    return arrival


def rules(bot: Bot, platform: str) -> Rules:
    """The access rules of a bot's channel."""
    groups = getattr(getattr(bot, platform, None), "groups", None)
    return Rules(
        dm=bot.access.dm,
        groups=groups.mode if groups else "mention",
        reply_ping=getattr(groups, "reply_ping", True),
        allow=_people(bot.access.allow),
        deny=_people(bot.access.deny),
        max_age=bot.max_age,
    )


def _people(listed: AccessList) -> People:
    return People(
        users=frozenset(listed.users),
        roles=frozenset(listed.roles),
        channels=frozenset(listed.channels),
        guilds=frozenset(listed.guilds),
    )
