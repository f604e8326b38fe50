"""The pretended Sensay is as strict as the real one is documented to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import CAFE, DEVELOPER, SUPPORT, SensaySandbox
from gateway.sandbox.sensay.persona import NOT_ENOUGH
from gateway.sandbox.server import Sandbox
from tests.sensay.world import DISCORD, TELEGRAM, until

R = f"/v1/replicas/{SUPPORT}"
COMPLETIONS = f"{R}/chat/completions"
KEY = {"X-ORGANIZATION-SECRET": "acme", "Content-Type": "application/json"}
ADA = KEY | {"X-USER-ID": "ada"}


class Api:
    """The sandbox through a plain HTTP client."""

    def __init__(self, box: Sandbox, http: httpx.AsyncClient) -> None:
        self.box, self.http = box, http

    async def get(self, path: str, headers: dict[str, str] = ADA) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def post(self, path: str, body: Any, headers: dict[str, str] = ADA) -> httpx.Response:
        return await self.http.post(path, json=body, headers=headers)

    async def say(self, content: str = "When are you open?", **more: Any) -> httpx.Response:
        return await self.post(COMPLETIONS, {"content": content, **more})


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[Api]:
    """With a user `ada`."""
    async with httpx.AsyncClient(base_url=sandbox.url, trust_env=False) as http:
        made = Api(sandbox, http)
        await made.post("/v1/users", {"id": "ada"}, KEY)
        yield made


# --- headers ---

EVERY_GET = [
    "/v1/users/me",
    "/v1/users/ada",
    "/v1/replicas",
    R,
    f"{R}/chat/history",
    f"{R}/telegram/history",
    f"{R}/knowledge-base",
    "/v1/nothing/of/the/kind",
]


@pytest.mark.parametrize("path", EVERY_GET)
async def test_without_a_content_type_even_a_get_is_a_415(api: Api, path: str):
    headers = {k: v for k, v in ADA.items() if k != "Content-Type"}

    assert (await api.get(path, headers)).status_code == 415


@pytest.mark.parametrize("secret", [None, "", "invalid", "invalid-2", "revoked"])
@pytest.mark.parametrize("path", EVERY_GET)
async def test_without_a_good_key_everything_is_a_401(api: Api, path: str, secret: str | None):
    headers = {"Content-Type": "application/json"}
    headers |= {} if secret is None else {"X-ORGANIZATION-SECRET": secret}

    assert (await api.get(path, headers)).status_code == 401


@pytest.mark.parametrize("path", [COMPLETIONS, f"{R}/chat/history", R, "/v1/users/me", "/v1/replicas"])
async def test_an_unknown_user_is_a_401(api: Api, path: str):
    response = await api.http.request(
        "POST" if path == COMPLETIONS else "GET",
        path,
        headers=KEY | {"X-USER-ID": "nobody"},
        content=b'{"content": "hi"}' if path == COMPLETIONS else None,
    )

    assert response.status_code == 401


@pytest.mark.parametrize(
    "headers", [{"X-USER-ID": "ada", "X-USER-ID-TYPE": "email"}, {"X-USER-ID-TYPE": "telegram"}]
)
async def test_a_user_type_out_of_place_is_a_400(api: Api, headers: dict[str, str]):
    assert (await api.get("/v1/users/me", KEY | headers)).status_code == 400


async def test_the_version_is_echoed_and_has_to_be_a_date(api: Api):
    echoed = await api.get("/v1/users/me", ADA | {"X-API-Version": "2025-04-01"})
    default = await api.get("/v1/users/me")
    wrong = await api.get("/v1/users/me", ADA | {"X-API-Version": "latest"})

    assert echoed.headers["X-API-Version"] == "2025-04-01"
    assert default.headers["X-API-Version"] == "2025-03-25"
    assert wrong.status_code == 400


async def test_every_answer_has_a_request_id_of_its_own(api: Api):
    first, second = await api.say(), await api.say()

    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


async def test_an_error_has_the_published_shape_and_the_guides_on_the_guides_paths(api: Api):
    published = (await api.post(f"{COMPLETIONS}/telegram", {})).json()
    guide = (await api.post(f"{R}/telegram/completions", {})).json()

    assert {"success", "error", "error_code", "request_id", "fingerprint"} == published.keys()
    assert {"success", "message", "code", "requestID", "fingerprint", "details"} == guide.keys()


async def test_an_unknown_route_is_a_404_in_json(api: Api):
    response = await api.get(f"{R}/telegram/nothing")

    assert response.status_code == 404
    assert response.json()["success"] is False


# --- bodies ---

GOOD_TELEGRAM = {"content": "hi", "telegram_data": TELEGRAM}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETIONS, {}),
        (COMPLETIONS, {"content": ""}),
        (COMPLETIONS, {"content": None}),
        (COMPLETIONS, {"content": 7}),
        (COMPLETIONS, {"content": "x" * 100_001}),
        (COMPLETIONS, {"content": "hi", "extra": 1}),
        (COMPLETIONS, {"content": "hi", "source": "slack"}),
        (COMPLETIONS, {"content": "hi", "source": None}),
        (COMPLETIONS, {"content": "hi", "telegram_data": TELEGRAM}),
        (COMPLETIONS, {"content": "hi", "discord_data": DISCORD | {"channel_id": 900}}),
        (COMPLETIONS, {"content": "hi", "discord_data": {"channel_id": "900"}}),
        (COMPLETIONS, {"content": "hi", "imageURL": "https://example.org/a.png"}),
        (f"{COMPLETIONS}/telegram", {"content": "hi"}),
        (f"{COMPLETIONS}/telegram", GOOD_TELEGRAM | {"source": "telegram"}),
        (f"{COMPLETIONS}/telegram", {"content": "hi", "telegramUserId": "1", "telegramChatId": "1"}),
        (f"{COMPLETIONS}/telegram", {"content": "hi", "telegram_data": TELEGRAM | {"chat_id": "42"}}),
        (f"{COMPLETIONS}/telegram", {"content": "hi", "telegram_data": TELEGRAM | {"message_thread_id": 0}}),
        (f"{COMPLETIONS}/telegram", {"content": "hi", "telegram_data": TELEGRAM | {"chat_type": "dm"}}),
        (f"{COMPLETIONS}/telegram", GOOD_TELEGRAM | {"imageURL": "https://localhost/a.png"}),
        (f"{COMPLETIONS}/telegram", GOOD_TELEGRAM | {"imageURL": "file:///etc/a.png"}),
        (f"{R}/telegram/completions", {"content": "hi", "telegramUserId": 1, "telegramChatId": "1"}),
        (f"{R}/telegram/completions", {"content": "hi"}),
        (f"{R}/chat/history", {"content": "hi", "skip_chat_history": True}),
        (f"{R}/knowledge-base", {}),
        (f"{R}/knowledge-base", {"text": "x", "title": "y"}),
        ("/v1/users", {"id": "bob", "role": "admin"}),
        ("/v1/users", {"id": ""}),
        ("/v1/users", {"name": "Łukasz"}),
        ("/v1/users", {"name": "x" * 51}),
        ("/v1/users", {"linkedAccounts": [{"accountID": "1", "accountType": "email"}]}),
        ("/v1/users", {"linkedAccounts": [{"accountID": 1, "accountType": "telegram"}]}),
        ("/v1/replicas", {"name": "only a name"}),
    ],
)
async def test_a_body_that_does_not_fit_is_a_400(api: Api, path: str, body: Any):
    assert (await api.post(path, body)).status_code == 400


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"hi"', b"\xff"])
async def test_a_body_that_is_no_object_is_a_400(api: Api, content: bytes):
    assert (await api.http.post(COMPLETIONS, content=content, headers=ADA)).status_code == 400


# --- users ---


async def test_a_user_may_be_made_without_an_id(api: Api):
    made = (await api.post("/v1/users", {}, KEY)).json()

    assert len(made["id"]) == 36
    assert made["linkedAccounts"] == []
    assert (await api.get("/v1/users/me", KEY | {"X-USER-ID": made["id"]})).json()["id"] == made["id"]


async def test_a_linked_account_names_its_user(api: Api):
    account = {"accountID": "42", "accountType": "telegram"}
    made = (await api.post("/v1/users", {"linkedAccounts": [account]}, KEY)).json()

    me = await api.get("/v1/users/me", KEY | {"X-USER-ID": "42", "X-USER-ID-TYPE": "telegram"})
    other = await api.get("/v1/users/me", KEY | {"X-USER-ID": "42", "X-USER-ID-TYPE": "discord"})

    assert me.json()["id"] == made["id"]
    assert [account] == me.json()["linkedAccounts"]
    assert other.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"id": "ada"},
        {"email": "ada@example.org"},
        {"linkedAccounts": [{"accountID": "1", "accountType": "discord"}]},
    ],
)
async def test_a_duplicate_is_a_409(api: Api, body: dict[str, Any]):
    await api.post("/v1/users", body, KEY)

    assert (await api.post("/v1/users", body, KEY)).status_code == 409


async def test_a_user_is_found_by_id_or_not_at_all(api: Api):
    assert (await api.get("/v1/users/ada", KEY)).json()["id"] == "ada"
    assert (await api.get("/v1/users/eve", KEY)).status_code == 404
    assert (await api.get("/v1/users/me", KEY)).status_code == 401


async def test_organisations_do_not_see_each_other(api: Api):
    other = ADA | {"X-ORGANIZATION-SECRET": "another"}

    assert (await api.get("/v1/users/me", other)).status_code == 401
    assert (await api.get("/v1/users/ada", other)).status_code == 404


# --- replicas ---

NEW = {
    "name": "Mine",
    "shortDescription": "A helper",
    "greeting": "Hi there!",
    "ownerID": "ada",
    "slug": "mine",
    "llm": {"provider": "openai", "model": "gpt-4o"},
}


async def test_samples_are_there_from_the_start(api: Api):
    listed = (await api.get("/v1/replicas")).json()

    assert [item["uuid"] for item in listed["items"]] == [SUPPORT, CAFE, DEVELOPER]
    assert listed["total"] == 3


async def test_a_sample_has_a_picture_that_can_be_fetched(api: Api):
    picture = (await api.get(R)).json()["profileImage"]

    shown = await api.http.get(picture)

    assert shown.headers["Content-Type"] == "image/png"
    assert shown.content.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(shown.content) < 4096


async def test_a_replica_that_is_made_can_be_read_and_talks(api: Api):
    made = await api.post("/v1/replicas", NEW | {"suggestedQuestions": ["Why?"]}, KEY)
    path = f"/v1/replicas/{made.json()['uuid']}"
    read = (await api.get(path)).json()

    assert made.status_code == 201
    assert (read["name"], read["greeting"], read["suggestedQuestions"]) == ("Mine", "Hi there!", ["Why?"])
    assert read["introduction"] == "Hi there!"
    answer = await api.post(f"{path}/chat/completions", {"content": "What is the capital of France?"})
    assert answer.json()["content"] == NOT_ENOUGH


async def test_a_slug_is_taken_once_and_an_owner_has_to_exist(api: Api):
    await api.post("/v1/replicas", NEW, KEY)

    assert (await api.post("/v1/replicas", NEW, KEY)).status_code == 409
    assert (await api.post("/v1/replicas", NEW | {"ownerID": "eve", "slug": "x"}, KEY)).status_code == 400


async def test_a_private_replica_is_only_its_owners(api: Api):
    made = await api.post("/v1/replicas", NEW | {"private": True}, KEY)
    path = f"/v1/replicas/{made.json()['uuid']}"
    await api.post("/v1/users", {"id": "eve"}, KEY)
    eve = KEY | {"X-USER-ID": "eve"}

    assert (await api.get(path)).status_code == 200
    assert (await api.get(path, eve)).status_code == 403
    assert (await api.post(f"{path}/chat/completions", {"content": "hi"}, eve)).status_code == 403
    assert (await api.get("/v1/replicas", eve)).json()["total"] == 3
    assert (await api.get("/v1/replicas", KEY)).json()["total"] == 4


@pytest.mark.parametrize(
    "query", ["page=2&pageSize=2", "pageIndex=2&pageSize=2", "page_index=2&page_size=2", "page=2&page_size=2"]
)
async def test_pages_go_by_each_of_their_names(api: Api, query: str):
    listed = (await api.get(f"/v1/replicas?{query}")).json()

    assert [item["uuid"] for item in listed["items"]] == [DEVELOPER]
    assert listed["total"] == 3


@pytest.mark.parametrize("query", ["page=0", "page=x", "pageSize=101", "pageSize=0", "page=-1"])
async def test_a_page_that_cannot_be_is_a_400(api: Api, query: str):
    assert (await api.get(f"/v1/replicas?{query}")).status_code == 400


async def test_replicas_can_be_filtered(api: Api):
    by_slug = (await api.get("/v1/replicas?slug=cafe")).json()["items"]
    by_name = (await api.get("/v1/replicas?search=paper")).json()["items"]

    assert [by_slug[0]["uuid"], by_name[0]["uuid"]] == [CAFE, DEVELOPER]


async def test_an_unknown_replica_is_a_404(api: Api):
    missing = R.replace("1", "9")

    assert (await api.get(missing)).status_code == 404
    assert (await api.post(f"{missing}/chat/completions", {"content": "hi"})).status_code == 404


# --- knowledge ---

FACT = "Our office dog is called Biscuit. He sleeps under the printer."


async def test_a_knowledge_text_is_known_at_once_and_its_status_moves_on(api: Api):
    made = await api.post(f"{R}/knowledge-base", {"text": FACT}, KEY)
    entry = f"{R}/knowledge-base/{made.json()['results'][0]['knowledgeBaseID']}"
    statuses = [(await api.get(entry)).json()["status"] for _ in range(5)]

    assert made.status_code == 207
    assert statuses == ["RAW_TEXT", "PROCESSED_TEXT", "VECTOR_CREATED", "READY", "READY"]
    assert "Biscuit" in (await api.say("What is the office dog called?")).json()["content"]


async def test_the_guides_training_ends_in_the_same_knowledge(api: Api):
    number = (await api.post(f"{R}/training", {}, KEY)).json()["knowledgeBaseID"]
    path = f"{R}/training/{number}"
    trained = await api.http.put(path, json={"rawText": FACT}, headers=KEY)
    status = (await api.get(path)).json()["status"]

    assert trained.status_code == 200
    assert status == "PROCESSING"
    assert "Biscuit" in (await api.say("What is the office dog called?")).json()["content"]


@pytest.mark.parametrize("entry", ["99999", "x", "-1"])
async def test_an_unknown_entry_is_a_404(api: Api, entry: str):
    assert (await api.get(f"{R}/knowledge-base/{entry}")).status_code == 404


# --- completions and histories ---


async def test_a_turn_is_filed_by_its_source_and_seen_in_both_path_families(api: Api):
    await api.post(f"{COMPLETIONS}/telegram", GOOD_TELEGRAM)
    await api.say("discord", source="discord", discord_data=DISCORD)
    await api.say("embed", source="embed")
    await api.say("web")

    for channel, first in (("telegram", "hi"), ("discord", "discord"), ("embed", "embed")):
        published = (await api.get(f"{R}/chat/history/{channel}")).json()["items"]
        guide = (await api.get(f"{R}/{channel}/history")).json()["items"]
        assert published == guide
        assert [(first, "user"), (published[1]["content"], "assistant")] == [
            (item["content"], item["role"]) for item in published
        ]
    assert len((await api.get(f"{R}/chat/history")).json()["items"]) == 8
    assert len((await api.get(f"{R}/chat/history/web")).json()["items"]) == 2


async def test_a_history_is_the_users_own(api: Api):
    await api.post("/v1/users", {"id": "eve"}, KEY)
    await api.say()

    assert (await api.get(f"{R}/chat/history", KEY | {"X-USER-ID": "eve"})).json()["items"] == []


async def test_what_is_only_saved_gets_no_answer(api: Api):
    await api.post(f"{R}/chat/history", {"content": "noted", "source": "discord", "discord_data": DISCORD})
    await api.post(f"{R}/chat/history/telegram", {"content": "noted", "telegram_data": TELEGRAM})

    items = (await api.get(f"{R}/chat/history")).json()["items"]
    assert [(item["role"], item["source"]) for item in items] == [("user", "discord"), ("user", "telegram")]


async def test_a_turn_without_history_leaves_no_trace(api: Api):
    await api.say(skip_chat_history=True)

    assert (await api.get(f"{R}/chat/history")).json()["items"] == []


async def test_the_question_is_stored_before_the_answer_is_there(api: Api):
    api.box.sensay.latency = 0.5
    asking = asyncio.ensure_future(api.say())
    await until(lambda: api.box.sensay.requests[-1].operation == "complete")
    items = (await api.get(f"{R}/chat/history")).json()["items"]
    asking.cancel()

    assert [item["role"] for item in items] == ["user"]


async def test_an_answer_is_the_same_each_time(api: Api):
    assert (await api.say()).json() == (await api.say()).json()


async def test_a_quota_of_the_request_itself_is_honoured(api: Api):
    limits = {"conversations": {"monthlyQuota": 1}}
    first, second = await api.say(usageLimits=limits), await api.say(usageLimits=limits)

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.json()["error_code"] == "MONTHLY_QUOTA_EXCEEDED"
    assert "Retry-After" not in second.headers


# --- limits ---


class Limited:
    """A sandbox whose time stands still."""

    def __init__(self, **limits: Any) -> None:
        self.now = 1_200_000_000.0
        self.sandbox = SensaySandbox(clock=lambda: self.now, **limits)


@pytest.mark.parametrize("algorithm", ["sliding", "fixed", "bucket"])
async def test_a_request_over_the_limit_is_a_429_that_says_when(algorithm: Any):
    limited = Limited(requests_per_minute=3, algorithm=algorithm)
    async with Sandbox(sensay=limited.sandbox) as box, httpx.AsyncClient(base_url=box.url) as http:
        statuses = [(await http.get("/v1/users/ada", headers=KEY)).status_code for _ in range(4)]
        refused = await http.get("/v1/users/ada", headers=KEY)
        other = await http.get("/v1/users/ada", headers=KEY | {"X-ORGANIZATION-SECRET": "another"})
        limited.now += int(refused.headers["Retry-After"])
        later = await http.get("/v1/users/ada", headers=KEY)

    assert statuses == [404, 404, 404, 429]
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["error_code"] == "RATE_LIMIT_EXCEEDED"
    assert (other.status_code, later.status_code) == (404, 404)


async def test_the_hour_counts_completions_also_failed_ones_but_no_429():
    limited = Limited(requests_per_minute=None, completions_per_hour=2)
    async with Sandbox(sensay=limited.sandbox) as box, httpx.AsyncClient(base_url=box.url) as http:
        box.faults.add(Fault("sensay", "complete", "status", status=429))
        statuses = [
            (await http.post(COMPLETIONS, json={"content": "hi"}, headers=ADA)).status_code for _ in range(4)
        ]
        read = await http.get("/v1/users/ada", headers=KEY)

    assert statuses == [429, 401, 401, 429]
    assert read.status_code == 404


# --- what it remembers ---


async def test_requests_are_remembered_less_their_secrets(api: Api):
    await api.say("hello")
    shown = (await api.http.get("/_control/sensay/requests?after=1")).json()["items"]

    assert len(shown) == 1
    assert (
        shown[0]["operation"],
        shown[0]["method"],
        shown[0]["path"],
        shown[0]["status"],
    ) == ("complete", "POST", COMPLETIONS, 200)
    assert shown[0]["body"] == {"content": "hello"}
    assert shown[0]["headers"]["X-USER-ID"] == "ada"
    assert "acme" not in str(shown)


async def test_a_cut_connection_has_no_status(api: Api):
    api.box.faults.add(Fault("sensay", "complete", "drop_after"))
    with pytest.raises(httpx.HTTPError):
        await api.say()

    assert api.box.sensay.requests[-1].status is None
    assert len((await api.get(f"{R}/chat/history")).json()["items"]) == 2


async def test_after_a_reset_it_is_as_new(api: Api):
    await api.say()
    await api.http.post("/_control/reset")

    assert api.box.sensay.requests == []
    assert (await api.get("/v1/users/me")).status_code == 401


async def test_a_canned_answer_comes_as_often_as_told(api: Api):
    canned = {
        "operation": "complete",
        "status": 504,
        "body": "<html>",
        "content_type": "text/html",
        "times": 2,
    }
    await api.http.post("/_control/sensay/canned", json=canned)

    assert [(await api.say()).status_code for _ in range(3)] == [504, 504, 200]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"status": 200}', b'{"operation": 5}'])
async def test_a_canned_answer_that_makes_no_sense_is_refused(api: Api, body: bytes):
    assert (await api.http.post("/_control/sensay/canned", content=body)).status_code == 422
