"""The guide, walked through: every request of its documents against the sandbox, in both ways that it can be told."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Any
from uuid import UUID

import httpx
import pytest
from ruamel.yaml import YAML

from gateway.cli import MODULES
from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sandbox.server import Sandbox
from gateway.sensay.api import OPERATIONS, Sensay
from tests.clock import FakeClock

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
GUIDE: dict[str, Any] = YAML(typ="safe").load(HERE / "guide.yaml")
REQUESTS, OTHER = GUIDE["requests"], GUIDE["other"]
LINE = {row["at"]: row for row in REQUESTS}
Names = dict[str, str]


# --- what a request needs ---


class Stage:
    """A sandbox, and what was prepared in it by the names of the rows' `needs`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.names: Names = {}

    async def prepare(self, needs: list[str]) -> None:
        for need in needs:
            ready: Callable[[], Awaitable[None]] = getattr(self, f"_{need}")
            await ready()

    async def send(
        self, row: dict[str, Any], headers: list[str], body: dict[str, Any] | None = None
    ) -> httpx.Response:
        method, path = Template(row["send"]).substitute(self.names).split()
        given = {key: value for name in headers for key, value in GUIDE["headers"][name].items()}
        content = row.get("body") if body is None else body
        request = self.http.build_request(method, path, json=content, headers=given)
        if "json" not in headers:
            request.headers.pop("Content-Type", None)
        return await self.http.send(request)

    async def _again(self, at: str, **changes: Any) -> Any:
        """What another row does, as a step on the way."""
        body = {**LINE[at].get("body", {}), **changes}
        response = await self.send(LINE[at], LINE[at]["headers"], body)
        assert response.is_success, response.text
        return response.json()

    async def _user(self) -> None:
        await self._again("000:76")

    async def _other(self) -> None:
        await self._again("000:76", id="user_123")

    async def _mail(self) -> None:
        await self._again("000:76", id="somebody", email="user@example.com")

    async def _replica(self) -> None:
        self.names["replica"] = (await self._again("000:98"))["uuid"]

    async def _private(self) -> None:
        self.names["replica"] = (await self._again("000:98", private=True))["uuid"]

    async def _asked(self) -> None:
        await self._again("000:167")

    async def _asked_by_telegram(self) -> None:
        await self._again("002:41")

    async def _training(self) -> None:
        self.names["entry"] = str((await self._again("000:197"))["knowledgeBaseID"])

    async def _trained(self) -> None:
        await self._training()
        await self._again("000:216")

    async def _known(self) -> None:
        self.names["entry"] = str((await self._again("001:155"))["results"][0]["knowledgeBaseID"])

    async def _telegram(self) -> None:
        await self._again("002:20")

    async def _group(self) -> None:
        """A sample's conversation in which people talk among themselves, and a mention in its middle."""
        self.names["replica"] = SUPPORT
        talks = (await self._again("000:468"))["items"]
        headers = GUIDE["headers"]["json"] | GUIDE["headers"]["key"]
        root = f"/v1/replicas/{SUPPORT}/conversations"
        talks += (await self.http.get(root, headers=headers)).json()["items"]
        group = next(talk for talk in talks if talk["conversationType"] == "group")
        self.names["conversation"] = group["uuid"]
        mentions = (await self.http.get(f"{root}/{group['uuid']}/mentions", headers=headers)).json()["items"]
        middle = [item for item in mentions if item["type"] == "mention"][1]
        self.names["cursor"] = middle["messages"][0]["uuid"]


@pytest.fixture(params=["guide", "openapi"])
async def stage(request: pytest.FixtureRequest) -> Any:
    async with (
        Sandbox(sensay=SensaySandbox(errors=request.param)) as box,
        httpx.AsyncClient(base_url=box.url, trust_env=False) as http,
    ):
        yield Stage(http)


# --- the walk ---

TYPES: dict[str, Callable[[Any], bool]] = {
    "any": lambda _: True,
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "flag": lambda value: isinstance(value, bool),
    "uuid": lambda value: str(UUID(value)) == value,
    "time": lambda value: datetime.fromisoformat(value).tzinfo is not None,
}


