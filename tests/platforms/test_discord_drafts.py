"""`stream: on`: an answer that is shown while it is written is there once, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.discord import DiscordAdapter
from adapters.discord.drafts import EVERY
from adapters.discord.render import GOES_ON, WORTH_SHOWING
from adapters.discord.split import LIMIT
from gateway.messages import Address
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import TOKEN, Scene, delivery, scene_of
from tests.platforms.fake_host import FakeHost, until

FIRST = "t1.answer.0"
BEGINNING = "We open at nine in the morning, from Monday"
ANSWER = f"{BEGINNING} to Friday."


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with scene_of(sandbox) as made:
        yield made


def successor(scene: Scene, *, remembers: bool) -> FakeHost:
    """The next process's."""
    host = FakeHost("support", "discord", scene.host.clock)
    host.memory = scene.host.memory if remembers else {}
    return host


@asynccontextmanager
async def asked(scene: Scene, host: FakeHost | None = None, **where: Any) -> AsyncIterator[tuple[Any, Any]]:
    """A streaming bot that was asked something: the adapter, and what was said."""
    host = host or scene.host
    async with scene.running(scene.adapter(stream="on"), host) as adapter:
        await scene.says("when?", **where)
        await until(lambda: host.accepted)
        yield adapter, host.accepted[-1]


async def drafts(scene: Scene, adapter: DiscordAdapter, address: Address, *texts: str) -> None:
    for text in texts:
        scene.host.clock.advance(EVERY)
        await adapter.draft(address, text, FIRST)


def shown(scene: Scene) -> list[str]:
    """What people see of the bot in the end."""
    bot = scene.discord.bot(TOKEN)
    return [
        message["content"]
        for channel in scene.discord.world.channels.values()
        for message in channel.messages.values()
        if message["author"]["id"] == bot.id
    ]


async def test_a_draft_grows_in_one_message_that_becomes_the_answer(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING, f"{BEGINNING} to")
        receipt = await adapter.send(delivery(said, ANSWER))

    [posted] = scene.sent()
    assert [BEGINNING + GOES_ON] == [posted["text"]]
    assert [f"{BEGINNING} to{GOES_ON}", ANSWER] == [edit["text"] for edit in scene.sent("edit")]
    assert [ANSWER] == shown(scene)
    assert (posted["id"],) == receipt.platform_ids


async def test_the_draft_quotes_the_question_and_pings_nobody(scene: Scene) -> None:
    async with asked(scene, channel=55, mention=True) as (adapter, said):
        await drafts(scene, adapter, said.address, f"@everyone {BEGINNING}")
        await adapter.send(delivery(said, f"@everyone {ANSWER}"))

    [posted], [edit] = scene.sent(), scene.sent("edit")
    assert said.message_id == posted["reply_to"]
    assert [[], []] == [sent["allowed_mentions"]["parse"] for sent in (posted, edit)]


async def test_further_parts_follow_it(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING)
        await adapter.send(delivery(said, ANSWER))
        await adapter.send(delivery(said, "And on Sundays?", part="t1.answer.1", index=1))

    assert [ANSWER, "And on Sundays?"] == shown(scene)


