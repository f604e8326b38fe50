"""Every operation in every dialect against the strict sandbox: closed bodies, closed queries, both path families."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from gateway.errors import InvalidArguments
from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sensay.api import ADMIN, OPERATIONS, Auth, as_linked
from gateway.sensay.api.operation import camel
from gateway.sensay.api.values import fingerprint
from tests.sensay.api_world import (
    ADA,
    DIALECTS,
    DISCORD_TOKEN,
    NEW_REPLICA,
    TELEGRAM_DATA,
    ApiWorld,
    Scene,
    api_world,
    scene,
)

DISCORD_DATA = {
    "channel_id": "900",
    "channel_name": "general",
    "author_id": "42",
    "author_name": "ada",
    "message_id": "77",
    "server_id": "1",
}
Sample = tuple[Auth, Callable[[Scene], dict[str, Any]]]
SAMPLES: dict[str, list[Sample]] = {
    "users.create": [
        (ADMIN, lambda _: {}),
        (ADMIN, lambda _: {"id": "bob", "email": "bob@example.com", "name": "Bob (Jr.)"}),
        (ADMIN, lambda _: {"linked_accounts": [{"accountID": "7", "accountType": "telegram"}]}),
    ],
    "users.get": [(ADMIN, lambda _: {"user": "ada"})],
    "users.me": [(ADA, lambda _: {})],
    "users.update": [(ADA, lambda _: {"id": "ada", "name": "Ada", "email": "ada@example.com"})],
    "users.delete": [(ADA, lambda _: {})],
    "users.usage": [(ADA, lambda _: {})],
    "replicas.create": [
        (ADMIN, lambda _: NEW_REPLICA | {"slug": "two"}),
        (
            ADA,
            lambda _: (
                NEW_REPLICA
                | {
                    "slug": "three",
                    "private": True,
                    "tags": ["AI"],
                    "type": "brand",
                    "purpose": "p",
                    "suggested_questions": ["When?"],
                    "profile_image": "https://pictures.example/a.webp",
                    "whitelist_emails": ["x@example.com"],
                }
            ),
        ),
    ],
    "replicas.list": [
        (ADMIN, lambda _: {}),
        (
            ADA,
            lambda _: {
                "page": 2,
                "page_size": 1,
                "slug": "nel",
                "owner_id": "ada",
                "search": "n",
                "tags": ["AI", "Web"],
                "integration": "telegram",
                "sort": "popularity",
            },
        ),
        (ADMIN, lambda _: {"spelling": 1}),
    ],
    "replicas.get": [(ADMIN, lambda s: {"replica": s.replica}), (ADA, lambda s: {"replica": s.replica})],
    "replicas.update": [(ADMIN, lambda s: NEW_REPLICA | {"replica": s.replica, "slug": "nel-2"})],
    "replicas.delete": [(ADMIN, lambda s: {"replica": s.replica})],
    "chat.complete": [
        (ADA, lambda _: {"replica": SUPPORT, "content": "Hello", "skip_chat_history": True}),
        (ADMIN, lambda _: {"replica": SUPPORT, "content": "Hello", "channel": "embed"}),
        (
            ADA,
            lambda _: {
                "replica": SUPPORT,
                "content": "Hello",
                "channel": "discord",
                "discord_data": DISCORD_DATA,
            },
        ),
        (
            ADA,
            lambda _: {
                "replica": SUPPORT,
                "content": "Hello",
                "channel": "telegram",
                "telegram_data": TELEGRAM_DATA,
            },
        ),
    ],
    "chat.openai": [
        (
            ADA,
            lambda _: {
                "replica": SUPPORT,
                "messages": [{"role": "user", "content": "Hello"}],
                "store": False,
                "source": "discord",
                "discord_data": DISCORD_DATA,
            },
        )
    ],
    "history.list": [
        (ADA, lambda _: {"replica": SUPPORT}),
        *(
            (ADA, lambda _, channel=channel: {"replica": SUPPORT, "channel": channel})
            for channel in ("telegram", "discord", "embed", "web")
        ),
    ],
    "history.save": [
        (ADA, lambda _: {"replica": SUPPORT, "content": "Noon."}),
        (
            ADA,
            lambda _: {
                "replica": SUPPORT,
                "content": "Noon.",
                "channel": "discord",
                "discord_data": DISCORD_DATA,
            },
        ),
        (
            ADA,
            lambda _: {
                "replica": SUPPORT,
                "content": "Noon.",
                "channel": "telegram",
                "telegram_data": TELEGRAM_DATA,
            },
        ),
    ],
    "knowledge.add_text": [(ADMIN, lambda s: {"replica": s.replica, "text": "We close at five."})],
    "knowledge.add_url": [
        (
            ADMIN,
            lambda s: {"replica": s.replica, "url": "https://shop.example/faq", "auto_refresh": True},
        )
    ],
    "knowledge.add_file": [(ADMIN, lambda s: {"replica": s.replica, "filename": "faq.pdf"})],
    "knowledge.list": [
        (ADMIN, lambda s: {"replica": s.replica}),
        (
            ADMIN,
            lambda s: {
                "replica": s.replica,
                "status": "READY",
                "type": "text",
                "sort_order": "asc",
                "page": 1,
                "page_size": 5,
            },
        ),
    ],
    "knowledge.get": [(ADMIN, lambda s: {"replica": s.replica, "entry": s.entry})],
    "knowledge.update": [
        (ADMIN, lambda s: {"replica": s.replica, "entry": s.entry, "raw_text": "We open at ten."})
    ],
    "knowledge.delete": [(ADMIN, lambda s: {"replica": s.replica, "entry": s.entry})],
    "training.start": [(ADMIN, lambda s: {"replica": s.replica})],
    "training.upload": [(ADMIN, lambda s: {"replica": s.replica, "filename": "faq.pdf"})],
    "training.teach": [
        (ADMIN, lambda s: {"replica": s.replica, "entry": s.entry, "raw_text": "We open at ten."})
    ],
    "training.get": [(ADMIN, lambda s: {"replica": s.replica, "entry": s.entry})],
    "training.delete": [(ADMIN, lambda s: {"replica": s.replica, "entry": s.entry})],
    "integrations.list_telegram": [(ADMIN, lambda _: {"integration": "telegram"})],
    "integrations.create_telegram": [
        (ADMIN, lambda s: {"replica": s.replica, "token": "123:abc", "name": "nel"})
    ],
    "integrations.delete_telegram": [(ADMIN, lambda s: {"replica": s.replica})],
    "integrations.create_discord": [(ADMIN, lambda s: {"replica": s.replica, "token": DISCORD_TOKEN})],
    "conversations.list": [
        (ADMIN, lambda _: {"replica": SUPPORT}),
        (
            ADMIN,
            lambda _: {
                "replica": SUPPORT,
                "page": 2,
                "page_size": 3,
                "sort_by": "firstMessageAt",
                "sort_order": "asc",
            },
        ),
    ],
    "conversations.get": [(ADMIN, lambda s: {"replica": SUPPORT, "conversation": s.conversation})],
    "conversations.messages": [
        (ADMIN, lambda s: {"replica": SUPPORT, "conversation": s.conversation}),
        (
            ADMIN,
            lambda s: {
                "replica": SUPPORT,
                "conversation": s.conversation,
                "limit": 2,
                "before_uuid": s.message,
            },
        ),
        (
            ADMIN,
            lambda s: {"replica": SUPPORT, "conversation": s.conversation, "after_uuid": s.message},
        ),
    ],
    "conversations.mentions": [
        (ADMIN, lambda s: {"replica": SUPPORT, "conversation": s.conversation}),
        (
            ADMIN,
            lambda s: {
                "replica": SUPPORT,
                "conversation": s.conversation,
                "limit": 2,
                "before_uuid": s.message,
            },
        ),
    ],
    "chats.list": [
        (ADMIN, lambda _: {"replica": SUPPORT}),
        (ADMIN, lambda _: {"replica": SUPPORT, "page": 1, "page_size": 2, "sort_by": "replicaReplies"}),
    ],
    "chats.get": [(ADMIN, lambda s: {"replica": SUPPORT, "chat": s.chat})],
    "chats.conversations": [(ADMIN, lambda s: {"replica": SUPPORT, "chat": s.chat, "page_size": 5})],
    "chats.conversation": [
        (ADMIN, lambda s: {"replica": SUPPORT, "chat": s.chat, "conversation": s.conversation})
    ],
    "chats.messages": [(ADMIN, lambda s: {"replica": SUPPORT, "chat": s.chat, "limit": 5})],
    "chats.conversation_messages": [
        (
            ADMIN,
            lambda s: {
                "replica": SUPPORT,
                "chat": s.chat,
                "conversation": s.conversation,
                "before_uuid": s.message,
            },
        )
    ],
    "analytics.historical": [(ADMIN, lambda _: {"replica": SUPPORT})],
    "analytics.sources": [(ADMIN, lambda _: {"replica": SUPPORT})],
    "account.redeem": [
        (
            ADMIN,
            lambda _: {
                "code": "welcome-7",
                "organization_name": "Acme",
                "name": "Ada",
                "email": "ada@example.com",
            },
        )
    ],
    "account.health": [(ADMIN, lambda _: {})],
}
PATHS = {
    ("chat.complete", "openapi"): ["/chat/completions", "/chat/completions/telegram"],
    ("chat.complete", "guide"): ["/chat/completions", "/telegram/completions"],
    ("chat.complete", "generic"): ["/chat/completions"],
    ("history.list", "openapi"): [
        "/chat/history",
        *(f"/chat/history/{channel}" for channel in ("discord", "embed", "telegram", "web")),
    ],
    ("history.list", "guide"): [
        "/chat/history",
        "/discord/history",
        "/embed/history",
        "/telegram/history",
    ],
    ("integrations.create_telegram", "openapi"): ["/integrations/telegram"],
    ("integrations.create_telegram", "guide"): ["/telegram"],
}
PREPARED = {"integrations.delete_telegram": "integrations.create_telegram"}


@pytest.fixture(params=DIALECTS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[ApiWorld]:
    async with api_world(request.param) as made:
        yield made


def test_every_operation_has_samples():
    assert list(OPERATIONS) == list(SAMPLES)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_is_understood_or_said_to_be_missing(world: ApiWorld, name: str):
    there = await scene(world)
    operation = OPERATIONS[name]
    if world.dialect not in operation.spellings:
        before = len(world.sent)
        auth, arguments = SAMPLES[name][0]

        with pytest.raises(InvalidArguments) as caught:
            await world.ask(name, auth, **arguments(there))

        assert before == len(world.sent)
        assert len(caught.value.context["remedy"]) > 20
        return

    if name in PREPARED:
        auth, arguments = SAMPLES[PREPARED[name]][0]
        await world.ask(PREPARED[name], auth, **arguments(there))
    before = len(world.sent)
    for auth, arguments in SAMPLES[name]:
        answered = await world.ask(name, auth, **arguments(there))

        assert 200 <= answered.status < 300
        assert type(answered.value) is (getattr(operation.reply, "__origin__", None) or operation.reply)
        assert answered.api_version == "2025-03-25"
        assert answered.request_id.startswith("req_")
    requests = world.box.sensay.requests[before:]
    assert len(SAMPLES[name]) == len(requests)
    assert "unknown" not in {request.operation for request in requests}


@pytest.mark.parametrize(("name", "dialect"), PATHS)
async def test_where_dialects_differ_each_takes_its_own_path(name: str, dialect: str):
    async with api_world(dialect) as world:
        there = await scene(world)
        before = len(world.sent)
        for auth, arguments in SAMPLES[name]:
            await world.ask(name, auth, **arguments(there))

        paths = {request.path.partition("?")[0] for request in world.box.sensay.requests[before:]}
        assert PATHS[name, dialect] == sorted(
            path.removeprefix(f"/v1/replicas/{SUPPORT}").removeprefix(f"/v1/replicas/{there.replica}")
            for path in paths
        )


@pytest.mark.parametrize("name", OPERATIONS)
async def test_who_asks_is_told_as_the_operation_wants_it(name: str):
    async with api_world() as world:
        operation = OPERATIONS[name]
        if operation.auth == "either" or "openapi" not in operation.spellings:
            return
        wrong = ADMIN if operation.auth == "user" else ADA
        there = await scene(world)
        before = len(world.sent)

        with pytest.raises(InvalidArguments, match="asked as a user"):
            await world.ask(name, wrong, **SAMPLES[name][0][1](there))

        assert before == len(world.sent)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_what_nobody_knows_is_passed_over_and_what_is_missing_is_not_made_up(name: str):
    """An answer with an unknown field is read, and written again it has no field that did not come."""
    async with api_world("guide" if name.startswith("training.") else "openapi") as world:
        there = await scene(world)
        if name in PREPARED:
            await world.ask(PREPARED[name], **SAMPLES[PREPARED[name]][0][1](there))
        auth, arguments = SAMPLES[name][0]
        operation = OPERATIONS[name]
        given = await _raw(world, name, auth, arguments(there))
        value = msgspec.json.decode(json.dumps(given | {"surprise": {"x": 1}}), type=operation.reply)

        written = json.loads(msgspec.json.encode(value))
        assert set(written) - {"success"} <= set(given)
        for ours, theirs in zip(written.get("items", []), given.get("items", []), strict=True):
            assert ours.keys() <= theirs.keys()
            assert {key: theirs[key] for key in ours if not isinstance(ours[key], dict | list)} == {
                key: value for key, value in ours.items() if not isinstance(value, dict | list)
            }


async def _raw(world: ApiWorld, name: str, auth: Auth, arguments: dict[str, Any]) -> dict[str, Any]:
    operation = OPERATIONS[name]
    request = operation.request(operation.read(arguments), auth, world.settings.sensay.dialect)
    heard: list[bytes] = []
    fetch = world.requests._transport.fetch

    async def listening(*given: Any, **more: Any) -> Any:
        answer = await fetch(*given, **more)
        heard.append(answer.body)
        return answer

    world.requests._transport.fetch = listening
    await world.requests.send("acme", request, lambda: None)
    return json.loads(heard[0] or b"{}")


async def test_a_hosted_bots_token_is_a_fingerprint_unless_it_is_asked_for():
    async with api_world() as world:
        there = await scene(world)
        await world.sensay.integrations.create_telegram(there.replica, "123:abcdef", "nel")
        replica = await world.sensay.replicas.get(there.replica)
        told = [replica async for replica in world.sensay.integrations.list_telegram()]

        assert ["123:abcdef"] == [one.telegram.telegram_token for one in told]
        assert there.replica == told[0].uuid
        assert fingerprint("123:abcdef") == replica.telegram_integration.telegram_token
        assert fingerprint("123:abcdef") == fingerprint(fingerprint("123:abcdef"))
        assert "abcdef" not in repr(told)
        assert "abcdef" not in repr(replica)


HISTORIES = {
    "openapi": "/chat/history/telegram",
    "guide": "/telegram/history",
    "generic": "/chat/history",
}


@pytest.mark.parametrize("other", [*HISTORIES, None])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_history_can_be_asked_for_as_another_dialect_spells_it(dialect: str, other: str | None):
    async with api_world(dialect) as world:
        await world.ask("history.list", replica=SUPPORT, channel="telegram", dialect=other)

        path = f"/v1/replicas/{SUPPORT}{HISTORIES[other or dialect]}"
        assert path == world.box.sensay.requests[-1].path


async def test_three_ways_to_say_who_asks():
    async with api_world() as world:
        await world.sensay.users.create(
            "linked",
            linked=OPERATIONS["users.create"]
            .read({"linked_accounts": [{"accountID": "5", "accountType": "telegram"}]})
            .linked_accounts,
        )
        as_admin = await world.ask("replicas.list")
        as_ada = await world.ask("replicas.list", ADA)
        linked = await world.sensay.users.me(as_linked("5", "telegram"))

        headers = [request.headers for request in world.box.sensay.requests[-3:]]
        assert as_admin.value.total == as_ada.value.total
        assert linked.id == "linked"
        assert "X-USER-ID" not in headers[0]
        assert headers[1]["X-USER-ID"] == "ada"
        assert "X-USER-ID-TYPE" not in headers[1]
        assert headers[2]["X-USER-ID-TYPE"] == "telegram"


async def test_an_email_address_says_who_asks_in_the_guide_only():
    guide = SensaySandbox(errors="guide")
    async with api_world("guide", guide) as world:
        await world.sensay.users.create("eve", email="eve@example.com")
        assert (await world.sensay.users.me(as_linked("eve@example.com", "email"))).id == "eve"
    async with api_world() as world:
        with pytest.raises(InvalidArguments, match="telegram, discord, embed"):
            await world.sensay.users.me(as_linked("eve@example.com", "email"))


@pytest.mark.parametrize("id_", ["", " ada", "ada\r\nX-ORGANIZATION-SECRET: x", "adä"])
async def test_what_cannot_stand_in_a_header_is_not_sent(id_: str):
    async with api_world() as world:
        before = len(world.sent)

        with pytest.raises(InvalidArguments):
            await world.sensay.users.me(Auth(id_))

        assert before == len(world.sent)


def test_ids_cannot_leave_their_place_in_a_path():
    request = OPERATIONS["replicas.get"].request(
        OPERATIONS["replicas.get"].read({"replica": "../users/me?x=1#"}), ADMIN, "openapi"
    )

    assert request.path == "/v1/replicas/..%2Fusers%2Fme%3Fx%3D1%23"


@pytest.mark.parametrize(
    ("ours", "theirs"), [("owner_id", "ownerID"), ("before_uuid", "beforeUUID"), ("raw_text", "rawText")]
)
def test_names_are_spelt_as_sensay_spells_them(ours: str, theirs: str):
    assert theirs == camel(ours)
