"""The vocabulary: every value that passes from one stage to another, frozen, and serialisable with msgspec.

The journal stores some of these as JSON (`encode`/`decode`): add fields only with a default, never rename
one, so that a version reads what the next one wrote. Times are seconds since the epoch (UTC), durations are
seconds.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

PlatformName = Literal["telegram", "discord", "web", "webhook"]
Kind = Literal["ask", "record"]
Addressed = Literal["direct", "mention", "reply", "reply_ping", "command"]
TextName = Literal[
    "busy",
    "failed",
    "expired",
    "queued",
    "unsupported",
    "denied",
    "greeting",
    "help",
    "privacy",
    "quota",
    "paused",
    "resumed",
]
Purpose = Literal["answer", "notice", "error", "greeting"]
Outcome = Literal["answered", "failed", "expired", "busy"]
BotState = Literal["starting", "running", "degraded", "failed", "paused", "stopped"]
Facts: TypeAlias = dict[str, Any]
"""JSON object of strings, numbers, booleans, lists and objects."""


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the frozen values."""


# --- who and where ---


class ConversationKey(Value, frozen=True):
    """What is ordered: one chat, topic, thread or session of one bot on one platform."""

    bot: str
    platform: PlatformName
    chat: str

    def __str__(self) -> str:
        return f"{self.bot}/{self.platform}/{self.chat}"

    @classmethod
    def parse(cls, text: str) -> ConversationKey:
        """Read what `str()` wrote. Raises ValueError."""
        bot, platform, chat = text.split("/", 2)
        return msgspec.convert({"bot": bot, "platform": platform, "chat": chat}, cls)


class Address(Value, frozen=True):
    """Where an answer goes; opaque to all but the platform's adapter.

    `to` names the lane: deliveries of one bot to one `to` go one after the other. `data` is the adapter's own
    (thread id, message to reply to). `secret` (an interaction token) is never shown or logged.
    """

    to: str
    version: int = 1
    data: Facts = {}
    secret: dict[str, str] = {}

    def __repr__(self) -> str:
        secret = "***" if self.secret else "{}"
        return f"Address(to={self.to!r}, version={self.version}, data={self.data!r}, secret={secret})"


class Sender(Value, frozen=True):
    """Who said it, by the platform's own id. `locale` is an IETF tag as the platform gave it."""

    id: str
    name: str | None = None
    username: str | None = None
    locale: str | None = None
    roles: tuple[str, ...] = ()
    is_bot: bool = False


class Place(Value, frozen=True):
    """Where it was said, as far as access rules ask. `channel` is the chat, channel or parent channel id."""

    direct: bool = True
    guild: str | None = None
    channel: str | None = None


# --- what arrives ---


class Said(Value, frozen=True, tag="said"):
    """A person said something.

    Adapters state facts (`addressed`: how the bot was spoken to, None if it was not; `place`); whether it is
    asked, recorded, denied or ignored is decided by `policy/access.py`. `answer_with` names the fixed text
    that answers it instead of a completion (`/start` → greeting). `dedupe` are the keys under which a
    redelivery is recognised, within (bot, platform). `body_hash` tells a repeated request from another one
    with the same key. `context` is what Sensay wants to know of the platform (`telegram_data`,
    `discord_data`: their keys and types). `not_before` and `join_key` hold a message back for those that
    belong to it; `deadline` is when an answer is of no use any more.
    """

    key: ConversationKey
    address: Address
    sender: Sender
    message_id: str
    text: str
    sent_at: float
    addressed: Addressed | None = "direct"
    place: Place = Place()
    dedupe: tuple[str, ...] = ()
    body_hash: str | None = None
    kind: Kind = "ask"
    answer_with: TextName | None = None
    not_before: float | None = None
    join_key: str | None = None
    deadline: float | None = None
    images: tuple[str, ...] = ()
    context: Facts = {}
    raw: str | None = None


class Edited(Value, frozen=True, tag="edited"):
    """A message was changed; counts only while it waits."""

    key: ConversationKey
    message_id: str
    text: str
    dedupe: tuple[str, ...] = ()
    raw: str | None = None


class Deleted(Value, frozen=True, tag="deleted"):
    """A message was taken back; counts only while it waits."""

    key: ConversationKey
    message_id: str
    dedupe: tuple[str, ...] = ()
    raw: str | None = None


