"""The sandbox's conversations, chats and analytics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.sensay.api import ADA, EVE, Api, R, api
from tests.sensay.world import DISCORD, TELEGRAM

TALKS = f"{R}/conversations"
GROUP = {"chat_type": "supergroup", "chat_id": -7, "message_id": 1, "chat_name": "Hikers"}


@pytest.fixture
async def sensay() -> AsyncIterator[Api]:
    async with api() as made:
        yield made


async def talk(sensay: Api, replica: str, lines: str) -> str:
    """In a group of Telegram: `u` somebody says something, `?` somebody asks. Its conversation's path."""
    for number, line in enumerate(lines):
        data = GROUP | {"message_id": number, "username": "ada"}
        path = "chat/completions/telegram" if line == "?" else "chat/history/telegram"
        await sensay.post(f"{replica}/{path}", {"content": f"{line}{number}", "telegram_data": data}, ADA)
        sensay.now += 1
    listed = (await sensay.get(f"{replica}/conversations"))["items"]
    return f"{replica}/conversations/{listed[0]['uuid']}"


async def walk(sensay: Api, path: str, limit: int) -> list[dict[str, Any]]:
    """All mentions, from the newest back, as the guide does it: by the last message that was seen."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await sensay.get(f"{path}/mentions?limit={limit}{cursor}")
        items += page["items"]
        assert len(page["items"]) == page["count"]
        seen = [message for item in page["items"] for message in item.get("messages", [])]
        if not page["hasMore"]:
            return items
        cursor = f"&beforeUUID={seen[-1]['uuid']}"


# --- samples ---


async def test_samples_are_alive_and_the_same_everywhere(sensay: Api):
    async with api() as other:
        ours, theirs = await sensay.get(TALKS), await other.get(TALKS)

    assert ours == theirs
    assert ours["total"] > 30
    assert {"telegram", "discord", "embed", "web"} == {
        item["source"] for item in (await sensay.get(f"{TALKS}?pageSize=100"))["items"]
    }


async def test_a_sample_group_has_mentions_and_placeholders(sensay: Api):
    listed = (await sensay.get(f"{TALKS}?pageSize=100"))["items"]
    groups = [item for item in listed if item["conversationType"] == "group"]
    mentions = (await sensay.get(f"{TALKS}/{groups[0]['uuid']}/mentions"))["items"]

    assert {"mention", "placeholder"} == {item["type"] for item in mentions}


# --- conversations and chats ---


async def test_what_a_bot_asks_becomes_a_conversation(sensay: Api):
    mine = await sensay.replica()
    await sensay.post(f"{mine}/chat/completions", {"content": "hi"}, ADA)
    (item,) = (await sensay.get(f"{mine}/conversations"))["items"]
    one = await sensay.get(f"{mine}/conversations/{item['uuid']}")
    (chat,) = (await sensay.get(f"{mine}/chats"))["items"]

    assert item == {key: value for key, value in one.items() if key != "success"}
    assert ("web", 2, 1, "individual") == tuple(
        item[key] for key in ("source", "messageCount", "replicaReplyCount", "conversationType")
    )
    assert item["chatUUID"] == chat["uuid"]


async def test_the_chats_family_leads_to_the_same_messages(sensay: Api):
    mine = await sensay.replica()
    path = await talk(sensay, mine, "uu?")
    chat = (await sensay.get(f"{mine}/chats"))["items"][0]
    root = f"{mine}/chats/{chat['uuid']}"
    (conversation,) = (await sensay.get(f"{root}/conversations"))["items"]
    within = f"{root}/conversations/{conversation['uuid']}"
    messages = await sensay.get(f"{path}/messages")

    assert {"success": True, "chat": chat} == await sensay.get(root)
    assert ("group", "Hikers", 4) == (chat["chatType"], chat["chatName"], chat["messageCount"])
    assert messages == await sensay.get(f"{root}/messages") == await sensay.get(f"{within}/messages")
    assert conversation | {"success": True} == await sensay.get(within)
    assert ["ada", "ada", "ada", "mine"] == [message["senderName"] for message in messages["items"]]


async def test_a_private_chat_and_a_group_are_apart(sensay: Api):
    mine = await sensay.replica()
    completions = f"{mine}/chat/completions"
    await sensay.post(f"{completions}/telegram", {"content": "x", "telegram_data": TELEGRAM}, ADA)
    await sensay.post(f"{completions}/telegram", {"content": "x", "telegram_data": GROUP}, ADA)
    await sensay.post(
        completions,
        {"content": "x", "source": "discord", "discord_data": DISCORD | {"server_id": "1"}},
        ADA,
    )
    chats = (await sensay.get(f"{mine}/chats"))["items"]

    assert sorted([("telegram", "individual"), ("telegram", "group"), ("discord", "group")]) == sorted(
        (chat["source"], chat["chatType"]) for chat in chats
    )


async def test_a_user_sees_own_conversations_and_the_owner_all(sensay: Api):
    mine = await sensay.replica()
    await sensay.post(f"{mine}/chat/completions", {"content": "hi"}, EVE)
    await sensay.post(f"{R}/chat/completions", {"content": "hi"}, EVE)

    assert 1 == (await sensay.get(f"{mine}/conversations", ADA))["total"]
    assert 1 == (await sensay.get(TALKS, EVE))["total"]
    assert 0 == (await sensay.get(TALKS, ADA))["total"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    ("by", "key"),
    [
        ("replicaReplies", "replicaReplyCount"),
        ("firstMessageAt", "firstMessageAt"),
        ("lastReplicaReplyAt", "lastReplicaReplyAt"),
    ],
)
@pytest.mark.parametrize("family", ["conversations", "chats"])
async def test_lists_are_sorted_as_told(sensay: Api, family: str, by: str, key: str, order: str):
    items = (await sensay.get(f"{R}/{family}?sortBy={by}&sortOrder={order}&pageSize=100"))["items"]
    values = [item[key] for item in items]

    assert values == sorted(values, reverse=order == "desc")
    assert len(items) > 10


async def test_pages_of_conversations_have_every_one_once(sensay: Api):
    pages = [(await sensay.get(f"{TALKS}?page={page}&pageSize=20"))["items"] for page in range(1, 6)]
    uuids = [item["uuid"] for page in pages for item in page]

    assert (await sensay.get(TALKS))["total"] == len(uuids) == len(set(uuids))
    assert [] == pages[-1]


# --- cursors ---


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_mentions_have_everything_once_whatever_the_limit(sensay: Api, limit: int):
    path = await talk(sensay, await sensay.replica(), "uu??uuu?u?uu")
    items = await walk(sensay, path, limit)
    kinds = [item.get("count", "mention") for item in items]

    assert [2, "mention", 1, "mention", 3, "mention", "mention", 2] == kinds
    times = [item["messages"][0]["createdAt"] for item in items if "messages" in item]
    assert times == sorted(times, reverse=True)


async def test_what_arrives_meanwhile_changes_nothing_of_older_pages(sensay: Api):
    replica = await sensay.replica()
    path = await talk(sensay, replica, "u?u?u?")
    first = (await sensay.get(f"{path}/mentions?limit=1"))["items"][-1]["messages"][-1]["uuid"]
    before = await sensay.get(f"{path}/mentions?beforeUUID={first}")
    await talk(sensay, replica, "uu?")

    assert before == await sensay.get(f"{path}/mentions?beforeUUID={first}")
    newer = await sensay.get(f"{path}/mentions?afterUUID={first}")
    assert [2, "mention"] == [item.get("count", "mention") for item in reversed(newer["items"])]


async def test_a_placeholder_is_opened_by_the_messages_between_its_neighbours(sensay: Api):
    path = await talk(sensay, await sensay.replica(), "?uuu?")
    newer, placeholder, older = (await sensay.get(f"{path}/mentions"))["items"]
    first, last = older["messages"][-1]["uuid"], newer["messages"][0]["uuid"]
    between = (await sensay.get(f"{path}/messages?afterUUID={first}&beforeUUID={last}"))["items"]

    assert placeholder["count"] == len(between) == 3
    assert ["u1", "u2", "u3"] == [message["content"] for message in between]


async def test_messages_go_back_from_the_newest_and_forth_from_a_cursor(sensay: Api):
    path = await talk(sensay, await sensay.replica(), "uuuuu")

    async def contents(query: str) -> list[str]:
        return [item["content"] for item in (await sensay.get(f"{path}/messages?{query}"))["items"]]

    uuids = [item["uuid"] for item in (await sensay.get(f"{path}/messages"))["items"]]
    assert ["u3", "u4"] == await contents("limit=2")
    assert ["u1", "u2"] == await contents(f"limit=2&beforeUUID={uuids[3]}")
    assert ["u2", "u3"] == await contents(f"limit=2&afterUUID={uuids[1].upper()}")
    assert ["u2"] == await contents(f"limit=1&afterUUID={uuids[0]}&beforeUUID={uuids[3]}")
    assert [] == await contents(f"beforeUUID={uuids[0]}")


@pytest.mark.parametrize("kind", ["messages", "mentions"])
@pytest.mark.parametrize("cursor", ["beforeUUID", "afterUUID"])
async def test_a_cursor_that_is_none_or_elsewhere_is_a_400(sensay: Api, kind: str, cursor: str):
    path = await talk(sensay, await sensay.replica(), "u?")
    elsewhere = await talk(sensay, await sensay.replica("other"), "u?")
    foreign = (await sensay.get(f"{elsewhere}/messages"))["items"][0]["uuid"]

    for value in ("x", "", str(uuid4()), foreign):
        assert 400 == (await sensay.ask("GET", f"{path}/{kind}?{cursor}={value}")).status_code, value


@pytest.mark.parametrize("limit", ["0", "101", "x"])
async def test_a_limit_out_of_bounds_is_a_400(sensay: Api, limit: str):
    path = await talk(sensay, await sensay.replica(), "u?")

    assert 400 == (await sensay.ask("GET", f"{path}/messages?limit={limit}")).status_code


async def test_a_conversation_without_the_replica_is_one_placeholder(sensay: Api):
    path = await talk(sensay, await sensay.replica(), "uuu")
    page = await sensay.get(f"{path}/mentions")

    assert ([{"type": "placeholder", "count": 3}], False) == (page["items"], page["hasMore"])


@pytest.mark.parametrize(
    "path", ["conversations/{}", "conversations/{}/mentions", "chats/{}", "chats/{}/messages"]
)
@pytest.mark.parametrize("uuid", ["x", str(UUID(int=7))])
async def test_what_is_not_there_is_a_404(sensay: Api, path: str, uuid: str):
    assert 404 == (await sensay.ask("GET", f"{R}/{path.format(uuid)}")).status_code


# --- analytics ---


async def test_growth_has_thirty_days_that_never_fall_and_ends_with_all(sensay: Api):
    items = (await sensay.get(f"{R}/analytics/conversations/historical"))["items"]
    counts = [item["cumulativeConversations"] for item in items]

    assert 30 == len(items)
    assert "2027-01-15" == items[-1]["date"]
    assert all(a["date"] < b["date"] for a, b in pairwise(items))
    assert counts == sorted(counts)
    assert counts[0] > 0
    assert (await sensay.get(TALKS))["total"] == counts[-1]


async def test_sources_add_up_to_all_conversations(sensay: Api):
    before = (await sensay.get(f"{R}/analytics/conversations/sources"))["items"]
    await sensay.post(f"{R}/chat/completions", {"content": "hi", "source": "embed"}, ADA)
    after = (await sensay.get(f"{R}/analytics/conversations/sources"))["items"]

    counts = {item["source"]: item["conversations"] for item in before}
    assert {**counts, "embed": counts["embed"] + 1} == {
        item["source"]: item["conversations"] for item in after
    }
    assert (await sensay.get(TALKS))["total"] == sum(item["conversations"] for item in after)


async def test_a_replica_that_nobody_talked_to_has_no_sources_and_no_growth(sensay: Api):
    mine = await sensay.replica()
    growth = (await sensay.get(f"{mine}/analytics/conversations/historical"))["items"]

    assert [] == (await sensay.get(f"{mine}/analytics/conversations/sources"))["items"]
    assert {0} == {item["cumulativeConversations"] for item in growth}


@pytest.mark.parametrize("which", ["historical", "sources"])
async def test_analytics_of_a_private_replica_are_a_403_and_of_none_a_404(sensay: Api, which: str):
    mine = await sensay.replica(private=True)
    path = f"analytics/conversations/{which}"

    assert 403 == (await sensay.ask("GET", f"{mine}/{path}", headers=EVE)).status_code
    assert 404 == (await sensay.ask("GET", f"/v1/replicas/{uuid4()}/{path}")).status_code
