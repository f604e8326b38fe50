"""Commands, over sockets: journaled, deferred, answered in place, and never left hanging."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from adapters.discord import commands, interactions
from adapters.discord.commands import COMMANDS, fingerprint
from adapters.discord.convert import Me
from adapters.discord.interactions import TOKEN_LIFE, used
from adapters.discord.render import DiscordRenderer
from gateway.errors import Permanent, Transient
from gateway.messages import Accepted, Reply
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import ADA, TOKEN, Scene, delivery, scene_of
from tests.platforms.fake_host import until

CHANNEL = {"channel": 55}


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with scene_of(sandbox) as made:
        yield made


async def test_a_question_is_journaled_deferred_and_answered_in_its_place(scene: Scene):
    async with scene.running() as bot:
        await scene.asks("Where is my order?", **CHANNEL)
        [said] = await scene.heard()
        receipt = await bot.send(delivery(said, "On its way."))

    assert (said.text, said.addressed, said.sender.id, said.sender.locale) == (
        "Where is my order?",
        "command",
        "7",
        "en-US",
    )
    [deferred], [answer] = scene.sent("deferred"), scene.sent("edit_original")
    assert deferred["flags"] == 0, "everybody sees it"
    assert answer["text"] == "On its way."
    assert (answer["id"],) == receipt.platform_ids
    assert answer["allowed_mentions"] == {"parse": []}
    assert scene.sent("message") == []


async def test_the_answer_never_overtakes_the_deferral(scene: Scene, sandbox: Sandbox):
    sandbox.faults.add(Fault("discord", "interaction_callback", "delay", seconds=0.2))
    async with scene.running() as bot:
        await scene.asks()
        [said] = await scene.heard()
        await bot.send(delivery(said))

    kinds = [item["kind"] for item in scene.discord.world.bot(TOKEN).sent]
    assert kinds == ["deferred", "edit_original"]


async def test_further_parts_and_files_follow_up(scene: Scene):
    document = {"document": {"filename": "answer.md", "content": "# All of it"}}
    async with scene.running() as bot:
        await scene.asks()
        [said] = await scene.heard()
        await bot.send(delivery(said, "one"))
        await bot.send(delivery(said, "two", index=1, part="t1.answer.1"))
        await bot.send(delivery(said, "answer.md", index=2, part="t1.answer.2", payload=document))

    two, file = scene.sent("followup")
    assert (two["text"], two["allowed_mentions"]) == ("two", {"parse": []})
    assert file["files"] == [{"name": "answer.md", "text": "# All of it"}]


async def test_a_notice_and_then_the_answer_take_the_same_place(scene: Scene):
    async with scene.running() as bot:
        await scene.asks()
        [said] = await scene.heard()
        first = await bot.send(delivery(said, "in a minute", part="m1.notice.0"))
        second = await bot.send(delivery(said, "here"))

    assert first == second


async def test_a_follow_up_whose_answer_was_lost_is_found_and_not_sent_again(scene: Scene, sandbox: Sandbox):
    async with scene.running() as bot:
        await scene.asks(**CHANNEL)
        [said] = await scene.heard()
        part = delivery(said, "two", index=1, part="t1.answer.1")
        sandbox.faults.add(Fault("discord", "followup", "drop_after"))
        with pytest.raises(Transient):
            await bot.send(part)
        await bot.send(replace(part, attempt=2))

    assert ["two"] == [item["text"] for item in scene.sent("followup")]


@pytest.mark.parametrize("command", ["help", "privacy"])
async def test_help_and_privacy_are_fixed_texts(scene: Scene, command: str):
    async with scene.running():
        await scene.uses(command)
        [said] = await scene.heard()

    assert (said.answer_with, said.text) == (command, "")


async def test_a_fixed_text_is_for_whoever_asked_only(scene: Scene):
    scene.host.outcome = Accepted(id="", outcome="answered", notice=True)
    async with scene.running() as bot:
        await scene.uses("help", CHANNEL)
        [said] = await scene.heard()
        await bot.send(delivery(said, "Just write."))

    assert [64] == [item["flags"] for item in scene.sent("deferred")]
    assert ["Just write."] == [item["text"] for item in scene.sent("edit_original")]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [("denied", "(denied)"), ("ignored", "(denied)"), ("busy", "(busy)"), ("limited", "(busy)")],
)
async def test_who_is_not_answered_is_told_so_at_once_and_alone(scene: Scene, outcome: str, text: str):
    scene.host.outcome = Accepted(id="", outcome=outcome)  # type: ignore[arg-type]
    async with scene.running():
        await scene.asks(**CHANNEL)
        [word] = await until(lambda: scene.sent("interaction"))

    assert (word["text"], word["flags"]) == (text, 64)
    assert scene.sent("deferred") == []


async def test_the_menu_of_a_message_asks_about_it_without_the_privileged_intent(scene: Scene):
    async with scene.running():
        target = await scene.says("What is a quasar?", channel=55, user={"id": 8, "name": "Bob"})
        await scene.uses("Ask", CHANNEL, target=target["id"])
        [said] = await scene.heard()

    assert (said.text, said.sender.id, said.addressed) == ("What is a quasar?", "7", "command")


async def test_a_message_without_words_cannot_be_asked_about(scene: Scene):
    async with scene.running():
        target = await scene.says("", channel=55, extra={"attachments": [{"id": "1", "filename": "a.pdf"}]})
        await scene.uses("Ask", CHANNEL, target=target["id"])
        [said] = await scene.heard()

    assert said.answer_with == "unsupported"


async def test_when_the_journal_refuses_nothing_is_accepted_and_a_word_is_said(scene: Scene):
    scene.host.accepting = Transient("disk full")
    async with scene.running():
        await scene.asks()
        [word] = await until(lambda: scene.sent("interaction"))

    assert (word["text"], word["flags"]) == ("(busy)", 64)
    assert (scene.host.accepted, scene.sent("deferred")) == ([], [])


async def test_a_slow_journal_does_not_cost_the_three_seconds(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interactions, "JOURNAL_WITHIN", 0.05)
    scene.host.gate = asyncio.Event()
    async with scene.running() as bot:
        await scene.asks()
        await until(lambda: scene.sent("deferred"))
        assert scene.host.accepted == []
        scene.host.gate.set()
        [said] = await scene.heard()
        await bot.send(delivery(said, "late, but here"))

    assert ["late, but here"] == [item["text"] for item in scene.sent("edit_original")]


async def test_a_slow_journal_that_then_refuses_is_admitted_in_place(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(interactions, "JOURNAL_WITHIN", 0.05)
    scene.host.gate, scene.host.accepting = asyncio.Event(), Transient("disk full")
    async with scene.running():
        await scene.asks()
        await until(lambda: scene.sent("deferred"))
        scene.host.gate.set()
        [word] = await until(lambda: scene.sent("edit_original"))

    assert word["text"] == "(busy)"


async def test_an_expired_token_becomes_a_message_in_the_channel(scene: Scene):
    async with scene.running() as bot:
        interaction = await scene.asks(**CHANNEL)
        [said] = await scene.heard()
        await until(lambda: scene.sent("deferred"))
        scene.discord.expire(interaction)
        first, again = await bot.send(delivery(said)), await bot.send(delivery(said))

    [sent] = scene.sent("message")
    assert (sent["chat"], sent["text"], first) == ("55", "hello", again)


async def test_a_token_past_its_time_is_not_even_tried(scene: Scene):
    async with scene.running() as bot:
        await scene.asks(**CHANNEL)
        [said] = await scene.heard()
        scene.host.clock.time = said.sent_at + TOKEN_LIFE
        await bot.send(delivery(said))

    assert (1, []) == (len(scene.sent("message")), scene.sent("edit_original"))


async def test_where_the_bot_is_no_member_an_expired_token_is_the_end(scene: Scene):
    async with scene.running() as bot:
        interaction = await scene.uses("ask", options={"question": "why?"}, user_installed=True)
        [said] = await scene.heard()
        await until(lambda: scene.sent("deferred"))
        scene.discord.expire(interaction)
        with pytest.raises(Permanent):
            await bot.send(delivery(said))

    assert said.deadline == said.sent_at + TOKEN_LIFE


async def test_where_the_bot_is_no_member_an_answer_has_at_most_six_parts(scene: Scene):
    async with scene.running() as bot:
        await scene.uses("ask", options={"question": "why?"}, user_installed=True)
        [said] = await scene.heard()
        six = DiscordRenderer().render(Reply(text="\n\n".join(["x" * 1500] * 6)), said.address)
        seven = DiscordRenderer().render(Reply(text="\n\n".join(["x" * 1500] * 7)), said.address)
        for index, part in enumerate(six):
            await bot.send(delivery(said, part.text, index=index, part=f"t1.answer.{index}"))

    assert (6, 2) == (len(six), len(seven))
    assert 5 == len(scene.sent("followup"))


async def test_a_lost_deferral_becomes_a_message_in_the_channel(scene: Scene, sandbox: Sandbox):
    sandbox.faults.add(Fault("discord", "interaction_callback", "status", status=404))
    async with scene.running() as bot:
        await scene.asks(**CHANNEL)
        [said] = await scene.heard()
        await bot.send(delivery(said))

    assert ["hello"] == [item["text"] for item in scene.sent("message")]


async def test_commands_of_earlier_software_and_buttons_are_not_left_hanging(scene: Scene):
    async with scene.running():
        await scene.uses("play", options={"song": "x"})
        await scene.uses("button", type=3)
        words = await until(lambda: len(scene.sent("interaction")) == 2 and scene.sent("interaction"))

    assert {("(unsupported)", 64)} == {(word["text"], word["flags"]) for word in words}
    assert scene.host.offered == []


async def test_completion_of_choices_is_answered_from_memory(scene: Scene):
    async with scene.running():
        await scene.uses("ask", type=4)
        await until(lambda: scene.sent("choices"))

    assert scene.host.offered == []


async def test_a_malformed_interaction_is_kept_and_the_next_one_is_heard(scene: Scene):
    async with scene.running():
        for data in ({"id": "5", "token": "very-secret", "type": 2, "data": {"name": "ask"}}, None, 7):
            await scene.gateway.inject(TOKEN, "INTERACTION_CREATE", data)
        await scene.asks("still there?")
        arrived = await scene.heard(4)

    assert ["KeyError: 'options'" in arrived[0].error or "question" in arrived[0].error] == [True]
    assert "still there?" in [getattr(arrival, "text", None) for arrival in arrived]
    assert "very-secret" not in repr(arrived) + str([arrival.raw for arrival in arrived])
    assert scene.gateway.connects == 1


async def test_the_token_is_kept_but_never_shown(scene: Scene, caplog: pytest.LogCaptureFixture, capsys):
    async with scene.running() as bot:
        interaction = await scene.asks()
        [said] = await scene.heard()
        scene.discord.expire(interaction)
        await bot.send(delivery(said))

    assert said.address.secret == {"token": interaction["token"]}
    printed = capsys.readouterr()
    assert interaction["token"] not in repr(said) + said.raw + caplog.text + printed.out + printed.err


async def test_a_thread_is_placed_under_its_parent_for_the_rules(scene: Scene):
    async with scene.running():
        await scene.asks(channel={"id": 88, "type": "thread", "parent": 55})
        [said] = await scene.heard()

    assert (said.key.chat, said.place.channel) == ("88", "55")


async def test_roles_and_places_are_the_raw_ids(scene: Scene):
    async with scene.running():
        person = {**ADA, "roles": ["100", "101"]}
        used_by = {"user": person, "channel": 55, "interaction": {"command": "help"}}
        await scene.discord.interact(TOKEN, used_by)
        [said] = await scene.heard()

    assert (said.sender.roles, said.place.channel, said.place.direct) == (("100", "101"), "55", False)


# --- registering --------------------------------------------------------------------------------------------------


def registrations(scene: Scene) -> int:
    return scene.discord.bot(TOKEN).registrations


async def test_commands_are_registered_once_and_again_when_they_change(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    for _ in range(2):
        scene.host.states.clear()
        async with scene.running():
            await until(lambda: "commands" in scene.host.memory)
    once = registrations(scene)
    monkeypatch.setattr(commands, "COMMANDS", COMMANDS[:2])
    scene.host.states.clear()
    async with scene.running():
        await until(lambda: registrations(scene) == 2)

    assert once == 1
    assert ["ask", "help"] == [command["name"] for command in scene.discord.bot(TOKEN).commands]


async def test_all_commands_work_in_servers_direct_messages_and_where_a_person_brings_the_bot(scene: Scene):
    async with scene.running():
        known = await until(lambda: scene.discord.bot(TOKEN).commands)

    orders = [command for command in known if command["name"] in ("pause", "resume")]
    assert {"8192"} == {command["default_member_permissions"] for command in orders}, "for moderators"
    known = [command for command in known if command not in orders]
    assert ["ask", "help", "privacy", "Ask"] == [command["name"] for command in known]
    assert {(0, 1)} == {tuple(command["integration_types"]) for command in known}
    assert {(0, 1, 2)} == {tuple(command["contexts"]) for command in known}


async def test_commands_that_are_switched_off_are_taken_back_if_they_were_ours(scene: Scene):
    async with scene.running(scene.adapter(commands=False)):
        await scene.says("hi")
        await scene.heard()
    untouched = registrations(scene)
    scene.host.states.clear()
    async with scene.running():
        await until(lambda: scene.discord.bot(TOKEN).commands)
    scene.host.states.clear()
    async with scene.running(scene.adapter(commands=False)):
        await until(lambda: not scene.discord.bot(TOKEN).commands)

    assert untouched == 0


async def test_a_refused_registration_is_tried_again_later_and_the_bot_serves(scene: Scene):
    scene.discord.rest.commands_refused = 30034
    async with scene.running():
        await until(lambda: commands.TRY_AGAIN in scene.host.clock.slept)
        await scene.asks("hi")
        assert ["hi"] == await scene.texts()
        scene.discord.rest.commands_refused = None
        await until(lambda: registrations(scene) == 1)


def test_another_application_has_another_fingerprint():
    assert fingerprint(1, COMMANDS) == fingerprint(1, COMMANDS)
    assert fingerprint(1, COMMANDS) != fingerprint(2, COMMANDS) != fingerprint(2, COMMANDS[:1])


def test_names_and_descriptions_fit_what_discord_takes():
    for command in COMMANDS:
        assert 1 <= len(command["name"]) <= 32
        assert len(command.get("description", "")) <= 100
        assert command["type"] == 3 or command["name"] == command["name"].lower()


def test_an_interaction_that_is_none_of_ours_is_none():
    assert used({"type": 3, "data": {}}, Me(bot="b", id="1")) is None
