"""The description of the public routes: complete, valid, and what the servers really do."""

from __future__ import annotations

import asyncio
import copy
import itertools
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import schemathesis
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from standardwebhooks.webhooks import Webhook

from adapters.telegram.routes import TelegramRoutes
from adapters.web.adapter import WebPlatform
from adapters.webhook.adapter import WebhookAdapter
from adapters.webhook.routes import Hooks
from gateway.settings.models import WebhookSettings, WebLimits
from gateway.web import openapi
from gateway.web.server import problems
from tests.web.web_site import Visitor, running_site
from tests.web.webhook_host import SECRET, FakeFleet, FakeHost, HandClock

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    positive_data_acceptance,
]
BOTH = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
Served = tuple[str, str]


def description(*operations: str, without: tuple[str, ...] = ()) -> schemathesis.BaseSchema:
    """These operations of the description, for a bot that exists; `without` parameters that the test sets itself."""
    document = copy.deepcopy(openapi.document())
    parameters = document["components"]["parameters"]
    parameters["bot"]["schema"] = {"enum": ["support"]}
    refs = {f"#/components/parameters/{name}" for name in without}
    for path in list(document["paths"]):
        item = document["paths"][path]
        for holder in [item, *(value for value in item.values() if isinstance(value, dict))]:
            holder.pop("security", None)
            holder.pop("callbacks", None)
            if "parameters" in holder:
                holder["parameters"] = [one for one in holder["parameters"] if one.get("$ref") not in refs]
        kept = {k: v for k, v in item.items() if k == "parameters" or v.get("operationId") in operations}
        if len(kept) > ("parameters" in kept):
            document["paths"][path] = kept
        else:
            del document["paths"][path]
    return schemathesis.openapi.from_dict(document)


def explore(
    schema: schemathesis.BaseSchema, call: Callable[[Any], Any], examples: int = 60, modes=BOTH
) -> set[str]:
    """Try what the description allows and what it does not; returns the operations tried."""
    tried = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in modes:

            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def try_it(case: Any) -> None:
                case.validate_response(call(case), checks=CHECKS)

            try_it()
            tried.add(operation.definition.raw["operationId"])
    return tried


# --- complete and valid


def described() -> Iterator[Served]:
    for path, item in openapi.document()["paths"].items():
        for method in item.keys() & {"get", "post", "delete"}:
            yield method.upper(), path


def served() -> Iterator[Served]:
    platform = WebPlatform()
    routes: list[Any] = [
        openapi.route(),
        *platform.routes(FakeFleet()),
        *Hooks(FakeFleet(), "", asyncio.Event()).routes(),
        *TelegramRoutes(FakeFleet()).routes(),
    ]
    for route in routes:
        if route.method != "OPTIONS":
            yield route.method, re.sub(r"\{(\w+):[^}]*\}", r"{\1}", route.path)


def test_what_is_served_is_described_and_the_other_way_round() -> None:
    assert sorted(served()) == sorted(described())


async def test_the_description_is_served_to_everyone() -> None:
    app = web.Application()
    app.add_routes([openapi.route()])
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/openapi.json")

        assert await response.json() == openapi.document()
        assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_the_description_is_valid() -> None:
    schemathesis.openapi.from_dict(openapi.document()).validate()


# --- true


async def test_the_chat_does_what_is_described() -> None:
    unlimited = WebLimits(sessions_per_address=None, messages_per_session=None, messages_per_day=None)
    async with running_site(now=time.time()) as site:
        site.add("support", limits=unlimited, identity_secret=SecretStr("a-secret-of-the-shop-long-enough"))
        visitor = Visitor(site)
        await visitor.begin()
        await visitor.say("Hello")
        await site.answer("# Hi\n\n- [a](https://a.example)\n\n|x|\n|:-|\n|1|")
        url = str(site.client.make_url("")).rstrip("/")
        session, keys = requests.Session(), itertools.count()

        def call(case: Any) -> Any:
            if case.meta.generation.mode.is_positive:
                case.headers["Idempotency-Key"] = f"key-{next(keys)}"  # one key, two texts: tested elsewhere
            return case.call(base_url=url, session=session, headers=dict(visitor.headers), timeout=20)

        tried = set()
        for operation in ("getHistory", "getPicture", "postMessage", "beginSession"):
            schema = description(operation, without=("origin",))
            tried |= await asyncio.to_thread(explore, schema, call)

    assert tried == {"getHistory", "getPicture", "postMessage", "beginSession"}


async def test_the_files_are_what_is_described() -> None:
    operations = ("getWidget", "getPinnedWidget", "getWords", "getBoundWidget", "getHostedChat")
    async with running_site() as site:
        url = str(site.client.make_url("")).rstrip("/")
        session = requests.Session()

        def call(case: Any) -> Any:
            return case.call(base_url=url, session=session, timeout=20)

        tried = await asyncio.to_thread(explore, description(*operations), call, 8, BOTH[:1])

    assert tried == set(operations)


class Signing(requests.auth.AuthBase):
    """Signs what is sent, whatever it is: the description is about signed requests."""

    def __init__(self, clock: HandClock) -> None:
        self._clock, self._count = clock, 0

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self._count += 1
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        at, name = datetime.fromtimestamp(self._clock.now(), UTC), f"msg_{self._count}"
        if not signable(raw):
            raw = request.body = b"{"
            request.headers["Content-Length"] = "1"
        request.headers["webhook-id"] = name
        request.headers["webhook-timestamp"] = str(int(at.timestamp()))
        request.headers["webhook-signature"] = Webhook(SECRET).sign(name, at, raw.decode())
        return request


def signable(raw: bytes) -> bool:
    """The public library signs text only."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("outcome", ["accepted", "busy"])
async def test_the_webhook_does_what_is_described(outcome: str) -> None:
    fleet, host = FakeFleet(), FakeHost()
    host.next_outcome = outcome
    fleet.channels["support", "webhook"] = (
        WebhookAdapter("support", WebhookSettings(secret=SECRET)),
        host,
    )
    app = web.Application(middlewares=[problems])
    app.add_routes(Hooks(fleet, "https://gateway.example", asyncio.Event()).routes())
    async with TestClient(TestServer(app)) as client:
        url, session = str(client.make_url("")).rstrip("/"), requests.Session()
        session.auth = Signing(host.clock)
        schema = description("ask", "look", without=("webhookId", "webhookTimestamp"))

        def call(case: Any) -> Any:
            case.headers.pop("Prefer", None)  # waiting is tested elsewhere, with the time in hand
            return case.call(base_url=url, session=session, timeout=20)

        tried = await asyncio.to_thread(explore, schema, call)

    assert tried == {"ask", "look"}
