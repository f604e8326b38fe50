"""What a webhook's caller, or somebody in between, may get wrong or try: the right refusal, and nothing written."""

from __future__ import annotations

import asyncio
import json
import re
import string
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from adapters.http import BODY_LIMIT, Problem
from adapters.webhook import signing
from adapters.webhook.convert import MAX_WAIT, said, wait_preferred
from gateway.messages import Said, decode, encode
from tests.web.webhook_host import HELLO, NOW, SECRET, Caller, Hooks

KEY = signing.key(SECRET)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())).map(lambda text: text[:40])
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner)
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "user": JSON | st.fixed_dictionaries({"id": JSON}, optional={"name": JSON, "locale": JSON}),
        "text": JSON,
        "conversation": JSON,
        "metadata": JSON,
        "else": JSON,
    },
)


def taken(raw: bytes, webhook_id: str = "msg_1") -> Said | Problem:
    """Convert it; anything but a Problem that is raised is a bug."""
    try:
        return said("support", webhook_id, raw, NOW)
    except Problem as problem:
        return problem


def check(outcome: Said | Problem) -> None:
    """It is what a journal can keep, or a refusal that says why."""
    if isinstance(outcome, Problem):
        assert outcome.status in {400, 422}
        assert outcome.detail
    else:
        assert decode(encode(outcome), Said) == outcome
        assert outcome.text.strip()


# --- bodies ---


@given(st.binary(max_size=400))
def test_any_bytes_are_taken_or_refused(raw: bytes):
    check(taken(raw))


@given(BODIES)
def test_any_json_is_taken_or_refused(body: dict[str, Any]):
    check(taken(json.dumps(body).encode()))


@given(BODIES, st.integers(0, 200), st.binary(max_size=3))
def test_json_with_an_accident_in_it_is_taken_or_refused(body: dict[str, Any], at: int, accident: bytes):
    raw = json.dumps(body).encode()

    check(taken(raw[:at] + accident + raw[at + 1 :]))


@given(st.text(max_size=300))
@example("msg\r\nx: y")
@example("m" * 256)
@example("")
@example("mé")
def test_a_webhook_id_is_printable_or_refused(webhook_id: str):
    outcome = taken(json.dumps(HELLO).encode(), webhook_id)

    good = 0 < len(webhook_id) <= 255 and all(
        c in string.printable[:94] for c in webhook_id
    )  # no white space
    assert good is isinstance(outcome, Said)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("depth", [500, 1500, 5000, BODY_LIMIT])
@pytest.mark.parametrize("closed", [True, False])
def test_a_nested_bomb_is_taken_or_refused(opening: bytes, depth: int, closed: bool):
    closing = {b"[": b"]", b'{"a":': b"}", b'[{"a":': b"}]"}[opening]
    inner = opening * depth + b"1" + closing * depth * closed

    check(taken(inner[:BODY_LIMIT]))
    check(taken(b'{"user": {"id": "7"}, "text": "Hello", "metadata": {"m": ' + inner + b"}}"))


@pytest.mark.parametrize(
    "field", ['"text": "%s"', '"user": {"id": "%s"}', '"conversation": "%s"', '"metadata": {"%s": 1}']
)
@pytest.mark.parametrize("surrogate", [r"\ud800", r"\udfff", r"a\ud83d b", r"\ude00\ud83d"])
def test_a_lone_surrogate_is_refused_wherever_it_stands(field: str, surrogate: str):
    fields = {"text": '"text": "Hello"', "user": '"user": {"id": "7"}'}
    fields[field.split('"')[1]] = field % surrogate

    outcome = taken(("{" + ", ".join(fields.values()) + "}").encode())

    assert isinstance(outcome, Problem)
    assert outcome.status == 400


@pytest.mark.parametrize("text", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
def test_what_is_not_utf_8_is_refused(text: bytes):
    outcome = taken(b'{"user": {"id": "7"}, "text": "' + text + b'"}')

    assert isinstance(outcome, Problem)
    assert outcome.status == 400


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "9" * 5000, "0.1" + "0" * 5000, "NaN", "Infinity", "01"]
)
def test_a_strange_number_is_taken_or_refused(number: str):
    check(taken(f'{{"user": {{"id": "7"}}, "text": "Hello", "metadata": {{"n": {number}}}}}'.encode()))


# --- headers ---


@given(st.lists(st.text(max_size=40), max_size=4))
@example(["wait=" + "9" * 9])
@example(["wait=1" * 1000])
@example(["wait=-1"])
@example(["wait=٣"])
def test_any_preference_is_a_wait_within_bounds(prefer: list[str]):
    assert 0 <= wait_preferred(prefer) <= MAX_WAIT


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text(max_size=60)
    ),
    st.binary(max_size=40),
)
def test_headers_that_nobody_signed_are_refused(headers: dict[str, str], body: bytes):
    assert not signing.verified((KEY,), CIMultiDictProxy(CIMultiDict(headers)), body, NOW)


@given(st.integers(-10_000, 10_000))
def test_a_clock_may_be_five_minutes_off_either_way(skew: int):
    stamp = str(int(NOW) + skew)
    signature = signing.sign(KEY, b"msg_1", stamp.encode(), b"{}").decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}

    assert (abs(skew) <= 300) is signing.verified((KEY,), CIMultiDictProxy(CIMultiDict(headers)), b"{}", NOW)


