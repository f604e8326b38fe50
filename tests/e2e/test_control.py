from __future__ import annotations

import json

import pytest
from aiohttp import ClientSession

from gateway.sandbox.sensay import SUPPORT
from tests.e2e.process import Program, configuration, eventually, write_configuration

pytestmark = pytest.mark.e2e
OTHER = "300200300:another-sandbox-token-for-tests-00000000"


class Operator:
    """The admin listener, as an operator's script uses it."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def post(self, path: str) -> tuple[int, dict]:
        async with self._session.post(self._url + path) as answer:
            return answer.status, await answer.json()

    async def status(self) -> dict:
        async with self._session.get(f"{self._url}/status.json") as answer:
            return await answer.json()

    async def state(self, bot: str, platform: str = "telegram") -> str | None:
        document = await self.status()
        return document["bots"].get(bot, {}).get("platforms", {}).get(platform, {}).get("state")


@pytest.fixture
async def operator(program: Program, session: ClientSession) -> Operator:
    await program.running("telegram", "web")
    return Operator(session, (await program.event("gateway.started"))["admin"])


async def test_a_paused_bot_takes_messages_and_answers_them_when_resumed(operator, people):
    assert (200, ["support/telegram"]) == await _channels(operator, "pause", "?platform=telegram")
    await people.say("telegram", "What are your opening hours?")

    async def waiting() -> int:
        return (await operator.status())["bots"]["support"]["queue"]["waiting"]

    await eventually(waiting, lambda count: count == 1)
    assert "paused" == await operator.state("support")
    assert [] == await people.heard("telegram")

    await _channels(operator, "resume", "?platform=telegram")
    assert 1 == len(await people.hears("telegram", 1))
    assert "running" == await operator.state("support")


async def _channels(operator: Operator, verb: str, query: str = "") -> tuple[int, list[str]]:
    status, body = await operator.post(f"/-/bots/support/{verb}{query}")
    return status, body.get("channels", [])


async def test_an_unknown_bot_is_404(operator):
    status, body = await operator.post("/-/bots/nobody/pause")

    assert (404, 404) == (status, body["status"])


async def test_a_restart_connects_anew(operator, program):
    async def runs() -> int:
        line = {"event": "bot.running", "platform": "telegram"}
        return len([found for found in program.lines if line.items() <= found.items()])

    before = await runs()
    await _channels(operator, "restart", "?platform=telegram")

    assert before + 1 == await eventually(runs, lambda count: count > before)


async def test_a_reload_adds_a_bot_and_moves_no_other(operator, program, sandbox, tmp_path):
    document = configuration(sandbox, tmp_path)
    document["bots"]["second"] = {"replica": SUPPORT, "telegram": {"token": OTHER}}
    write_configuration(tmp_path, document)
    starts = [line for line in program.lines if line.get("event") == "bot.starting"]
    status, dry = await operator.post("/-/reload?dry_run=1")
    assert (200, None) == (status, await operator.state("second"))

    status, body = await operator.post("/-/reload")
    started = [line for line in program.lines if line.get("event") == "bot.starting"][len(starts) :]

    async def state() -> str | None:
        return await operator.state("second")

    assert 200 == status
    assert ["second/telegram"] == body["plan"]["added"] == dry["plan"]["added"]
    assert 4 == len(body["plan"]["unchanged"])
    assert "running" == await eventually(state, lambda found: found == "running")
    assert {"second"} >= {line["bot"] for line in started}


async def test_a_broken_file_changes_nothing_and_is_told_with_positions(operator, tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(path.read_text().replace('"telegram"', '"telegramm"', 1))
    status, body = await operator.post("/-/reload")

    assert 422 == status
    assert any("telegramm" in error for error in body["errors"])
    assert "running" == await operator.state("support")


async def test_a_removed_bot_stops_and_its_waiting_message_is_a_dead_letter(
    operator, people, sandbox, session, tmp_path
):
    await _channels(operator, "pause")
    await people.say("telegram", "Will anybody read this?")

    async def waiting() -> int:
        return (await operator.status())["bots"]["support"]["queue"]["waiting"]

    await eventually(waiting, lambda count: count == 1)
    document = configuration(sandbox, tmp_path)
    document["bots"] = {"second": {"replica": SUPPORT, "telegram": {"token": OTHER}}}
    (tmp_path / "gateway.yaml").write_text(json.dumps(document))
    await operator.post("/-/reload")

    async def letters() -> list:
        async with session.get(f"{operator._url}/-/dead-letters") as answer:
            return (await answer.json())["items"]

    found = await eventually(letters, lambda items: len(items) == 1)
    assert "bot_removed" == found[0]["cause"]


async def test_a_conversation_handed_to_a_person_is_not_answered_until_it_is_given_back(operator, people):
    assert 200 == (await operator.post("/-/conversations/support/telegram/42/pause"))[0]
    await people.say("telegram", "I want to talk to a person", user=42)
    await people.say("telegram", "What are your opening hours?", user=43)
    others = await people.hears("telegram", 1)
    assert ["43"] == [str(item["chat"]) for item in others]

    await operator.post("/-/conversations/support/telegram/42/resume")
    assert 2 == len(await people.hears("telegram", 2))


async def cli(*arguments: str) -> tuple[int, str]:
    program = await Program(list(arguments)).start()
    return await program.ended(), "\n".join(program.raw)


async def test_the_verbs_of_the_command_line_reach_the_running_gateway(operator, tmp_path):
    found = ("-c", str(tmp_path / "gateway.yaml"), "--admin", operator._url)

    assert (0, "pause: support/telegram") == await cli("bots", "pause", "support/telegram", *found)
    code, board = await cli("status", *found)
    assert 0 == code
    assert "paused" in board
    assert "discord" in board
    assert (0, "resume: support/telegram") == await cli("bots", "resume", "support/telegram", *found)
    code, plan = await cli("reload", "--dry-run", *found)
    assert 0 == code
    assert "4 channels unchanged (dry run)" in plan
    assert (1, "there is no such bot or channel") == await cli("bots", "restart", "nobody", *found)
    code, given = await cli("conversations", "pause", "support/telegram/7", "--for", "60", *found)
    assert (0, "pause: support/telegram/7") == (code, given)
