"""`trace` tells why a message was answered, and why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.trace import told
from gateway.ports import MessageReceived
from tests.e2e.process import eventually
from tests.fleet.scene import Scene, bot, fleet, token

GROUP = {"id": -100, "type": "supergroup", "title": "Customers"}


async def traced(scene: Scene, wanted: str) -> dict[str, Any]:
    """What is told once it is known."""

    async def look() -> Any:
        async with scene.http.get(f"{scene.admin}/-/traces/{wanted}") as answer:
            return answer.status, await answer.json(content_type=None)

    _, life = await eventually(look, lambda found: found[0] == 200)
    return dict(life)


async def test_why_not_is_told_by_the_id_that_the_platform_shows(tmp_path: Path):
    denied = {"access": {"deny": {"users": [9]}}}
    async with fleet(tmp_path, {"one": bot(1, **denied)}) as scene:
        await scene.all_in("running")
        me = scene.box.telegram.bot(token(1))
        by_the_way = me.hear({"user": {"id": 8, "name": "Bo"}, "chat": GROUP, "text": "nice weather"})
        unwanted = me.hear({"user": {"id": 9, "name": "Cy"}, "text": "let me in"})
        asked = me.hear({"user": {"id": 8, "name": "Bo"}, "text": "What are your opening hours?"})
        ignored = await traced(scene, f"one/telegram/-100/{by_the_way}")
        refused = await traced(scene, f"one/telegram/9/{unwanted}")
        await scene.answered(1, 2)
        answered = await traced(scene, f"one/telegram/8/{asked}")

        assert ("ignored", "not addressed to the bot, and groups.mode is mention") == _why(ignored)
        assert ("denied", "on a list of access.deny") == _why(refused)
        assert ("answered", "said in a direct chat") == _why(answered)
        assert "direct" == answered["addressed"]
        assert answered["upstream"] > 0.0
        assert ["sent"] == [part["state"] for part in answered["parts"]]
        assert "because   not addressed" in told(ignored)
        assert "because   said in a direct chat" in told(answered)


def _why(life: dict[str, Any]) -> tuple[str, str]:
    return life["status"], life["decision"]


@pytest.mark.parametrize("wanted", ["nothing-like-it", "one/telegram/-1/1", "one/nowhere/1", "//", "one"])
async def test_what_is_not_known_is_said_so(tmp_path: Path, wanted: str):
    async with (
        fleet(tmp_path, {"one": bot(1)}) as scene,
        scene.http.get(f"{scene.admin}/-/traces/{wanted}") as answer,
    ):
        assert 404 == answer.status


async def test_decisions_are_of_late_and_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.web.decisions.MOST", 3)
    async with fleet(tmp_path, {"one": bot(1)}) as scene:
        await scene.all_in("running")
        me = scene.box.telegram.bot(token(1))
        for number in range(5):
            me.hear({"user": {"id": 8, "name": "Bo"}, "chat": GROUP, "text": f"by the way {number}"})

        async def received() -> list[str]:
            return [fact.message for fact in scene.facts.of(MessageReceived)]

        ids = await eventually(received, lambda found: len(found) == 5)

        assert "ignored" == (await traced(scene, ids[-1]))["status"]
        async with scene.http.get(f"{scene.admin}/-/traces/{ids[0]}") as answer:
            assert 404 == answer.status
