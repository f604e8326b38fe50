"""The contracts between the stages, the platforms, the journal and Sensay. Nothing here does anything.

Every implementation of `Journal` passes `tests/contracts/journal.py`, every adapter
`tests/contracts/adapter.py`, every client `tests/contracts/completions.py`, the fakes included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from gateway.messages import (
    Accepted,
    Address,
    Arrival,
    BotCounts,
    BotState,
    Channel,
    ConversationKey,
    DeadLetter,
    Delivery,
    Ending,
    Facts,
    Head,
    Life,
    Log,
    Message,
    Outcome,
    Part,
    PlatformName,
    Profile,
    Question,
    Receipt,
    Reply,
    Spend,
    SpendClass,
    TextName,
    Turn,
    Value,
)


class Clock(Protocol):
    """Time as an argument. Everything that waits, waits through it, so that tests move it by hand."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back, for durations."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Callable[[], object]:
        """Call `ring` from the event loop after so many seconds, unless what is returned is called before."""
        ...


# --- the journal ---


class Bounds(Value, frozen=True):
    """What `accept` judges a message by. `user_limit` is (messages, seconds) or None for off.

    Messages that wait to be asked count against `per_conversation` and `per_bot`; those in a turn do not. Context
    (`record`) has `per_conversation` for itself, and the oldest gives way. Against a sender's limit on this
    channel count messages that were let through (`ask`, `answer`), so a flood does not lock its sender out.
    """

    per_conversation: int = 20
    per_bot: int = 1000
    user_limit: tuple[int, float] | None = (10, 10.0)


class Intake(Value, frozen=True):
    """An arrival with what policy made of it, ready to be journaled.

    `id` becomes the message's id if it is new. `verdict`: `ask` and `record` wait; `answer` ends at once with
    the parts of `endings["answer"]`; `deny` keeps no text, `ignore` only the dedupe keys. `endings` holds the
    parts of the fixed texts by ending: `answer`, `busy`, `limited` (sent once a window), `denied` (sent once in
    `denied_every`); a missing one ends in silence. Verdict, bounds and endings concern `Said` only.
    """

    id: str
    organization: str
    arrival: Arrival
    verdict: Literal["ask", "record", "answer", "deny", "ignore"] = "ask"
    bounds: Bounds = Bounds()
    endings: dict[str, tuple[Part, ...]] = {}
    denied_every: float = 3600.0


class Lease(Protocol):
    """The right to act for something, until it is lost. `token` grows with each holder; writes under an old
    one are refused.
    """

    name: str
    token: int

    @property
    def lost(self) -> bool: ...

    async def wait_lost(self) -> None:
        """Return when the lease is gone (never, for a journal that one process owns)."""
        ...


class Watch(Protocol):
    """A subscription. At most once: whatever it says must also be found by reading. Bounded; the oldest facts
    are dropped.
    """

    async def next(self) -> Facts:
        """Wait for the next fact."""
        ...

    def drain(self) -> list[Facts]:
        """Take all facts that are here already."""
        ...


class Retention(Value, frozen=True):
    """How long ended things are kept, in seconds."""

    text: float = 86_400.0
    web_history: float = 604_800.0
    dedupe: float = 172_800.0
    traces: float = 604_800.0


