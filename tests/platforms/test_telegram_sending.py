"""What goes out: every kind of trouble with every kind of send, pace, flood waits, business accounts, drafts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from telegram.error import TelegramError

from adapters.telegram.limits import CHAT, GROUP
from adapters.telegram.transport import Client
from gateway.errors import Ambiguous, GatewayError, Misconfigured, Permanent, RateLimited, Transient
from gateway.messages import Address, Delivery, Reply, Said
from gateway.ports import ShowsDraft
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from gateway.sandbox.telegram_limits import Flood
from gateway.sandbox.telegram_text import Refused
from tests.platforms.fake_host import until
from tests.platforms.telegram_scene import TOKEN, Scene, delivery, telegram_scene

FORUM = -100
DOCUMENT = {"document": {"filename": "answer.md", "content": "all of it"}}
BOLD = {"entities": [{"type": "bold", "offset": 0, "length": 1}]}


@pytest.fixture
async def scene(sandbox: Sandbox) -> AsyncIterator[Scene]:
    async with telegram_scene(sandbox) as scene:
        yield scene


# --- faults x sends ---------------------------------------------------------------------------------------------

SENDS: dict[str, tuple[str, dict]] = {
    "text": ("sendMessage", {}),
    "text with entities": ("sendMessage", BOLD),
    "file": ("sendDocument", DOCUMENT),
}
FAULTS: dict[str, tuple[Fault, type[GatewayError], str, int]] = {
    "429": (Fault("telegram", "", "status", status=429, retry_after=40), RateLimited, "lane", 0),
    "400": (Fault("telegram", "", "status", status=400), Permanent, "part", 0),
    "401": (Fault("telegram", "", "status", status=401), Misconfigured, "channel", 0),
    "403": (Fault("telegram", "", "status", status=403), Permanent, "lane", 0),
    "404": (Fault("telegram", "", "status", status=404), Misconfigured, "channel", 0),
    "409": (Fault("telegram", "", "status", status=409), Transient, "channel", 0),
    "413": (Fault("telegram", "", "status", status=413), Permanent, "part", 0),
    "413 of a proxy": (Fault("telegram", "", "html", status=413), Permanent, "part", 0),
    "302": (Fault("telegram", "", "html", status=302), Permanent, "part", 0),
    "500": (Fault("telegram", "", "status", status=500), Ambiguous, "part", 0),
    "502 of a proxy": (Fault("telegram", "", "html", status=502), Ambiguous, "part", 0),
    "504": (Fault("telegram", "", "status", status=504), Ambiguous, "part", 0),
    "page of a proxy": (Fault("telegram", "", "html", status=200), Ambiguous, "part", 0),
    "malformed": (Fault("telegram", "", "malformed"), Ambiguous, "part", 0),
    "late": (Fault("telegram", "", "delay", seconds=0.5), Ambiguous, "part", 0),
    "drop before": (Fault("telegram", "", "drop_before"), Ambiguous, "part", 0),
    "drop after": (Fault("telegram", "", "drop_after"), Ambiguous, "part", 1),
}
PLACES: dict[str, dict] = {
    "private": {},
    "topic": {"chat": {"id": FORUM}, "thread": 9},
    "business": {"business": "c1"},
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are waited for as long as is half of the late one."""
    monkeypatch.setitem(Client.call.__kwdefaults__, "read_timeout", 0.25)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("send", SENDS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_failed_send_says_what_has_to_happen_next_and_the_next_one_works(
    scene: Scene, fault: str, send: str, place: str, request: pytest.FixtureRequest
) -> None:
    operation, payload = SENDS[send]
    broken, error, scope, arrived = FAULTS[fault]
    if broken.kind == "delay":
        request.getfixturevalue("impatient")
    async with scene.running() as adapter:
        await scene.told("business", id="c1", user=99)
        await scene.says("hi", **PLACES[place])
        (said,) = await scene.heard()
        scene.sandbox.faults.add(replace(broken, operation=operation))
        with pytest.raises(error) as failure:
            await adapter.send(delivery("x", said.address, **payload))
        sent = len(bots_own(scene))
        scene.host.clock.advance(60)
        await adapter.send(delivery("y", said.address))

    assert (error, scope) == (type(failure.value), failure.value.scope)
    assert (arrived, arrived + 1) == (sent, len(bots_own(scene)))


REFUSALS = {
    "can't parse entities: unsupported": ("part", 1),
    "Entity URL invalid": ("part", 1),
    "message is too long": ("part", 1),
    "message text is empty": ("part", 0),
    "message to be replied not found": ("part", 0),
    "message thread not found": ("lane", 0),
    "TOPIC_CLOSED": ("lane", 0),
    "chat not found": ("lane", 0),
    "not enough rights to send text messages to the chat": ("lane", 0),
    "CHAT_WRITE_FORBIDDEN": ("lane", 0),
    "PEER_ID_INVALID": ("lane", 0),
    "BUSINESS_CONNECTION_INVALID": ("lane", 0),
    "something that nobody has heard of": ("part", 0),
}


@pytest.mark.parametrize("words", REFUSALS)
async def test_each_kind_of_bad_request_is_given_up_for_the_part_or_the_chat_or_sent_otherwise(
    scene: Scene, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Formatting that is refused costs the formatting, once."""
    scope, arrives = REFUSALS[words]
    check, refused = scene.bot.known_chat, iter([True])

    def refuse_once(chat_id: object) -> dict:
        if next(refused, False):
            raise Refused(f"Bad Request: {words}")
        return check(chat_id)

    async with scene.running() as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        monkeypatch.setattr(scene.bot, "known_chat", refuse_once)
        part = delivery("xy", said.address, **BOLD)
        if arrives:
            await adapter.send(part)
        else:
            with pytest.raises(Permanent) as failure:
                await adapter.send(part)
            assert scope == failure.value.scope

    assert arrives == len(scene.sent())


@pytest.mark.parametrize("show", ["typing", "draft"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_only_nice_to_have_fails_without_harm(
    scene: Scene, fault: str, show: str, request: pytest.FixtureRequest
) -> None:
    """Typing raises what the presence swallows; a draft nothing. The answer goes out at once, whatever happened."""
    operation = {"typing": "sendChatAction", "draft": "sendMessageDraft"}[show]
    if FAULTS[fault][0].kind == "delay":
        request.getfixturevalue("impatient")
    async with scene.running(scene.adapter(stream="on")) as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        scene.sandbox.faults.add(replace(FAULTS[fault][0], operation=operation))
        if show == "typing":
            with pytest.raises(TelegramError):
                await adapter.typing(said.address)
        else:
            await adapter.draft(said.address, "We")
        before = len(scene.host.clock.slept)
        await adapter.send(delivery("We open at nine.", said.address))

    assert [] == scene.host.clock.slept[before:]
    assert ["We open at nine."] == [item["text"] for item in scene.sent()]
    assert "ready" == scene.host.state


def bots_own(scene: Scene) -> list[dict]:
    return [item for item in scene.bot.sent if item["kind"] in ("message", "document")]


# --- pace -------------------------------------------------------------------------------------------------------


async def send_patiently(scene: Scene, part: Delivery) -> int:
    """As the courier does: a part that has to wait comes back later. Returns how often Telegram had to say so."""
    refused = 0
    while True:
        try:
            await scene.live.send(part)
        except RateLimited as limited:
            refused += "Too many" in str(limited)
            scene.host.clock.advance(limited.retry_after)
        else:
            return refused


@pytest.mark.parametrize("chat", [{}, {"chat": {"id": FORUM}}], ids=["private", "group"])
async def test_telegrams_flood_control_has_nothing_to_refuse(scene: Scene, chat: dict) -> None:
    scene.sandbox.telegram.monotonic = scene.host.clock.monotonic
    scene.bot.flood = Flood()
    async with scene.running() as adapter:
        await scene.says("hi", **chat)
        (said,) = await scene.heard()
        began, refused = scene.host.clock.monotonic(), 0
        for number in range(45):
            refused += await send_patiently(scene, delivery(f"{number}", said.address))
            await adapter.typing(said.address)
        took = scene.host.clock.monotonic() - began

    count, seconds = GROUP if chat else CHAT
    assert 0 == refused
    assert [f"{number}" for number in range(45)] == [item["text"] for item in scene.sent()]
    assert took <= 45 / count * seconds * 1.5, "typing takes little of the pace"


async def test_typing_that_is_refused_does_not_hold_the_answer(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        scene.sandbox.faults.add(Fault("telegram", "sendChatAction", "status", status=429, retry_after=600))
        with pytest.raises(Exception, match="Too many"):
            await adapter.typing(said.address)
        await adapter.typing(said.address)
        await adapter.send(delivery("answer", said.address))

    assert [] == scene.sent("typing")
    assert ["answer"] == [item["text"] for item in scene.sent()]


# --- flood waits ------------------------------------------------------------------------------------------------


async def test_a_flood_wait_of_hours_survives_a_restart_for_all_topics_of_the_chat(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi", chat={"id": FORUM}, thread=9)
        await scene.says("hi", chat={"id": FORUM}, thread=10)
        await scene.says("hi")
        topic, other, private = await scene.heard(3)
        scene.sandbox.faults.add(Fault("telegram", "sendMessage", "status", status=429, retry_after=13_938))
        with pytest.raises(RateLimited) as first:
            await adapter.send(delivery("x", topic.address))
    scene.host.clock.advance(3_938)
    async with scene.running() as adapter:
        with pytest.raises(RateLimited) as held:
            await adapter.send(delivery("x", other.address))
        await adapter.typing(other.address)
        await adapter.send(delivery("y", private.address))
        asked = scene.bot.calls["sendmessage"]
        scene.host.clock.advance(10_000)
        await adapter.send(delivery("x", other.address))

    assert (13_938, "lane") == (first.value.retry_after, first.value.scope)
    assert 10_000 == pytest.approx(held.value.retry_after, abs=30)
    assert 2 == asked, "the held one did not ask"
    assert [] == scene.sent("typing")
    assert ["y", "x"] == [item["text"] for item in scene.sent()]


@pytest.mark.parametrize("kept", [b"nonsense", b"[1]", b'{"x": 1}', b'{"7": null}'])
async def test_flood_waits_that_cannot_be_read_are_none(scene: Scene, kept: bytes) -> None:
    scene.host.memory["floods"] = kept
    async with scene.running() as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        await adapter.send(delivery("x", said.address))


# --- business accounts ------------------------------------------------------------------------------------------


async def test_an_answer_for_somebodys_account_goes_through_it_and_is_not_answered_again(
    scene: Scene,
) -> None:
    async with scene.running() as adapter:
        await scene.told("business", id="c1", user=99)
        await scene.says("hi", business="c1")
        (said,) = await scene.heard()
        await adapter.typing(said.address)
        await adapter.send(delivery("hello", said.address))
        await adapter.send(delivery("file", said.address, index=1, **DOCUMENT))
        await scene.says("I take over", business="c1", user={"id": 99, "name": "Owner"}, chat={"id": 7})
        await scene.says("thanks", business="c1")
        await scene.heard(2)
        await until(lambda: not scene.bot.updates)

    assert ["hi", "thanks"] == [said.text for said in scene.host.accepted]
    assert [("typing", "c1"), ("message", "c1"), ("document", "c1")] == [
        (item["kind"], item["business"]) for item in scene.bot.sent
    ]


async def test_a_connection_made_while_we_were_away_is_asked_for_once_and_remembered(scene: Scene) -> None:
    scene.bot.connect("c1", 99, enabled=True, can_reply=True)
    scene.bot.updates.clear()
    async with scene.running():
        await scene.says("one", business="c1")
        await scene.says("two", business="c1")
        await scene.heard(2)
    async with scene.running():
        await scene.says("three", business="c1")
        await scene.heard(3)

    assert 1 == scene.bot.calls["getbusinessconnection"]


async def test_a_connection_that_ends_is_heeded(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.told("business", id="c1", user=99)
        await scene.says("hi", business="c1")
        (said,) = await scene.heard()
        await scene.told("business", id="c1", user=99, enabled=False)
        await scene.says("still there?", business="c1")
        await until(lambda: not scene.bot.updates)
        with pytest.raises(Permanent) as failure:
            await adapter.send(delivery("late", said.address))

    assert ["hi"] == [said.text for said in scene.host.accepted]
    assert "lane" == failure.value.scope


async def test_a_business_chat_that_cannot_be_looked_up_now_is_not_lost(scene: Scene) -> None:
    scene.bot.connect("c1", 99, enabled=True, can_reply=True)
    scene.bot.updates.clear()
    scene.sandbox.faults.add(Fault("telegram", "getBusinessConnection", "status", status=502, times=2))
    async with scene.running():
        await scene.says("hi", business="c1")
        await scene.heard()

    assert ["hi"] == [said.text for said in scene.host.accepted]


# --- drafts -----------------------------------------------------------------------------------------------------


def streaming(scene: Scene):
    return scene.running(scene.adapter(stream="on"))


async def test_a_draft_grows_and_becomes_the_answer(scene: Scene) -> None:
    async with streaming(scene) as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        for text in ("**Hel", "**Hello** th", "**Hello** there"):
            await adapter.draft(said.address, text, "t1.answer.0")
            scene.host.clock.advance(2)
        (part,) = scene.platform.renderer.render(Reply(text="**Hello** there"), said.address)
        await adapter.send(delivery(part.text, said.address, **part.payload))

    assert isinstance(adapter, ShowsDraft)
    assert ["**Hel", "Hello th", "Hello there"] == [item["text"] for item in scene.sent("draft")]
    assert 1 == len({item["draft"] for item in scene.sent("draft")})
    assert ["Hello there"] == [item["text"] for item in scene.sent()]


async def test_the_next_answer_is_another_draft(scene: Scene) -> None:
    async with streaming(scene) as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        for turn in ("t1", "t1", "t2"):
            await adapter.draft(said.address, "We", f"{turn}.answer.0")
            scene.host.clock.advance(2)

    one, same, other = [item["draft"] for item in scene.sent("draft")]
    assert one == same != other
    assert 0 not in (one, other)


async def test_drafts_are_off_by_default_and_never_in_groups_or_for_accounts(scene: Scene) -> None:
    async with scene.running() as adapter:
        await scene.says("hi")
        (private,) = await scene.heard()
        await adapter.draft(private.address, "x")
    group = Address(to=f"{FORUM}", data={"chat_id": FORUM})
    business = Address(to="business:c1:7", data={"chat_id": 7, "business": "c1"})
    async with streaming(scene) as adapter:
        await adapter.draft(group, "x")
        await adapter.draft(business, "x")

    assert 0 == scene.bot.calls["sendmessagedraft"]


@pytest.mark.parametrize(("status", "tried"), [(404, 1), (400, 1), (429, 1), (500, 2)])
async def test_a_server_without_drafts_is_not_asked_again_and_nobody_notices(
    scene: Scene, status: int, tried: int
) -> None:
    async with streaming(scene) as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        scene.sandbox.faults.add(
            Fault("telegram", "sendMessageDraft", "status", status=status, retry_after=60)
        )
        await adapter.draft(said.address, "one")
        scene.host.clock.advance(5)
        await adapter.draft(said.address, "two")
        await adapter.send(delivery("answer", said.address))

    assert tried == scene.bot.calls["sendmessagedraft"]
    assert ["answer"] == [item["text"] for item in scene.sent()]


async def test_who_left_or_blocked_the_bot_does_not_cost_others_their_drafts(scene: Scene) -> None:
    async with streaming(scene) as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        await adapter.draft(Address(to="8", data={"chat_id": 8}), "to nobody")
        scene.sandbox.telegram.block(TOKEN, 8)
        await adapter.draft(Address(to="8", data={"chat_id": 8}), "blocked")
        scene.host.clock.advance(5)
        await adapter.draft(said.address, "two")

    assert ["two"] == [item["text"] for item in scene.sent("draft")]


async def test_a_long_or_broken_draft_is_cut_to_what_is_taken(scene: Scene) -> None:
    async with streaming(scene) as adapter:
        await scene.says("hi")
        (said,) = await scene.heard()
        await adapter.draft(said.address, "```python\n" + "x = 1\n" * 3000)
        scene.host.clock.advance(5)
        await adapter.draft(said.address, "half \ud83d")

    assert [True, True] == [0 < len(item["text"]) <= 4096 for item in scene.sent("draft")]


# --- a gentle start ---------------------------------------------------------------------------------------------


async def test_poison_that_breaks_the_gateway_itself_is_kept_and_the_rest_flows(scene: Scene) -> None:
    accept = scene.host.accept

    async def broken(*arrivals: Said):
        if any(getattr(arrival, "text", "") == "poison" for arrival in arrivals):
            raise RuntimeError("a fault of ours")
        return await accept(*arrivals)

    scene.host.accept = broken
    for text in ("before", "poison", "after"):
        await scene.says(text)
    async with scene.running():
        await scene.heard(3)
        await until(lambda: not scene.bot.updates)

    before, poison, after = scene.host.accepted
    assert ["before", "after"] == [before.text, after.text]
    assert ("RuntimeError", True) == (poison.error, '"poison"' in poison.raw)


async def test_bots_that_a_server_refuses_for_now_all_start_in_the_end_without_hammering(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real time, a hundred times faster than the server's rule."""
    from adapters.telegram import TelegramPlatform, starting
    from gateway.app import SystemClock
    from gateway.sandbox.telegram_limits import Sessions
    from gateway.settings.models import TelegramSettings
    from tests.platforms.fake_host import FakeHost

    monkeypatch.setattr(starting, "EVERY", 0.06)
    sandbox.telegram.sessions = Sessions((20, 1.0))
    platform = TelegramPlatform(sandbox.url)
    hosts = [FakeHost(f"b{n}", "telegram", SystemClock()) for n in range(40)]
    running = [
        asyncio.create_task(platform.adapter(host.bot, TelegramSettings(token=f"{900 + n}:x")).run(host))
        for n, host in enumerate(hosts)
    ]
    try:
        await until(lambda: all(host.state == "ready" for host in hosts), 15)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await platform.close()

    asked = sum(sandbox.telegram.bot(f"{900 + n}:x").calls["getme"] for n in range(40))
    assert asked <= 40 * 2 + 40
