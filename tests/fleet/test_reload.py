"""A reload changes what was changed, and nothing else notices."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.messages import Channel
from gateway.ports import MessageReceived, Noted
from gateway.sandbox.sensay import CAFE, SUPPORT
from gateway.settings import Invalid, load
from tests.e2e.process import eventually
from tests.fleet.scene import Scene, bot, fleet, token

REFUSED, APPLIED = "configuration.refused", "configuration.reloaded"
LAST = "gateway_config_last_reload_successful"


def noted(scene: Scene, event: str) -> list[Noted]:
    return [fact for fact in scene.facts.of(Noted) if fact.event == event]


async def test_one_of_a_hundred_is_changed_under_load_and_99_keep_their_connections(tmp_path: Path):
    async with fleet(tmp_path, {f"bot{n}": bot(n) for n in range(100)}) as scene:
        await scene.all_in("running")
        channels = [Channel(bot=f"bot{n}", platform="telegram") for n in range(100)]
        before = {channel: scene.gateway.fleet.live(channel) for channel in channels}
        since = len(scene.facts)

        async def load_on_all() -> None:
            for _ in range(3):
                for number in range(100):
                    scene.says(number)
                await asyncio.sleep(0)

        await load_on_all()
        scene.document["bots"]["bot7"]["telegram"]["groups"] = {"mode": "open"}
        plan, _ = await asyncio.gather(scene.reload(), load_on_all())
        await load_on_all()
        moved = [c for c in channels if scene.gateway.fleet.live(c) is not before[c]]
        for number in range(100):
            await scene.answered(number, 9)

        assert (["bot7/telegram"], 99) == (plan["changed"], len(plan["unchanged"]))
        assert [Channel(bot="bot7", platform="telegram")] == moved
        assert {"bot7"} == {change.bot for change in scene.changes(since)}
        assert {9} == {len(scene.answers(number)) for number in range(100)}, "each once, none lost"
        assert {"bot7": 2} == {name: n for name, n in scene.telegram.starts.items() if n > 1}


async def test_two_bots_that_swap_their_tokens_do_not_fight_over_them(tmp_path: Path):
    async with fleet(tmp_path, {"one": bot(1), "two": bot(2)}) as scene:
        await scene.all_in("running")
        scene.says(1)
        await scene.answered(1)
        since, bots = len(scene.facts), scene.document["bots"]
        bots["one"]["telegram"], bots["two"]["telegram"] = bots["two"]["telegram"], bots["one"]["telegram"]
        plan = await scene.reload()
        await scene.all_in("running")
        scene.says(1, "And on Sunday?")
        await scene.answered(1, 2)
        heard = [fact.bot for fact in scene.facts[since:] if isinstance(fact, MessageReceived)]

        assert {"one/telegram", "two/telegram"} == set(plan["changed"])
        assert [] == [change for change in scene.changes(since) if change.error]
        assert ["two"] == heard
        assert {"one": 2, "two": 2} == dict(scene.telegram.starts)


async def test_the_same_token_twice_is_refused_and_nothing_changes(tmp_path: Path):
    async with fleet(tmp_path, {"one": bot(1)}) as scene:
        await scene.all_in("running")
        scene.document["bots"]["two"] = bot(1)
        scene.write()
        status, body = await scene.post("/-/reload")

        assert 422 == status
        assert any(
            "bots.two.telegram.token: is the same token as that of bots.one" in e for e in body["errors"]
        )
        assert 0.0 == await scene.metric(LAST)
        assert 1 == scene.telegram.starts["one"]


async def test_an_invalid_file_changes_nothing_is_logged_with_positions_and_flips_the_metric(tmp_path: Path):
    async with fleet(tmp_path, {"one": bot(1)}) as scene:
        await scene.all_in("running")
        good = scene.path.read_text()
        scene.path.write_text(good.replace('"replica"', '"replicca"'))
        status, body = await scene.post("/-/reload")
        flipped = await scene.metric(LAST)
        scene.path.write_text(good)
        again, _ = await scene.post("/-/reload")

        assert (422, 200) == (status, again)
        assert body["errors"] == noted(scene, REFUSED)[0].fields["problems"]
        assert body["errors"][0].startswith(f"{scene.path}:1:")
        assert "did you mean replica" in " ".join(body["errors"])
        assert (0.0, 1.0) == (flipped, await scene.metric(LAST))
        assert {"one": 1} == dict(scene.telegram.starts)


async def test_a_token_that_is_rotated_in_its_file_is_picked_up(tmp_path: Path):
    secret = tmp_path / "token"
    secret.write_text(token(1) + "\n")
    changed = {"replica": SUPPORT, "telegram": {"token_file": str(secret)}}
    async with fleet(tmp_path, {"one": changed, "two": bot(2)}) as scene:
        await scene.all_in("running")
        secret.write_text(token(3))
        plan = await scene.reload()
        await scene.all_in("running")
        scene.says(3)

        assert ["one/telegram"] == plan["changed"]
        assert 1 == len(await scene.answered(3))
        assert {"one": 2, "two": 1} == dict(scene.telegram.starts)


async def test_the_first_web_bot_of_a_fleet_is_served_without_a_restart(tmp_path: Path):
    async with fleet(tmp_path, {"one": bot(1)}) as scene:
        page = f"{scene.gateway.public_url}/chat/shop"

        async def look() -> int:
            async with scene.http.get(page) as answer:
                return answer.status

        before = await look()
        scene.document["bots"]["shop"] = {
            "replica": CAFE,
            "web": {"allowed_origins": ["https://shop.example"]},
        }
        await scene.reload()
        after = await eventually(look, lambda status: status == 200)
        del scene.document["bots"]["shop"]
        await scene.reload()

        assert (404, 200, 404) == (before, after, await look())


async def test_an_organisation_comes_and_goes_with_its_bots_and_nobody_else_notices(tmp_path: Path):
    async with fleet(tmp_path, {"one": {"organization": "acme", **bot(1)}}) as scene:
        await scene.all_in("running")
        scene.document["organizations"]["other"] = {"secret": "another-organisation-secret"}
        scene.document["bots"]["two"] = {"organization": "other", **bot(2)}
        await scene.reload()
        await scene.all_in("running")
        scene.says(2)
        await scene.answered(2)
        with_both = await scene.metrics()
        del scene.document["organizations"]["other"], scene.document["bots"]["two"]
        await scene.reload()
        scene.says(1)

        assert 1 == len(await scene.answered(1)), "still alive"
        assert 'organization="other"' in with_both
        assert 'organization="other"' not in await scene.metrics()
        assert {"acme"} == set((await scene.gateway.status())["organizations"])


async def test_series_of_a_bot_that_is_gone_are_forgotten(tmp_path: Path):
    async with fleet(tmp_path, {"one": bot(1), "two": bot(2)}) as scene:
        await scene.all_in("running")
        scene.says(2)
        await scene.answered(2)
        before = await scene.metrics()
        del scene.document["bots"]["two"]
        await scene.reload()
        after = await scene.metrics()

        assert 'gateway_turns_total{bot="two",outcome="answered",platform="telegram"} 1.0' in before
        assert 'bot="two"' not in after
        assert 'bot="one"' in after


async def test_a_file_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path):
    """With `watch: true`; the halves are not even looked at while they grow."""
    async with fleet(tmp_path, {"one": bot(1)}, watch=True) as scene:
        await scene.all_in("running")
        scene.document["bots"]["two"] = bot(2)
        whole = json.dumps(scene.document, indent=1)
        looks = len(whole) // 40

        async def applied() -> int:
            return len(noted(scene, APPLIED))

        for end in range(0, len(whole), looks):
            scene.path.write_text(whole[:end])
            await scene.metrics()
        scene.path.write_text(whole)
        await eventually(applied, lambda count: count == 1)
        await scene.all_in("running")

        assert {"one": 1, "two": 1} == dict(scene.telegram.starts)


async def test_a_watched_secret_file_is_picked_up(tmp_path: Path):
    secret = tmp_path / "token"
    secret.write_text(token(1))
    one = {"replica": SUPPORT, "telegram": {"token_file": str(secret)}}
    async with fleet(tmp_path, {"one": one}, watch=True) as scene:
        await scene.all_in("running")

        secret.write_text(token(2))

        async def starts() -> int:
            return scene.telegram.starts["one"]

        await eventually(starts, lambda count: count == 2)
        scene.says(2)

        assert 1 == len(await scene.answered(2))


@pytest.mark.parametrize("style", [None, 1], ids=["one line", "indented"])
def test_every_half_of_a_file_is_good_or_refused_in_words(tmp_path: Path, style: int | None):
    document = {"organizations": {"acme": {"secret": "some-secret"}}, "bots": {"one": bot(1), "two": bot(2)}}
    whole, path = json.dumps(document, indent=style), tmp_path / "gateway.yaml"
    for end in range(0, len(whole), 7):
        path.write_text(whole[:end])
        with pytest.raises(Invalid) as refused:
            load(path, {})

        assert all(problem.file == str(path) for problem in refused.value.problems)
