from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import Permanent
from gateway.messages import Question, User
from gateway.sandbox.sensay import SUPPORT
from gateway.sensay.dialects import DIALECTS, ENSURE_USER, channel_of
from tests.sensay.world import DISCORD, SECRET, TELEGRAM, world

R = f"/v1/replicas/{SUPPORT}"
PLATFORMS = ("telegram", "discord", "web", "webhook")
SAID = {"content": "When are you open?"}
ASKED: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("openapi", "telegram"): (f"{R}/chat/completions/telegram", SAID | {"telegram_data": TELEGRAM}),
    ("openapi", "discord"): (f"{R}/chat/completions", SAID | {"source": "discord", "discord_data": DISCORD}),
    ("openapi", "web"): (f"{R}/chat/completions", SAID | {"source": "embed"}),
    ("openapi", "webhook"): (f"{R}/chat/completions", SAID | {"source": "embed"}),
    ("guide", "telegram"): (
        f"{R}/telegram/completions",
        SAID | {"telegramUserId": "42", "telegramChatId": "42"},
    ),
    ("guide", "discord"): (f"{R}/chat/completions", SAID),
    ("guide", "web"): (f"{R}/chat/completions", SAID),
    ("guide", "webhook"): (f"{R}/chat/completions", SAID),
    ("generic", "telegram"): (f"{R}/chat/completions", SAID | {"source": "telegram"}),
    ("generic", "discord"): (f"{R}/chat/completions", SAID | {"source": "discord"}),
    ("generic", "web"): (f"{R}/chat/completions", SAID | {"source": "embed"}),
    ("generic", "webhook"): (f"{R}/chat/completions", SAID | {"source": "embed"}),
}  # fmt: skip
HISTORIES = {
    ("openapi", "telegram"): f"{R}/chat/history/telegram",
    ("openapi", "discord"): f"{R}/chat/history/discord",
    ("openapi", "web"): f"{R}/chat/history/embed",
    ("guide", "telegram"): f"{R}/telegram/history",
    ("guide", "discord"): f"{R}/chat/history",
    ("guide", "web"): f"{R}/chat/history",
    ("generic", "telegram"): f"{R}/chat/history",
    ("generic", "discord"): f"{R}/chat/history",
    ("generic", "web"): f"{R}/chat/history",
}  # fmt: skip


@pytest.mark.parametrize(("dialect", "platform"), list(ASKED))
async def test_a_question_is_spelt_as_the_dialect_says(dialect: str, platform: str):
    async with world(dialect=dialect) as sensay:
        await sensay.ask(platform=platform)

        path, body = ASKED[dialect, platform]
        asked = sensay.requests[-1]
        assert ("POST", path) == (asked.method, asked.path)
        assert body == asked.body


@pytest.mark.parametrize(("dialect", "platform"), list(HISTORIES))
async def test_a_history_is_looked_up_where_the_dialect_files_it(dialect: str, platform: str):
    async with world(dialect=dialect) as sensay:
        await sensay.look(sensay.question(platform=platform))

        looked = sensay.requests[-1]
        assert ("GET", HISTORIES[dialect, platform]) == (looked.method, looked.path)


@pytest.mark.parametrize("identity", ["linked", "native"])
@pytest.mark.parametrize("dialect", list(DIALECTS))
async def test_no_user_is_ever_served_with_the_organisations_key_alone(dialect: str, identity: str):
    async with world(dialect=dialect, identity=identity) as sensay:
        for platform in PLATFORMS:
            await sensay.ask(platform=platform)
            await sensay.look(sensay.question(platform=platform))
            if DIALECTS[dialect].record:
                question = sensay.question("context", platform=platform)
                await sensay.completions.record(question, sensay.admit)

        asked = [request for request in sensay.requests if request.operation != "ensure_user"]
        assert len(asked) >= 12
        native = identity == "native" or dialect == "guide"
        for request in asked:
            assert request.headers["X-USER-ID"]
            assert native is ("X-USER-ID-TYPE" not in request.headers)


async def test_every_request_pins_type_and_version_also_a_get():
    async with world(api_version="2025-04-01") as sensay:
        await sensay.ask()
        await sensay.look(sensay.question())
        await sensay.completions.profile("acme", SUPPORT, sensay.admit)

        assert sensay.requests
        for request in sensay.requests:
            assert request.headers["Content-Type"] == "application/json"
            assert request.headers["Accept"] == "application/json"
            assert request.headers["X-API-Version"] == "2025-04-01"


async def test_the_secret_is_not_among_what_the_sandbox_remembers():
    async with world() as sensay:
        await sensay.ask()

        assert SECRET not in repr(sensay.requests)