# --- over the wire ---


async def test_a_replayed_request_is_the_same_request(hooks: Hooks, caller: Caller):
    raw = json.dumps(HELLO).encode()
    signed = caller.headers(raw)

    told = [await (await caller.send(raw, signed)).json() for _ in range(5)]

    assert all(told[0] == other for other in told)
    assert len(hooks.host.accepted) == 1


async def test_a_request_that_is_replayed_later_is_refused(hooks: Hooks, caller: Caller):
    raw = json.dumps(HELLO).encode()
    signed = caller.headers(raw)
    hooks.host.clock.advance(301)

    assert (await caller.send(raw, signed)).status == 401
    assert hooks.host.accepted == []


async def test_a_replayed_signature_is_of_no_use_for_another_body_or_id(hooks: Hooks, caller: Caller):
    raw = json.dumps(HELLO).encode()
    signed = caller.headers(raw)
    await caller.send(raw, signed)

    other = await caller.send(json.dumps({**HELLO, "text": "Other"}).encode(), signed)
    renamed = await caller.send(raw, {**signed, "webhook-id": "msg_2"})

    assert (other.status, renamed.status) == (401, 401)
    assert len(hooks.host.accepted) == 1


async def test_an_id_cannot_take_the_timestamps_place(hooks: Hooks, caller: Caller):
    """`a.b` + `.` + `c` is `a` + `.` + `b.c`: what is signed is still not a body."""
    raw = json.dumps(HELLO).encode()
    stamp = str(int(NOW))
    signature = signing.sign(KEY, f"msg_1.{stamp}".encode(), stamp.encode(), raw).decode()
    split = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}

    response = await caller.send(f"{stamp}.".encode() + raw, split)

    assert response.status == 400
    assert hooks.host.accepted == []


@pytest.mark.parametrize(
    "path",
    ["%00", "%ff", "%ed%a0%80", "..%2f..%2fetc", "a" * 4000, "acme-1%0d%0aX:%20y", "%F0%9F%98%80", "'--"],
)
async def test_a_strange_id_is_not_found(hooks: Hooks, caller: Caller, path: str):
    url = URL(f"{hooks.url}v1/hooks/support/messages/{path}", encoded=True)

    response = await caller._session.get(url, headers=caller.headers(b"", "look_1"))

    assert response.status == 404
    assert hooks.host.accepted == []


def request(caller: Caller, *lines: str, body: bytes | None = None) -> bytes:
    """A signed question as bytes, with these header lines in place of a length."""
    raw = json.dumps(HELLO).encode()
    signed = [f"{name}: {value}" for name, value in caller.headers(raw).items()]
    head = ["POST /v1/hooks/support/messages HTTP/1.1", "Host: x", *signed, *lines, "", ""]
    return "\r\n".join(head).encode("latin-1") + (raw if body is None else body)


SMUGGLED = (
    b"POST /v1/hooks/support/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
LENGTH = len(json.dumps(HELLO))


@pytest.mark.parametrize(
    "lines",
    [
        (f"Content-Length: {LENGTH}", "Transfer-Encoding: chunked"),
        ("Content-Length: 0", f"Content-Length: {LENGTH}"),
        (f"Content-Length: +{LENGTH}",),
        (f"Content-Length: {LENGTH}, {LENGTH}",),
        (f"Content-Length: 0x{LENGTH:x}",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        (f"Content-Length : {LENGTH}",),
        (f"Content-Length: {LENGTH}", "webhook-id : msg_2"),
        (f"Content-Length: {LENGTH}", "webhook-id: msg_2"),
        (f"Content-Length: {LENGTH}", "Prefer: wait=1\x00"),
        (f"Content-Length: {LENGTH}", "X: y\rwebhook-id: msg_2"),
        (f"Content-Length: {LENGTH}", "no colon"),
        (f"Content-Length: {LENGTH}", "X: " + "y" * 70_000),
        (f"Content-Length: {LENGTH}", *[f"X-{n}: y" for n in range(500)]),
    ],
    ids=lambda lines: lines[-1][:40],
)
async def test_a_request_that_two_servers_could_read_in_two_ways_is_refused(
    hooks: Hooks, caller: Caller, lines: tuple[str, ...]
):
    answers = await told(hooks, request(caller, *lines) + SMUGGLED)

    assert answers
    assert set(answers) <= {b"400", b"401", b"431"}
    assert hooks.host.accepted == []


async def test_a_request_that_can_be_read_in_one_way_is_taken(hooks: Hooks, caller: Caller):
    """The one above is refused for its lines, not for how it is sent."""
    answers = await told(hooks, request(caller, f"Content-Length: {LENGTH}") + SMUGGLED)

    assert answers == [b"202", b"401"]
    assert len(hooks.host.accepted) == 1


async def told(hooks: Hooks, raw: bytes) -> list[bytes]:
    """The statuses of what comes back."""
    reader, writer = await asyncio.open_connection(hooks.server.host, hooks.server.port)
    writer.write(raw)
    async with asyncio.timeout(10):
        answered = await _rest(reader)
    writer.close()
    return re.findall(rb"HTTP/1\.[01] (\d{3}) ", answered)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """All until the other side closes or gives up."""
    read = bytearray()
    try:
        while chunk := await reader.read(65536):
            read += chunk
    except ConnectionError:
        pass
    return bytes(read)