class Moved(Value, frozen=True, tag="moved"):
    """A chat continues under another id (a Telegram group became a supergroup): waiting messages and
    deliveries follow.

    Deliveries in the lane `old_to` get the lane and data of `address`.
    """

    old: ConversationKey
    new: ConversationKey
    old_to: str
    address: Address
    dedupe: tuple[str, ...] = ()
    raw: str | None = None


class Unreadable(Value, frozen=True, tag="unreadable"):
    """An update that could not be converted: kept as it came, counted, and acknowledged."""

    bot: str
    platform: PlatformName
    raw: str
    error: str
    dedupe: tuple[str, ...] = ()


Arrival: TypeAlias = Said | Edited | Deleted | Moved | Unreadable


# --- what is answered ---


class Reply(Value, frozen=True):
    """An answer before it is rendered: markdown as the replica gave it, or a fixed text (by `notice`)."""

    text: str
    purpose: Purpose = "answer"
    notice: TextName | None = None
    request_id: str | None = None


class Part(Value, frozen=True):
    """One message of a rendered reply. `text` is what a person reads; `payload` is the adapter's own
    (entities, flags, tree).
    """

    text: str
    purpose: Purpose = "answer"
    notice: TextName | None = None
    payload: Facts = {}


class Message(Value, frozen=True):
    """A message as the journal holds it."""

    id: str
    said: Said
    accepted_at: float


class Turn(Value, frozen=True):
    """One question to the replica: one or more messages of one sender, and its life so far.

    `attempt` counts completions asked; `asked_at` is when the last of them was committed, just before it
    left.
    """

    id: str
    organization: str
    key: ConversationKey
    messages: tuple[Message, ...]
    state: Literal["claimed", "asked", "ended"] = "claimed"
    claimed_at: float = 0.0
    attempt: int = 0
    asked_at: float | None = None

    @property
    def last(self) -> Said:
        return self.messages[-1].said

    @property
    def address(self) -> Address:
        """Replies thread to the last message."""
        return self.last.address

    @property
    def text(self) -> str:
        return "\n".join(message.said.text for message in self.messages)

    @property
    def accepted_at(self) -> float:
        return self.messages[0].accepted_at


class Ending(Value, frozen=True):
    """How a turn ends. `cause` is for the operator; `parts` go to the outbox in the same transaction."""

    outcome: Outcome
    parts: tuple[Part, ...] = ()
    cause: str | None = None
    request_id: str | None = None
    quota_wait: float = 0.0
    """Seconds that it waited for quota, and then for Sensay (`upstream`)."""
    upstream: float = 0.0


class Channel(Value, frozen=True):
    """One bot on one platform: what a supervisor runs and a lease covers."""

    bot: str
    platform: PlatformName

    def __str__(self) -> str:
        return f"{self.bot}/{self.platform}"


class Delivery(Value, frozen=True):
    """One row of the outbox, ready to send. `id` is stable over restarts; nonces derive from it."""

    id: str
    organization: str
    key: ConversationKey
    address: Address
    part: Part
    owner: str
    """The turn or message that it answers."""
    index: int
    count: int
    """How many parts the reply has; `index` runs from 0."""
    created_at: float
    attempt: int = 1
    in_reply_to: str | None = None
    """Id of the last message it answers."""


class Receipt(Value, frozen=True):
    """What the platform said of a part that it took: its own ids."""

    platform_ids: tuple[str, ...] = ()


# --- what is asked upstream ---

SpendClass = Literal["reply", "user", "record", "operator"]


class Spend(Value, frozen=True):
    """One upstream request against the organisation's budget; `completion` also counts in the hour.

    `bot` is whose it was, as far as it was a bot's; `upload` also counts among the hour's uploads.
    """

    id: str
    organization: str
    kind: SpendClass
    completion: bool
    at: float = 0.0
    bot: str = ""
    upload: bool = False


class User(Value, frozen=True):
    """An end user as Sensay knows them. `type` is None for a native id, else the linked account's type."""

    id: str
    type: Literal["telegram", "discord", "embed"] | None = None


class Question(Value, frozen=True):
    """A turn as Sensay is asked it."""

    organization: str
    replica: str
    platform: PlatformName
    user: User
    text: str
    context: Facts = {}
    images: tuple[str, ...] = ()


class Profile(Value, frozen=True):
    """What Sensay knows of a replica that a visitor may see."""

    name: str | None = None
    greeting: str | None = None
    suggestions: tuple[str, ...] = ()
    picture: str | None = None
    private: bool = False


# --- what the journal tells ---

