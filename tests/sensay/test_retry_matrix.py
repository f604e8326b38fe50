"""Every way in which Sensay can fail, and the error that says what has to happen next."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from gateway.errors import (
    Ambiguous,
    GatewayError,
    Misconfigured,
    Permanent,
    QuotaExhausted,
    RateLimited,
    Transient,
)
from gateway.sandbox.sensay import Received, SensaySandbox
from tests.sensay.world import SECRET, World, until, world

QUESTION = "When are you open, dear Mr Confidential?"


@pytest.fixture
async def sensay() -> AsyncIterator[World]:
    """A world whose user is known already."""
    async with world() as made:
        await made.ask("hello")
        made.admitted.clear()
        made.facts.clear()
        yield made


async def failing(sensay: World) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await sensay.ask(QUESTION)
    return caught.value


def completions(sensay: World) -> list[Received]:
    return [request for request in sensay.requests if request.operation == "complete"]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413, 415, 422])
async def test_a_refused_request_is_permanent(sensay: World, status: int):
    sensay.fault("complete", "status", status=status)

    error = await failing(sensay)

    assert type(error) is Permanent
    assert error.context["status"] == status
    assert sensay.admitted == [("reply", True)]
    assert [("complete", str(status))] == sensay.outcomes


@pytest.mark.parametrize("status", [403, 404])
async def test_a_replica_out_of_reach_comes_with_a_remedy(sensay: World, status: int):
    sensay.fault("complete", "status", status=status)

    assert "public" in (await failing(sensay)).context["remedy"]


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_a_server_error_is_ambiguous(sensay: World, status: int):
    sensay.fault("complete", "status", status=status)

    error = await failing(sensay)

    assert type(error) is Ambiguous
    assert [("complete", str(status))] == sensay.outcomes


@pytest.mark.parametrize("operation", ["history", "get_replica", "ensure_user"])
@pytest.mark.parametrize(
    "how", [{"kind": "status", "status": 503}, {"kind": "drop_after"}, {"kind": "malformed"}]
)
async def test_what_may_be_repeated_is_never_ambiguous(sensay: World, operation: str, how: dict):
    sensay.fault(operation, **how)
    question = sensay.question(QUESTION)
    attempts = {
        "history": lambda: sensay.look(question),
        "get_replica": lambda: sensay.completions.profile("acme", question.replica, sensay.admit),
        "ensure_user": lambda: sensay.ask(QUESTION, sender="a stranger"),
    }

    with pytest.raises(Transient) as caught:
        await attempts[operation]()

    assert type(caught.value) is Transient


@pytest.mark.parametrize("errors", ["openapi", "guide"])
async def test_both_error_shapes_tell_code_request_id_and_fingerprint(sensay: World, errors: str):
    sensay.box.sensay.errors = errors
    sensay.fault("complete", "status", status=500)

    context = (await failing(sensay)).context

    assert context["operation"] == "complete"
    assert context["code"] == "INTERNAL_ERROR"
    assert context["request_id"].startswith("req_")
    assert len(context["fingerprint"]) == 16
    assert context["api_version"] == "2025-03-25"
    assert context["request_id"] == sensay.facts[-1].request_id


@pytest.mark.parametrize("body", ["<html>Gateway timeout</html>", "", "[]", "null", '"no"', '{"error": 7}'])
async def test_an_error_body_of_any_kind_is_survived(sensay: World, body: str):
    sensay.canned("complete", status=504, body=body, content_type="text/html")

    error = await failing(sensay)

    assert type(error) is Ambiguous
    assert error.context["status"] == 504


@pytest.mark.parametrize("body", ["", '{"success": tru', "<html></html>", "[]", '{"content": 7}'])
async def test_a_success_that_cannot_be_read_is_ambiguous(sensay: World, body: str):
    sensay.canned("complete", body=body)

    assert type(await failing(sensay)) is Ambiguous
    assert sensay.outcomes == [("complete", "200")]


@pytest.mark.parametrize(
    "body",
    [
        {"success": False, "content": "Something"},
        {"success": False, "error": "no", "error_code": "MODEL_DOWN"},
        {"success": True, "content": ""},
        {"success": True, "content": " \n"},
        {"success": True, "content": None},
        {"success": True},
    ],
)
async def test_a_success_without_an_answer_is_not_delivered(sensay: World, body: dict):
    sensay.canned("complete", body=json.dumps(body))

    error = await failing(sensay)

    assert type(error) is Transient
    assert body.get("error_code") == error.context.get("code")
    assert sensay.outcomes == [("complete", "200")]


@pytest.mark.parametrize(
    ("header", "seconds"), [("30", 30.0), ("0", 0.0), ("2.5", 2.5), ("-3", 0.0), ("soon", None), (None, None)]
)
async def test_a_rate_limit_says_when_to_come_again(sensay: World, header: str | None, seconds: float | None):
    headers = {} if header is None else {"Retry-After": header}
    sensay.canned("complete", status=429, body="{}", headers=headers)

    error = await failing(sensay)

    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


@pytest.mark.parametrize(("ahead", "seconds"), [(90.0, 90.0), (-90.0, 0.0)])
async def test_a_rate_limit_may_name_a_date(sensay: World, ahead: float, seconds: float):
    until = datetime.fromtimestamp(sensay.clock.now() + ahead, UTC)
    sensay.canned(
        "complete", status=429, body="{}", headers={"Retry-After": format_datetime(until, usegmt=True)}
    )

    error = await failing(sensay)

    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


async def test_a_used_up_monthly_quota_is_not_a_rate_limit(sensay: World):
    sensay.box.sensay.monthly_quota = 1

    error = await failing(sensay)

    assert isinstance(error, QuotaExhausted)
    assert error.context["code"] == "MONTHLY_QUOTA_EXCEEDED"


async def test_the_servers_own_limiter_is_understood():
    async with world(SensaySandbox(requests_per_minute=1, minute=60.0)) as limited:
        with pytest.raises(RateLimited) as caught:
            await limited.ask()  # the unknown user's 401 was the one that it had

    assert caught.value.retry_after == pytest.approx(60.0, abs=1.0)


async def test_no_answer_in_time_is_ambiguous_and_found_later(sensay: World):
    sensay.reload(timeout="1s")
    sensay.fault("answer", "delay", seconds=1.5)
    question = sensay.question(QUESTION)

    assert type(await failing(sensay)) is Ambiguous
    assert sensay.outcomes == [("complete", "timeout")]
    assert await sensay.look(question) == "pending"
    await until(lambda: any(r.status == 200 and r.body["content"] == QUESTION for r in completions(sensay)))
    assert (await sensay.look(question)).text


async def test_a_500_after_the_stored_question_leaves_it_pending(sensay: World):
    sensay.fault("answer", "status", status=500)

    assert type(await failing(sensay)) is Ambiguous
    assert await sensay.look(sensay.question(QUESTION)) == "pending"


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
async def test_a_broken_connection_is_ambiguous(sensay: World, kind: str):
    sensay.fault("complete", kind)

    assert type(await failing(sensay)) is Ambiguous
    assert sensay.outcomes == [("complete", "unreachable")]


async def test_an_unreachable_server_is_transient(sensay: World):
    await sensay.box.stop()

    error = await failing(sensay)

    assert type(error) is Transient
    assert sensay.outcomes == [("complete", "unreachable")]


async def test_an_answer_that_trickles_for_ever_is_cut_off():
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1\r\n \r\n")
            await asyncio.sleep(0.02)

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with world(timeout="0.3s", base_url=url) as made:
        with pytest.raises(Ambiguous):
            await made.ask()
        assert made.outcomes == [("complete", "timeout")]
    server.close()


async def test_an_answer_beyond_all_measure_is_given_up():
    async with world(timeout="10s") as made:
        made.canned("history", body='{"items": [' + " " * (17 * 2**20) + "]}")
        with pytest.raises(Permanent):
            await made.look(made.question())


async def test_redirects_are_not_followed(sensay: World):
    sensay.canned("complete", status=302, headers={"Location": "https://elsewhere.example/"})

    assert type(await failing(sensay)) is Permanent


@pytest.mark.parametrize("secret", ["invalid-key", "revoked-key"])
async def test_a_bad_key_is_for_a_person_to_mend(secret: str):
    async with world() as made:
        made.secret = secret
        with pytest.raises(Misconfigured) as caught:
            await made.ask()

        assert "secret" in caught.value.remedy
        assert made.operations == ["complete", "ensure_user"]
        assert made.admitted == [("reply", True), ("user", False)]


@pytest.mark.parametrize(
    "how",
    [
        {"kind": "status", "status": 400},
        {"kind": "status", "status": 500},
        {"kind": "drop_after"},
        {"kind": "malformed"},
    ],
)
async def test_neither_the_secret_nor_the_text_is_in_an_error(sensay: World, how: dict):
    sensay.fault("complete", **how)

    error = await failing(sensay)

    shown = "".join(traceback.format_exception(error)) + repr(error.context) + repr(sensay.facts)
    assert SECRET not in shown
    assert "Confidential" not in shown


async def test_a_400_does_not_quote_the_user(sensay: World):
    said = {"success": False, "error": f"cannot read {QUESTION}", "error_code": "BAD"}
    sensay.canned("complete", status=400, body=json.dumps(said))

    error = await failing(sensay)

    assert "Confidential" not in f"{error} {error.context}"
