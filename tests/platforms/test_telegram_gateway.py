"""What needs everything behind a Telegram bot: journal, pipeline and Sensay."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from gateway.policy.texts import BUILT_IN
from gateway.ports import DeliveryEnded, Fact, Noted
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.fake_host import until
from tests.platforms.telegram_gateway import GROUP, TOKEN, asked, gateway, says, sent

UNSUPPORTED = BUILT_IN["en"]["unsupported"]


async def test_a_bot_that_telegram_calls_answers(sandbox: Sandbox) -> None:
    async with gateway(sandbox, mode="webhook"):
        await says(sandbox, "When are you open?")
        await until(lambda: sent(sandbox), 10)
        await until(lambda: not sandbox.telegram.bot(TOKEN).updates)

    assert ["When are you open?"] == [body["content"] for body in asked(sandbox)]
    assert 0 == sandbox.telegram.bot(TOKEN).calls["getupdates"]


async def test_the_replica_sees_a_picture_and_fetches_it(sandbox: Sandbox) -> None:
    async with gateway(sandbox, images="signed_url"):
        await says(sandbox, photo=True)
        await until(lambda: sent(sandbox), 10)
        (body,) = asked(sandbox)
        async with aiohttp.ClientSession() as http, http.get(body["imageURL"]) as response:
            picture = await response.read()

    assert "(picture)" == body["content"]
    assert picture.startswith(b"\x89PNG")


async def test_an_album_is_one_question_whichever_piece_has_the_words(sandbox: Sandbox) -> None:
    async with gateway(sandbox):
        await says(sandbox, photo=True, media_group_id="m")
        await says(sandbox, photo=True, media_group_id="m", caption="Which one is warmer?")
        await says(sandbox, photo=True, media_group_id="m")
        await until(lambda: sent(sandbox), 10)

    assert ["Which one is warmer?\n\n(with a picture that you cannot open)"] == [
        body["content"] for body in asked(sandbox)
    ]
    assert UNSUPPORTED not in sent(sandbox)


async def test_an_album_without_words_is_declined_once_and_asks_nothing(sandbox: Sandbox) -> None:
    async with gateway(sandbox):
        for _ in range(3):
            await says(sandbox, photo=True, media_group_id="m")
        await until(lambda: sent(sandbox), 10)
        await says(sandbox, "/help")
        await until(lambda: len(sent(sandbox)) > 1)

    assert [UNSUPPORTED, BUILT_IN["en"]["help"]] == sent(sandbox)
    assert [] == asked(sandbox)


async def test_a_listening_bot_stores_what_is_not_said_to_it(sandbox: Sandbox) -> None:
    async with gateway(sandbox, groups={"mode": "listen"}):
        await says(sandbox, "The blue one is sold out", chat=GROUP)
        await says(sandbox, "which colours are left?", chat=GROUP, mention=True)
        await until(lambda: sent(sandbox) and asked(sandbox, "record"), 10)

    assert ["The blue one is sold out"] == [body["content"] for body in asked(sandbox, "record")]
    assert ["which colours are left?"] == [body["content"] for body in asked(sandbox)]


async def test_an_answer_for_somebodys_account_goes_through_it(sandbox: Sandbox) -> None:
    async with gateway(sandbox):
        sandbox.telegram.bot(TOKEN).connect("c1", 99, enabled=True, can_reply=True)
        await says(sandbox, "When are you open?", business="c1")
        await says(sandbox, "When are you open?")
        await until(lambda: len(sent(sandbox)) == 2, 10)
        await until(lambda: not sandbox.telegram.bot(TOKEN).updates)

    businesses = {item.get("business") for item in sandbox.telegram.sent(TOKEN) if item["kind"] == "message"}
    assert {"c1", None} == businesses


async def test_what_waits_for_a_chat_that_blocked_the_bot_is_dropped_with_a_count(sandbox: Sandbox) -> None:
    await says(sandbox, "/help")
    await says(sandbox, "/privacy")
    await says(sandbox, "/help", user={"id": 8})
    sandbox.telegram.block(TOKEN, 7)
    facts: list[Fact] = []
    async with gateway(sandbox, observe=facts.append):
        dropped = await until(
            lambda: [f for f in facts if isinstance(f, Noted) and f.event == "lane.dropped"]
        )
        await until(lambda: sent(sandbox))

    assert [2] == [fact.fields["parts"] for fact in dropped]
    assert "blocked" in dropped[0].fields["cause"]
    assert [BUILT_IN["en"]["help"]] == sent(sandbox)


async def test_a_picture_is_declined_where_sensay_has_no_eyes(sandbox: Sandbox) -> None:
    async with gateway(sandbox, images="signed_url", dialect="generic"):
        await says(sandbox, photo=True)
        await until(lambda: sent(sandbox), 10)

    assert [UNSUPPORTED] == sent(sandbox)


@pytest.mark.parametrize(("policy", "seen"), [("drop", 1), ("retry_once", 2)])
async def test_a_send_whose_outcome_is_unknown_follows_the_bots_policy(
    sandbox: Sandbox, policy: str, seen: int
) -> None:
    sandbox.faults.add(Fault("telegram", "sendMessage", "drop_after"))
    facts: list[Fact] = []
    async with gateway(sandbox, observe=facts.append, unknown_send=policy):
        await says(sandbox, "/help")
        ended = await until(
            lambda: [f for f in facts if isinstance(f, DeliveryEnded) and f.outcome != "retried"]
        )
        await says(sandbox, "/privacy")
        await until(lambda: BUILT_IN["en"]["privacy"] in sent(sandbox), 10)

    assert ["unknown" if policy == "drop" else "sent"] == [fact.outcome for fact in ended]
    assert seen == sent(sandbox).count(BUILT_IN["en"]["help"])


async def test_a_group_that_moves_while_the_replica_thinks_gets_its_answer(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("sensay", "complete", "delay", seconds=0.5))
    async with gateway(sandbox):
        await says(
            sandbox, "When are you open?", chat={"id": -5, "type": "group", "title": "G"}, mention=True
        )
        await until(lambda: [r for r in sandbox.sensay.requests if r.operation == "complete"])
        sandbox.telegram.migrate(TOKEN, -5, -1005)
        await until(lambda: sent(sandbox), 10)

    assert [-1005] == [item["chat"] for item in sandbox.telegram.sent(TOKEN) if item["kind"] == "message"]


async def test_an_answer_to_a_topic_that_was_deleted_goes_nowhere_else_and_is_told(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("sensay", "complete", "delay", seconds=0.5))
    facts: list[Fact] = []
    async with gateway(sandbox, observe=facts.append):
        await says(sandbox, "When are you open?", chat=GROUP, thread=9, mention=True)
        await until(lambda: [r for r in sandbox.sensay.requests if r.operation == "complete"])
        sandbox.telegram.bot(TOKEN).threads.clear()
        (ended,) = await until(lambda: [f for f in facts if isinstance(f, DeliveryEnded)], 10)
        await says(sandbox, "/help")
        await until(lambda: sent(sandbox))

    assert ("dead", True) == (ended.outcome, "thread not found" in ended.cause)
    assert [BUILT_IN["en"]["help"]] == sent(sandbox)


def did(box: Sandbox, kind: str) -> list[dict[str, Any]]:
    return [item for item in box.telegram.sent(TOKEN) if item["kind"] == kind]


@pytest.mark.parametrize("frames", ["v4", "v5"])
@pytest.mark.parametrize("dialect", ["openapi", "guide", "generic"])
async def test_the_answer_is_shown_while_it_is_written_and_then_takes_its_place(
    sandbox: Sandbox, dialect: str, frames: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.sensay, "stream", frames)
    monkeypatch.setattr(sandbox.sensay, "latency", 1.0)
    async with gateway(sandbox, dialect=dialect, stream="on"):
        await says(sandbox, "When are you open?")
        await until(lambda: sent(sandbox), 10)

    (answer,) = sent(sandbox)
    drafts = did(sandbox, "draft")
    assert drafts
    assert all(answer.startswith(draft["text"].strip("*#_ ")) for draft in drafts)
    assert "message" == sandbox.telegram.sent(TOKEN)[-1]["kind"]


async def test_off_by_default_nothing_is_streamed(sandbox: Sandbox) -> None:
    async with gateway(sandbox):
        await says(sandbox, "When are you open?")
        await until(lambda: sent(sandbox), 10)

    assert 0 == sandbox.telegram.bot(TOKEN).calls["sendmessagedraft"]


@pytest.mark.parametrize("status", [404, 400, 429, 500])
async def test_where_drafts_are_refused_the_answer_comes_in_one_piece(sandbox: Sandbox, status: int) -> None:
    sandbox.faults.add(Fault("telegram", "sendMessageDraft", "status", status=status, times=99))
    async with gateway(sandbox, stream="on"):
        await says(sandbox, "When are you open?")
        await until(lambda: sent(sandbox), 10)

    assert 1 == len(sent(sandbox))
    assert 1 == sandbox.telegram.bot(TOKEN).calls["sendmessagedraft"]


@pytest.mark.parametrize("stream", ["off", "v5"])
async def test_where_nothing_can_be_shown_the_answer_comes_in_one_piece(
    sandbox: Sandbox, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Sensay that does not stream in private, and a group whatever Sensay does."""
    monkeypatch.setattr(sandbox.sensay, "stream", stream)
    async with gateway(sandbox, stream="on"):
        await says(sandbox, "/ask When are you open?", **({"chat": GROUP} if stream != "off" else {}))
        await until(lambda: sent(sandbox), 10)

    assert 0 == sandbox.telegram.bot(TOKEN).calls["sendmessagedraft"]


async def test_a_stream_that_breaks_is_asked_for_again_and_answered_once(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("sensay", "stream", "drop_after"))
    async with gateway(sandbox, stream="on"):
        await says(sandbox, "When are you open?")
        await until(lambda: sent(sandbox), 20)

    assert 1 == len(sent(sandbox))