AcceptOutcome = Literal[
    "accepted",     # waits for its turn
    "recorded",     # waits to be stored as context
    "answered",     # ended at once with a fixed text
    "duplicate",    # seen before; `id` is the first one's
    "mismatch",     # seen before with another body
    "busy",         # over a bound
    "limited",      # over the user's limit
    "denied",       # may not talk here
    "ignored",      # not for us
    "amended",      # an edit, deletion or move was applied
    "quarantined",  # unreadable, kept
]  # fmt: skip


class Accepted(Value, frozen=True):
    """What became of an arrival. `notice` tells whether a fixed text was put into the outbox for it."""

    id: str
    outcome: AcceptOutcome
    notice: bool = False


class Head(Value, frozen=True):
    """A waiting message without its text: what policy needs to choose. `seq` grows with every acceptance of
    the organisation.
    """

    id: str
    seq: int
    key: ConversationKey
    sender: str
    kind: Kind
    direct: bool
    sent_at: float
    accepted_at: float
    size: int
    not_before: float | None = None
    join_key: str | None = None
    deadline: float | None = None


class Entry(Value, frozen=True):
    """One line of a conversation. `seq` is its number there; parts of one reply share `id`'s owner, the first
    part's seq is the reply's.
    """

    seq: int
    id: str
    role: Literal["user", "assistant"]
    part: Part
    created_at: float
    owner: str
    index: int = 0
    count: int = 1
    in_reply_to: str | None = None


class Log(Value, frozen=True):
    """A stretch of a conversation, oldest first. `trimmed`: the cursor asked for is unknown or older than
    what is kept.
    """

    entries: tuple[Entry, ...] = ()
    trimmed: bool = False
    more: bool = False


class PartLife(Value, frozen=True):
    """One part's way out."""

    id: str
    state: Literal["waiting", "sending", "sent", "unknown", "dead"]
    purpose: Purpose
    created_at: float
    sending_at: float | None = None
    ended_at: float | None = None
    attempt: int = 0
    text: str = ""
    platform_ids: tuple[str, ...] = ()
    cause: str | None = None


LifeStatus = Literal[
    "queued",
    "asking",
    "answered",
    "failed",
    "expired",
    "busy",
    "limited",
    "denied",
    "recorded",
    "deleted",
    "quarantined",
]


class Life(Value, frozen=True):
    """One message's life with its times; what `trace`, the webhook's status and the demo show."""

    id: str
    organization: str
    key: ConversationKey
    status: LifeStatus
    accepted_at: float
    turn: str | None = None
    sender: str | None = None
    text: str | None = None
    claimed_at: float | None = None
    asked_at: float | None = None
    ended_at: float | None = None
    attempts: int = 0
    cause: str | None = None
    request_id: str | None = None
    parts: tuple[PartLife, ...] = ()
    quota_wait: float | None = None
    upstream: float | None = None
    addressed: Addressed | Literal["no"] | None = None
    """How the bot was spoken to; None once the text is gone."""


class DeadLetter(Value, frozen=True):
    """What was given up: a turn that failed, a part that was not (`unknown`: perhaps not) delivered, an update
    that could not be read.

    `id` is the turn's, the part's or the message's; `message` is whose `Life` tells the rest; `seq` grows with
    every letter. `raw` is the unreadable update, only where one letter is asked for.
    """

    id: str
    seq: int
    kind: Literal["turn", "part", "update"]
    organization: str
    key: ConversationKey
    message: str
    outcome: Literal["failed", "dead", "unknown", "quarantined"]
    at: float
    cause: str | None = None
    raw: str | None = None


class BotCounts(Value, frozen=True):
    """Figures of one bot from the journal."""

    waiting: int = 0
    oldest: float | None = None
    """When the oldest waiting message was accepted."""
    answered: int = 0
    failed: int = 0
    expired: int = 0
    dropped: int = 0
    """Context records that made room for newer ones."""
    dead_letters: int = 0


# --- ids and serialisation ---


def delivery_id(owner: str, purpose: Purpose, index: int) -> str:
    """Derive a part's id, so that the same part made twice is one row and carries one nonce."""
    return f"{owner}.{purpose}.{index}"


_encoder = msgspec.json.Encoder()
_T = TypeVar("_T")


def encode(value: Any) -> bytes:
    """Write a value of this module as JSON."""
    return _encoder.encode(value)


def decode(data: bytes | str, kind: type[_T]) -> _T:
    """Read what `encode` wrote; unknown fields of a newer version are passed over. Raises
    msgspec.ValidationError.
    """
    return msgspec.json.decode(data, type=kind)
