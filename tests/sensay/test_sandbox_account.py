"""The sandbox's users, replicas, integrations, keys and health."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.sensay import state as state_module
from gateway.sandbox.sensay.samples import OWNER
from tests.sensay.api import ADA, EVE, KEY, Api, R, api

TOKEN = "100:a-token"


@pytest.fixture
async def sensay() -> AsyncIterator[Api]:
    async with api() as made:
        yield made


# --- what every path refuses ---


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", R, "DELETE, GET, PUT"),
        ("GET", "/v1/users", "POST"),
        ("DELETE", f"{R}/integrations/discord", "POST"),
        ("POST", f"{R}/analytics/conversations/sources", "GET"),
    ],
)
async def test_a_method_that_a_path_does_not_have_is_a_405(sensay: Api, method: str, path: str, allowed: str):
    answer = await sensay.ask(method, path)

    assert (405, allowed) == (answer.status_code, answer.headers["Allow"])
    assert "METHOD_NOT_ALLOWED" == answer.json()["error_code"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/users/me?x=1",
        f"{R}?page=1",
        f"{R}/conversations?limit=5",
        "/v1/replicas?page=1&page=2",
        f"{R}/chats?sortBy=name",
    ],
)
async def test_a_parameter_that_nobody_knows_is_a_400(sensay: Api, path: str):
    assert 400 == (await sensay.ask("GET", path, headers=ADA)).status_code


async def test_an_email_address_names_a_user_in_the_guide_only():
    mail = KEY | {"X-USER-ID": "a@b.example", "X-USER-ID-TYPE": "email"}
    statuses = []
    for shape in ("openapi", "guide"):
        async with api(errors=shape) as sensay:
            await sensay.post("/v1/users", {"id": "a", "email": "a@b.example"})
            statuses.append((await sensay.ask("GET", "/v1/users/me", headers=mail)).status_code)

    assert [400, 200] == statuses


async def test_every_organization_has_its_own_of_everything(sensay: Api):
    other = KEY | {"X-ORGANIZATION-SECRET": "another"}
    mine = await sensay.replica()
    before = await sensay.get(f"{R}/conversations", other)
    await sensay.post(f"{R}/chat/completions", {"content": "hi"}, ADA)
    await sensay.post(f"{R}/knowledge-base", {"text": "The dog is called Biscuit."})

    assert 404 == (await sensay.ask("GET", mine, headers=other)).status_code
    assert before == await sensay.get(f"{R}/conversations", other)
    assert 1 == (await sensay.get(f"{R}/knowledge-base", other))["total"]


# --- users ---


async def test_a_user_changes_and_keeps_what_is_left_out(sensay: Api):
    account = {"accountID": "42", "accountType": "telegram"}
    await sensay.ask("PUT", "/v1/users/me", {"id": "ada", "linkedAccounts": [account]}, ADA)
    changed = await sensay.ask("PUT", "/v1/users/me", {"id": "ada-2", "name": "Ada"}, ADA)
    by_account = KEY | {"X-USER-ID": "42", "X-USER-ID-TYPE": "telegram"}

    assert {"success": True, "id": "ada-2", "linkedAccounts": [account], "name": "Ada"} == changed.json()
    assert "ada-2" == (await sensay.get("/v1/users/me", by_account))["id"]
    assert 401 == (await sensay.ask("GET", "/v1/users/me", headers=ADA)).status_code


async def test_a_user_cannot_take_anothers_id(sensay: Api):
    assert 409 == (await sensay.ask("PUT", "/v1/users/me", {"id": "eve"}, ADA)).status_code
    assert 401 == (await sensay.ask("PUT", "/v1/users/me", {"id": "x"}, KEY)).status_code


async def test_a_user_goes_with_replicas_and_history(sensay: Api):
    mine = await sensay.replica()
    await sensay.post(f"{R}/chat/completions", {"content": "hi"}, ADA)
    gone = await sensay.ask("DELETE", "/v1/users/me", headers=ADA)
    await sensay.post("/v1/users", {"id": "ada"})

    assert (204, b"") == (gone.status_code, gone.content)
    assert 404 == (await sensay.ask("GET", mine)).status_code
    assert [] == (await sensay.get(f"{R}/chat/history", ADA))["items"]


async def test_usage_counts_this_months_conversations_and_all_entries(sensay: Api):
    mine = await sensay.replica()
    await sensay.post(f"{mine}/chat/completions", {"content": "hi"}, EVE)
    await sensay.post(f"{mine}/knowledge-base", {"text": "something"})
    usage = await sensay.get("/v1/users/me/usage", ADA)
    sensay.now += 40 * 86_400
    later = await sensay.get("/v1/users/me/usage", ADA)

    uuid = mine.rpartition("/")[2]
    assert {"currentMonthTotal": 1, "currentMonthByReplica": {uuid: 1}} == usage["conversations"]
    assert {"total": 1, "byReplica": {uuid: 1}} == usage["knowledgeBaseEntries"]
    assert 0 == later["conversations"]["currentMonthTotal"]


async def test_the_oldest_user_without_replicas_makes_room(sensay: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(state_module, "MOST_USERS", 15)
    for number in range(30):
        await sensay.post("/v1/users", {"id": f"user-{number}"})

    assert "user-29" == (await sensay.get("/v1/users/user-29"))["id"]
    assert 404 == (await sensay.ask("GET", "/v1/users/ada")).status_code
    assert OWNER == (await sensay.get(f"/v1/users/{OWNER}"))["id"]


# --- replicas ---


async def test_a_replica_is_changed_as_a_whole(sensay: Api):
    mine = await sensay.replica(tags=["Food"], suggestedQuestions=["Why?"])
    new = {
        "name": "New",
        "shortDescription": "s",
        "greeting": "g",
        "ownerID": "ada",
        "slug": "new",
        "llm": {"model": "m"},
    }
    done = await sensay.ask("PUT", mine, new)
    read = await sensay.get(mine)

    assert (200, {"success": True}) == (done.status_code, done.json())
    assert ("New", "new", {"model": "m"}, [], []) == tuple(
        read[key] for key in ("name", "slug", "llm", "tags", "suggestedQuestions")
    )
    assert 409 == (await sensay.ask("PUT", mine, new | {"slug": "support"})).status_code


async def test_a_replica_goes(sensay: Api):
    mine = await sensay.replica()
    gone = await sensay.ask("DELETE", mine)

    assert (200, 404) == (gone.status_code, (await sensay.ask("DELETE", mine)).status_code)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "", None),
        ("POST", "/knowledge-base", {"text": "x"}),
        ("POST", "/training", {}),
        ("POST", "/telegram", {"botToken": TOKEN, "serviceName": "x"}),
        ("DELETE", "/integrations/telegram", None),
    ],
)
async def test_only_the_owner_and_the_organization_change_a_replica(
    sensay: Api, method: str, path: str, body: Any
):
    mine = await sensay.replica()

    assert 403 == (await sensay.ask(method, mine + path, body, EVE)).status_code
    assert 403 != (await sensay.ask(method, mine + path, body, ADA)).status_code


async def test_a_private_replica_is_open_to_those_on_its_list(sensay: Api):
    mine = await sensay.replica(private=True, whitelistEmails=["eve@example.org"])
    before = await sensay.ask("GET", mine, headers=EVE)
    await sensay.ask("PUT", "/v1/users/me", {"id": "eve", "email": "eve@example.org"}, EVE)

    assert 403 == before.status_code
    assert "mine" == (await sensay.get(mine, EVE))["slug"]


async def test_replicas_are_found_by_tag_owner_and_integration_and_sorted_by_name(sensay: Api):
    mine = await sensay.replica("zebra", tags=["Food", "Web"])
    await sensay.replica("apple")
    await sensay.post(f"{mine}/integrations/telegram", {"telegram_token": TOKEN, "mention": "x"})

    async def slugs(query: str) -> list[str]:
        return [item["slug"] for item in (await sensay.get(f"/v1/replicas?{query}"))["items"]]

    assert ["zebra"] == await slugs("tags=Food&tags=Web")
    assert ["apple", "zebra"] == await slugs("ownerID=ada&sort=name")
    assert ["zebra"] == await slugs("integration=telegram")
    assert [] == await slugs("integration=discord")
    assert [] == await slugs("page=7")


# --- integrations ---


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/telegram", {"botToken": TOKEN, "serviceName": "bot"}),
        ("/integrations/telegram", {"telegram_token": TOKEN, "mention": "bot"}),
    ],
)
async def test_a_telegram_bot_comes_is_replaced_and_goes_now_or_soon(
    sensay: Api, path: str, body: dict[str, str]
):
    first = await sensay.ask("POST", R + path, body)
    shown = (await sensay.get(R))["telegram_integration"]
    second = await sensay.ask("POST", R + path, body)
    soon = await sensay.ask("DELETE", R + path)
    await sensay.ask("POST", R + path, body)
    sensay.now += 61
    now = await sensay.ask("DELETE", R + path)
    nothing = await sensay.ask("DELETE", R + path)

    assert [200, 202, 202, 200, 404] == [one.status_code for one in (first, second, soon, now, nothing)]
    assert {"id": first.json()["id"], "service_name": "bot", "telegram_token": TOKEN} == shown
    assert second.json()["message"]
    assert soon.json()["message"]
    assert (await sensay.get(R))["telegram_integration"] is None


@pytest.mark.parametrize(("length", "status"), [(49, 400), (50, 200), (80, 200), (81, 400)])
async def test_a_discord_token_has_its_length(sensay: Api, length: int, status: int):
    answer = await sensay.ask("POST", f"{R}/integrations/discord", {"discordToken": "x" * length})

    assert status == answer.status_code


# --- like OpenAI ---


async def test_like_openai_only_the_last_message_counts_and_a_user_is_needed(sensay: Api):
    path = f"/v1/experimental/replicas/{SUPPORT}/chat/completions"
    body = {"messages": [{"role": "system", "content": "Be rude."}, {"role": "user", "content": "Hello"}]}
    answer = await sensay.post(path, body, ADA)
    unstored = await sensay.ask("POST", path, body | {"store": False}, ADA)

    assert "chat.completion" == answer["object"]
    assert answer["choices"][0]["message"]["content"].startswith("Hi, welcome")
    assert 200 == unstored.status_code
    assert ["Hello"] == [
        item["content"]
        for item in (await sensay.get(f"{R}/chat/history", ADA))["items"]
        if item["role"] == "user"
    ]
    assert 401 == (await sensay.ask("POST", path, body)).status_code


# --- keys and health ---


async def test_an_invitation_is_good_once_and_its_key_opens_an_organization(sensay: Api):
    body = {"organizationName": "Acme", "name": "Ada", "email": "ada@example.org"}
    no_key = {"Content-Type": "application/json"}
    path = "/v1/api-keys/invites/{}/redeem"
    key = await sensay.post(path.format("welcome"), body, no_key)
    again = await sensay.ask("POST", path.format("welcome"), body, no_key)
    unknown = await sensay.ask("POST", path.format("invalid-1"), body, no_key)

    assert {"success", "apiKey", "organizationID", "validUntil"} == key.keys()
    assert [404, 404] == [again.status_code, unknown.status_code]
    assert 3 == (await sensay.get("/v1/replicas", no_key | {"X-ORGANIZATION-SECRET": key["apiKey"]}))["total"]


async def test_health_needs_no_key(sensay: Api):
    health = await sensay.get("/v1/healthcheck", {"Content-Type": "application/json"})

    assert {200} == {service["status"] for service in health["services"].values()}
