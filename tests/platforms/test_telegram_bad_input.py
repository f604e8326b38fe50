"""What is wrong with a token, an address, a chat or an answer: the user gets the answer, the operator a line that says
what to do, the other bot nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
import regex

from gateway.ports import BotChanged, Fact
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay.state import Replica
from gateway.sandbox.server import Sandbox
from gateway.sandbox.telegram_text import utf16
from tests.platforms.fake_host import until
from tests.platforms.telegram_gateway import GROUP, TOKEN, gateway, says, sent

OTHER = "100200301:sandbox-token-for-the-tests-1111111111"
FAMILY = "👩\u200d👩\u200d👧\u200d👦"


def states(facts: list[Fact], bot: str) -> list[tuple[str, str | None, str | None]]:
    return [(f.state, f.error, f.remedy) for f in facts if isinstance(f, BotChanged) and f.bot == bot]


async def other_still_answers(box: Sandbox) -> None:
    await says(box, "/help", token=OTHER)
    await until(lambda: sent(box, OTHER), 10)


# --- answers ----------------------------------------------------------------------------------------------------

ANSWERS = {
    "20k backticks": "`" * 20_000,
    "20k backticks around words": "` a " * 5_000,
    "right to left": "مرحبا بكم في متجرنا. " * 400,
    "families at the cut": "x" * 4_090 + FAMILY * 40,
    "families only": FAMILY * 700,
    "right to left and families": "\u202bשלום " + (FAMILY + "\u200fשלום ") * 500,
    "javascript": "[tap](javascript:alert(1)) or [here](JaVaScRiPt:alert(2)) or [data](data:text/html,x)",
    "halves of surrogates": "We open \ud83d at nine \udc00.",
    "NUL and controls": "We\0 open\x07 at nine",
    "links that break messages": "[a](http://localhost) [b](./x.py) [c](http://) [d](#x)",
    "lists in lists": "- " * 8_000 + "x",
    "formulas that do not end": r"\(x" * 8_000,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_whatever_a_replica_answers_arrives(
    sandbox: Sandbox, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replica, "answer", lambda *_: answer)
    async with gateway(sandbox, others={"other": OTHER}):
        await says(sandbox, "When do you open?")
        await until(lambda: sent(sandbox), 20)
        await other_still_answers(sandbox)

    whole = set(regex.findall(r"\X", answer))
    for item in sandbox.telegram.sent(TOKEN):
        for entity in item.get("entities", []):
            assert "url" not in entity, "all of these links are bad"
    for text in sent(sandbox):
        assert 0 < utf16(text) <= 4096
        assert {c for c in regex.findall(r"\X", text) if "\u200d" in c} <= whole, "no family is torn apart"


# --- tokens -----------------------------------------------------------------------------------------------------


async def test_a_bad_token_needs_a_person_and_the_other_bot_nothing(sandbox: Sandbox) -> None:
    sandbox.telegram.revoke(TOKEN)
    facts: list[Fact] = []
    async with gateway(sandbox, observe=facts.append, others={"other": OTHER}):
        failed = await until(lambda: [f for f in states(facts, "support") if f[0] == "failed"], 10)
        await other_still_answers(sandbox)

    _, error, remedy = failed[0]
    assert "Telegram rejects the bot token" in str(error)
    assert "BotFather" in str(remedy)
    assert TOKEN not in str(facts)


async def test_a_token_that_is_revoked_while_the_bot_runs_is_told_and_retried_slowly(
    sandbox: Sandbox,
) -> None:
    facts: list[Fact] = []
    async with gateway(sandbox, observe=facts.append, others={"other": OTHER}):
        await until(lambda: "running" in [s for s, _, _ in states(facts, "support")], 10)
        sandbox.telegram.revoke(TOKEN)
        await until(lambda: "failed" in [s for s, _, _ in states(facts, "support")], 20)
        polls = sandbox.telegram.bot(TOKEN).calls["getupdates"]
        await other_still_answers(sandbox)

    assert polls == sandbox.telegram.bot(TOKEN).calls["getupdates"]


# --- webhook addresses ------------------------------------------------------------------------------------------


async def test_a_webhook_port_that_telegram_refuses_is_explained(sandbox: Sandbox) -> None:
    facts: list[Fact] = []
    address, others = "https://shop.example.com:9443", {"other": OTHER}
    async with gateway(sandbox, observe=facts.append, others=others, base_url=address, mode="webhook"):
        failed = await until(lambda: [f for f in states(facts, "support") if f[0] == "failed"], 10)
        await other_still_answers(sandbox)

    _, error, remedy = failed[0]
    assert "Telegram refuses the webhook address" in str(error)
    assert "8443" in str(error)
    assert "server.public.base_url" in str(remedy)


async def test_a_webhook_address_without_tls_is_refused_before_anything_runs(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="https"):
        async with gateway(sandbox, base_url="http://shop.example.com", mode="webhook"):
            pass


# --- chats ------------------------------------------------------------------------------------------------------


async def test_a_message_that_is_deleted_before_the_reply_is_answered_without_quoting_it(
    sandbox: Sandbox,
) -> None:
    sandbox.faults.add(Fault("sensay", "complete", "delay", seconds=0.5))
    async with gateway(sandbox):
        await says(sandbox, "When do you open?", chat=GROUP, mention=True)
        await until(lambda: [r for r in sandbox.sensay.requests if r.operation == "complete"])
        sandbox.telegram.bot(TOKEN).messages.clear()
        await until(lambda: sent(sandbox), 10)

    (item,) = [item for item in sandbox.telegram.sent(TOKEN) if item["kind"] == "message"]
    assert item["reply_to"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"text": "\ud83d"},
        {"text": "x\ud83d\udc00\0"},
        {"text": "🏳\u200d🌈" * 1000},
        {"text": "\u202e" + "مرحبا" * 500},
        {"text": "/ask@" + "x" * 4000},
    ],
    ids=["half a pair", "wrong pair", "long flags", "overridden", "odd command"],
)
async def test_whatever_a_person_writes_is_answered(sandbox: Sandbox, body: dict[str, Any]) -> None:
    async with gateway(sandbox):
        update = {
            "message_id": 5,
            "from": {"id": 7, "is_bot": False, "first_name": "Ada"},
            "chat": {"id": 7, "type": "private", "first_name": "Ada"},
            "date": 1_790_000_000,
        }
        await says(sandbox, "/help")
        await until(lambda: sent(sandbox), 10)
        await says(
            sandbox, update={"message": update | body | {"date": int(sandbox.telegram.sent(TOKEN)[0]["at"])}}
        )
        await until(lambda: len(sent(sandbox)) == 2, 15)
