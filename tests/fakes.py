"""Stand-ins at the contracts: a Sensay, a platform and an observer that do as the test says."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from gateway.errors import Permanent, Transient
from gateway.messages import (
    Address,
    Delivery,
    Part,
    PlatformName,
    Profile,
    Question,
    Receipt,
    Reply,
    SpendClass,
    User,
)
from gateway.ports import Admit, Clock, Fact, Fleet, Host

T = TypeVar("T")


class Facts(list[Fact]):
    """An observer that remembers."""

    def __call__(self, fact: Fact) -> None:
        self.append(fact)

    def of(self, kind: type[T]) -> list[T]:
        return [fact for fact in self if isinstance(fact, kind)]

    def outcomes(self, kind: type[Any]) -> list[str]:
        return [fact.outcome for fact in self.of(kind)]


# --- Sensay ---


@dataclass(frozen=True)
class Stored:
    """Sensay took the question and then something broke: its history has it, with the answer if there is one."""

    error: Exception
    answer: str | None = None


Step: TypeAlias = str | Exception | Stored
"""What becomes of a question: its answer, an error before Sensay had it, or after."""


@dataclass
class Asked:
    """One completion as it arrived."""

    question: Question
    at: float
    on_delta: Callable[[str], None] | None = None


@dataclass
class _Entry:
    user: User
    text: str
    at: float
    answer: str | None


class FakeCompletions:
    """`ports.Completions`: answers `answer` unless `script` has something else for the next question.

    `admitted` are the requests that left, with their times. While `gate` is cleared, questions stay unanswered. With
    `strangers`, users are unknown until they were created.
    """

    answer = "We open at nine."

    def __init__(self, clock: Clock, *script: Step, strangers: bool = False) -> None:
        self.clock = clock
        self.script: deque[Step] = deque(script)
        self.looks: deque[Exception | None] = deque()
        """Errors of the next look-ups; None for one that works."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[Asked] = []
        self.looked: list[float] = []
        self.recorded: list[Question] = []
        self.admitted: list[tuple[SpendClass, bool, float]] = []
        self.users: list[User] = []
        self.working = self.most_working = 0
        self.refuses_records = False
        self.closed = False
        self._strangers = strangers
        self._history: list[_Entry] = []
        self._profiles: dict[str, Profile] = {}

    @property
    def texts(self) -> list[str]:
        return [asked.question.text for asked in self.asked]

    @property
    def requests(self) -> list[tuple[SpendClass, bool]]:
        return [(kind, completion) for kind, completion, _ in self.admitted]

    def finishes(self, answer: str) -> None:
        """The oldest question without an answer gets this one."""
        next(entry for entry in self._history if entry.answer is None).answer = answer

    def writes(self, delta: str) -> None:
        """The answer to the newest question grows, as far as anybody wants to see that."""
        if (on_delta := self.asked[-1].on_delta) is not None:
            on_delta(delta)

    async def complete(
        self, question: Question, admit: Admit, on_delta: Callable[[str], None] | None = None
    ) -> Reply:
        await self._admit(admit, "reply", completion=True)
        if self._strangers and question.user not in self.users:
            await self._admit(admit, "user", completion=False)
            self.users.append(question.user)
            await self._admit(admit, "reply", completion=True)
        self.asked.append(Asked(question, self.clock.now(), on_delta))
        step = self.script.popleft() if self.script else self.answer
        self.working += 1
        self.most_working = max(self.most_working, self.working)
        try:
            await self.gate.wait()
        finally:
            self.working -= 1
        return self._answer(question, step)

    def _answer(self, question: Question, step: Step) -> Reply:
        if isinstance(step, Exception):
            raise step
        answer = step.answer if isinstance(step, Stored) else step
        self._history.append(_Entry(question.user, question.text, self.clock.now(), answer))
        if isinstance(step, Stored):
            raise step.error
        return Reply(text=step, request_id=f"req_{len(self.asked)}")

    async def find(self, question: Question, since: float, admit: Admit) -> Reply | Literal["pending"] | None:
        await self._admit(admit, "reply", completion=False)
        self.looked.append(self.clock.now())
        if self.looks and (error := self.looks.popleft()) is not None:
            raise error
        for entry in reversed(self._history):
            if (entry.user, entry.text) == (question.user, question.text) and entry.at >= since:
                return "pending" if entry.answer is None else Reply(text=entry.answer)
        return None

    async def record(self, question: Question, admit: Admit) -> None:
        if self.refuses_records:
            raise Permanent("this dialect stores nothing")
        await self._admit(admit, "record", completion=False)
        self.recorded.append(question)
        self._history.append(_Entry(question.user, question.text, self.clock.now(), None))

    async def profile(self, organization: str, replica: str, admit: Admit) -> Profile:
        if replica not in self._profiles:
            await self._admit(admit, "operator", completion=False)
            self._profiles[replica] = Profile(
                name="Shop", greeting="Welcome!", suggestions=("Opening hours?",)
            )
        return self._profiles[replica]

    async def close(self) -> None:
        self.closed = True

    async def _admit(self, admit: Admit, kind: SpendClass, *, completion: bool) -> None:
        left = await admit(kind, completion)
        left()
        self.admitted.append((kind, completion, self.clock.now()))


