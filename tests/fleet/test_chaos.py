"""A hundred bots, a fifth of them in all kinds of trouble: the others do not notice, and it ends with its cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.telegram import polling
from gateway.messages import Channel
from tests.e2e.process import eventually
from tests.fleet.scene import Scene, bot, fleet, token

WELL, REVOKED, HANGING, POISONED = range(80), range(80, 90), range(90, 95), range(95, 100)
QUESTIONS = 3
POISON = {"update": {"message": "this is no message"}}


def names(numbers: range) -> set[str]:
    return {f"bot{number}" for number in numbers}


async def p95(scene: Scene) -> float:
    """Everybody asks the 80, one after the other and all at once; seconds."""
    since = len(scene.facts)
    done = {number: len(scene.answers(number)) for number in WELL}
    for _ in range(QUESTIONS):
        for number in WELL:
            scene.says(number)
    for number in WELL:
        await scene.answered(number, done[number] + QUESTIONS)

    async def told() -> list[float]:
        return scene.took(since)

    took = await eventually(told, lambda found: len(found) >= len(WELL) * QUESTIONS)
    return took[int(0.95 * len(took))]


def strike(scene: Scene) -> None:
    for number in REVOKED:
        scene.box.telegram.bot(token(number)).revoked = True
    for number in HANGING:
        scene.box.telegram.bot(token(number)).answering.clear()
    for number in (*REVOKED, *HANGING):
        scene.box.telegram.bot(token(number)).interrupt()
    for number in POISONED:
        for _ in range(5):
            scene.box.telegram.bot(token(number)).hear(dict(POISON))
            scene.says(number)


def heal(scene: Scene) -> None:
    for number in REVOKED:
        scene.box.telegram.bot(token(number)).revoked = False
    for number in HANGING:
        scene.box.telegram.bot(token(number)).answering.set()


@pytest.mark.timeout(400)
async def test_eighty_healthy_bots_do_not_notice_the_trouble_of_twenty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(polling, "GRACE", 5.0)  # short, and no busy machine answers later than that
    async with fleet(tmp_path, {f"bot{n}": bot(n) for n in range(100)}) as scene:
        await scene.all_in("running")
        calm, begun = await p95(scene), len(scene.facts)
        strike(scene)
        await scene.all_in("failed", *names(REVOKED))
        await scene.all_in("degraded", *names(HANGING))
        for number in POISONED:
            await scene.answered(number, 5)
        stormy = await p95(scene)
        troubled = {change.bot for change in scene.changes(begun)}
        reasons = {
            scene.gateway.fleet.status(Channel(bot=n, platform="telegram")).error for n in names(REVOKED)
        }

        assert names(REVOKED) | names(HANGING) == troubled, "nobody else changed in any way"
        assert {"Telegram rejects the bot token"} == reasons
        assert all(state == "running" for n, state in scene.states().items() if n in names(POISONED))
        assert stormy < 3.0 * calm + 0.5, f"p95 {stormy:.3f} s, {calm:.3f} s without trouble"
        assert 200 == (await scene.http.get(f"{scene.admin}/readyz")).status

        heal(scene)
        await scene.all_in("running")
        for number in (*REVOKED, *HANGING):
            scene.says(number)
            assert 1 == len(await scene.answered(number))
        starts = scene.telegram.starts
        assert {1} == {starts[name] for name in names(WELL) | names(POISONED)}
        assert max(starts.values()) <= 8, "tried again, but in no storm"


@pytest.mark.timeout(120)
async def test_poison_is_kept_as_dead_letters_and_counted(tmp_path: Path):
    async with fleet(tmp_path, {"one": bot(1)}) as scene:
        await scene.all_in("running")
        scene.box.telegram.bot(token(1)).hear(dict(POISON))
        scene.says(1)
        await scene.answered(1)

        async def quarantined() -> float | None:
            return await scene.metric(
                'gateway_messages_received_total{bot="one",outcome="quarantined",platform="telegram"}'
            )

        assert 1.0 == await eventually(quarantined, lambda count: count is not None)
