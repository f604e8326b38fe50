"""The sandbox's own description: valid, complete, and what it really does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.sandbox.sensay import SensaySandbox
from gateway.sandbox.sensay.schema import EXAMPLES, document
from gateway.sandbox.server import Sandbox

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
HEADERS = {"X-ORGANIZATION-SECRET": "acme", "Content-Type": "application/json"}
TABLE = SensaySandbox().table
UNLIMITED: dict[str, Any] = {
    "requests_per_minute": None,
    "completions_per_hour": None,
    "uploads_per_hour": None,
}


@pytest.fixture(params=["openapi", "guide"])
async def box(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    async with Sandbox(sensay=SensaySandbox(errors=request.param, **UNLIMITED)) as made:
        yield made


def test_every_route_is_described_and_nothing_else():
    paths = document(TABLE, "openapi")["paths"]

    assert sorted((route.method.lower(), route.path) for route in TABLE) == sorted(
        (method, path) for path, item in paths.items() for method in item
    )


def test_every_operation_has_an_id_of_its_own():
    operations = [one for item in document(TABLE, "guide")["paths"].values() for one in item.values()]

    assert len(operations) == len({one["operationId"] for one in operations})


@pytest.mark.parametrize("shape", ["openapi", "guide"])
def test_the_document_is_valid(shape: Any):
    schemathesis.openapi.from_dict(document(TABLE, shape)).validate()


def test_every_body_is_closed_and_has_an_example_that_fits():
    bodies = {route.extra.body for route in TABLE if route.extra.body is not None}
    schemas = document(TABLE, "openapi")["components"]["schemas"]

    assert bodies == set(EXAMPLES)
    assert [] == [body for body in bodies if schemas[body.__name__]["additionalProperties"]]
    for body, example in EXAMPLES.items():
        assert isinstance(msgspec.json.decode(msgspec.json.encode(example), type=body), body)


async def test_the_document_is_served_to_everyone(box: Sandbox):
    async with httpx.AsyncClient(base_url=box.url, trust_env=False) as http:
        served = await http.get("/schema")

    assert document(box.sensay.table, box.sensay.errors) == served.json()
    assert served.headers["Access-Control-Allow-Origin"] == "*"


async def test_everything_does_what_is_described(box: Sandbox):
    """What is allowed and what is not, on every operation; the answers are as described, and nonsense is refused."""
    schema = schemathesis.openapi.from_dict(document(box.sensay.table, box.sensay.errors))
    session = requests.Session()
    user = {**HEADERS, "X-USER-ID": "ada"}

    def call(case: Any) -> Any:
        requests.post(
            f"{box.url}/v1/users", json={"id": "ada"}, headers=HEADERS, timeout=20
        )  # deleted meanwhile
        secured = case.operation.definition.raw["security"]
        headers = user if secured == [{"organization": [], "user": []}] else HEADERS
        case.headers.pop("X-USER-ID-TYPE", None)  # goes with an account that there has to be
        return case.call(base_url=box.url, session=session, headers=headers, timeout=20)

    def explore() -> int:
        tried = 0
        for result in schema.get_all_operations():
            operation = result.ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @settings(
                    max_examples=6,
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
            tried += 1
        return tried

    assert len(TABLE) == await asyncio.to_thread(explore)
