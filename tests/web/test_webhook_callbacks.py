"""Answers that are sent: signed, once, in order, by the published schedule, and only where they may go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks.webhooks import Webhook

from adapters.webhook import callback, signing
from adapters.webhook.callback import Endpoint
from gateway.errors import Ambiguous, Transient
from gateway.messages import Ending, Part
from gateway.policy.retry import CHANNEL_PAUSE, PUBLISHED
from gateway.ports import Bounds
from tests.web.callback_world import LOOPBACK, Receiver, World, until, world_of
from tests.web.webhook_host import OTHER_SECRET, SECRET

FAILED = Ending(outcome="failed", parts=(Part(text="Sorry (t1).", purpose="error", notice="failed"),))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_of() as made:
        yield made


# --- what is sent ---


async def test_an_answer_is_sent_as_its_status_tells_it(world: World):
    async with world.running():
        delivery = await world.answered("Good *day*.")
        assert (await world.ended(delivery))[0] == "sent"

    (call,) = world.receiver.calls
    at = datetime.fromtimestamp(world.clock.now(), UTC).isoformat(timespec="milliseconds")
    assert call.event == {
        "type": "message.created",
        "timestamp": at.replace("+00:00", "Z"),
        "data": {
            "id": "m1",
            "status": "answered",
            "conversation": "c1",
            "text": "Good *day*.",
            "content": call.event["data"]["content"],
            "created_at": at.replace("+00:00", "Z"),
            "status_url": "https://bots.example.com/v1/hooks/support/messages/m1",
        },
    }
    assert call.event["data"]["content"][0]["children"][1]["tag"] == "em"
    assert call.headers["content-type"] == "application/json"


async def test_a_failure_is_sent_with_its_reference(world: World):
    async with world.running():
        await world.ended(await world.answered(ending=FAILED))

    event = world.receiver.calls[0].event
    assert event["type"] == "message.failed"
    assert (event["data"]["status"], event["data"]["text"], event["data"]["reference"]) == (
        "failed",
        "Sorry (t1).",
        "t1",
    )


async def test_a_question_that_expired_is_a_failure(world: World):
    ending = Ending(outcome="expired", parts=(Part(text="Too late.", purpose="notice", notice="expired"),))
    async with world.running():
        await world.ended(await world.answered(ending=ending))

    event = world.receiver.calls[0].event
    assert (event["type"], event["data"]["status"]) == ("message.failed", "expired")


async def test_the_parts_of_an_answer_are_one_callback(world: World):
    async with world.running():
        await world.answered("One.", "Two.")
        await until(lambda: len(world.outcomes) == 2)

    assert world.receiver.texts == ["One.\n\nTwo."]


async def test_what_was_refused_in_the_response_is_not_called_back(world: World):
    busy = {"limited": (Part(text="Busy.", purpose="notice", notice="busy"),)}
    async with world.running():
        await world.asked(bounds=Bounds(user_limit=(1, 60.0)))
        refused = await world.asked(bounds=Bounds(user_limit=(1, 60.0)), endings=busy)
        await until(lambda: world.outcomes == ["sent"])

    assert refused.outcome == "limited"
    assert world.receiver.calls == []


async def test_without_an_address_an_answer_is_only_there_to_be_read(world: World):
    async with world.running(callback_url=None):
        delivery = await world.answered("Hello.")
        assert (await world.ended(delivery))[0] == "sent"

    assert world.receiver.calls == []


# --- how it is signed ---


async def test_a_callback_is_signed_over_the_bytes_that_are_sent(world: World):
    async with world.running():
        delivery = await world.answered("Grüße, 世界.")
        await world.ended(delivery)

    (call,) = world.receiver.calls
    at = datetime.fromtimestamp(int(call.headers["webhook-timestamp"]), UTC)
    assert call.id == delivery
    assert int(world.clock.now()) == int(at.timestamp())
    assert Webhook(SECRET).sign(call.id, at, call.body.decode()) == call.headers["webhook-signature"]


async def test_while_secrets_are_rotated_a_receiver_may_know_either(world: World):
    async with world.running(secret=[SECRET, OTHER_SECRET]):
        await world.ended(await world.answered("Hello."))

    (call,) = world.receiver.calls
    at = datetime.fromtimestamp(int(call.headers["webhook-timestamp"]), UTC)
    expected = [Webhook(secret).sign(call.id, at, call.body.decode()) for secret in (SECRET, OTHER_SECRET)]
    assert call.headers["webhook-signature"].split(" ") == expected


# --- when it is repeated ---


async def test_a_repetition_has_the_same_id_and_body_and_a_signature_of_its_own(world: World):
    world.receiver.script.extend([500])
    async with world.running():
        delivery = await world.answered("Hello.")
        await world.tried(1)
        await world.clock.advance(5.0)
        assert (await world.ended(delivery))[0] == "sent"

    first, second = world.receiver.calls
    assert (first.id, first.body) == (second.id, second.body)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 5
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 500, 507])
async def test_any_status_but_a_2xx_is_a_failure(world: World, status: int):
    world.receiver.script.append((status, {"Location": world.receiver.url}))
    async with world.running():
        await world.answered("Hello.")
        await world.tried(1)

    assert world.outcomes == ["retried"]
    assert len(world.receiver.calls) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_good(world: World, status: int):
    world.receiver.script.append(status)
    async with world.running():
        assert (await world.ended(await world.answered("Hello.")))[0] == "sent"


async def test_a_callback_is_tried_by_the_published_schedule_and_then_given_up(world: World):
    world.receiver.script.extend([500] * 100)
    async with world.running():
        delivery = await world.answered("Hello.")
        for attempt, wait in enumerate(PUBLISHED.waits, start=1):
            await world.tried(attempt)
            due = world.receiver.calls[-1].at + wait
            await world.clock.advance(due - 0.001 - world.clock.now())
            assert len(world.receiver.calls) == attempt
            await world.clock.advance(0.002)
        assert await world.ended(delivery) == ("dead", "the callback endpoint answered 500")

    times = [call.at for call in world.receiver.calls]
    waits = [round(after - before) for before, after in pairwise(times)]
    assert waits == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    (letter,) = await world.journal.dead_letters()
    assert (letter.id, letter.message, letter.kind) == (delivery, "m1", "part")


async def test_a_dead_callback_can_be_sent_again_by_hand(world: World):
    world.receiver.script.append(410)
    async with world.running():
        delivery = await world.answered("Hello.")
        await world.ended(delivery)
    async with world.running():
        await world.journal.retry(delivery)
        assert (await world.ended(delivery))[0] == "sent"

    assert [call.id for call in world.receiver.calls] == [delivery, delivery]


async def test_a_conversation_stays_in_order_and_others_go_on(world: World):
    world.receiver.script.append(500)
    async with world.running():
        first = await world.answered("First.")
        await world.tried(1)
        second = await world.answered("Second.")
        await world.ended(await world.answered("Other.", conversation="c2"))
        before = list(world.receiver.texts)
        await world.clock.advance(5.0)
        await world.ended(first)
        await world.ended(second)

    assert before == ["First.", "Other."]
    assert world.receiver.texts == ["First.", "Other.", "First.", "Second."]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_an_endpoint_under_load_is_left_alone_for_a_while(world: World, status: int):
    world.receiver.script.append((status, {"Retry-After": "20"}))
    async with world.running():
        first = await world.answered("First.")
        await world.tried(1)
        second = await world.answered("Second.", conversation="c2")
        await world.clock.advance(19.9)
        before = len(world.receiver.calls)
        await world.clock.advance(0.2)
        await world.ended(first)
        await world.ended(second)

    assert before == 1
    assert sorted(world.receiver.texts) == ["First.", "First.", "Second."]


async def test_one_callback_late_in_its_schedule_does_not_hold_up_the_others(world: World):
    world.receiver.script.extend([500, 500, 500, 503])
    async with world.running():
        await world.answered("First.")
        for attempt, wait in enumerate(PUBLISHED.waits[:3], start=1):
            await world.tried(attempt)
            await world.clock.advance(wait + 0.001)
        await world.tried(4)
        second = await world.answered("Second.", conversation="c2")
        await world.clock.advance(CHANNEL_PAUSE + 0.001)
        await world.ended(second)

    assert world.receiver.texts == ["First."] * 4 + ["Second."]


async def test_what_was_under_way_when_the_process_ended_is_sent_again_with_the_same_id(world: World):
    async def never(request: web.Request) -> web.Response:
        return await asyncio.get_running_loop().create_future()

    world.receiver.answers = never
    async with world.running():
        delivery = await world.answered("Hello.")
        await until(lambda: len(world.receiver.calls) == 1)
    world.receiver.answers = None
    async with world.running():
        await world.tried(1)
        await world.clock.advance(5.0)
        assert (await world.ended(delivery))[0] == "sent"

    first, second = world.receiver.calls
    assert (first.id, first.body) == (second.id, second.body)


# --- 410 ---


async def gone(world: World) -> None:
    """The endpoint says that it wants no more."""
    world.receiver.script.append(410)
    async with world.running():
        state, _ = await world.ended(await world.answered("Hello."))
        assert state == "dead"


async def test_an_endpoint_that_is_gone_gets_no_more_callbacks_and_the_operator_knows(world: World):
    world.receiver.script.append(410)
    async with world.running():
        first = await world.ended(await world.answered("First."))
        second = await world.ended(await world.answered("Second.", conversation="c2"))

    assert [state for state, _ in (first, second)] == ["dead", "dead"]
    assert world.receiver.texts == ["First."]
    state, why = world.states[-1]
    assert state == "degraded"
    assert "410" in why
    assert "restart" in why
    assert len(await world.journal.dead_letters()) == 2


async def test_a_new_process_remembers_that_an_endpoint_is_gone(world: World):
    await gone(world)
    world.platform = type(world.platform)(None)
    async with world.running():
        await world.ended(await world.answered("Again."))

    assert len(world.receiver.calls) == 1
    assert [state for state, _ in world.states] == ["running", "degraded", "running", "degraded"]


async def test_a_restart_of_the_channel_gives_the_endpoint_another_chance(world: World):
    await gone(world)
    async with world.running():
        assert (await world.ended(await world.answered("Again.")))[0] == "sent"
    world.platform = type(world.platform)(None)
    async with world.running():
        assert (await world.ended(await world.answered("Later.")))[0] == "sent"

    assert world.states[-1][0] == "running"


async def test_another_address_is_another_endpoint(world: World):
    await gone(world)
    world.platform = type(world.platform)(None)
    async with world.running(callback_url=world.receiver.url + "2"):
        assert (await world.ended(await world.answered("Again.")))[0] == "sent"


# --- where it may go ---


async def test_a_private_address_is_not_reached_unless_it_is_allowed(world: World):
    async with world.running(callback_allow=()):
        delivery = await world.answered("Hello.")
        await world.tried(1)
        cause = world.facts[-1].cause

    assert world.receiver.calls == []
    assert "127.0.0.1 is not a public address" in cause
    assert "hush-hush" not in cause
    assert (await world.part(delivery))[0] == "waiting"


async def test_a_public_address_is_not_called_without_tls():
    async with Endpoint("http://1.1.1.1/", ["10.0.0.0/8"]) as endpoint:
        with pytest.raises(Transient, match=r"1\.1\.1\.1 is not a public address") as raised:
            await endpoint.post(b"{}", {})

    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)


@pytest.mark.parametrize(
    ("url", "public"), [("https://a.example", True), ("HTTPS://a.example", True), ("http://a.example", False)]
)
def test_the_internet_is_reached_over_tls_only(url: str, public: bool):
    assert public is callback.guard(url, ()).permits(ip_address("8.8.8.8"))


async def test_a_proxy_in_the_environment_is_not_used(world: World, monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with world.running():
        assert (await world.ended(await world.answered("Hello.")))[0] == "sent"


async def test_cookies_are_not_kept(world: World):
    by_name = world.receiver.url.replace("127.0.0.1", "localhost")  # an address has no cookies anyway
    world.receiver.script.append((200, {"Set-Cookie": "a=b"}))
    async with world.running(callback_url=by_name):
        await world.ended(await world.answered("One."))
        await world.ended(await world.answered("Two."))

    assert "cookie" not in world.receiver.calls[1].headers


# --- receivers that misbehave ---


async def test_an_endless_answer_is_not_read(world: World):
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while sent < 2**26:
                await response.write(b"x" * 2**16)
                sent += 2**16
        return response

    world.receiver.answers = endless
    async with world.running():
        assert (await world.ended(await world.answered("Hello.")))[0] == "sent"

    assert sent < 2**26


async def test_an_endpoint_that_does_not_answer_is_an_unknown_outcome(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    async def never(request: web.Request) -> web.Response:
        return await asyncio.get_running_loop().create_future()

    world.receiver.answers = never
    monkeypatch.setattr(callback, "TIMEOUT", 0.1)
    async with Endpoint(world.receiver.url, LOOPBACK) as endpoint:
        with pytest.raises(Ambiguous, match="no answer"):
            await endpoint.post(b"{}", {})


async def test_an_endpoint_that_breaks_off_is_an_unknown_outcome(world: World):
    async def break_off(request: web.Request) -> web.Response:
        request.transport.abort()
        return web.Response()

    world.receiver.answers = break_off
    async with world.running():
        await world.answered("Hello.")
        await world.tried(1)

    assert world.outcomes == ["retried"]


@pytest.mark.parametrize("answer", [b"SSH-2.0-nonsense\r\n", b"HTTP/1.1 999999 No\r\n\r\n", b"\x00" * 64])
async def test_what_is_not_http_is_an_unknown_outcome(answer: bytes):
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Endpoint(f"http://127.0.0.1:{port}/?token=hush-hush", LOOPBACK) as endpoint:
        with pytest.raises(Ambiguous) as raised:
            await endpoint.post(b"{}", {})

    assert "hush-hush" not in str(raised.value)
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)


@dataclass
class Secure:
    """A customer's server with a certificate of `authority`; `names` are what callers asked it for, `hosts` whom."""

    authority: trustme.CA
    port: int
    names: list[str | None]
    hosts: list[str]

    def endpoint(self, authority: trustme.CA | None = None, name: str = "localhost") -> Endpoint:
        """An endpoint of somebody who trusts this authority, else whom the system trusts."""
        tls = None
        if authority is not None:
            authority.configure_trust(tls := ssl.create_default_context())
        return Endpoint(f"https://{name}:{self.port}/answers?token=hush-hush", LOOPBACK, tls)


