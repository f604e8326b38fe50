"""Operators' requests under the organisation's quota: through a running gateway, and with the journal in hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.app import Gateway, SystemClock
from gateway.cli.door import NoGateway, Remote, door_to_sensay
from gateway.errors import (
    Ambiguous,
    GatewayError,
    Misconfigured,
    NoRoom,
    Permanent,
    RateLimited,
    Transient,
)
from gateway.journal import open_journal
from gateway.operators import Direct, alone
from gateway.pipeline.operating import Alone, Operating
from gateway.policy.quota import Quota
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sandbox.server import Sandbox
from gateway.sensay.api import ADMIN, OPERATIONS, Sensay
from gateway.sensay.api.patience import Exchange, Patient
from gateway.sensay.requests import Answered
from gateway.settings.models import Settings
from tests.clock import FakeClock
from tests.sensay.world import until

TOKEN = "a-token-for-operators"


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    unlimited = SensaySandbox(requests_per_minute=None, completions_per_hour=None)
    async with Sandbox(sensay=unlimited) as made:
        yield made


def settings(box: Sandbox, journal: str = "memory:", secret: str = "acme-secret", **quota: Any) -> Settings:
    return Settings.model_validate(
        {
            "server": {
                "public": {"host": "127.0.0.1", "port": 0},
                "admin": {"host": "127.0.0.1", "port": 0, "token": TOKEN},
            },
            "journal": journal,
            "shutdown_grace": "0s",
            "sensay": {"base_url": box.url, "timeout": "5s"},
            "organizations": {"acme": {"secret": secret, "quota": quota}},
            "bots": {},
        }
    )


@asynccontextmanager
async def running(configuration: Settings) -> AsyncIterator[tuple[Gateway, str]]:
    gateway = Gateway(configuration)
    await gateway.start()
    try:
        yield gateway, f"http://127.0.0.1:{gateway.admin.port}"
    finally:
        await gateway.close()


@asynccontextmanager
async def posting(url: str) -> AsyncIterator[Any]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with ClientSession(headers=headers) as session:

        async def post(body: Any, organization: str = "acme") -> tuple[int, dict[str, Any], Any]:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            async with session.post(f"{url}/-/sensay/{organization}", data=data) as response:
                return response.status, await response.json(content_type=None), response.headers

        yield post


# --- the route ---


async def test_any_operation_is_run_by_its_name(box: Sandbox):
    async with running(settings(box)) as (gateway, url), posting(url) as post:
        made = await post({"operation": "users.create", "arguments": {"id": "ada"}})
        me = await post({"operation": "users.me", "user": {"id": "ada"}})
        status = await gateway.status()

    assert made[0] == 200
    assert made[1]["result"] == {"id": "ada", "linkedAccounts": []}
    assert made[1]["asked"] == "POST /v1/users"
    assert made[1]["api_version"] == "2025-03-25"
    assert made[1]["request_id"].startswith("req_")
    assert me[1]["result"]["id"] == "ada"
    assert status["organizations"]["acme"]["quota"]["minute"]["used"] == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"not json", "an operation and its arguments"),
        ({}, "operation"),
        ({"operation": "users.destroy"}, "there is no operation 'users.destroy'"),
        ({"operation": "users.get", "arguments": {"id": "ada"}}, "unknown field `id`"),
        ({"operation": "users.get", "arguments": {}}, "missing required field `user`"),
        ({"operation": "users.get", "arguments": {"user": 7}}, "Expected `str`, got `int`"),
        ({"operation": "users.get", "arguments": {"user": "x"}, "more": 1}, "unknown field `more`"),
        ({"operation": "users.me"}, "asked as a user"),
        ({"operation": "users.me", "user": {"id": "a", "type": "email"}}, "telegram, discord, embed"),
        ({"operation": "training.start", "arguments": {"replica": SUPPORT}}, "the dialect openapi has no"),
    ],
)
async def test_what_cannot_be_asked_is_a_422_that_says_why(box: Sandbox, body: Any, words: str):
    async with running(settings(box)) as (_, url), posting(url) as post:
        status, problem, _ = await post(body)

    assert status == 422
    assert words in problem["detail"]
    assert problem["error"] == "InvalidArguments"
    assert box.sensay.requests == []


async def test_an_unknown_organisation_and_a_wrong_token_are_refused(box: Sandbox):
    async with running(settings(box)) as (_, url), posting(url) as post, ClientSession() as nobody:
        unknown = await post({"operation": "account.health"}, "acmo")
        async with nobody.post(f"{url}/-/sensay/acme", data=b"{}") as response:
            refused = response.status

    assert unknown[0] == 404
    assert refused == 401


async def test_a_request_that_is_too_large_is_refused(box: Sandbox):
    async with running(settings(box)) as (_, url), posting(url) as post:
        text = "x" * (2 * 2**20)
        large = await post(
            {"operation": "knowledge.add_text", "arguments": {"replica": SUPPORT, "text": text}}
        )
        larger = await post(b"x" * (9 * 2**20))

    assert large[0] == 200
    assert larger[0] == 413


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ({"status": 403}, 502, Permanent),
        ({"status": 429, "retry_after": 7.0}, 429, Transient),  # then our own budget is frozen: NoRoom
        ({"status": 500}, 504, Ambiguous),
    ],
)
async def test_what_sensay_refuses_comes_back_as_it_was(
    box: Sandbox, fault: dict[str, Any], status: int, kind: type[GatewayError]
):
    async with running(settings(box)) as (_, url), posting(url) as post:
        box.faults.add(Fault("sensay", "complete", "status", times=2, **fault))
        asked = {"operation": "chat.complete", "arguments": {"replica": SUPPORT, "content": "Hi"}}
        answered, problem, headers = await post(asked)
        async with ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            with pytest.raises(kind) as caught:
                await Sensay(Remote(session, url, "acme"), SystemClock()).chat.complete(SUPPORT, "Hi")

    assert answered == status
    if status == 429:
        assert headers["Retry-After"] == "7"
        assert problem["error"] == "RateLimited"
    else:
        assert type(caught.value) is kind
        assert caught.value.context["status"] == fault["status"]
        assert caught.value.context["fingerprint"] == problem["context"]["fingerprint"]
        assert len(caught.value.context["remedy"]) > 20


async def test_a_bad_key_is_an_operators_matter(box: Sandbox):
    async with running(settings(box, secret="revoked")) as (_, url), posting(url) as post:
        status, problem, _ = await post({"operation": "replicas.list"})

    assert status == 502
    assert problem["error"] == "Misconfigured"
    assert "secret" in problem["remedy"]


# --- the quota ---


async def test_operators_leave_room_for_users_and_are_told_when_there_is_more(box: Sandbox):
    async with running(settings(box, requests_per_minute=20)) as (gateway, url), posting(url) as post:
        answers = [await post({"operation": "account.health"}) for _ in range(20)]
        dispatcher = gateway._dispatchers["acme"]
        now = dispatcher.door.now()

        granted = [answer[0] for answer in answers].count(200)
        assert granted == 17  # a tenth and a twentieth stay free
        assert dispatcher.door.quota.ready_at(now, "reply") == now
    status, problem, headers = answers[-1]
    assert status == 429
    assert problem["error"] == "NoRoom"
    assert problem["context"]["window"] == "minute"
    assert 0 < int(headers["Retry-After"]) <= 61
    assert len(box.sensay.requests) == granted


async def test_an_upload_waits_for_its_hour_and_says_how_long(box: Sandbox):
    async with running(settings(box, uploads_per_hour=2)) as (_, url), posting(url) as post:
        upload = {"operation": "knowledge.add_file", "arguments": {"replica": SUPPORT, "filename": "a.pdf"}}
        answers = [await post(upload) for _ in range(3)]
        text = await post({"operation": "knowledge.add_text", "arguments": {"replica": SUPPORT, "text": "x"}})

    assert [200, 200, 429] == [answer[0] for answer in answers]
    assert answers[2][1]["context"]["window"] == "uploads"
    assert 3500 < answers[2][1]["retry_after"] <= 3610
    assert "file uploads" in answers[2][1]["detail"]
    assert text[0] == 200


async def test_spends_outlive_the_process(box: Sandbox, tmp_path: Path):
    configuration = settings(box, f"sqlite:///{tmp_path}/gateway.db", uploads_per_hour=1)
    upload = {"operation": "knowledge.add_file", "arguments": {"replica": SUPPORT, "filename": "a.pdf"}}
    async with running(configuration) as (_, url), posting(url) as post:
        first = await post(upload)
    async with running(configuration) as (_, url), posting(url) as post:
        second = await post(upload)

    assert [200, 429] == [first[0], second[0]]


# --- without a gateway ---


async def test_without_a_gateway_the_journal_is_opened_and_counts(box: Sandbox, tmp_path: Path):
    configuration = settings(box, f"sqlite:///{tmp_path}/gateway.db", uploads_per_hour=1)
    clock = SystemClock()
    async with door_to_sensay(
        configuration, "acme", url="http://127.0.0.1:1", token=None, clock=clock
    ) as door:
        assert isinstance(door, Direct)
        assert (await Sensay(door, clock).users.create("ada")).id == "ada"
        operation = OPERATIONS["knowledge.add_file"]
        arguments = operation.read({"replica": SUPPORT, "filename": "a.pdf"})
        await door(operation, arguments, ADMIN)
        with pytest.raises(NoRoom) as caught:
            await door(operation, arguments, ADMIN)
    assert caught.value.window == "uploads"

    async with running(configuration) as (gateway, _):
        dispatcher = gateway._dispatchers["acme"]
        await until(lambda: dispatcher.door.used()["minute"][0])
        used = dispatcher.door.used()

    assert used["minute"][0] == 2
    assert used["uploads"][0] == 1


async def test_with_a_gateway_its_quota_is_used(box: Sandbox):
    configuration = settings(box)
    async with (
        running(configuration) as (gateway, url),
        door_to_sensay(configuration, "acme", url=url, token=TOKEN, clock=SystemClock()) as door,
    ):
        assert isinstance(door, Remote)
        await Sensay(door, SystemClock()).users.ensure("ada")
        used = gateway._dispatchers["acme"].door.used()["minute"][0]

    assert used == 2


async def test_a_gateway_out_of_reach_whose_journal_is_held_is_explained(box: Sandbox, tmp_path: Path):
    configuration = settings(box, f"sqlite:///{tmp_path}/gateway.db")
    async with running(configuration):
        with pytest.raises(NoGateway) as caught:
            async with door_to_sensay(
                configuration, "acme", url="http://127.0.0.1:1", token=None, clock=SystemClock()
            ):
                pass

    assert "--admin" in caught.value.context["remedy"]


async def test_a_wrong_token_is_explained(box: Sandbox):
    configuration = settings(box)
    async with (
        running(configuration) as (_, url),
        door_to_sensay(configuration, "acme", url=url, token="no", clock=SystemClock()) as door,
    ):
        with pytest.raises(Misconfigured) as caught:
            await Sensay(door, SystemClock()).account.health()

    assert "--token" in caught.value.remedy


async def test_an_organisation_that_is_not_configured_is_a_key_error(box: Sandbox):
    with pytest.raises(KeyError):
        async with alone(settings(box), "acmo", open_journal("memory:", SystemClock()), SystemClock()):
            pass


# --- waiting, with time that is moved by hand ---


class Held:
    """A door that has no room the first times."""

    def __init__(self, *errors: GatewayError) -> None:
        self._errors = list(errors)
        self.calls = 0

    async def __call__(
        self, operation: Any, arguments: Any, auth: Any, on_delta: Any = None
    ) -> Answered[Any]:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return Answered(operation.reply(), request_id="req_1", asked="GET /v1/healthcheck")


async def test_a_patient_door_waits_says_so_and_asks_again():
    clock, waits, heard = FakeClock(), [], []
    door = Held(NoRoom("full", retry_after=90.0, window="uploads"), RateLimited("429", status=429))
    patient = Patient(door, clock, waits=lambda *wait: waits.append(wait), heard=heard.append)

    asking = asyncio.ensure_future(Sensay(patient, clock).account.health())
    await until(lambda: clock.sleepers)
    await clock.advance(90.0)
    await until(lambda: clock.sleepers)
    await clock.advance(5.0)
    await asking

    assert [(90.0, "uploads"), (5.0, "Sensay")] == waits
    assert door.calls == 3
    assert [NoRoom, RateLimited, type(None)] == [type(exchange.error) for exchange in heard]
    assert isinstance(heard[-1], Exchange)
    assert heard[-1].request_id == "req_1"


async def test_patience_has_an_end():
    door = Held(NoRoom("full", retry_after=90.0, window="uploads"))
    patient = Patient(door, FakeClock(), longest=60.0)

    with pytest.raises(NoRoom):
        await Sensay(patient, FakeClock()).account.health()

    assert door.calls == 1


async def test_nothing_but_want_of_room_is_asked_again():
    door = Held(Transient("unreachable"))

    with pytest.raises(Transient):
        await Sensay(Patient(door, FakeClock()), FakeClock()).account.health()

    assert door.calls == 1


def counter(clock: FakeClock, journal: Any, **limits: int) -> Alone:
    quota = Quota(**{"requests_per_minute": 20, "completions_per_hour": 100} | limits)
    return Alone("acme", quota, journal, clock)


async def test_a_short_wait_is_waited_for():
    clock = FakeClock()
    journal = open_journal("memory:", clock)
    await journal.open()
    operating = Operating("acme", counter(clock, journal), journal, clock)

    async def send(left: Any) -> str:
        left()
        return "sent"

    for _ in range(17):
        assert await operating.run(send) == "sent"
    with pytest.raises(NoRoom) as caught:
        await operating.run(send, patience=5.0)
    waiting = asyncio.ensure_future(operating.run(send, patience=90.0))
    await until(lambda: clock.sleepers)
    await clock.advance(61.0)

    assert caught.value.window == "minute"
    assert await waiting == "sent"
    assert len(await journal.spent_since("acme", 0.0)) == 18
    await journal.close()


async def test_a_429_is_learnt_from_and_costs_nothing():
    clock = FakeClock()
    journal = open_journal("memory:", clock)
    await journal.open()
    mine = counter(clock, journal)
    operating = Operating("acme", mine, journal, clock)

    async def send(_: Any) -> None:
        raise RateLimited("429", retry_after=30.0)

    with pytest.raises(RateLimited):
        await operating.run(send)

    assert await journal.spent_since("acme", 0.0) == []
    assert 29.0 < mine.room_in(completion=False, upload=False) <= 30.0
    await journal.close()


async def test_what_cannot_be_written_down_does_not_leave():
    clock = FakeClock()

    class Full:
        async def spend(self, _: Any) -> None:
            raise Transient("the disk is full")

    mine = counter(clock, Full())
    sent = []

    async def send(_: Any) -> None:
        sent.append(1)

    with pytest.raises(Transient):
        await Operating("acme", mine, Full(), clock).run(send)

    assert sent == []
    assert mine.room_in(completion=False, upload=False) == 0.0
    assert mine._quota.used(mine.now())["minute"][0] == 0