class Journal(Protocol):
    """All that must not be forgotten. Times of rows are the journal's own clock.

    Every writing method is one transaction, committed when it returns. Raises Transient when it cannot write
    (nothing happened, nothing may be acknowledged), Superseded when the lease's token is older than the
    newest of that name. Writes are idempotent by the ids that the caller gives.

    Where processes share it (`shared`), its server has its own time, which `time` tells, and it may be away for a
    while: it is waited for.

    After a commit the journal publishes wake-ups (empty facts): `inbox/{organization}` when messages wait,
    `outbox/{channel}` when parts wait, `conversation/{key}` when the conversation's log grew, `message/{id}`
    when that message's turn ended. A watch holds at most one wake-up that was not taken yet.
    """

    shared: bool

    def time(self) -> float:
        """Now, by the clock of the rows' times, as far as this process knows it."""
        ...

    async def open(self) -> None:
        """Connect and migrate. Raises Misconfigured (folder missing, newer version) or Transient (held by
        another process).
        """
        ...

    async def close(self) -> None: ...

    # inbox

    async def accept(self, intakes: Sequence[Intake]) -> list[Accepted]:
        """Take a batch in one transaction: dedupe, bounds, user limits, amendments, fixed endings with their
        outbox parts.

        Dedupe keys live within (bot, platform); any known one makes a duplicate, whatever became of the first.
        `Unreadable` is kept as quarantined. An edit or deletion of what does not wait any more is `ignored`.
        One outcome per intake, in order.
        """
        ...

    async def waiting(self, organization: str, after: int = 0, limit: int = 1000) -> list[Head]:
        """Waiting messages (ask and record) with `seq > after`, by `seq`, without their text. What waits
        again keeps its `seq`, so it may turn up before a cursor.
        """
        ...

    async def claim(
        self, turn_id: str, message_ids: Sequence[str], lease: Lease, spend: Spend | None = None
    ) -> Turn | None:
        """Make one turn of waiting messages of one conversation; with a `spend` it is `asked` at once.

        None if the conversation has a turn in flight or none of the messages waits any more (those that do
        are taken). Repeating it with the same turn id returns the same turn. Recorded messages
        (`kind="record"`) are claimed the same way but do not count as in flight. The turn's messages come
        without `raw`, which stays on the row until the turn ends.
        """
        ...

    async def peek(self, message_id: str) -> Message | None:
        """A message that still waits, with its text; None once it was claimed or ended."""
        ...

    async def notify(self, message_id: str, parts: Sequence[Part]) -> bool:
        """Put a notice for a waiting message into the outbox: once a message, and not once it was claimed."""
        ...

    async def asked(self, turn_id: str, lease: Lease, spend: Spend) -> Turn:
        """Commit attempt, time and quota spend; the request leaves after this.

        Repeating it with the same spend, or for an ended turn, changes nothing. Raises Permanent for a turn
        that is gone (forgotten).
        """
        ...

    async def finish(self, turn_id: str, lease: Lease, ending: Ending) -> None:
        """End the turn and put its parts into the outbox. Ending an ended or forgotten turn changes nothing."""
        ...

    async def inherit_turns(self, lease: Lease) -> list[Turn]:
        """Take over what earlier holders of this lease left: `claimed` turns go back to waiting, `asked` ones
        are returned.

        The lease is named `dispatcher/{organization}`.
        """
        ...

    # quota

    async def spend(self, spend: Spend) -> None:
        """Record an upstream request that belongs to no turn's completion, at `spend.at` or else now."""
        ...

    async def refund(self, organization: str, spend_id: str) -> None:
        """Take back a spend that the server refused with 429."""
        ...

    async def spent_since(self, organization: str, since: float) -> list[Spend]:
        """Spends with `at > since`, oldest first."""
        ...

    # outbox

    async def claim_deliveries(self, channel: Channel, lease: Lease, limit: int) -> list[Delivery]:
        """Commit up to `limit` due parts as `sending`: the first of each lane that has none in `sending` and
        is not postponed, the oldest first. Each claim counts as an attempt.
        """
        ...

    async def delivered(self, delivery: Delivery, lease: Lease, receipt: Receipt) -> None:
        """The platform took it; that is the truth also for a part that was given up meanwhile."""
        ...

    async def postpone(
        self,
        channel: Channel,
        lease: Lease,
        until: float,
        *,
        delivery: Delivery | None = None,
        lane: str | None = None,
    ) -> None:
        """Hold back a delivery, a lane or (neither given) the whole channel; the last word counts, so a past
        time lets go. A delivery in `sending` goes back to waiting, its lane waits with it.
        """
        ...

    async def bury(self, delivery: Delivery, lease: Lease, cause: str, *, unknown: bool = False) -> None:
        """Give a part up: a dead letter, or `unknown` when it may have been delivered. Later parts of the
        lane go on.
        """
        ...

    async def kill_lane(self, channel: Channel, lease: Lease, lane: str, cause: str) -> int:
        """Bury everything that waits or is being sent in the lane; returns how many parts."""
        ...

    async def inherit_deliveries(self, channel: Channel, lease: Lease) -> list[Delivery]:
        """Parts that an earlier holder left in `sending`: their outcome is unknown. They are this holder's now,
        and stay in `sending` until it says what became of them.
        """
        ...

    async def next_due(self, channel: Channel) -> float | None:
        """When the next postponed delivery of the channel comes due; None if none is postponed. A time that has
        passed means: claim now.
        """
        ...

    # leases, log, wake-ups

    def hold(self, name: str) -> AbstractAsyncContextManager[Lease]:
        """Wait for and hold the only lease of that name: `dispatcher/{organization}`, `channel/{bot}/{platform}`,
        `account/{whose}`.
        """
        ...

    async def gather(self, pod: str, mark: str, ttl: float) -> dict[str, str]:
        """Say that a process is there, for `ttl` seconds; returns the marks of all that are, by their names."""
        ...

    async def leave(self, pod: str) -> None:
        """It is not there any more."""
        ...

    async def log(
        self, key: ConversationKey, *, after: int = 0, before: int | None = None, limit: int = 100
    ) -> Log:
        """Read a conversation: up to `limit` entries after `after`, oldest first; with `before`, the newest
        ones before it.

        A cursor that is `trimmed` is treated as 0. Denied messages are not part of a log.
        """
        ...

    async def publish(self, topic: str, fact: Facts) -> None:
        """Tell all watchers of the topic, in every process."""
        ...

    def watch(self, topic: str) -> AbstractAsyncContextManager[Watch]:
        """Subscribe from here on. Subscribe first, then read."""
        ...

    # memory

    async def recall(self, scope: str, key: str) -> bytes | None: ...

    async def remember(self, scope: str, key: str, value: bytes | None, *, ttl: float | None = None) -> None:
        """Keep a small value for `ttl` seconds (None: for good); value None forgets it."""
        ...

    async def secret(self, name: str) -> bytes:
        """32 random bytes, made once and the same ever after, for every process."""
        ...

    # looking

    async def message(self, id: str) -> Life | None:  # noqa: A002
        """The life of a message, by its id, its turn's id (then of its last message) or one of its delivery ids."""
        ...

    async def find(self, channel: Channel, dedupe: str) -> str | None:
        """The id of the message that a dedupe key stands for."""
        ...

    async def counts(self) -> Mapping[str, BotCounts]:
        """Figures by bot: what waits now, dead letters kept, and turns ended since the journal began."""
        ...

    async def queue(self, organization: str) -> int:
        """How many messages of the organisation wait to be asked."""
        ...

    # dead letters

    async def dead_letters(
        self, *, bot: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[DeadLetter]:
        """What was given up, the newest first; with `before`, letters with a smaller `seq`.

        There is one for every turn that was to be answered and ended as failed, every part that was buried, and
        every quarantined update. They go with their conversation, after `Retention.traces`, and beyond a bound.
        """
        ...

    async def dead_letter(self, id: str) -> DeadLetter | None:  # noqa: A002
        """One letter, with the raw update if it has one and that is still kept."""
        ...

    async def retry(self, id: str) -> bool:  # noqa: A002
        """Take a turn's messages or a part up again: they wait from now on, and the letter is gone. False if
        there is no such letter.

        Raises Permanent when it cannot be done: the text is past its retention, or it is an update.
        """
        ...

    async def drop(self, id: str) -> bool:  # noqa: A002
        """Forget a letter; what it was about stays as it ended. False if there is no such letter."""
        ...

    # housekeeping

    async def forget(self, key: ConversationKey) -> None:
        """Remove a conversation: its log and texts go, waiting messages and deliveries too. Dedupe keys stay."""
        ...

    async def purge(self, retention: Retention) -> int:
        """Drop what is older than its retention, and give room back to the disk; returns how much was done.
        Bounded work per call: call again while it returns > 0.
        """
        ...

    def backup(self) -> AbstractAsyncContextManager[Path]:
        """A consistent copy, made while everything goes on, as a file that lasts as long as the context.

        Raises Transient when it cannot be written.
        """
        ...

    async def writable(self) -> bool:
        """Whether a write would succeed right now."""
        ...


# --- platforms ---


class Card(Value, frozen=True):
    """What a visitor sees before saying anything."""

    title: str
    greeting: str
    suggestions: tuple[str, ...] = ()
    picture: str | None = None


class Host(Protocol):
    """What a channel's adapter may ask of the gateway. One per channel and connection."""

    bot: str
    platform: PlatformName
    clock: Clock

    async def accept(self, *arrivals: Arrival) -> list[Accepted]:
        """Journal what arrived; acknowledge to the platform only after it returns. Raises Transient."""
        ...

    def ready(self, identity: str) -> None:
        """The channel works (connected, first poll done): state `running`."""
        ...

    def degraded(self, why: str) -> None:
        """The channel has trouble that it works on itself: state `degraded`, with the reason."""
        ...

    def beat(self) -> None:
        """The platform was heard (a poll, a heartbeat, a request), whether or not it had news."""
        ...

    async def recall(self, key: str) -> bytes | None: ...

    async def remember(self, key: str, value: bytes | None, *, ttl: float | None = None) -> None: ...

    async def secret(self, name: str) -> bytes: ...

    async def card(self, locale: str | None = None) -> Card:
        """Title, greeting, suggestions and picture: the configuration's, else the replica's own, else built
        in.
        """
        ...

    def text(self, name: TextName, locale: str | None = None) -> str:
        """A fixed text in the visitor's language, placeholders unfilled."""
        ...

    # for platforms whose conversations are read from the journal rather than sent (web, webhook)

    async def log(
        self, key: ConversationKey, *, after: int = 0, before: int | None = None, limit: int = 100
    ) -> Log: ...

    def watch(self, topic: str) -> AbstractAsyncContextManager[Watch]: ...

    async def publish(self, topic: str, fact: Facts) -> None: ...

    async def message(self, id: str) -> Life | None: ...  # noqa: A002

    async def find(self, dedupe: str) -> str | None: ...

    async def forget(self, key: ConversationKey) -> None: ...

    @property
    def paused(self) -> bool: ...

    @property
    def images(self) -> bool:
        """Whether the replica is shown pictures (the bot's `images`, as configured now)."""
        ...


class Adapter(Protocol):
    """One bot on one platform. Converts and hands over; does not retry, pace, dedupe or decide."""

    bot: str
    idempotent: bool
    """Sending the same delivery id twice shows it once: an unknown outcome may simply be repeated."""

    async def run(self, host: Host) -> None:
        """Serve until cancelled. Raise a typed error to be judged (Misconfigured, Transient); it is run again
        by the supervisor.
        """
        ...

    async def send(self, delivery: Delivery) -> Receipt:
        """Send one part. Idempotent per delivery id where the platform can.

        Called only while `run` is running. Raises Transient (not sent), Ambiguous (unknown), Permanent
        (never; with `scope="lane"` the chat is dead), Misconfigured (the channel is dead).
        """
        ...


class Renderer(Protocol):
    """Pure: reply → parts. Needs no connection."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]: ...


@runtime_checkable
class ShowsTyping(Protocol):
    """An adapter that can show that an answer is coming. `typing_every`: seconds one call lasts."""

    typing_every: float

    async def typing(self, address: Address) -> None:
        """Show it once. May raise anything: presence swallows it."""
        ...


@runtime_checkable
class ShowsDraft(Protocol):
    """An adapter that can show an answer while it is written. `draft_every`: seconds between two drafts, at least."""

    draft_every: float

    async def draft(self, address: Address, text: str, part_id: str) -> None:
        """Show what there is of the answer so far; `part_id` is the id that its first part will have.

        May raise anything: it is swallowed.
        """
        ...


@runtime_checkable
class Fronts(Protocol):
    """An adapter whose requests over HTTP any process may take, while another one runs the channel."""

    async def front(self, host: Host) -> bool:
        """Make ready to take them, instead of `run`; False if there are none. Raises Transient."""
        ...


@runtime_checkable
class Rereads(Protocol):
    """An adapter that can read a quarantined update once more, perhaps in a version that understands it."""

    def reread(self, raw: str) -> Sequence[Arrival]:
        """Convert an update as it was kept. Pure; what still cannot be read is `Unreadable`."""
        ...


class Fleet(Protocol):
    """The bots of the current configuration, for HTTP routes that serve all of them."""

    def channel(self, bot: str, platform: PlatformName) -> tuple[Any, Host] | None:
        """The running adapter and its host, by the bot's name or (web) replica id."""
        ...


class Platform(Protocol):
    """A platform's package: `adapters.telegram.platform(settings)` makes it, lazily. Shared resources of its
    bots live here.
    """

    name: PlatformName

    @property
    def renderer(self) -> Renderer: ...

    def adapter(self, bot: str, section: Any) -> Adapter:
        """Make the adapter of one bot. `section` is its part of the settings."""
        ...

    def routes(self, fleet: Fleet) -> Sequence[Any]:
        """The platform's public HTTP routes (aiohttp route definitions)."""
        ...

    async def close(self) -> None: ...


class Finding(Value, frozen=True):
    """What was seen when somebody looked whether a configuration works. No secrets, no texts of people.

    `error`: it does not work; `warning`: it works, and hardly as meant. `path` is the key that it is about, below the
    section that was looked at; `remedy` says what to do, in words.
    """

    severity: Literal["ok", "warning", "error"]
    what: str
    remedy: str | None = None
    path: str = ""


class Probed(Value, frozen=True):
    """What a look at a service found. `ahead`: by how many seconds its clock is before ours, where it tells."""

    findings: tuple[Finding, ...] = ()
    ahead: float | None = None


@runtime_checkable
class Probes(Protocol):
    """A platform that can look whether a bot's section works there."""

    async def probe(self, bot: str, section: Any, clock: Clock) -> Probed:
        """Ask, and change nothing there: no poll, no registration, no message. A few requests, cancelled at will.

        What is wrong is a finding; whatever is raised is taken for one that nobody has words for.
        """
        ...


# --- Sensay ---

Left: TypeAlias = Callable[[], None]
"""Call it when the request has been written to the network: the budget's windows count from then."""

Admit: TypeAlias = Callable[[SpendClass, bool], Awaitable[Left]]
"""`left = await admit(kind, completion)` before every single upstream request: waits for quota and records the
spend."""


class Completions(Protocol):
    """What the pipeline asks of Sensay.

    Raises RateLimited, QuotaExhausted, Transient (nothing sent), Ambiguous (asked, outcome unknown),
    Permanent, Misconfigured.
    """

    async def complete(
        self, question: Question, admit: Admit, on_delta: Callable[[str], None] | None = None
    ) -> Reply:
        """Ask once. An unknown user is created and the question repeated once; each request is admitted on
        its own.

        `on_delta` takes each further piece of the answer's text as it is written, where Sensay streams; the reply
        is the whole of it all the same, and nothing that was shown counts when an error is raised. Must not raise.
        """
        ...

    async def find(self, question: Question, since: float, admit: Admit) -> Reply | Literal["pending"] | None:
        """Look in the channel's history for this question, asked at or after `since`: its answer, `"pending"`
        if the question is there without one, None if it is not there.
        """
        ...

    async def record(self, question: Question, admit: Admit) -> None:
        """Store a message as context without an answer. Raises Permanent if the dialect cannot."""
        ...

    async def profile(self, organization: str, replica: str, admit: Admit) -> Profile: ...

    async def close(self) -> None: ...


# --- observation ---


class MessageReceived(Value, frozen=True, tag="message.received"):
    organization: str
    bot: str
    platform: str
    outcome: Literal["accepted", "duplicate", "ignored", "denied", "quarantined"]
    conversation: str | None = None
    message: str | None = None
    began: float | None = None
    """When the platform handed it over."""
    why: str | None = None
    """What decided whether it is answered, in the words of the configuration."""
    at: float = 0.0


class TurnEnded(Value, frozen=True, tag="turn.completed"):
    """A turn's end was committed; its `parts` are on their way out."""

    organization: str
    bot: str
    platform: str
    conversation: str
    turn: str
    outcome: Outcome
    accepted_at: float
    ended_at: float
    parts: int
    cause: str | None = None
    attempts: int = 0
    upstream_seconds: float = 0.0
    quota_wait_seconds: float = 0.0
    messages: tuple[str, ...] = ()
    claimed_at: float | None = None
    rendered: tuple[float, float] | None = None
    """When rendering its answer began and ended."""


class QuotaGranted(Value, frozen=True, tag="quota.granted"):
    organization: str
    kind: SpendClass
    waited: float
    at: float | None = None
    turn: str | None = None
    """The one that waited; None for its first request, before which it is no turn yet, and for what is none."""


class UpstreamAnswered(Value, frozen=True, tag="upstream.answered"):
    organization: str
    operation: str
    outcome: str
    """`ok`, a status as text, `timeout` or `unreachable`."""
    seconds: float
    request_id: str | None = None
    fingerprint: str | None = None
    code: str | None = None
    at: float | None = None
    turn: str | None = None
    """For which it was asked; None for an operator's requests and our own."""


class DeliveryEnded(Value, frozen=True, tag="delivery.ended"):
    bot: str
    platform: str
    outcome: Literal["sent", "retried", "unknown", "dead"]
    delivery: str
    owner: str
    """The turn or message that the part answers."""
    at: float
    last: bool = False
    """The last part of its reply."""
    conversation: str | None = None
    cause: str | None = None
    began: float | None = None
    dropped: int | None = None
    """How many more parts for the same chat were given up with it."""


class BotChanged(Value, frozen=True, tag="bot.changed"):
    bot: str
    platform: str
    state: BotState
    since: float
    error: str | None = None
    remedy: str | None = None


class BotHeard(Value, frozen=True, tag="bot.heard"):
    bot: str
    platform: str
    at: float


class Noted(Value, frozen=True, tag="noted"):
    """Anything else worth a log line: a noun with a past verb, and its fields (no text, no secrets)."""

    event: str
    level: Literal["debug", "info", "warning", "error"] = "info"
    fields: Facts = {}


Fact: TypeAlias = (
    MessageReceived
    | TurnEnded
    | QuotaGranted
    | UpstreamAnswered
    | DeliveryEnded
    | BotChanged
    | BotHeard
    | Noted
)


class Observer(Protocol):
    """Hears what happens. Must not block and must not raise."""

    def __call__(self, fact: Fact, /) -> None: ...