def misfits(shape: Any, value: Any, where: str = "answer") -> list[str]:
    """Where a value is not as the shape has it."""
    if isinstance(shape, str) and shape in TYPES:
        return [] if TYPES[shape](value) else [f"{where}: {value!r} is no {shape}"]
    if isinstance(shape, dict):
        missing = [f"{where} has no {key}" for key in shape if key not in value]
        there = [key for key in shape if key in value]
        return missing + [
            words for key in there for words in misfits(shape[key], value[key], f"{where}.{key}")
        ]
    if isinstance(shape, list) and shape:
        nothing = [] if value else [f"{where} is empty"]
        return nothing + [words for one in value for words in misfits(shape[0], one, f"{where}[]")]
    return [] if shape == value else [f"{where}: {value!r} is not {shape!r}"]


@pytest.mark.parametrize("row", REQUESTS, ids=lambda row: row["at"])
async def test_a_request_of_the_guide_is_answered_as_the_guide_has_it(
    stage: Stage, row: dict[str, Any], request: pytest.FixtureRequest
):
    published = request.node.callspec.params["stage"] == "openapi"
    status = row.get("published", row["status"]) if published else row["status"]
    await stage.prepare(row.get("needs", []))
    response = await stage.send(row, row["headers"])
    for _ in range(10):
        if misfits(row.get("until", {}), response.json() if response.content else {}):
            response = await stage.send(row, row["headers"])

    assert status == response.status_code, response.text
    assert response.headers["X-API-Version"] == "2025-03-25"
    assert response.headers["Content-Type"].startswith("application/json")
    if response.is_success:
        assert [] == misfits(row.get("shape", {}), response.json())
        assert [] == misfits(row.get("until", {}), response.json())


@pytest.mark.parametrize("row", [row for row in REQUESTS if "mended" in row], ids=lambda row: row["at"])
async def test_a_request_that_lacks_its_content_type_works_with_it(stage: Stage, row: dict[str, Any]):
    await stage.prepare(row.get("needs", []))
    response = await stage.send(row, [*row["headers"], "json"])

    assert row["mended"] == response.status_code


def test_a_shape_that_does_not_fit_is_noticed():
    value = {"items": [{"id": "x", "at": "2025-01-01T00:00:00"}], "empty": []}

    assert [] == misfits({"items": [{"id": "text"}], "empty": []}, value)
    assert 1 == len(misfits({"items": [{"id": "number"}]}, value))
    assert 1 == len(misfits({"items": [{"at": "time"}]}, value))
    assert 1 == len(misfits({"empty": [{"id": "any"}]}, value))
    assert 1 == len(misfits({"gone": "any"}, value))


# --- nothing is left out ---


def of_documents(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["at"].partition(":")[0] for row in rows)


def test_each_document_has_as_many_rows_as_it_has_blocks():
    counted = {
        document: {
            "requests": of_documents(REQUESTS)[document],
            "answers": of_documents([row for row in REQUESTS if "answer" in row])[document],
            "other": of_documents(OTHER)[document],
        }
        for document in GUIDE["documents"]
    }

    assert GUIDE["documents"] == counted
    assert (47, 19, 41) == tuple(
        sum(counts[kind] for counts in counted.values()) for kind in ("requests", "answers", "other")
    )
    assert [] == [at for at, count in Counter(row["at"] for row in [*REQUESTS, *OTHER]).items() if count > 1]


@pytest.mark.parametrize("row", REQUESTS, ids=lambda row: row["at"])
def test_a_request_of_the_guide_has_an_operation_of_ours(row: dict[str, Any]):
    assert row["ours"] in OPERATIONS


def exists(ours: str) -> bool:
    """Whether what a row names is there."""
    kind, _, name = ours.partition(" ")
    if kind == "docs:":
        return (ROOT / "docs" / name).exists()
    if kind == "page:":
        return name in ("/schema", "/ui", "/status")
    if kind == "config:":
        return name.rsplit(".", 1)[1] in (ROOT / "config" / "gateway.yaml").read_text()
    if kind == "$":
        return name.split()[0] in MODULES
    family, method = re.fullmatch(r"sensay\.(\w+)\.(\w+)", ours).groups()  # type: ignore[union-attr]
    client = Sensay(lambda *_: None, FakeClock())  # type: ignore[arg-type]
    return callable(getattr(getattr(client, family), method))


@pytest.mark.parametrize("row", OTHER, ids=lambda row: row["at"])
def test_what_takes_the_place_of_another_block_is_there(row: dict[str, Any]):
    assert exists(row["ours"]), row["ours"]
