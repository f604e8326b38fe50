"""The sandbox's control API: what all its services share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.sandbox.server import Sandbox

GOOD = {"service": "sensay", "operation": "complete", "kind": "status", "status": 503, "times": 2}


@pytest.fixture
async def control(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=sandbox.url, trust_env=False) as http:
        yield http


async def test_a_fault_happens_as_often_as_told(sandbox: Sandbox, control: httpx.AsyncClient):
    response = await control.post("/_control/faults", json=GOOD)

    assert response.status_code == 200
    taken = [sandbox.faults.take("sensay", "complete") for _ in range(3)]
    assert [fault and fault.status for fault in taken] == [503, 503, None]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"service": "slack"}, "service"),
        ({"kind": "explode"}, "kind"),
        ({"status": 200}, "status"),
        ({"times": 0}, "times"),
        ({"seconds": -1}, "seconds"),
        ({"retry_after": "soon"}, "retry_after"),
        ({"operation": ""}, "operation"),
        ({"oops": 1}, "oops"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_in_words(
    sandbox: Sandbox, control: httpx.AsyncClient, change: dict[str, Any], named: str
):
    response = await control.post("/_control/faults", json=GOOD | change)

    assert response.status_code == 422
    assert named in response.json()["error"]
    assert sandbox.faults.take("sensay", "complete") is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}"])
async def test_a_body_that_is_no_fault_is_refused(control: httpx.AsyncClient, body: bytes):
    assert (await control.post("/_control/faults", content=body)).status_code == 422


async def test_a_reset_forgets_the_faults(sandbox: Sandbox, control: httpx.AsyncClient):
    await control.post("/_control/faults", json=GOOD)
    await control.post("/_control/reset")

    assert sandbox.faults.take("sensay", "complete") is None


async def test_the_index_names_every_route(control: httpx.AsyncClient):
    page = (await control.get("/_control")).text

    for path in ("/_control/faults", "/_control/reset", "/_control/sensay/requests"):
        assert path in page
