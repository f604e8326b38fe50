"""The Telegram adapter against the sandbox, over sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator

import pytest

from adapters.telegram import TelegramPlatform, polling
from adapters.telegram.adapter import PROFILE_AGAIN
from adapters.telegram.sending import Sender
from gateway.errors import GatewayError, Misconfigured, Permanent, RateLimited, Transient
from gateway.messages import (
    Address,
    Moved,
    Reply,
    Said,
    Unreadable,
    decode,
    encode,
)
from gateway.ports import Adapter, Platform, Renderer, Rereads, ShowsTyping
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from gateway.settings.models import TelegramSettings
from tests.platforms.fake_host import FakeHost, until
from tests.platforms.telegram_scene import GROUP, TOKEN, Scene, delivery, telegram_scene


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with telegram_scene(sandbox) as scene:
        yield scene


async def test_a_private_message_arrives_and_is_answered(scene: Scene) -> None:
    async with scene.running() as adapter:
        number = await scene.says("Hello")
        (said,) = await scene.heard()
        receipt = await adapter.send(delivery("Hi", said.address))

    assert ("Hello", "direct", "7", "de") == (said.text, said.addressed, said.sender.id, said.sender.locale)
    assert f"message:7:{number}" in said.dedupe
    assert {
        "chat_type": "private",
        "chat_id": 7,
        "message_id": number,
        "user_id": 7,
        "username": "ada",
    } == said.context
    (item,) = scene.sent()
    assert ("Hi", 7, None) == (item["text"], item["chat"], item["reply_to"])
    assert receipt.platform_ids == (str(item["id"]),)


async def test_the_platform_keeps_its_contracts(scene: Scene) -> None:
    platform: Platform = scene.platform
    adapter: Adapter = scene.adapter()
    renderer: Renderer = platform.renderer

    assert isinstance(adapter, ShowsTyping)
    assert ["x"] == [part.text for part in renderer.render(Reply(text="x"), Address(to="7"))]


# --- the poll loop ----------------------------------------------------------------------------------------------


async def test_messages_arrive_in_order_and_once(scene: Scene) -> None:
    for number in range(250):
        await scene.says(f"{number}", user={"id": 7 + number % 3})
    async with scene.running():
        await scene.heard(250)

    assert [str(number) for number in range(250)] == [said.text for said in scene.host.accepted]
    assert all(len(batch) <= 100 for batch in scene.host.batches)


async def test_what_was_not_confirmed_is_delivered_again_and_accepted_once(scene: Scene) -> None:
    await scene.says("one")
    unconfirmed = list(scene.bot.updates)
    async with scene.running():
        await scene.heard()
    scene.bot.updates = unconfirmed
    await scene.says("two")
    async with scene.running():
        await scene.heard(2)

    assert ["one", "one", "two"] == [said.text for said in scene.host.offered]
    assert ["one", "two"] == [said.text for said in scene.host.accepted]


async def test_nothing_is_confirmed_while_the_journal_cannot_write(scene: Scene) -> None:
    async with scene.running():
        scene.host.accepting = Transient("disk full")
        await scene.says("hold on")
        await until(lambda: len(scene.host.offered) >= 3)
        assert "degraded" == scene.host.state
        assert 1 == len(scene.bot.updates)
        scene.host.accepting = None
        await scene.heard()
        await until(lambda: scene.host.state == "ready")
        await until(lambda: not scene.bot.updates)

    assert [1.0, 1.0] == scene.host.clock.slept[:2]


async def test_a_poison_update_is_kept_and_does_not_stop_the_next_one(scene: Scene) -> None:
    await scene.says(update={"message": {"message_id": 1, "chat": "nonsense"}})
    await scene.says("after")
    async with scene.running():
        await scene.heard(2)
        await until(lambda: not scene.bot.updates)
    poison, after = scene.host.accepted

    assert isinstance(poison, Unreadable)
    assert "nonsense" in poison.raw
    assert "after" == after.text


async def test_an_update_that_was_kept_can_be_read_anew(scene: Scene) -> None:
    message = '"message_id": 1, "date": 1, "chat": {"id": 7, "type": "private"}, "text": "hi"'
    sender = '"from": {"id": 7, "is_bot": false, "first_name": "Ada"}'
    async with scene.running() as adapter:
        (said,) = adapter.reread(f'{{"update_id": 5, "message": {{{message}, {sender}}}}}')
        (still,) = adapter.reread('"nonsense"')

    assert isinstance(adapter, Rereads)
    assert ("hi", "7") == (said.text, said.key.chat)
    assert isinstance(still, Unreadable)


async def test_halves_of_surrogate_pairs_do_not_block_the_queue(scene: Scene) -> None:
    await scene.says("broken \ud83d emoji")
    async with scene.running():
        (said,) = await scene.heard()

    assert "broken \ufffd emoji" == said.text
    assert said == decode(encode(said), Said)


async def test_uninteresting_updates_are_confirmed_too(scene: Scene) -> None:
    await scene.says(chat={"id": GROUP, "title": "G"}, new_chat_title="New")
    async with scene.running():
        await until(lambda: not scene.bot.updates)

    assert [] == scene.host.accepted


async def test_it_is_ready_after_the_first_poll_and_beats_with_each(scene: Scene) -> None:
    async with scene.running():
        assert [("ready", "@bot4711_bot")] == scene.host.states
        beats = scene.host.beats
        await scene.says("x")
        await scene.heard()

    assert scene.host.beats > beats >= 1


async def test_a_restart_polls_without_asking_who_it_is(scene: Scene) -> None:
    async with scene.running():
        pass
    scene.sandbox.faults.add(Fault("telegram", "getMe", "status", status=500, times=100))
    scene.host.states.clear()
    async with scene.running():
        await scene.says("x")
        await scene.heard()

    assert [("ready", "@bot4711_bot")] == scene.host.states


async def test_a_remembered_identity_of_another_token_is_not_believed(scene: Scene) -> None:
    scene.host.memory["me"] = b'{"id": 1, "username": "other_bot"}'
    async with scene.running():
        pass

    assert ("ready", "@bot4711_bot") == scene.host.states[0]


async def test_the_menu_is_set_per_scope_and_language_once_and_again_only_when_it_changes(
    scene: Scene,
) -> None:
    del scene.host.memory["commands"]
    async with scene.running():
        await until(lambda: "commands" in scene.host.memory)
    menus = dict(scene.bot.commands)
    scene.bot.commands.clear()
    async with scene.running():
        await until(lambda: scene.bot.calls["getme"] == 2)
        await scene.says("x")
        await scene.heard()

    shown = {scope: [entry["command"] for entry in commands] for scope, commands in menus.items()}
    assert 16 == len(shown)
    assert ["start", "help", "privacy"] == shown[_scope("all_private_chats", "de")]
    assert ["ask", "help", "privacy"] == shown[_scope("all_group_chats", "")]
    assert "Eine Frage stellen" == menus[_scope("all_group_chats", "de")][0]["description"]
    assert {} == scene.bot.commands


def _scope(kind: str, language: str) -> str:
    return json.dumps([{"type": kind}, language], sort_keys=True)


@pytest.mark.parametrize(
    ("hears", "mode", "told"),
    [(False, "open", 1), (False, "listen", 1), (False, "mention", 0), (True, "open", 0)],
)
async def test_a_bot_that_is_to_hear_its_groups_and_may_not_is_told_of(
    scene: Scene, capsys: pytest.CaptureFixture[str], hears: bool, mode: str, told: int
) -> None:
    scene.bot.hears_groups = hears
    del scene.host.memory["commands"]
    async with scene.running(scene.adapter(groups={"mode": mode})):
        await until(lambda: "commands" in scene.host.memory)

    assert told == capsys.readouterr().out.count("privacy mode")


async def test_a_menu_that_fails_harms_nothing_and_is_tried_again(scene: Scene) -> None:
    del scene.host.memory["commands"]
    scene.sandbox.faults.add(Fault("telegram", "setMyCommands", "status", status=400))
    async with scene.running():
        await scene.says("x")
        await scene.heard()
        await until(lambda: "commands" in scene.host.memory)

    assert ["ready"] == [state for state, _ in scene.host.states]
    assert 16 + 1 == scene.bot.calls["setmycommands"]
    assert PROFILE_AGAIN in scene.host.clock.slept


async def test_a_refused_token_is_tried_once_more_and_then_needs_a_person(scene: Scene) -> None:
    scene.sandbox.telegram.revoke(TOKEN)

    with pytest.raises(Misconfigured, match="token") as failure:
        await scene.adapter().run(scene.host)
    assert "BotFather" in failure.value.remedy
    assert [1.0] == scene.host.clock.slept
    assert [] == scene.host.states, "a bot that failed before does not look better in between"


async def test_one_refusal_is_forgiven(scene: Scene) -> None:
    scene.sandbox.faults.add(Fault("telegram", "getUpdates", "status", status=401))
    async with scene.running():
        await scene.says("x")
        await scene.heard()

    assert ["ready"] == [state for state, _ in scene.host.states]


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "malformed", "status"])
async def test_network_trouble_is_told_and_survived(scene: Scene, kind: str) -> None:
    async with scene.running():
        scene.sandbox.faults.add(Fault("telegram", "getUpdates", kind, status=502, times=3))
        await scene.says("first")
        await scene.says("second")
        await scene.heard(2)
        await scene.says("third")
        await scene.heard(3)
        await until(lambda: scene.sandbox.faults.take("telegram", "getUpdates") is None)
        await until(lambda: scene.host.state == "ready")

    assert "degraded" in [state for state, _ in scene.host.states]
    assert ["first", "second", "third"] == [said.text for said in scene.host.accepted]
    assert scene.host.clock.slept == sorted(scene.host.clock.slept)


async def test_updates_that_cannot_be_confirmed_do_not_make_it_spin(scene: Scene) -> None:
    async with scene.running():
        scene.bot.updates.append({"message": "without a number"})
        scene.bot.interrupt()
        await until(lambda: polling.CONFLICT_CAP in scene.host.clock.slept)
        state, kept = scene.host.state, len(scene.host.offered)
        scene.bot.updates.clear()
        await scene.says("x")
        await scene.heard()

    assert ("degraded", 0) == (state, kept)


async def test_a_stuck_connection_is_thrown_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "GRACE", 0.1)
    scene.sandbox.faults.add(Fault("telegram", "getUpdates", "delay", seconds=60))
    async with scene.running():
        await scene.says("x")
        await scene.heard()

    assert ["degraded", "ready"] == [state for state, _ in scene.host.states]


async def test_a_flood_wait_is_kept(scene: Scene) -> None:
    scene.sandbox.faults.add(Fault("telegram", "getUpdates", "status", status=429, retry_after=33))
    async with scene.running():
        pass

    assert [33.0] == scene.host.clock.slept


async def test_a_second_poller_is_explained_and_backed_away_from(scene: Scene) -> None:
    scene.sandbox.faults.add(Fault("telegram", "getUpdates", "status", status=409, times=9))
    async with scene.running(scene.adapter(poll=0.0)):
        pass
    bounds = [1, 2, 4, 8, 16, 32, 60, 60, 60]

    assert "another process polls this token" in scene.host.states[0][1]
    assert len(bounds) == len(scene.host.clock.slept)
    assert all(0.75 * most <= wait <= most for wait, most in zip(scene.host.clock.slept, bounds, strict=True))


async def test_a_conflict_ends_only_with_an_undisturbed_long_poll(scene: Scene) -> None:
    async with scene.running(scene.adapter(poll=1.0)):
        await until(lambda: scene.bot._poll >= 2)
        await scene.bot.poll(0, 100, 0)
        await until(lambda: scene.host.state == "degraded")
        beats = scene.host.beats
        await until(lambda: scene.host.state == "ready")

    assert beats + 1 == scene.host.beats
    assert ["ready", "degraded", "ready"] == [state for state, _ in scene.host.states]


async def test_a_webhook_left_behind_is_removed_without_losing_what_waits(scene: Scene) -> None:
    await scene.says("waiting")
    scene.bot.webhook = {"url": "https://old.example/hook"}
    async with scene.running():
        (said,) = await scene.heard()

    assert "waiting" == said.text
    assert {} == scene.bot.webhook
    assert "webhook" in scene.host.states[0][1]


async def test_one_bots_trouble_is_its_own(scene: Scene) -> None:
    scene.sandbox.telegram.revoke("666:revoked")
    broken = scene.platform.adapter("broken", TelegramSettings(token="666:revoked"))
    async with scene.running():
        with pytest.raises(Misconfigured):
            await broken.run(FakeHost("broken", "telegram"))
        await scene.says("still here")
        (said,) = await scene.heard()

    assert "still here" == said.text


async def test_a_hundred_and_twenty_bots_poll_at_once(scene: Scene) -> None:
    hosts = [FakeHost(f"b{n}", "telegram") for n in range(120)]
    adapters = [
        scene.platform.adapter(h.bot, TelegramSettings(token=f"{900 + n}:x")) for n, h in enumerate(hosts)
    ]
    tasks = [asyncio.create_task(a.run(h)) for a, h in zip(adapters, hosts, strict=True)]
    try:
        await until(lambda: all(host.state == "ready" for host in hosts), 20)
        bots = [scene.sandbox.telegram.bot(f"{900 + n}:x") for n in range(120)]
        for bot in bots:
            bot.hear({"user": {"id": 7}, "text": "hi"})
        await until(lambda: all(host.accepted for host in hosts), 20)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- sending ----------------------------------------------------------------------------------------------------


async def test_a_reply_in_a_topic_stays_there_and_quotes_only_with_its_first_part(scene: Scene) -> None:
    async with scene.running() as adapter:
        number = await scene.says("hi", chat={"id": GROUP}, thread=9, mention=True)
        (said,) = await scene.heard()
        await adapter.send(delivery("one", said.address))
        await adapter.send(delivery("two", said.address, index=1))
        scene.host.clock.advance(5)
        await adapter.typing(said.address)

    assert ("hi", "mention") == (said.text, said.addressed)
    assert [(9, number), (9, None)] == [(item["thread"], item["reply_to"]) for item in scene.sent()]
    assert [9] == [item["thread"] for item in scene.sent("typing")]


async def test_a_reply_to_a_deleted_message_is_sent_all_the_same(scene: Scene) -> None:
    async with scene.running() as adapter:
        number = await scene.says("hi", chat={"id": GROUP})
        (said,) = await scene.heard()
        del scene.bot.messages[GROUP, number]
        await adapter.send(delivery("anyway", said.address))

    assert ["anyway"] == [item["text"] for item in scene.sent()]


async def test_a_rendered_answer_goes_out_with_its_entities_and_its_file(scene: Scene) -> None:
    answer = "**Bold** and `code`\n\n" + "word " * 3000
    async with scene.running() as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        for index, part in enumerate(
            scene.platform.renderer.render(Reply(text=answer), said.address, max_parts=2)
        ):
            await adapter.send(delivery(part.text, said.address, index=index, **part.payload))
    (message,), (document,) = scene.sent(), scene.sent("document")

    assert ["bold", "code"] == [entity["type"] for entity in message["entities"]]
    assert ("answer.md", answer.strip()) == (document["filename"], document["content"])


async def test_an_entity_the_server_refuses_costs_the_format_and_not_the_message(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        await adapter.send(delivery("x", said.address, entities=[{"type": "bold", "offset": 5, "length": 9}]))

    assert [("x", None)] == [(item["text"], item.get("entities")) for item in scene.sent()]


async def test_a_part_the_server_finds_too_long_goes_out_in_pieces(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        receipt = await adapter.send(delivery("word " * 1000, said.address))

    assert len(scene.sent()) > 1
    assert [str(item["id"]) for item in scene.sent()] == list(receipt.platform_ids)


async def test_a_server_that_cannot_be_reached_has_not_got_the_message(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        unreachable = TelegramPlatform("http://127.0.0.1:9")
        other = unreachable.adapter("support", TelegramSettings(token=TOKEN))
        other._sender = Sender(other._client, scene.host)
        with pytest.raises(Transient) as failure:
            await other.send(delivery("x", said.address))
        await unreachable.close()
        await adapter.send(delivery("x", said.address))

    assert Transient is type(failure.value)
    assert TOKEN not in "".join(traceback.format_exception(failure.value))


@pytest.mark.parametrize(("chat", "words"), [(8, "blocked"), (99, "not found")])
async def test_a_dead_chat_is_told_as_such(scene: Scene, chat: int, words: str) -> None:
    scene.bot.hear({"user": {"id": 8}, "text": "hi"})
    scene.sandbox.telegram.block(TOKEN, 8)
    async with scene.running() as adapter:
        with pytest.raises(Permanent, match=words) as failure:
            await adapter.send(delivery("x", Address(to=str(chat), data={"chat_id": chat})))

    assert "lane" == failure.value.scope


async def test_a_deleted_topic_is_a_dead_lane_and_nothing_lands_elsewhere(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi", chat={"id": GROUP}, thread=9)
        (said,) = await scene.heard()
        scene.bot.threads.clear()
        with pytest.raises(Permanent) as failure:
            await adapter.send(delivery("x", said.address))

    assert "lane" == failure.value.scope
    assert [] == scene.sent()


async def test_a_group_that_moves_between_question_and_answer_is_followed(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi", chat={"id": -5, "type": "group", "title": "G"})
        (said,) = await scene.heard()
        bot = scene.bot
        bot.migrated[-5] = -1005
        bot.chats[-1005] = {"id": -1005, "type": "supergroup", "title": "G"}
        with pytest.raises(Transient) as failure:
            await adapter.send(delivery("x", said.address))
        (moved,) = [arrival for arrival in scene.host.accepted if isinstance(arrival, Moved)]
        await adapter.send(delivery("x", moved.address))

    assert 0.0 == failure.value.retry_after
    assert ("-5", "-1005", "-5") == (moved.old.chat, moved.new.chat, moved.old_to)
    assert [-1005] == [item["chat"] for item in scene.sent()]


async def test_a_flood_wait_of_a_chat_holds_its_topics_and_no_other_chat(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi", chat={"id": GROUP}, thread=9)
        await scene.says("hi")
        topic, private = await scene.heard(2)
        scene.sandbox.faults.add(Fault("telegram", "sendMessage", "status", status=429, retry_after=40))
        with pytest.raises(RateLimited):
            await adapter.send(delivery("x", topic.address))
        with pytest.raises(RateLimited) as held:
            await adapter.send(delivery("x", Address(to=str(GROUP), data={"chat_id": GROUP})))
        await adapter.typing(topic.address)
        await adapter.send(delivery("y", private.address))
        scene.host.clock.advance(40)
        await adapter.send(delivery("x", topic.address))

    assert 0 < held.value.retry_after <= 40
    assert ["y", "x"] == [item["text"] for item in scene.sent()]
    assert [] == scene.sent("typing")


async def test_a_long_wait_for_a_limit_is_left_to_the_journal(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        for _ in range(3):
            await adapter.send(delivery("x", said.address))
        with pytest.raises(RateLimited) as held:
            await adapter.send(delivery("x", said.address))
        scene.host.clock.advance(held.value.retry_after)
        await adapter.send(delivery("x", said.address))

    assert "lane" == held.value.scope
    assert 4 == len(scene.sent())


# --- secrets ----------------------------------------------------------------------------------------------------


async def test_the_token_is_in_no_log_error_or_repr(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    secret, question, answer = TOKEN.partition(":")[2], "a question between us", "an answer between us"
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    for kind in ("drop_before", "malformed", "status", "drop_after"):
        scene.sandbox.faults.add(Fault("telegram", "getUpdates", kind, status=502))
    async with scene.running() as adapter:
        await scene.says(question)
        (said,) = await scene.heard()
        for kind, status in (
            ("drop_before", 0),
            ("malformed", 0),
            ("status", 401),
            ("status", 404),
            ("status", 500),
        ):
            scene.sandbox.faults.add(Fault("telegram", "sendMessage", kind, status=status))
            scene.host.clock.advance(10)
            with pytest.raises(GatewayError) as failure:
                await adapter.send(delivery(answer, said.address))
            told.append("".join(traceback.format_exception(failure.value)) + repr(failure.value.context))
        told.append(repr(vars(adapter)) + repr(adapter))
    told += [why for _, why in scene.host.states] + [record.getMessage() for record in caplog.records]

    assert len(told) > 5
    assert [] == [text for text in told if secret in text]
    assert [] == [text for text in told if "between us" in text]
