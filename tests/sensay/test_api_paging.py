"""Lists that are read while items arrive, move and go: each once, and none left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Permanent
from gateway.sandbox.sensay import SUPPORT
from gateway.sensay.api.conversations import Conversations, Group, Message, newest_first
from gateway.sensay.api.paging import by_cursor, by_number
from gateway.sensay.api.values import Page
from tests.sensay.api_world import ApiWorld, api_world, scene

Change = tuple[str, int]
changes = st.lists(
    st.tuples(st.sampled_from(["arrive", "append", "nothing"]), st.integers(0, 40)), max_size=12
)


class Changing:
    """A list that changes after each page that it gave."""

    def __init__(self, length: int, script: list[Change], *, total: bool = True) -> None:
        self.items = list(range(length))
        self._script, self._numbers, self._total = iter(script), count(1000), total
        self.pages = 0

    def page(self, start: int, size: int) -> Page[int]:
        items = tuple(self.items[start : start + size])
        page: Page[int] = Page(items=items, total=len(self.items) if self._total else None)
        self.pages += 1
        self._change(*next(self._script, ("nothing", 0)))
        return page

    def _change(self, what: str, where: int) -> None:
        match what:
            case "arrive":
                self.items[:0] = [next(self._numbers) for _ in range(where % 7)]
            case "append":
                self.items.append(next(self._numbers))
            case "move" if self.items:
                self.items.insert(0, self.items.pop(where % len(self.items)))
            case _:
                pass


async def read(pages: AsyncIterator[int]) -> list[int]:
    return [item async for item in pages]


@given(st.integers(0, 60), st.integers(1, 12), changes)
async def test_items_that_arrive_meanwhile_cost_nobody_and_come_once(
    length: int, size: int, script: list[Change]
):
    world = Changing(length, script)

    async def fetch(number: int, _: int) -> Page[int]:
        return world.page((number - 1) * size, size)

    found = await read(by_number(fetch, size, lambda item: item))

    assert len(set(found)) == len(found)
    assert set(range(length)) <= set(found)


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 10), st.integers(0, 60))
async def test_an_item_that_moves_to_the_front_meanwhile_is_found(
    length: int, size: int, page: int, which: int
):
    world = Changing(length, [("nothing", 0)] * page + [("move", which)])

    async def fetch(number: int, _: int) -> Page[int]:
        return world.page((number - 1) * size, size)

    assert list(range(length)) == sorted(await read(by_number(fetch, size, lambda item: item)))


@given(st.integers(0, 60), st.integers(1, 12))
async def test_without_a_total_a_short_page_is_the_last(length: int, size: int):
    world = Changing(length, [], total=False)

    async def fetch(number: int, _: int) -> Page[int]:
        return world.page((number - 1) * size, size)

    assert list(range(length)) == await read(by_number(fetch, size, lambda item: item))
    assert world.pages == length // size + 1


async def test_reading_stops_with_the_total():
    world = Changing(20, [])

    async def fetch(number: int, _: int) -> Page[int]:
        return world.page((number - 1) * 10, 10)

    assert len(await read(by_number(fetch, 10, lambda item: item))) == 20
    assert world.pages == 2


async def test_items_that_go_meanwhile_do_not_take_others_along():
    items = list(range(40))

    async def fetch(number: int, _: int) -> Page[int]:
        page: Page[int] = Page(items=tuple(items[(number - 1) * 10 : number * 10]), total=len(items))
        if number == 2 and len(items) == 40:
            del items[:5]
        return page

    assert set(range(40)) == set(await read(by_number(fetch, 10, lambda item: item)))


@pytest.mark.parametrize("known", [0, 1])
async def test_a_server_that_knows_the_other_name_of_a_page_is_read_by_it(known: int):
    """One name is passed over, so that the first page comes again."""

    async def fetch(number: int, spelling: int) -> Page[int]:
        start = (number - 1) * 10 if spelling == known else 0
        return Page(items=tuple(range(start, min(start + 10, 35))), total=35)

    assert list(range(35)) == await read(by_number(fetch, 10, lambda item: item, spellings=2))


async def test_a_server_that_refuses_one_name_of_a_page_is_read_by_the_other():
    async def fetch(number: int, spelling: int) -> Page[int]:
        if spelling == 0:
            raise Permanent("unknown parameter", status=400)
        return Page(items=tuple(range((number - 1) * 10, min(number * 10, 15))), total=15)

    assert list(range(15)) == await read(by_number(fetch, 10, lambda item: item, spellings=2))


async def test_a_server_that_knows_no_pages_at_all_is_not_asked_for_ever():
    asked = 0

    async def fetch(number: int, spelling: int) -> Page[int]:
        nonlocal asked
        asked += 1
        if spelling == 1:
            raise Permanent("unknown parameter", status=400)
        return Page(items=tuple(range(10)), total=35)

    assert list(range(10)) == await read(by_number(fetch, 10, lambda item: item, spellings=2))
    assert asked < 10


async def test_a_page_beyond_the_end_may_be_a_404():
    async def fetch(number: int, _: int) -> Page[int]:
        if number > 1:
            raise Permanent("no such page", status=404)
        return Page(items=(1, 2), total=None)

    assert [1, 2] == await read(by_number(fetch, 2, lambda item: item))


async def test_a_list_that_is_not_there_is_an_error():
    async def fetch(number: int, _: int) -> Page[int]:
        raise Permanent("no such replica", status=404)

    with pytest.raises(Permanent):
        await read(by_number(fetch, 2, lambda item: item))


# --- cursors ---


def said(number: int, role: str = "user") -> Message:
    minutes, seconds = divmod(number, 60)
    at = f"2025-05-27T10:{minutes:02}:{seconds:02}+00:00"
    return Message(uuid=str(UUID(int=number)), content=str(number), role=role, created_at=at)


class Talk:
    """Messages by number, as Sensay gives them: `limit` right before one, oldest first or newest first."""

    def __init__(self, length: int, limit: int, *, newest_first: bool, arriving: list[int]) -> None:
        self.messages = [said(number) for number in range(length)]
        self.limit, self._newest_first, self._arriving = limit, newest_first, iter(arriving)

    async def before(self, cursor: str | None) -> Page[Message]:
        ids = [message.uuid for message in self.messages]
        if cursor is not None and cursor not in ids:
            raise Permanent("no such cursor", status=400)
        end = len(ids) if cursor is None else ids.index(cursor)
        items = self.messages[max(0, end - self.limit) : end]
        for _ in range(next(self._arriving, 0)):
            self.messages.append(said(len(self.messages)))
        return Page(items=tuple(reversed(items) if self._newest_first else items))


def oldest(page: tuple[Message, ...]) -> str | None:
    return newest_first(page)[-1].uuid if page else None


@given(st.integers(0, 50), st.integers(2, 9), st.booleans(), st.lists(st.integers(0, 4), max_size=10))
async def test_messages_come_once_from_the_newest_back_whichever_way_round_a_page_is(
    length: int, limit: int, newest: bool, arriving: list[int]
):
    talk = Talk(length, limit, newest_first=newest, arriving=arriving)
    found: list[str] = []
    async for page in by_cursor(talk.before, oldest, lambda message: message.uuid):
        found += [message.content for message in newest_first(page)]

    assert [str(number) for number in reversed(range(length))] == found


async def test_a_cursor_whose_message_is_gone_begins_again_and_goes_on():
    talk = Talk(10, 4, newest_first=False, arriving=[])
    found: list[str] = []
    async for page in by_cursor(talk.before, oldest, lambda message: message.uuid):
        found += [message.content for message in newest_first(page)]
        if len(found) == 4:
            del talk.messages[6]

    assert ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"] == found


# --- mentions and their placeholders ---


class Scripted:
    """Mentions and messages of one conversation, behind the methods that ask for pages."""

    def __init__(self, roles: str, *, reverse: bool) -> None:
        self.messages = [
            said(number, "assistant" if role == "a" else "user") for number, role in enumerate(roles)
        ]
        self.groups = self._grouped()
        self.reverse = reverse

    def _grouped(self) -> list[Group]:
        """Oldest first: an answer and the message before it are a mention, what lies between is a placeholder."""
        groups: list[Group] = []
        among: list[Message] = []
        for message in self.messages:
            if message.role == "user":
                among.append(message)
                continue
            asked = [among.pop()] if among else []
            if among:
                groups.append(Group(type="placeholder", count=len(among)))
            groups.append(Group(type="mention", members=(*asked, message)))
            among = []
        return [*groups, *([Group(type="placeholder", count=len(among))] if among else [])]

    async def mentions_page(self, *_: object, limit: int, before_uuid: str | None = None) -> Page[Group]:
        groups = self.groups
        if before_uuid is not None:
            end = next(
                index
                for index, group in enumerate(groups)
                if any(message.uuid == before_uuid for message in group.messages)
            )
            groups = groups[:end]
        page = groups[-limit:]
        return Page(items=tuple(page if self.reverse else reversed(page)))

    async def messages_page(
        self,
        *_: object,
        limit: int = 20,
        before_uuid: str | None = None,
        after_uuid: str | None = None,
        **__: object,
    ) -> Page[Message]:
        ids = [message.uuid for message in self.messages]
        if after_uuid is not None:
            start = ids.index(after_uuid) + 1
            return Page(items=tuple(self.messages[start : start + limit]))
        end = len(ids) if before_uuid is None else ids.index(before_uuid)
        return Page(items=tuple(self.messages[max(0, end - limit) : end]))


async def opened(scripted: Scripted, limit: int) -> list[str]:
    conversations = Conversations(None)
    conversations.mentions_page, conversations.messages_page = scripted.mentions_page, scripted.messages_page
    groups = [group async for group in conversations.expanded("r", "c", limit=limit)]

    assert not any(group.placeholder for group in groups)
    return [message.content for group in reversed(groups) for message in group.messages]


@given(st.text("ua", max_size=40), st.integers(1, 6))
async def test_opened_placeholders_are_all_that_was_said_in_order(roles: str, limit: int):
    scripted = Scripted(roles, reverse=False)

    assert [message.content for message in scripted.messages] == await opened(scripted, limit)


@given(st.text("ua", max_size=40).filter(lambda roles: roles.count("a") > 1))
async def test_mentions_may_come_the_other_way_round(roles: str):
    scripted = Scripted(roles, reverse=True)

    assert [message.content for message in scripted.messages] == await opened(scripted, 100)


async def test_messages_in_the_older_form_are_groups_of_one():
    group = Group(type="message", uuid="1", content="hi", role="user")

    assert ["hi"] == [message.content for message in group.messages]


# --- against the sandbox ---


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    async with api_world() as made:
        yield made


async def test_long_lists_of_the_sandbox_are_read_whole(world: ApiWorld):
    first = await world.sensay.conversations.page(SUPPORT)
    found = [one.uuid async for one in world.sensay.conversations.list(SUPPORT, page_size=7)]

    assert first.total == len(found)
    assert len(set(found)) == len(found)


async def test_opened_conversations_of_the_sandbox_hold_all_their_messages(world: ApiWorld):
    async for conversation in world.sensay.conversations.list(SUPPORT, page_size=100):
        groups = [g async for g in world.sensay.conversations.expanded(SUPPORT, conversation.uuid, limit=2)]
        opened = [message.uuid for group in reversed(groups) for message in group.messages]
        messages = [m.uuid async for m in world.sensay.conversations.messages(SUPPORT, conversation.uuid)]

        assert list(reversed(messages)) == opened
        assert conversation.message_count == len(opened)


async def test_a_page_beyond_the_end_is_empty_and_knows_the_total(world: ApiWorld):
    page = await world.sensay.conversations.page(SUPPORT, page=99)

    assert page.items == ()
    assert page.total > 0


async def test_messages_of_a_chat_are_those_of_its_conversations(world: ApiWorld):
    there = await scene(world)
    of_chat = [m.uuid async for m in world.sensay.chats.messages(SUPPORT, there.chat, limit=3)]
    of_conversations = [
        message.uuid
        async for conversation in world.sensay.chats.conversations(SUPPORT, there.chat)
        async for message in world.sensay.chats.messages(SUPPORT, there.chat, conversation=conversation.uuid)
    ]

    assert sorted(of_chat) == sorted(of_conversations)