@asynccontextmanager
async def secure(certified: str) -> AsyncIterator[Secure]:
    """`localhost` with a certificate in this name."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(certified).configure_cert(tls)
    made = Secure(authority, 0, [], [])
    tls.sni_callback = lambda _, name, __: made.names.append(name)

    async def take(request: web.Request) -> web.Response:
        made.hosts.append(request.host)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/answers", take)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=tls)
    made.port = server.port or 0
    yield made
    await server.close()


async def test_a_callback_over_tls_asks_the_checked_address_for_the_name_in_the_url():
    async with secure("localhost") as server, server.endpoint(server.authority) as endpoint:
        answer = await endpoint.post(b"{}", {})

    assert answer == (204, None)
    assert server.names == ["localhost"]
    assert server.hosts == [f"localhost:{server.port}"]


@pytest.mark.parametrize(
    ("certified", "trusted"), [("other.example", True), ("localhost", False)], ids=["name", "authority"]
)
async def test_a_certificate_that_does_not_vouch_for_the_endpoint_ends_the_call(
    certified: str, *, trusted: bool
):
    async with (
        secure(certified) as server,
        server.endpoint(server.authority if trusted else None) as endpoint,
    ):
        with pytest.raises(Transient, match="certificate verify failed") as raised:
            await endpoint.post(b"{}", {})

    assert "hush-hush" not in str(raised.value)
    assert server.hosts == [], "it was told nothing"


async def test_tls_is_no_way_past_the_guard():
    async with secure("localhost") as server:
        server.authority.configure_trust(tls := ssl.create_default_context())
        async with Endpoint(f"https://localhost:{server.port}/answers", (), tls) as endpoint:
            with pytest.raises(Transient, match="not a public address"):
                await endpoint.post(b"{}", {})

    assert server.names == []


async def test_an_endpoint_that_is_down_is_tried_again(world: World):
    receiver = Receiver(world.clock)
    await receiver.start()
    url = receiver.url
    await receiver.stop()
    async with world.running(callback_url=url):
        await world.answered("Hello.")
        await world.tried(1)
        cause = world.facts[-1].cause

    assert cause.startswith("the callback endpoint cannot be reached")
    assert "hush-hush" not in cause


# --- pure ---


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [
        (503, None, None),
        (503, "120", 120.0),
        (503, "-5", None),
        (503, "soon", None),
        (503, "٣", None),
        (503, "9" * 400, callback.LONGEST_PAUSE),
        (500, "7", 7.0),
        (429, formatdate(1_700_000_060, usegmt=True), 60.0),
        (429, formatdate(1_600_000_000, usegmt=True), 0.0),
        (429, "Fri, 99 Foo 2023 00:00:00 GMT", None),
    ],
)
def test_how_long_a_receiver_asks_to_be_left_alone(status: int, retry_after: Any, expected: float | None):
    error = callback.judge(status, retry_after, 1_700_000_000.0)

    assert isinstance(error, Transient)
    assert error.retry_after == expected
    assert error.scope == "channel"


def test_the_signature_of_a_callback_verifies_with_the_public_library():
    body = json.dumps({"type": "message.created"}).encode()

    signed = callback.headers([signing.key(SECRET)], "t1.answer.0", body, datetime.now(UTC).timestamp())

    assert Webhook(SECRET).verify(body, signed) == {"type": "message.created"}
