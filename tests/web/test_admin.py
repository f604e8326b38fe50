"""The admin listener: probes for everybody, everything else for whoever has the token."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__
from gateway.app import Gateway
from gateway.errors import Transient
from gateway.messages import BotCounts
from gateway.ports import Noted
from gateway.settings.models import Settings
from gateway.web.server import Listener
from gateway.web.status import bot_document, moment
from tests.fakes import Facts

TOKEN = "a-token-for-the-admin-page"
PROBLEM = {"type", "title", "status", "detail", "reference"}
REPLICA = "12345678-1234-1234-1234-123456789abc"
PROBES, GUARDED = ("/livez", "/readyz"), ("/metrics", "/status.json", "/status", "/-/reload", "/")


def document_of(**admin: Any) -> dict[str, Any]:
    """One bot whose channel connects to nothing."""
    return {
        "server": {
            "public": {"host": "127.0.0.1", "port": 0},
            "admin": {"host": "127.0.0.1", "port": 0, **admin},
        },
        "journal": "memory:",
        "shutdown_grace": "0s",
        "sensay": {"base_url": "http://127.0.0.1:9"},
        "organizations": {"acme": {"secret": "acme-secret"}},
        "bots": {
            "shop": {
                "organization": "acme",
                "replica": REPLICA,
                "web": {"allowed_origins": ["https://shop.example"]},
            }
        },
    }


def settings(**admin: Any) -> Settings:
    return Settings.model_validate(document_of(**admin))


@asynccontextmanager
async def running(configuration: Settings) -> AsyncIterator[tuple[Gateway, ClientSession]]:
    """A gateway and somebody at its admin listener."""
    gateway = Gateway(configuration)
    try:
        await gateway.start()
        assert gateway.admin is not None
        async with ClientSession(f"http://127.0.0.1:{gateway.admin.port}") as http:
            yield gateway, http
    finally:
        await gateway.close()


@pytest.fixture
async def guarded() -> AsyncIterator[ClientSession]:
    async with running(settings(token=TOKEN)) as (_, http):
        yield http


@pytest.fixture
async def open_to_all() -> AsyncIterator[tuple[Gateway, ClientSession]]:
    async with running(settings()) as pair:
        yield pair


async def status_of(http: ClientSession, path: str, **request: Any) -> int:
    async with http.get(path, **request) as answer:
        return answer.status


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


# --- who may ask ---


@pytest.mark.parametrize("path", PROBES)
async def test_a_probe_needs_no_token(guarded: ClientSession, path: str):
    assert await status_of(guarded, path) == 200


@pytest.mark.parametrize("path", GUARDED)
async def test_everything_else_needs_the_token(guarded: ClientSession, path: str):
    async with guarded.get(path) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert answer.content_type == "application/problem+json"
        told = await answer.json()
        assert (told["status"], told["title"]) == (401, "Unauthorized")
        assert PROBLEM == told.keys()


@pytest.mark.parametrize("path", ["/metrics", "/status.json"])
async def test_the_token_is_taken_as_bearer_or_as_password(guarded: ClientSession, path: str):
    assert await status_of(guarded, path, headers={"Authorization": f"Bearer {TOKEN}"}) == 200
    assert await status_of(guarded, path, headers={"Authorization": f"bearer {TOKEN}"}) == 200
    assert (
        await status_of(guarded, path, headers={"Authorization": basic(f"anybody:{TOKEN}".encode())}) == 200
    )


@pytest.mark.parametrize(
    "given",
    [
        "Bearer wrong",
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Token {TOKEN}",
        TOKEN,
        basic(f"{TOKEN}:".encode()),
        basic(b"admin:wrong"),
        basic(b"\xff\xfe:\xff"),
        "Basic not-base64!",
        "Basic",
        "",
    ],
)
async def test_a_wrong_token_is_refused(guarded: ClientSession, given: str):
    assert await status_of(guarded, "/metrics", headers={"Authorization": given}) == 401


async def test_a_token_of_odd_bytes_is_refused_like_any_other():
    async with running(settings(token=TOKEN)) as (gateway, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.admin.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\xfe\r\n\r\n")
        line = await reader.readline()
        writer.close()

    assert b"401" in line


async def test_there_is_no_lock_out(guarded: ClientSession):
    for _ in range(20):
        await status_of(guarded, "/metrics", headers={"Authorization": "Bearer wrong"})

    assert await status_of(guarded, "/metrics", headers={"Authorization": f"Bearer {TOKEN}"}) == 200


async def test_a_token_in_the_address_does_not_count(guarded: ClientSession):
    assert await status_of(guarded, f"/metrics?token={TOKEN}") == 401


async def test_without_a_token_in_the_configuration_none_is_asked_for(open_to_all: Any):
    _, http = open_to_all

    assert await status_of(http, "/metrics") == 200
    assert await status_of(http, "/status.json") == 200


async def test_what_is_not_there_is_a_problem_document(open_to_all: Any):
    _, http = open_to_all
    async with http.get("/nowhere") as missing, http.post("/livez") as wrong:
        assert (missing.status, wrong.status) == (404, 405)
        assert wrong.headers["Allow"] == "GET,HEAD"
        assert missing.content_type == wrong.content_type == "application/problem+json"
        for answer in (missing, wrong):
            assert PROBLEM == (await answer.json()).keys()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/-/dead-letters/none", 404),
        ("POST", "/-/dead-letters/none/retry", 404),
        ("GET", "/-/dead-letters?limit=many", 422),
        ("GET", "/-/traces/none", 404),
        ("POST", "/-/bots/nobody/pause", 404),
        ("POST", "/-/conversations/nowhere/pause", 404),
        ("POST", "/-/conversations/support%2Fweb%2F1/pause?seconds=soon", 422),
        ("GET", "/status/none.css", 404),
        ("POST", "/-/reload", 409),
    ],
)
async def test_every_refusal_is_a_problem_document(open_to_all: Any, method: str, path: str, status: int):
    _, http = open_to_all
    async with http.request(method, path) as answer:
        told = await answer.json()

    assert (status, "application/problem+json") == (answer.status, answer.content_type)
    assert PROBLEM == told.keys()
    assert (status, HTTPStatus(status).phrase) == (told["status"], told["title"])


# --- what they see ---


async def test_readiness_fails_while_the_journal_cannot_be_written(open_to_all: Any):
    gateway, http = open_to_all
    before = await status_of(http, "/readyz")
    await gateway.journal.close()
    async with http.get("/readyz") as answer:
        failed = answer.status, await answer.text()
    alive = await status_of(http, "/livez")
    await gateway.journal.open()

    assert before == 200
    assert failed[0] == 503
    assert "journal" in failed[1]
    assert alive == 200
    assert await status_of(http, "/readyz") == 200


async def test_readiness_fails_while_the_public_listener_is_down(open_to_all: Any):
    gateway, http = open_to_all
    await gateway.public.stop()
    async with http.get("/readyz") as answer:
        assert answer.status == 503
        assert "public listener" in await answer.text()


async def test_one_bad_bot_does_not_make_the_process_unready():
    document = document_of()
    document["bots"]["shop"]["telegram"] = {"token": "1:a-token-that-nobody-answers-to"}
    document["platforms"] = {"telegram": {"api_url": "http://127.0.0.1:9"}}
    async with running(Settings.model_validate(document)) as (gateway, http):
        telegram = (await gateway.status())["bots"]["shop"]["platforms"]["telegram"]

        assert telegram["state"] != "running"
        assert await status_of(http, "/readyz") == 200


async def test_the_status_tells_of_every_bot_and_organisation(open_to_all: Any):
    _, http = open_to_all
    async with http.get("/status.json") as answer:
        document = await answer.json()

    assert answer.headers["Cache-Control"] == "no-store"
    assert document["version"] == __version__
    assert document["ready"] is True
    assert document["started_at"].endswith("+00:00")
    organization = document["organizations"]["acme"]
    assert organization["quota"]["minute"] == {"limit": 100, "used": 0} | organization["quota"]["minute"]
    assert organization["quota"]["hour"]["limit"] == 1000
    assert organization["waiting"] == 0
    bot = document["bots"]["shop"]
    assert bot["replica"] == REPLICA
    assert set(bot["platforms"]) == {"web"}
    assert bot["platforms"]["web"]["state"] == "running"
    assert set(bot["platforms"]["web"]) == {"state", "since", "last_event_at", "last_reply_at", "error"}
    assert bot["queue"] == {"waiting": 0, "oldest_age": None}
    assert bot["turns"] == {"answered": 0, "failed": 0, "expired": 0}


async def test_the_metrics_can_be_scraped(open_to_all: Any):
    _, http = open_to_all
    async with http.get("/metrics") as answer:
        text = await answer.text()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert samples["gateway_quota_limit", "acme", "minute"] == 100.0
    assert samples["gateway_quota_limit", "acme", "hour"] == 1000.0
    assert samples["gateway_queue_depth", "shop"] == 0.0
    assert samples["gateway_bot_state", "running", "shop", "web"] == 1.0


def test_times_are_written_for_people_and_machines():
    assert moment(0.0) == "1970-01-01T00:00:00.000+00:00"
    assert moment(None) is None


def test_the_age_of_the_oldest_is_never_negative():
    counts = BotCounts(waiting=1, oldest=100.0)

    assert bot_document(REPLICA, {}, counts, 99.0)["queue"] == {"waiting": 1, "oldest_age": 0.0}
    assert bot_document(REPLICA, {}, counts, 103.0)["queue"] == {"waiting": 1, "oldest_age": 3.0}


# --- listening ---


async def test_a_port_in_use_is_an_error_and_nothing_stays_open():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listener = Listener("127.0.0.1", taken.getsockname()[1], [])

        with pytest.raises(Transient, match="cannot listen on"):
            await listener.start()
        assert not listener.up


async def test_a_gateway_that_cannot_listen_lets_go_of_all_it_had():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        before = asyncio.all_tasks()
        gateway = Gateway(settings(port=taken.getsockname()[1]))
        with pytest.raises(Transient, match="cannot listen on"):
            await gateway.run(asyncio.Event())

        assert gateway.public is not None
        assert not gateway.public.up
        assert not await gateway.journal.writable()
        assert asyncio.all_tasks() == before


# --- who knocks with the wrong token ---


async def test_wrong_tokens_are_counted_and_told_of_and_lock_nobody_out():
    facts = Facts()
    gateway = Gateway(settings(token=TOKEN), observe=facts)
    await gateway.start()
    try:
        async with ClientSession(f"http://127.0.0.1:{gateway.admin.port}") as http:
            wrong = [
                await status_of(http, "/status.json", headers={"Authorization": f"Bearer wrong{n}"})
                for n in range(5)
            ]
            async with http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
                text = await answer.text()
    finally:
        await gateway.close()

    assert [401] * 5 == wrong
    assert "gateway_admin_refused_total 5.0" in text
    assert ["warning"] * 5 == [fact.level for fact in facts.of(Noted) if fact.event == "admin.refused"]
    assert "wrong" not in str([fact.fields for fact in facts.of(Noted)])


async def test_ten_scrapes_at_once_are_answered_alike(open_to_all: Any):
    _, http = open_to_all

    async def scrape() -> tuple[int, int]:
        async with http.get("/metrics") as answer:
            return answer.status, len((await answer.text()).splitlines())

    answers = await asyncio.gather(*(scrape() for _ in range(10)))

    assert {200} == {status for status, _ in answers}
    assert 1 == len({lines for _, lines in answers})


async def test_names_that_nobody_has_add_no_series(open_to_all: Any):
    gateway, http = open_to_all
    async with http.get("/metrics") as answer:
        before = len((await answer.text()).splitlines())
    async with ClientSession(gateway.public_url) as public:
        for number in range(50):
            await status_of(public, f"/chat/nobody-{number}")
            await status_of(public, f"/v1/web/nobody-{number}/history")
            await status_of(public, f"/v1/hooks/nobody-{number}/messages/x")
    async with http.get("/metrics") as answer:
        text = await answer.text()

    assert "nobody-" not in text
    assert before == len(text.splitlines())


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer se\x00cret\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-secret: " + b"a" * 20_000 + b"\r\n\r\n",
        b"nothing of the kind\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_request_are_a_problem_that_repeats_nothing_of_them_nor_logs_it(
    request_: bytes, caplog: pytest.LogCaptureFixture
):
    listener = Listener("127.0.0.1", 0, [])
    await listener.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(request_)
        async with asyncio.timeout(5):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    finally:
        await listener.stop()

    assert head.split(b" ")[1] == b"400"
    assert b"Server: sensay-gateway" in head
    assert PROBLEM == json.loads(body).keys()
    assert b"cret" not in body
    assert caplog.text == ""


async def test_a_body_that_is_not_packed_as_it_says_leaves_no_traceback(caplog: pytest.LogCaptureFixture):
    async with running(settings()) as (gateway, _), ClientSession(gateway.public_url) as public:
        headers = {"Origin": "https://shop.example", "Content-Encoding": "gzip"}
        for _again in range(2):  # on one connection
            async with public.post("/v1/web/shop/sessions", headers=headers, data=b"xx") as response:
                assert response.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE

    assert "Traceback" not in caplog.text


async def test_which_libraries_serve_is_not_told():
    async with running(settings()) as (_, client), client.get("/livez") as response:
        assert response.headers["Server"] == "sensay-gateway"
