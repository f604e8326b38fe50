"""The fakes are held to the contracts that they stand in for."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import Ambiguous, RateLimited
from gateway.messages import PlatformName, Question, SpendClass, User
from gateway.ports import Left
from tests.clock import FakeClock
from tests.contracts.completions import ANSWERED, CompletionsContract
from tests.fakes import FakeCompletions, Step, Stored
from tests.pipeline.works import REPLICA

ANSWER = f"{ANSWERED}: nine to five."


class FakeWorld:
    """`CompletionsWorld` around the fake."""

    _TROUBLE: dict[str, Step] = {
        "answer lost": Stored(Ambiguous("connection broke"), ANSWER),
        "question lost": Ambiguous("connection broke"),
        "limited": RateLimited("429", retry_after=7.0),
        "thinking": Stored(Ambiguous("timed out")),
    }

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.completions = FakeCompletions(self.clock, strangers=True)
        self.completions.answer = ANSWER
        self.admitted: list[tuple[SpendClass, bool]] = []

    @property
    def sent(self) -> int:
        return len(self.completions.admitted)

    def now(self) -> float:
        return self.clock.now()

    def question(
        self, text: str = "When are you open?", platform: PlatformName = "telegram", sender: str = "42"
    ) -> Question:
        user = User(id=sender, type="embed")
        return Question(organization="acme", replica=REPLICA, platform=platform, user=user, text=text)

    async def admit(self, kind: SpendClass, completion: bool) -> Left:
        self.admitted.append((kind, completion))
        return lambda: None

    def trouble(self, what: str) -> None:
        self.completions.script.append(self._TROUBLE[what])

    def users_created(self) -> list[Any]:
        return self.completions.users


class TestFakeCompletions(CompletionsContract):
    @pytest.fixture
    def world(self) -> FakeWorld:
        return FakeWorld()
