"""`/pause` by an admin: a person takes the conversation over, on Telegram and on Discord, and gives it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.messages import ConversationKey, Said, Sender
from gateway.policy.handover import HANDOVER, Order, order
from gateway.policy.texts import BUILT_IN
from gateway.ports import Noted
from gateway.sandbox.sensay import SUPPORT
from tests.contracts.journal_kit import said
from tests.e2e.process import DISCORD, eventually
from tests.fleet.scene import Scene, bot, fleet, token

ADMIN, GUEST = {"id": 7, "name": "Ada", "language_code": "de"}, {"id": 8, "name": "Bo"}
GROUP = {"id": -100, "type": "supergroup", "title": "Customers"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/pause", Order("pause", HANDOVER)),
        (" /Pause 30m ", Order("pause", 1800.0)),
        ("/pause 2 h", Order("pause", 7200.0)),
        ("/pause 15", Order("pause", 900.0)),
        ("/pause 0s", Order("pause", 1.0)),
        ("/pause 9999d", Order("pause", 30 * 86_400.0)),
        ("/resume", Order("resume")),
        ("/pause the music", None),
        ("please /pause", None),
        ("/pauses", None),
        ("/paus\u0065\u0301", None),
        ("", None),
    ],
)
def test_what_an_admin_orders(text: str, expected: Order | None):
    assert expected == order(_said(text), frozenset({"7"}))


def test_it_is_text_to_everybody_else_and_where_people_choose_their_ids():
    assert order(_said("/pause"), frozenset({"8"})) is None
    assert order(_said("/pause"), frozenset()) is None
    assert order(_said("/pause", platform="web"), frozenset({"7"})) is None


def _said(text: str, platform: Any = "telegram") -> Said:
    key = ConversationKey(bot="shop", platform=platform, chat="1")
    return said(text, key=key, sender=Sender(id="7"))


def asked(scene: Scene) -> int:
    """Completions that were answered."""
    return sum("completions" in got.path and got.status == 200 for got in scene.box.sensay.requests)


def one(**more: Any) -> dict[str, Any]:
    return {"one": bot(1, access={"admins": [7]}, **more)}


async def test_a_group_on_telegram_is_paused_and_resumed_by_an_admin(tmp_path: Path):
    async with fleet(tmp_path, one()) as scene:
        await scene.all_in("running")
        me = scene.box.telegram.bot(token(1))

        def says(user: dict[str, Any], text: str) -> None:
            me.hear({"user": user, "chat": GROUP, "text": text})

        says(ADMIN, "/pause 30m")
        paused = await scene.answered(1)
        says(GUEST, f"@{me.username} what are your opening hours?")
        scene.says(1, "And in another chat?")
        await scene.answered(1, 2)
        status = await scene.gateway.status()
        waiting = asked(scene)
        says(ADMIN, f"/resume@{me.username}")
        texts = await scene.answered(1, 4)

        assert [BUILT_IN["de"]["paused"]] == paused
        assert ["one/telegram/-100"] == [p["conversation"] for p in status["paused_conversations"]]
        assert 1 == waiting, "only the other chat's question was asked"
        assert BUILT_IN["de"]["resumed"] in texts
        assert 2 == asked(scene), "what waited is answered, the orders cost nothing"
        assert [] == (await scene.gateway.status())["paused_conversations"]


async def test_a_guest_says_it_like_any_other_text(tmp_path: Path):
    async with fleet(tmp_path, one()) as scene:
        await scene.all_in("running")
        scene.box.telegram.bot(token(1)).hear({"user": GUEST, "text": "/pause"})
        [answer] = await scene.answered(1)

        assert answer not in {texts["paused"] for texts in BUILT_IN.values()}
        assert 1 == asked(scene)
        assert [] == (await scene.gateway.status())["paused_conversations"]


async def test_a_pause_ends_by_itself(tmp_path: Path):
    async with fleet(tmp_path, one()) as scene:
        await scene.all_in("running")
        me = scene.box.telegram.bot(token(1))
        me.hear({"user": ADMIN, "text": "/pause 1s"})
        await scene.answered(1)
        me.hear({"user": ADMIN, "text": "What are your opening hours?"})
        texts = await scene.answered(1, 2)

        assert "10:00" in texts[1]
        assert ["pause.ended"] == [n.event for n in scene.facts.of(Noted) if n.event.startswith("pause.")]


async def test_a_redelivered_order_is_obeyed_once_and_a_pause_outlives_the_process(tmp_path: Path):
    journal = f"sqlite:///{tmp_path}/gateway.db"
    async with fleet(tmp_path, one(), journal=journal) as scene:
        await scene.all_in("running")
        scene.box.telegram.bot(token(1)).hear({"user": ADMIN, "text": "/pause"})
        await scene.answered(1)
    async with fleet(tmp_path, one(), journal=journal) as scene:
        status = await scene.gateway.status()

    assert ["one/telegram/7"] == [paused["conversation"] for paused in status["paused_conversations"]]


async def test_on_discord_by_a_mention_and_by_the_command(tmp_path: Path):
    access = {"admins": ["7"]}
    bots = {"one": {"replica": SUPPORT, "discord": {"token": DISCORD}, "access": access}}
    async with fleet(tmp_path, bots) as scene:
        discord = scene.box.discord

        async def state() -> str:
            return scene.states("discord")["one"]

        async def sent(count: int) -> list[str]:
            async def texts() -> list[str]:
                return [item["text"] for item in discord.bot(DISCORD).sent if item.get("text")]

            found: list[str] = await eventually(texts, lambda items: len(items) >= count)
            return found

        async def paused() -> list[str]:
            found = (await scene.gateway.status())["paused_conversations"]
            return [one["conversation"] for one in found]

        await eventually(state, lambda found: found == "running")
        channel = {"channel": {"id": "900", "guild": "500"}}
        await discord.say(DISCORD, {"user": ADMIN, "text": "/pause", "mention": True, **channel})
        first = await sent(1)
        by_mention = await paused()
        await discord.say(DISCORD, {"user": GUEST, "text": "anybody?", "mention": True, **channel})
        await discord.interact(DISCORD, {"user": GUEST, "interaction": {"command": "resume"}, **channel})
        await sent(2)
        not_by_guests = await paused()
        await discord.interact(DISCORD, {"user": ADMIN, "interaction": {"command": "resume"}, **channel})
        await eventually(paused, lambda left: not left)
        texts = await sent(4)

        assert [BUILT_IN["en"]["paused"]] == first
        assert by_mention == not_by_guests
        assert 1 == len(by_mention)
        assert BUILT_IN["en"]["denied"] in texts
        assert BUILT_IN["en"]["resumed"] in texts
        assert 1 == asked(scene)
