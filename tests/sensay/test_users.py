from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import Permanent, Transient
from gateway.messages import User
from gateway.sensay import users as users_module
from gateway.sensay.users import SCOPE, Users
from tests.clock import FakeClock
from tests.sensay.world import World, world


@pytest.fixture
async def sensay() -> AsyncIterator[World]:
    async with world() as made:
        yield made


async def test_an_unknown_user_is_refused_created_and_asked_again(sensay: World):
    await sensay.ask()

    assert sensay.operations == ["complete", "ensure_user", "complete"]
    assert sensay.admitted == [("reply", True), ("user", False), ("reply", True)]
    assert sensay.outcomes == [("complete", "401"), ("ensure_user", "ok"), ("complete", "ok")]


async def test_a_user_who_asks_in_ten_chats_at_once_is_created_once(sensay: World):
    await asyncio.gather(*(sensay.ask(f"hello {number}") for number in range(10)))

    assert sensay.operations.count("ensure_user") == 1


async def test_each_new_user_is_created(sensay: World):
    await asyncio.gather(*(sensay.ask(sender=str(number)) for number in range(10)))

    created = [request.body for request in sensay.requests if request.operation == "ensure_user"]
    assert len({str(body) for body in created}) == 10


async def test_the_same_person_on_two_platforms_is_two_users(sensay: World):
    await sensay.ask(platform="telegram")
    await sensay.ask(platform="discord")

    assert sensay.operations.count("ensure_user") == 2


async def test_a_user_who_exists_already_is_as_good_as_created(sensay: World):
    sensay.canned("complete", status=401, body="{}")
    await sensay.ask()
    sensay.canned("complete", status=401, body="{}")
    await sensay.clock.advance(1.0)

    await sensay.ask()

    assert ("ensure_user", "409") in sensay.outcomes


async def test_a_user_whom_sensay_has_forgotten_is_created_again(sensay: World):
    await sensay.ask()
    sensay.box.reset()
    await sensay.clock.advance(1.0)

    await sensay.ask()

    assert sensay.operations == ["complete", "ensure_user", "complete"]


async def test_a_user_who_is_refused_even_after_creation_ends_the_question(sensay: World):
    sensay.canned("complete", status=401, body="{}", times=2)

    with pytest.raises(Permanent):
        await sensay.ask()

    assert sensay.operations == ["complete", "ensure_user", "complete"]


async def test_a_creation_that_fails_leaves_the_next_one_to_try(sensay: World):
    sensay.fault("ensure_user", "status", status=503)
    with pytest.raises(Transient):
        await sensay.ask()

    assert "Opening hours" in await sensay.ask()


async def test_a_context_record_creates_its_user_too(sensay: World):
    await sensay.completions.record(sensay.question("We meet at noon."), sensay.admit)

    assert sensay.operations == ["record", "ensure_user", "record"]
    assert sensay.admitted == [("record", False), ("user", False), ("record", False)]


async def test_a_history_of_an_unknown_user_is_empty_and_creates_nobody(sensay: World):
    assert await sensay.look(sensay.question()) is None
    assert sensay.operations == ["history"]


# --- the book of users itself ---


class Book:
    """`Users` with a journal of its own and a count of creations."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.memory: dict[tuple[str, str], bytes] = {}
        self.created = 0
        self.users = self.process()

    def process(self) -> Users:
        return Users(self._recall, self._remember, self.clock)

    async def _recall(self, scope: str, key: str) -> bytes | None:
        return self.memory.get((scope, key))

    async def _remember(self, scope: str, key: str, value: bytes | None, *, ttl: float | None = None) -> None:
        self.memory[scope, key] = value or b""

    async def create(self) -> None:
        self.created += 1

    async def refused(self, users: Users, at: float, sender: str = "42") -> None:
        await users.ensure("acme", User(id=sender, type="telegram"), at, self.create)


async def test_a_user_whom_another_process_has_just_created_is_not_created_again():
    book = Book()
    sent_at = book.clock.now()
    await book.clock.advance(1.0)
    await book.refused(book.users, sent_at)

    await book.refused(book.process(), sent_at)

    assert book.created == 1


async def test_a_user_refused_after_their_creation_is_created_again():
    book = Book()
    await book.refused(book.users, book.clock.now())
    await book.clock.advance(1.0)

    await book.refused(book.process(), book.clock.now())

    assert book.created == 2


async def test_a_journal_that_fails_or_lies_costs_only_one_more_creation():
    book = Book()

    async def broken(*args: object, **more: object) -> None:
        raise Transient("the journal cannot be read")

    await book.refused(Users(broken, broken, book.clock), book.clock.now())
    book.memory[SCOPE, "acme/telegram/42"] = b"yesterday"
    await book.refused(book.users, book.clock.now())

    assert book.created == 2


async def test_users_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(users_module, "MOST", 3)
    book = Book()
    for number in range(10):
        await book.refused(book.users, book.clock.now(), str(number))

    assert len(book.users._created) == 3
    assert not book.users._locks


async def test_every_admitted_request_says_when_it_has_left(sensay: World):
    await sensay.ask()

    assert sensay.left == sensay.admitted == [("reply", True), ("user", False), ("reply", True)]
