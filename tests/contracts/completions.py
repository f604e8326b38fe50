"""What every `Completions` must do. A subclass gives the `world` to do it in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pytest

from gateway.errors import Ambiguous, Permanent, RateLimited, Transient
from gateway.messages import PlatformName, Question, Reply, SpendClass
from gateway.ports import Completions, Left

PLATFORMS: tuple[PlatformName, ...] = ("telegram", "discord", "web", "webhook")
ANSWERED = "Opening hours"


class CompletionsWorld(Protocol):
    """A replica that knows its opening hours, and trouble on demand.

    `trouble` happens to the next request of that name: `answer lost` (stored and answered, but the connection
    breaks), `question lost` (never arrives), `limited` (429, to be tried again after 7 s), `thinking` (stored, and
    no answer in time).
    """

    completions: Completions
    admitted: list[tuple[SpendClass, bool]]

    @property
    def sent(self) -> int:
        """Requests that have reached Sensay."""
        ...

    def now(self) -> float: ...

    def question(
        self, text: str = "When are you open?", platform: PlatformName = "telegram", sender: str = "42"
    ) -> Question: ...

    async def admit(self, kind: SpendClass, completion: bool) -> Left: ...

    def trouble(self, what: str) -> None: ...

    def users_created(self) -> Sequence[Any]: ...


class CompletionsContract:
    """Inherited by a test class with a fixture `world`."""

    @pytest.mark.parametrize("platform", PLATFORMS)
    async def test_a_question_of_each_platform_is_answered(
        self, world: CompletionsWorld, platform: PlatformName
    ):
        reply = await world.completions.complete(world.question(platform=platform), world.admit)

        assert ANSWERED in reply.text
        assert reply.purpose == "answer"

    async def test_every_request_is_admitted_before_it_leaves(self, world: CompletionsWorld):
        question = world.question()

        await world.completions.complete(question, world.admit)
        await world.completions.find(question, world.now(), world.admit)
        await world.completions.profile(question.organization, question.replica, world.admit)

        assert world.sent == len(world.admitted)
        assert world.admitted[0] == ("reply", True)
        assert world.admitted[-1] == ("operator", False)

    async def test_what_is_not_admitted_does_not_leave(self, world: CompletionsWorld):
        async def refuse(kind: SpendClass, completion: bool) -> None:
            raise Transient("the journal cannot write")

        with pytest.raises(Transient):
            await world.completions.complete(world.question(), refuse)
        with pytest.raises(Transient):
            await world.completions.find(world.question(), world.now(), refuse)

        assert world.sent == 0

    async def test_a_new_user_is_created_once_and_later_questions_cost_one_request(
        self, world: CompletionsWorld
    ):
        await world.completions.complete(world.question(), world.admit)
        before = len(world.admitted)
        await world.completions.complete(world.question(), world.admit)

        assert before + 1 == len(world.admitted)
        assert len(world.users_created()) == 1

    @pytest.mark.parametrize("platform", PLATFORMS)
    async def test_an_answer_lost_on_its_way_is_ambiguous_and_found_afterwards(
        self, world: CompletionsWorld, platform: PlatformName
    ):
        question = world.question(platform=platform)
        await world.completions.complete(world.question("hello", platform), world.admit)
        asked_at = world.now()
        world.trouble("answer lost")

        with pytest.raises(Ambiguous):
            await world.completions.complete(question, world.admit)
        found = await world.completions.find(question, asked_at, world.admit)

        assert isinstance(found, Reply)
        assert ANSWERED in found.text

    async def test_a_lost_question_is_not_found(self, world: CompletionsWorld):
        await world.completions.complete(world.question("hello"), world.admit)
        world.trouble("question lost")

        with pytest.raises(Ambiguous):
            await world.completions.complete(world.question(), world.admit)

        assert await world.completions.find(world.question(), world.now(), world.admit) is None

    async def test_a_question_that_is_still_worked_on_is_pending(self, world: CompletionsWorld):
        await world.completions.complete(world.question("hello"), world.admit)
        world.trouble("thinking")

        with pytest.raises(Ambiguous):
            await world.completions.complete(world.question(), world.admit)

        assert await world.completions.find(world.question(), world.now(), world.admit) == "pending"

    async def test_an_earlier_question_of_the_same_words_is_not_taken_for_this_one(
        self, world: CompletionsWorld
    ):
        await world.completions.complete(world.question(), world.admit)

        assert await world.completions.find(world.question(), world.now() + 60.0, world.admit) is None

    async def test_another_users_question_is_not_found(self, world: CompletionsWorld):
        await world.completions.complete(world.question(), world.admit)
        stranger = world.question(sender="43")

        assert await world.completions.find(stranger, world.now(), world.admit) is None

    async def test_a_rate_limit_says_when_to_come_again(self, world: CompletionsWorld):
        world.trouble("limited")

        with pytest.raises(RateLimited) as caught:
            await world.completions.complete(world.question(), world.admit)

        assert caught.value.retry_after == 7.0

    @pytest.mark.parametrize("platform", PLATFORMS)
    async def test_context_is_stored_without_an_answer_or_refused_for_good(
        self, world: CompletionsWorld, platform: PlatformName
    ):
        question = world.question("We meet at noon.", platform)
        try:
            await world.completions.record(question, world.admit)
        except Permanent:
            assert world.sent == 0
        else:
            assert await world.completions.find(question, world.now(), world.admit) == "pending"
            assert ("record", False) in world.admitted
            assert ("reply", True) not in world.admitted

    async def test_a_profile_is_asked_once(self, world: CompletionsWorld):
        replica = world.question().replica

        first = await world.completions.profile("acme", replica, world.admit)
        second = await world.completions.profile("acme", replica, world.admit)

        assert first == second
        assert first.greeting
        assert first.suggestions
        assert world.admitted == [("operator", False)]

    async def test_closing_twice_is_harmless(self, world: CompletionsWorld):
        await world.completions.close()
        await world.completions.close()
