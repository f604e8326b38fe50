"""The webhook over real sockets; callers sign with the public library."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientSession

from adapters.webhook import signing
from gateway.errors import Transient
from tests.web.webhook_host import (
    HELLO,
    NOW,
    OTHER_SECRET,
    SECRET,
    Caller,
    FakeHost,
    Hooks,
    serving,
    until,
)

# --- asking ---


async def test_without_a_preference_a_question_is_taken_at_once(hooks: Hooks, caller: Caller):
    response = await caller.post(HELLO)

    told = await response.json()
    assert response.status == 202
    assert tuple(told[k] for k in ("id", "status", "text", "content")) == ("acme-1", "queued", None, None)
    assert told["status_url"] == "/v1/hooks/support/messages/acme-1"
    assert [said.text for said in hooks.host.accepted] == ["Hello"]
    assert "Preference-Applied" not in response.headers


async def test_a_preference_of_zero_is_taken_at_once(hooks: Hooks, caller: Caller):
    response = await caller.post(HELLO, Prefer="wait=0")

    assert response.status == 202
    assert hooks.host.clock.sleepers == []


async def test_an_answer_within_the_preferred_wait_comes_with_the_response(hooks: Hooks, caller: Caller):
    asking = asyncio.create_task(caller.post(HELLO, Prefer="wait=25"))
    await until(lambda: hooks.host.watched == 1)
    hooks.host.end("acme-1", "Good *day*.")

    response = await asking
    told = await response.json()
    assert (response.status, response.headers["Preference-Applied"]) == (200, "wait=25")
    assert (told["status"], told["text"]) == ("answered", "Good *day*.")
    assert told["content"][0]["children"][1]["tag"] == "em"
    assert response.headers["Cache-Control"] == "no-store"


async def test_an_answer_that_was_there_before_we_looked_is_not_waited_for(hooks: Hooks, caller: Caller):
    accept = hooks.host.accept

    async def answered_at_once(*arrivals):
        outcomes = await accept(*arrivals)
        hooks.host.end("acme-1", "Quick.")
        return outcomes

    hooks.host.accept = answered_at_once

    response = await caller.post(HELLO, Prefer="wait=25")

    assert (response.status, (await response.json())["text"]) == (200, "Quick.")


@pytest.mark.parametrize(("preferred", "held"), [(10, 10), (3600, 55)])
async def test_a_wait_that_is_over_gives_the_status_to_ask_for(
    hooks: Hooks, caller: Caller, preferred: int, held: int
):
    asking = asyncio.create_task(caller.post(HELLO, Prefer=f"wait={preferred}"))
    await until(lambda: hooks.host.clock.sleepers)
    assert [NOW + held] == [due for due, _ in hooks.host.clock.sleepers]
    hooks.host.clock.advance(held)

    response = await asking
    assert (202, f"wait={held}") == (response.status, response.headers["Preference-Applied"])
    assert (await response.json())["status"] == "queued"
    assert hooks.host.watched == 0


async def test_a_wake_up_before_the_end_does_not_end_the_wait(hooks: Hooks, caller: Caller):
    asking = asyncio.create_task(caller.post(HELLO, Prefer="wait=25"))
    await until(lambda: hooks.host.watched == 1)
    hooks.host.end("acme-1", status="asking")
    await until(lambda: all(queue.empty() for queue in hooks.host._watches["message/acme-1"]))
    hooks.host.end("acme-1", "Now.")

    assert (await (await asking).json())["text"] == "Now."


async def test_a_caller_that_leaves_loses_nothing(hooks: Hooks, caller: Caller):
    asking = asyncio.create_task(caller.post(HELLO, Prefer="wait=25"))
    await until(lambda: hooks.host.watched == 1)
    asking.cancel()
    hooks.host.end("acme-1", "Still here.")

    response = await caller.get("acme-1")
    assert (response.status, (await response.json())["text"]) == (200, "Still here.")
    repeated = await caller.post(HELLO)
    assert (repeated.status, (await repeated.json())["text"]) == (200, "Still here.")
    await until(lambda: hooks.host.watched == 0)


async def test_closing_lets_every_waiting_caller_go_with_202(hooks: Hooks, caller: Caller):
    asking = [asyncio.create_task(caller.post(HELLO, f"msg_{n}", Prefer="wait=55")) for n in range(3)]
    await until(lambda: hooks.host.watched == 3)
    await hooks.platform.close()

    assert [response.status for response in await asyncio.gather(*asking)] == [202, 202, 202]


@pytest.mark.parametrize(
    ("outcome", "status", "text"),
    [
        ("busy", "busy", "[busy] acme-1"),
        ("limited", "busy", "[busy] acme-1"),
        ("denied", "failed", "[denied] acme-1"),
    ],
)
@pytest.mark.parametrize("kept", [True, False])
async def test_a_question_that_is_refused_has_its_fixed_text_at_once(
    hooks: Hooks, caller: Caller, outcome: str, status: str, text: str, kept: bool
):
    hooks.host.next_outcome = outcome
    if not kept:
        hooks.host.lives = Forgetful()

    response = await caller.post(HELLO, Prefer="wait=25")

    told = await response.json()
    assert (200, status, text) == (response.status, told["status"], told["text"])
    assert hooks.host.clock.sleepers == []


class Forgetful(dict):
    """Keeps no life."""

    def __setitem__(self, key, value) -> None:
        pass


# --- asking again ---


async def test_a_repeated_id_gets_the_first_answer(hooks: Hooks, caller: Caller):
    first = await (await caller.post(HELLO)).read()
    hooks.host.clock.advance(7.25)
    hooks.host.end("acme-1", status="asking")
    open_again = await caller.post(HELLO, Prefer="wait=25")
    hooks.host.end("acme-1", "Done.")
    ended_again = await caller.post(HELLO)

    assert (202, first) == (open_again.status, await open_again.read()), "to the byte"
    assert (ended_again.status, (await ended_again.json())["text"]) == (200, "Done.")
    assert len(hooks.host.accepted) == 1


async def test_a_repeated_id_with_another_body_is_refused(hooks: Hooks, caller: Caller):
    await caller.post(HELLO)

    response = await caller.post({**HELLO, "text": "Other"})

    assert response.status == 422
    assert len(hooks.host.accepted) == 1


# --- looking ---


async def test_a_status_is_open_until_it_is_final(hooks: Hooks, caller: Caller):
    await caller.post(HELLO)
    waiting = await caller.get("acme-1")
    hooks.host.end("acme-1", "Sorry.", status="failed", purpose="error", turn="t1")
    ended = await caller.get("acme-1")

    assert (waiting.status, (await waiting.json())["status"]) == (202, "queued")
    told = await ended.json()
    assert (ended.status, told["status"], told["text"], told["reference"]) == (200, "failed", "Sorry.", "t1")


async def test_an_unsigned_look_is_refused(caller: Caller):
    await caller.post(HELLO)

    assert (await caller.get("acme-1", headers={})).status == 401


async def test_a_look_signed_over_another_body_is_refused(caller: Caller):
    await caller.post(HELLO)

    assert (await caller.get("acme-1", headers=caller.headers(b"{}"))).status == 401


async def test_an_unknown_message_is_not_found(caller: Caller):
    assert (await caller.get("acme-9")).status == 404


async def test_another_bots_message_is_not_found(hooks: Hooks, caller: Caller):
    await caller.post(HELLO)
    other = FakeHost("other", hooks.host.clock)
    other.lives = hooks.host.lives
    await hooks.start_bot("other", OTHER_SECRET, host=other)
    stranger = caller.with_secret(OTHER_SECRET)

    assert (await stranger.get("acme-1", bot="other")).status == 404
    assert (await stranger.get("acme-1", bot="support")).status == 401


async def test_another_platforms_message_is_not_found(hooks: Hooks, caller: Caller):
    await caller.post(HELLO)
    life = hooks.host.lives["acme-1"]
    key = type(life.key)(bot="support", platform="web", chat="c1")
    hooks.host.lives["acme-1"] = type(life)(
        id="acme-1", organization="acme", key=key, status="answered", accepted_at=NOW
    )

    assert (await caller.get("acme-1")).status == 404


# --- refusals ---


async def test_whatever_is_wrong_with_a_signature_has_one_answer(hooks: Hooks, caller: Caller):
    raw = json.dumps(HELLO).encode()
    signed = caller.headers(raw)
    wrong: list[tuple[bytes, Any, str]] = [
        (raw, {}, "support"),
        (raw, {**signed, "webhook-signature": "v1,AAAA"}, "support"),
        (raw, {**signed, "webhook-id": "msg_2"}, "support"),
        (raw, caller.headers(raw, age=301), "support"),
        (raw, caller.headers(raw, age=-301), "support"),
        (raw + b" ", signed, "support"),
        (raw, [*signed.items(), ("webhook-id", "msg_1")], "support"),
        (raw, caller.with_secret(OTHER_SECRET).headers(raw), "support"),
        (raw, signed, "nobody"),
        (b"not json", signed, "support"),
    ]
    bodies = []
    for body, headers, bot in wrong:
        response = await caller.send(body, headers, bot=bot)
        told = await response.json()
        bodies.append(
            (response.status, response.content_type, {k: v for k, v in told.items() if k != "reference"})
        )

    assert {401} == {status for status, _, _ in bodies}
    assert all(bodies[0] == other for other in bodies)
    assert bodies[0][1] == "application/problem+json"
    assert hooks.host.accepted == []


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"x" * (16 * 1024 + 1), 413),
        (b"{", 400),
        (b'{"user": {"id": "7"}, "text": "\xff"}', 400),
        (b"[1]", 422),
        (b'{"user": {"id": 7}, "text": "Hello"}', 422),
        (b'{"user": {"id": "7"}, "text": "  "}', 422),
        (b'{"user": {"id": "7"}, "text": "Hello", "txt": ""}', 422),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused_and_nothing_is_written(
    hooks: Hooks, caller: Caller, raw: bytes, status: int
):
    headers = caller.headers(b"")
    stamp = headers["webhook-timestamp"].encode()
    headers["webhook-signature"] = signing.sign(signing.key(SECRET), b"msg_1", stamp, raw).decode()

    response = await caller.send(raw, headers)

    assert (status, "application/problem+json") == (response.status, response.content_type)
    assert hooks.host.accepted == []


async def test_a_body_of_just_the_limit_is_taken(hooks: Hooks, caller: Caller):
    frame = len(json.dumps({**HELLO, "text": ""}))

    response = await caller.post({**HELLO, "text": "x" * (16 * 1024 - frame)})

    assert response.status == 202


async def test_a_large_body_without_a_length_is_refused(hooks: Hooks, caller: Caller):
    async def chunks():
        for _ in range(17):
            yield b"x" * 1024

    assert (await caller.send(chunks(), caller.headers(b""))).status == 413
    assert hooks.host.accepted == []


async def test_a_journal_that_cannot_be_written_is_not_acknowledged(hooks: Hooks, caller: Caller):
    hooks.host.refusal = Transient("disk full", retry_after=3)
    refused = await caller.post(HELLO)
    hooks.host.refusal = None
    repeated = await caller.post(HELLO)

    assert (refused.status, refused.headers["Retry-After"]) == (503, "3")
    assert "disk" not in await refused.text()
    assert repeated.status == 202


# --- bots ---


async def test_both_secrets_are_good_while_they_are_rotated(hooks: Hooks, caller: Caller):
    await hooks.start_bot("rotating", SECRET, OTHER_SECRET)
    old, new = caller, caller.with_secret(OTHER_SECRET)

    assert (await old.post(HELLO, "msg_1", bot="rotating")).status == 202
    assert (await new.post(HELLO, "msg_2", bot="rotating")).status == 202


async def test_each_verified_request_is_a_sign_of_life(hooks: Hooks, caller: Caller):
    await caller.post(HELLO)
    await caller.get("acme-1")
    await caller.get("acme-1", headers={})

    assert hooks.host.beats == 2


async def test_the_status_url_is_absolute_behind_a_base_url():
    async with serving("https://bots.example.com/") as hooks, ClientSession(hooks.url) as session:
        told = await (await Caller(session, hooks.host.clock).post(HELLO)).json()

    assert told["status_url"] == "https://bots.example.com/v1/hooks/support/messages/acme-1"