# --- a platform ---


class FakeAdapter:
    """`ports.Adapter` and `ShowsTyping`: takes every part, unless `fail` said otherwise."""

    typing_every = 4.0

    def __init__(self, bot: str = "shop", *, idempotent: bool = False) -> None:
        self.bot = bot
        self.idempotent = idempotent
        self.gate = asyncio.Event()
        self.gate.set()
        self.tried: list[Delivery] = []
        self.sent: list[Delivery] = []
        self.shown: list[str] = []
        self.typing_error: Exception | None = None
        self.sending = self.most_sending = 0
        self.host: Host | None = None
        self._receipts: dict[str, Receipt] = {}
        self._errors: defaultdict[str, deque[Exception]] = defaultdict(deque)

    def fail(self, *errors: Exception, to: str = "c1") -> None:
        """The next parts to this lane are refused like this."""
        self._errors[to].extend(errors)

    @property
    def texts(self) -> list[str]:
        return [delivery.part.text for delivery in self.sent]

    async def run(self, host: Host) -> None:
        self.host = host
        host.ready(f"fake {self.bot}")
        await asyncio.Event().wait()

    async def send(self, delivery: Delivery) -> Receipt:
        self.tried.append(delivery)
        if self.host is None:
            raise Transient("not running", scope="channel")
        self.sending += 1
        self.most_sending = max(self.most_sending, self.sending)
        try:
            await self.gate.wait()
        finally:
            self.sending -= 1
        errors = self._errors[delivery.address.to]
        if errors:
            raise errors.popleft()
        if self.idempotent and delivery.id in self._receipts:
            return self._receipts[delivery.id]
        self.sent.append(delivery)
        self._receipts[delivery.id] = Receipt(platform_ids=(f"p{len(self.sent)}",))
        return self._receipts[delivery.id]

    async def typing(self, address: Address) -> None:
        self.shown.append(address.to)
        if self.typing_error is not None:
            raise self.typing_error


class DraftingAdapter(FakeAdapter):
    """`FakeAdapter` and `ShowsDraft`. While `pen` is cleared, drafts are under way."""

    draft_every = 1.0

    def __init__(self, bot: str = "shop") -> None:
        super().__init__(bot)
        self.pen = asyncio.Event()
        self.pen.set()
        self.drafts: list[str] = []
        self.drafted: set[str] = set()
        self.draft_error: Exception | None = None

    async def draft(self, address: Address, text: str, part_id: str) -> None:
        self.drafts.append(text)
        self.drafted.add(part_id)
        await self.pen.wait()
        if self.draft_error is not None:
            raise self.draft_error


class LineRenderer:
    """One part a line."""

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:
        lines = [line for line in reply.text.split("\n") if line.strip()][:max_parts]
        return [Part(text=line, purpose=reply.purpose, notice=reply.notice) for line in lines]


class BrokenRenderer:
    """Cannot render what has `word` in it."""

    def __init__(self, word: str = "") -> None:
        self.word = word

    def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:
        if self.word in reply.text:
            raise RecursionError("too deep")
        return LineRenderer().render(reply, address, max_parts=max_parts)


class FakePlatform:
    """`ports.Platform`, with nothing behind it."""

    def __init__(self, name: PlatformName = "telegram", *, idempotent: bool = False) -> None:
        self.name: PlatformName = name
        self.renderer = LineRenderer()
        self.adapters: list[FakeAdapter] = []
        self._idempotent = idempotent

    def adapter(self, bot: str, section: Any) -> FakeAdapter:
        self.adapters.append(FakeAdapter(bot, idempotent=self._idempotent))
        return self.adapters[-1]

    def routes(self, fleet: Fleet) -> Sequence[Any]:
        return []

    async def close(self) -> None: ...


# --- a journal with troubles ---


class TroubledJournal:
    """A `ports.Journal` in front of another: takes a few rounds of the loop for each call, as a disk does, and
    refuses as often as `fails` says, by the method's name.
    """

    ROUNDS = 3

    def __init__(self, journal: Any) -> None:
        self._journal = journal
        self.fails: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **options: Any) -> Any:
            await _rounds(self.ROUNDS)
            if self.fails[name] > 0:
                self.fails[name] -= 1
                self.failed[name] += 1
                raise Transient("journal cannot be written")
            result = await method(*args, **options)
            await _rounds(self.ROUNDS)
            return result

        return call


async def _rounds(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