def asked(platform: str, dialect: str = "openapi", **more: Any) -> dict[str, Any]:
    user = User(id="42", type="telegram")
    question = Question(organization="acme", replica=SUPPORT, platform=platform, user=user, text="hi", **more)
    channel = "embed" if platform in ("web", "webhook") else platform
    body = DIALECTS[dialect].complete[channel].body(question)
    assert body is not None
    return body


@pytest.mark.parametrize("thread", [0, -1, None])
def test_outside_of_a_topic_no_thread_is_named(thread: int | None):
    body = asked("telegram", context=TELEGRAM | {"message_thread_id": thread})

    assert "message_thread_id" not in body["telegram_data"]


def test_a_topic_is_named_as_a_number():
    body = asked("telegram", context=TELEGRAM | {"message_thread_id": "5"})

    assert body["telegram_data"]["message_thread_id"] == 5


def test_ids_are_numbers_for_telegram_and_words_for_discord():
    telegram = asked("telegram", context={**TELEGRAM, "chat_id": "-100123"})
    discord = asked("discord", context={**DISCORD, "channel_id": 900})

    assert telegram["telegram_data"]["chat_id"] == -100123
    assert discord["discord_data"]["channel_id"] == "900"


def test_only_allowed_keys_leave_and_no_nulls():
    telegram = asked("telegram", context=TELEGRAM | {"start_payload": "x", "chat_name": None})
    discord = asked("discord", context=DISCORD | {"server_id": None, "avatar": "x"})

    assert telegram["telegram_data"] == TELEGRAM
    assert discord["discord_data"] == DISCORD
    assert {"content", "telegram_data"} == telegram.keys()


def test_incomplete_discord_data_is_left_out_rather_than_refused():
    assert asked("discord", context={"channel_id": "900"}) == {"content": "hi", "source": "discord"}


def test_a_picture_goes_only_where_it_is_understood():
    pictures = ("https://example.org/a.png", "https://example.org/b.png")

    assert asked("telegram", context=TELEGRAM, images=pictures)["imageURL"] == pictures[0]
    assert "imageURL" not in asked("telegram", "guide", images=pictures)
    assert "imageURL" not in asked("web", images=pictures)


def test_a_picture_from_discord_is_asked_about_on_the_path_that_takes_pictures():
    ids = {"channel_id": "1300000000000000055", "message_id": "1300000000000000001"}
    context = (
        DISCORD | ids | {"author_id": "700000000000000001", "author_name": "Ada", "channel_name": "help"}
    )
    question = Question(
        organization="acme",
        replica=SUPPORT,
        platform="discord",
        user=User(id="700000000000000001", type="discord"),
        text="hi",
        context=context | {"server_id": "9"},
        images=("https://cdn.discordapp.com/a.png",),
    )
    openapi, guide, generic = (DIALECTS[name] for name in ("openapi", "guide", "generic"))
    data = openapi.complete["telegram"].body(question)["telegram_data"]

    assert ["telegram", "discord", "discord"] == [made.filed(question) for made in (openapi, guide, generic)]
    assert {"chat_type": "group", "chat_name": "help", "username": "Ada"}.items() <= data.items()
    assert all(0 < data[key] < 2**53 for key in ("chat_id", "message_id", "user_id"))


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_question_without_a_picture_stays_on_its_own_path(platform: str):
    async with world() as sensay:
        question = sensay.question(platform=platform)

        assert channel_of(platform) == DIALECTS["openapi"].filed(question)


def test_a_telegram_group_is_told_from_its_sender_in_the_guide():
    body = asked("telegram", "guide", context={**TELEGRAM, "chat_id": -100123})

    assert (body["telegramUserId"], body["telegramChatId"]) == ("42", "-100123")


def test_a_new_user_is_a_linked_account_or_an_id():
    question = Question(
        organization="acme", replica=SUPPORT, platform="web", user=User(id="abc", type="embed"), text="hi"
    )
    native = Question(
        organization="acme", replica=SUPPORT, platform="web", user=User(id="web:abc"), text="hi"
    )

    assert ENSURE_USER.body(question) == {"linkedAccounts": [{"accountID": "abc", "accountType": "embed"}]}
    assert ENSURE_USER.body(native) == {"id": "web:abc"}


@pytest.mark.parametrize("dialect", ["guide", "generic"])
async def test_a_dialect_without_records_says_so_and_spends_nothing(dialect: str):
    async with world(dialect=dialect) as sensay:
        with pytest.raises(Permanent):
            await sensay.completions.record(sensay.question(), sensay.admit)

        assert sensay.admitted == []


async def test_a_reload_to_another_dialect_is_seen_by_the_next_question():
    async with world() as sensay:
        await sensay.ask()
        sensay.reload(dialect="generic")
        await sensay.ask()

        assert f"{R}/chat/completions" == sensay.requests[-1].path