async def test_drafts_leave_room_for_answers(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        for length in range(10):
            await adapter.draft(said.address, BEGINNING + "!" * length, FIRST)

    assert (1, 0) == (len(scene.sent()), len(scene.sent("edit")))


async def test_a_few_words_are_not_worth_a_draft_and_a_long_beginning_fits(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, "x" * (WORTH_SHOWING - 1), "word " * 1000)

    [posted] = scene.sent()
    assert LIMIT >= len(posted["text"])
    assert posted["text"].endswith(GOES_ON)


async def test_another_process_changes_the_same_message(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING)
    scene.discord.bot(TOKEN).nonces.clear()  # it took longer than Discord remembers them
    async with asked(scene, successor(scene, remembers=True)) as (adapter, _):
        await adapter.send(delivery(said, ANSWER))

    assert [ANSWER] == shown(scene)


async def test_a_process_that_died_before_it_could_remember_leaves_no_second_message(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING)
    async with asked(scene, successor(scene, remembers=False)) as (adapter, _):
        await adapter.send(delivery(said, ANSWER))

    assert [ANSWER] == shown(scene)


async def test_a_second_completion_writes_into_the_same_draft(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING)
    async with asked(scene, successor(scene, remembers=True)) as (adapter, _):
        await drafts(scene, adapter, said.address, f"{BEGINNING} on")

    assert [f"{BEGINNING} on{GOES_ON}"] == shown(scene)


async def test_a_repeated_delivery_is_one_message(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING)
        receipts = [await adapter.send(delivery(said, ANSWER, attempt=attempt)) for attempt in (1, 2)]

    assert [ANSWER] == shown(scene)
    assert 1 == len({receipt.platform_ids for receipt in receipts})


async def test_a_draft_that_somebody_deleted_is_answered_anew(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING)
        channel = scene.discord.world.channels[said.address.data["channel_id"]]
        channel.messages.pop(scene.sent()[0]["id"])
        await adapter.send(delivery(said, ANSWER))

    assert [ANSWER] == shown(scene)


async def test_in_a_thread_that_was_archived_meanwhile_the_answer_is_a_message_of_its_own(
    scene: Scene,
) -> None:
    thread = {"id": 88, "type": "thread", "parent": 55}
    async with asked(scene, channel=thread, mention=True) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING)
        scene.discord.world.channels["88"].archived = True
        await adapter.send(delivery(said, ANSWER))

    assert [BEGINNING + GOES_ON, ANSWER] == shown(scene)


async def test_a_failure_takes_the_drafts_place(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING)
        await adapter.send(delivery(said, "Sorry, that did not work.", part="t1.error.0"))

    assert ["Sorry, that did not work."] == shown(scene)


async def test_the_answer_waits_for_a_draft_that_is_under_way(scene: Scene, sandbox: Sandbox) -> None:
    async with asked(scene) as (adapter, said):
        await drafts(scene, adapter, said.address, BEGINNING)
        sandbox.faults.add(Fault("discord", "edit_message", "delay", seconds=0.3, times=1))
        scene.host.clock.advance(EVERY)
        late = asyncio.create_task(adapter.draft(said.address, f"{BEGINNING} to", FIRST))
        await until(lambda: scene.discord.rest.calls["edit_message"])
        late.cancel()  # the pipeline waits for so long and no longer
        await adapter.send(delivery(said, ANSWER))

    assert [ANSWER] == shown(scene)
    assert ANSWER == scene.sent("edit")[-1]["text"]


async def test_where_drafts_are_refused_the_answer_is_judged_by_itself(scene: Scene) -> None:
    async with asked(scene) as (adapter, said):
        scene.discord.rest.refused[said.address.data["channel_id"]] = 50013
        with pytest.raises(Exception, match="50013"):
            await drafts(scene, adapter, said.address, BEGINNING)
        scene.discord.rest.refused.clear()
        await adapter.send(delivery(said, ANSWER))

    assert [ANSWER] == shown(scene)


async def test_a_commands_answer_grows_in_the_place_of_its_deferral(scene: Scene) -> None:
    async with scene.running(scene.adapter(stream="on")) as adapter:
        await scene.asks()
        [said] = await scene.heard()
        await until(lambda: scene.sent("deferred"))
        await drafts(scene, adapter, said.address, BEGINNING)
        await adapter.send(delivery(said, ANSWER))

    assert [BEGINNING + GOES_ON, ANSWER] == [edit["text"] for edit in scene.sent("edit_original")]
    assert [] == scene.sent()


async def test_a_conversations_thread_is_opened_for_the_draft(scene: Scene) -> None:
    adapter = scene.adapter(stream="on", threads="auto", message_content=True)
    async with scene.running(adapter):
        question = await scene.says("when?", channel=55, mention=True)
        [said] = await scene.heard()
        await drafts(scene, adapter, said.address, BEGINNING)
        await adapter.send(delivery(said, ANSWER))

    assert [question["id"]] == [message["chat"] for message in scene.sent()]
    assert (1, [ANSWER]) == (len(scene.sent("thread")), shown(scene))


async def test_without_the_option_nothing_is_looked_for(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("when?")
        [said] = await scene.heard()
        await adapter.send(delivery(said, ANSWER))

    assert ([ANSWER], []) == (shown(scene), scene.sent("edit"))
