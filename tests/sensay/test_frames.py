"""Streamed answers: the reader alone, fed in every way, and the client against a sandbox that streams."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Ambiguous, Misconfigured, Permanent, QuotaExhausted, RateLimited, Transient
from gateway.messages import Reply
from gateway.sandbox.sensay import SensaySandbox
from gateway.sensay.frames import Frames
from tests.sensay.world import World, world

V4 = (
    b'f:{"messageId":"m"}\n0:"We "\n2:[{"a":1}]\ng:"thinking"\n0:"open."\n'
    b'e:{"finishReason":"stop"}\nd:{"finishReason":"stop"}\n'
)
V5 = (
    b': hello\n\nevent: message\ndata: {"type":"start"}\n\ndata: {"type":"reasoning-delta","delta":"hm"}\n\n'
    b'id: 7\ndata: {"type":"text-delta","id":"0","delta":"We "}\n\n: still here\n\n'
    b'data: {"type":"text-delta",\ndata:  "id":"1","delta":"open."}\n\ndata: {"type":"finish"}\n\ndata: [DONE]\n\n'
)


def read(*chunks: bytes) -> tuple[Frames, list[str]]:
    pieces: list[str] = []
    frames = Frames(pieces.append)
    for chunk in chunks:
        frames.feed(chunk)
    frames.close()
    return frames, pieces


@pytest.mark.parametrize(("body", "version"), [(V4, "v4"), (V5, "v5")])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@given(data=st.data())
def test_a_stream_is_read_alike_however_it_is_cut(
    body: bytes, version: str, end: bytes, mark: bytes, data: st.DataObject
):
    body = mark + body.replace(b"\n", end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    chunks = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]

    frames, pieces = read(*chunks)

    assert frames.version == version
    assert frames.whole
    assert pieces == ["We ", "open."]
    assert frames.text == "We open."


@given(st.integers(1, 3), st.binary(max_size=60))
def test_bytes_of_any_kind_are_survived(parts: int, body: bytes):
    frames, pieces = read(*(body[part::parts] for part in range(parts)))

    assert "".join(pieces) == frames.text


@pytest.mark.parametrize(("body", "version"), [(V4, "v4"), (V5, "v5")])
def test_a_stream_that_is_cut_anywhere_before_its_end_is_not_whole(body: bytes, version: str):
    end = body.index(b"d:{") + 1 if version == "v4" else body.index(b'data: {"type":"finish"}') + 23
    assert not any(read(body[:cut])[0].whole for cut in range(end))


@pytest.mark.parametrize(
    "body",
    [b'{"success": true, "content": "data: no"}', b"", b"\n\n", b"<html>\n</html>", b"[1]", b"datum: 7"],
)
def test_what_is_no_stream_is_left_alone(body: bytes):
    frames, pieces = read(body)

    assert frames.version is None
    assert pieces == []
    assert not frames.whole


@pytest.mark.parametrize(
    "body",
    [
        b'0:"We "\n3:"it broke"\nd:{"finishReason":"error"}\n',
        b'0:"We "\nd:{"finishReason":"error"}\n',
        b'data: {"type":"text-delta","delta":"We "}\n\ndata: {"type":"error","errorText":"x"}\n\ndata: [DONE]\n\n',
        b'data: {"type":"abort"}\n\ndata: [DONE]\n\n',
    ],
)
def test_an_error_frame_is_no_answer(body: bytes):
    frames, _ = read(body)

    assert frames.failed
    assert not frames.whole


@pytest.mark.parametrize(
    "body",
    [
        b'0:"We \nd:{"finishReason":"stop"}\n',
        b'0:7\nd:{"finishReason":"stop"}\n',
        b'0:"We "\ngarbage\nd:{"finishReason":"stop"}\n',
        b"data: {oops\n\ndata: [DONE]\n\n",
        b'data: {"type":"text-delta"}\n\ndata: [DONE]\n\n',
    ],
)
def test_a_piece_that_cannot_be_read_makes_the_answer_no_answer(body: bytes):
    assert not read(body)[0].whole


def test_nothing_is_shown_after_the_end():
    assert ["We "] == read(b'0:"We "\nd:{"finishReason":"stop"}\n0:"more"\n')[1]


# --- the client against the sandbox ---


@pytest.fixture(params=["v4", "v5"])
async def sensay(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world(SensaySandbox(stream=request.param)) as made:
        await made.ask("hello")
        yield made


async def stream(sensay: World, **kind: object) -> tuple[Reply, list[str]]:
    pieces: list[str] = []
    question = sensay.question(**kind)
    return await sensay.completions.complete(question, sensay.admit, pieces.append), pieces


@pytest.mark.parametrize("dialect", ["openapi", "guide", "generic"])
@pytest.mark.parametrize("platform", ["telegram", "discord", "web", "webhook"])
async def test_an_answer_is_streamed_and_whole_in_the_end(sensay: World, dialect: str, platform: str):
    sensay.reload(dialect=dialect)
    plain = await sensay.ask(platform=platform)

    reply, pieces = await stream(sensay, platform=platform)

    assert plain == reply.text
    assert plain == "".join(pieces)
    assert len(pieces) > 3
    assert reply.request_id.startswith("req_")
    assert sensay.requests[-1].headers["Accept"] == "text/event-stream"


async def test_without_a_reader_json_is_asked_for(sensay: World):
    await sensay.ask()

    assert sensay.requests[-1].headers["Accept"] == "application/json"


async def test_a_server_that_does_not_stream_answers_with_json(sensay: World):
    sensay.box.sensay.stream = "off"

    reply, pieces = await stream(sensay)

    assert "Opening hours" in reply.text
    assert pieces == []


async def test_a_server_that_knows_no_streams_is_asked_again_without(sensay: World):
    sensay.fault("complete", "status", status=406)
    sensay.admitted.clear()

    reply, pieces = await stream(sensay)

    assert "Opening hours" in reply.text
    assert pieces == []
    assert [("reply", True)] * 2 == sensay.admitted


async def test_a_stranger_is_created_and_then_has_the_stream(sensay: World):
    reply, pieces = await stream(sensay, sender="a stranger")

    assert reply.text == "".join(pieces)
    assert sensay.operations[-3:] == ["complete", "ensure_user", "complete"]


async def test_a_stream_cut_in_the_middle_is_ambiguous_and_found_in_the_history(sensay: World):
    sensay.fault("stream", "drop_after")
    asked_at = sensay.clock.now()

    with pytest.raises(Ambiguous):
        await stream(sensay)
    found = await sensay.look(sensay.question(), asked_at)

    assert isinstance(found, Reply)
    assert "Opening hours" in found.text


@pytest.mark.parametrize("how", [{"kind": "drop_before"}, {"kind": "status"}, {"kind": "malformed"}])
async def test_a_stream_that_breaks_is_ambiguous_and_its_question_pending(sensay: World, how: dict):
    sensay.fault("stream", **how)

    with pytest.raises(Ambiguous) as caught:
        await stream(sensay)

    assert caught.value.context["operation"] == "complete"
    assert "An error occurred" not in str(caught.value)
    assert await sensay.look(sensay.question()) == "pending"


async def test_a_stream_that_stops_growing_ends_with_the_time_of_the_whole_answer(sensay: World):
    sensay.reload(timeout="1s")
    sensay.fault("stream", "delay", seconds=30.0)

    with pytest.raises(Ambiguous):
        await stream(sensay)

    assert sensay.facts[-1].outcome == "timeout"


async def test_a_rate_limit_a_quota_and_a_bad_key_are_what_they_are_without_a_stream(sensay: World):
    sensay.fault("complete", "status", status=429, retry_after=7.0)
    with pytest.raises(RateLimited) as limited:
        await stream(sensay)
    sensay.box.sensay.monthly_quota = 0
    with pytest.raises(QuotaExhausted):
        await stream(sensay)
    sensay.secret = "revoked"
    with pytest.raises(Misconfigured):
        await stream(sensay, sender="a stranger")

    assert limited.value.retry_after == 7.0


async def test_a_streamed_answer_without_a_word_is_not_delivered(sensay: World):
    sensay.canned("complete", body='d:{"finishReason":"stop"}\n', content_type="text/plain")

    with pytest.raises(Transient):
        await stream(sensay)


async def test_a_refusal_is_never_read_as_a_stream(sensay: World):
    body = json.dumps({"success": False, "error": "no"})
    sensay.canned("complete", status=403, body='0:"We "\n' + body)

    with pytest.raises(Permanent):
        await stream(sensay)
