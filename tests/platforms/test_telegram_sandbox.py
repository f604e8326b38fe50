"""The pretended Bot API, judged by python-telegram-bot as it is out of the box."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from telegram import Bot, BotCommand, LinkPreviewOptions, MessageEntity, ReplyParameters, Update
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, RetryAfter

from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from gateway.sandbox.telegram_limits import Sessions
from tests.platforms.fake_host import until

TOKEN = "42:abc"


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[Bot]:
    async with Bot(TOKEN, base_url=f"{sandbox.url}/bot") as bot:
        yield bot


async def say(sandbox: Sandbox, **body: object) -> int:
    url = f"{sandbox.url}/_control/telegram/{TOKEN}/messages"
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json={"user": {"id": 7, "name": "Ada"}, **body}) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return (await answer.json())["id"]


async def test_a_bot_polls_and_answers(sandbox: Sandbox, bot: Bot) -> None:
    number = await say(sandbox, text="Hello /help 😀 @bot42_bot")
    (update,) = await bot.get_updates(timeout=5)
    message = update.effective_message
    answer = await bot.send_message(
        message.chat.id,
        "😀 bold",
        entities=[MessageEntity("bold", 3, 4)],
        reply_parameters=ReplyParameters(message.message_id),
        link_preview_options=LinkPreviewOptions(is_disabled=True),
    )

    assert ("bot42_bot", 42) == (bot.username, bot.id)
    assert (number, "Ada") == (message.message_id, message.from_user.full_name)
    assert ["/help", "@bot42_bot"] == [message.parse_entity(entity) for entity in message.entities]
    assert number == answer.reply_to_message.message_id
    assert {"bold": "bold"} == {entity.type: answer.parse_entity(entity) for entity in answer.entities}
    (sent,) = sandbox.telegram.sent(TOKEN)
    assert ("message", 7, "😀 bold", number) == (sent["kind"], sent["chat"], sent["text"], sent["reply_to"])


async def test_updates_stay_until_a_later_offset_confirms_them(sandbox: Sandbox, bot: Bot) -> None:
    for text in ("one", "two", "three"):
        await say(sandbox, text=text)
    first = await bot.get_updates(limit=2)
    again = await bot.get_updates(limit=2)
    rest = await bot.get_updates(offset=first[-1].update_id + 1)

    assert [u.update_id for u in first] == [u.update_id for u in again]
    assert ["three"] == [u.message.text for u in rest]
    assert ["two"] == [u.message.text for u in first[1:]]
    assert () == await bot.get_updates(offset=rest[-1].update_id + 1)


async def test_a_long_poll_wakes_with_the_message(sandbox: Sandbox, bot: Bot) -> None:
    waiting = asyncio.create_task(bot.get_updates(timeout=30))
    await until(lambda: sandbox.telegram.bot(TOKEN)._poll)
    await say(sandbox, text="wake")

    assert ["wake"] == [update.message.text for update in await asyncio.wait_for(waiting, 5)]


async def test_the_older_of_two_pollers_is_told_of_the_conflict(sandbox: Sandbox, bot: Bot) -> None:
    older = asyncio.create_task(bot.get_updates(timeout=30))
    await until(lambda: sandbox.telegram.bot(TOKEN)._poll)
    async with Bot(TOKEN, base_url=f"{sandbox.url}/bot") as other:
        await other.get_updates(timeout=0)

    with pytest.raises(Conflict):
        await older


async def test_allowed_updates_are_remembered_and_filter_when_an_update_is_made(
    sandbox: Sandbox, bot: Bot
) -> None:
    await bot.get_updates(allowed_updates=["edited_message"])
    number = await say(sandbox, text="unheard")
    await say(sandbox, text="heard", edit=number)
    (update,) = await bot.get_updates()

    assert "heard" == update.edited_message.text


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ({"text": " "}, BadRequest, "text is empty"),
        ({"text": "x" * 4097}, BadRequest, "too long"),
        ({"text": "x", "chat_id": 99}, BadRequest, "Chat not found"),
        ({"text": "x", "message_thread_id": 1}, BadRequest, "thread not found"),
        ({"text": "x", "message_thread_id": 77}, BadRequest, "thread not found"),
        ({"text": "x", "reply_parameters": ReplyParameters(1)}, BadRequest, "replied not found"),
        ({"text": "xx", "entities": [MessageEntity("bold", 1, 2)]}, BadRequest, "offset 1 ends after"),
        ({"text": "😀", "entities": [MessageEntity("bold", 1, 1)]}, BadRequest, "middle"),
        (
            {"text": "x", "entities": [MessageEntity("text_link", 0, 1, url="http://localhost")]},
            BadRequest,
            "Entity url",
        ),
        ({"text": "x", "chat_id": 8}, Forbidden, "blocked"),
    ],
)
async def test_a_message_is_refused_as_the_server_refuses_it(
    sandbox: Sandbox, bot: Bot, call: dict, error: type[Exception], words: str
) -> None:
    await say(sandbox, text="hi")
    await say(sandbox, text="hi", user={"id": 8, "name": "Bob"})
    sandbox.telegram.block(TOKEN, 8)

    with pytest.raises(error, match=words):
        await bot.send_message(**{"chat_id": 7, **call})


async def test_the_server_counts_code_points_and_keeps_a_hundred_entities(sandbox: Sandbox, bot: Bot) -> None:
    await say(sandbox, text="hi")
    await bot.send_message(7, "😀" * 4096)
    sent = await bot.send_message(7, "x" * 200, entities=[MessageEntity("bold", n, 1) for n in range(120)])

    assert 100 == len(sent.entities)


async def test_a_topic_is_known_once_somebody_wrote_in_it(sandbox: Sandbox, bot: Bot) -> None:
    await say(sandbox, text="in a topic", chat={"id": -1000000000100}, thread=9)
    (update,) = await bot.get_updates()
    sent = await bot.send_message(-1000000000100, "here", message_thread_id=9)

    assert update.message.is_topic_message
    assert update.message.reply_to_message.forum_topic_created
    assert (9, True) == (sent.message_thread_id, sent.is_topic_message)


async def test_a_group_that_became_a_supergroup_says_so(sandbox: Sandbox, bot: Bot) -> None:
    await say(sandbox, text="hi", chat={"id": -5, "type": "group", "title": "G"})
    sandbox.telegram.migrate(TOKEN, -5, -1005)

    with pytest.raises(ChatMigrated) as moved:
        await bot.send_message(-5, "x")
    assert -1005 == moved.value.new_chat_id
    updates = await bot.get_updates()
    assert [(-1005, None), (None, -5)] == [
        (u.message.migrate_to_chat_id, u.message.migrate_from_chat_id) for u in updates[1:]
    ]


async def test_files_menus_and_typing(sandbox: Sandbox, bot: Bot) -> None:
    await say(sandbox, text="hi")
    await bot.send_chat_action(7, "typing")
    document = await bot.send_document(7, "täxt".encode(), filename="answer.md", caption="here")
    await bot.set_my_commands([BotCommand("help", "Help")])

    assert "answer.md" == document.document.file_name
    assert ["typing", "document"] == [item["kind"] for item in sandbox.telegram.sent(TOKEN)]
    assert "täxt" == sandbox.telegram.sent(TOKEN)[1]["content"]
    assert ("help",) == tuple(command.command for command in await bot.get_my_commands())


async def test_messages_can_be_edited_and_deleted(sandbox: Sandbox, bot: Bot) -> None:
    await say(sandbox, text="hi")
    sent = await bot.send_message(7, "draft")
    await bot.edit_message_text("final", 7, sent.message_id)
    with pytest.raises(BadRequest, match="not modified"):
        await bot.edit_message_text("final", 7, sent.message_id)

    assert await bot.delete_message(7, sent.message_id)


async def test_a_revoked_token_and_a_malformed_one_are_refused(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.revoke(TOKEN)

    with pytest.raises(InvalidToken, match="Unauthorized"):
        await bot.get_me()
    with pytest.raises(InvalidToken, match="Not Found"):
        await Bot("nonsense", base_url=f"{sandbox.url}/bot").get_me()


@pytest.mark.filterwarnings("ignore:.*timedelta")
async def test_a_fault_looks_like_telegrams_own_trouble(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.faults.add(Fault("telegram", "getMe", "status", status=429, retry_after=7))

    with pytest.raises(RetryAfter, match="7"):
        await bot.get_me()
    assert 42 == (await bot.get_me()).id


async def test_what_a_control_request_gets_wrong_is_told(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/_control/telegram/{TOKEN}/messages"
    async with aiohttp.ClientSession() as http, http.post(url, json={"user": {"id": "seven"}}) as answer:
        assert 422 == answer.status


async def test_a_chat_may_be_called_a_channel(sandbox: Sandbox, bot: Bot) -> None:
    await say(sandbox, channel=-1001, text="hi")

    (update,) = await bot.get_updates()
    assert update.message is not None
    assert -1001 == update.message.chat.id


async def test_ids_go_on_after_a_reset(sandbox: Sandbox) -> None:
    before = await say(sandbox, text="hi")
    sandbox.telegram.reset()

    assert await say(sandbox, text="hi") > before
    assert [] == sandbox.telegram.sent(TOKEN)


async def test_a_poll_that_waits_goes_home_empty_when_the_world_is_reset(sandbox: Sandbox, bot: Bot) -> None:
    waiting = asyncio.create_task(bot.get_updates(timeout=20))
    await until(lambda: sandbox.telegram.bot(TOKEN)._poll)
    sandbox.telegram.reset()

    assert () == await waiting


async def test_a_webhook_gets_each_update_until_it_takes_it_and_in_order(sandbox: Sandbox, bot: Bot) -> None:
    got: list[tuple[int, str, str | None]] = []

    async def receive(request: web.Request) -> web.Response:
        status = 503 if len(got) < 2 else 200
        text = (await request.json())["message"]["text"]
        got.append((status, text, request.headers.get("X-Telegram-Bot-Api-Secret-Token")))
        return web.Response(status=status)

    sandbox.telegram.webhooks.pace = 0.0
    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        await say(sandbox, text="before")
        await bot.set_webhook(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", secret_token="s3cret")
        await until(lambda: len(got) >= 3)
        await say(sandbox, text="after")
        await until(lambda: len(got) >= 4)
        with pytest.raises(Conflict, match="webhook is active"):
            await bot.get_updates()
        info = await bot.get_webhook_info()
        await bot.delete_webhook()
    finally:
        await runner.cleanup()

    assert [(503, "before", "s3cret")] * 2 + [(200, "before", "s3cret"), (200, "after", "s3cret")] == got
    assert 0 == info.pending_update_count
    assert "503" in info.last_error_message
    assert () == await bot.get_updates()


@pytest.mark.parametrize("url", ["http://example.com/hook", "https://example.com:444/hook"])
async def test_a_webhook_needs_tls_and_one_of_four_ports(bot: Bot, url: str) -> None:
    with pytest.raises(BadRequest, match="Bad webhook"):
        await bot.set_webhook(url)


async def control(sandbox: Sandbox, what: str, **body: object) -> None:
    url = f"{sandbox.url}/_control/telegram/{TOKEN}/{what}"
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as answer:
        assert 200 == answer.status


async def test_a_picture_that_somebody_sent_can_be_downloaded(sandbox: Sandbox, bot: Bot) -> None:
    await say(sandbox, photo=True, caption="look")
    (update,) = await bot.get_updates()
    file = await bot.get_file(update.message.photo[-1].file_id)
    url = f"{sandbox.url}/file/bot{TOKEN}/photos"
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{url}/{file.file_path.rpartition('/')[2]}") as good,
        http.get(f"{url}/other.png") as bad,
    ):
        content = await good.read()

    assert (b"\x89PNG", file.file_size) == (content[:4], len(content))
    assert 404 == bad.status


async def test_a_bot_answers_for_a_connected_account_and_hears_itself(sandbox: Sandbox, bot: Bot) -> None:
    await control(sandbox, "business", id="c1", user=99)
    await say(sandbox, text="hi", business="c1")
    connected, asked = await bot.get_updates(allowed_updates=Update.ALL_TYPES)
    await bot.send_message(7, "hello", business_connection_id="c1")
    (echo,) = await bot.get_updates(offset=asked.update_id + 1)

    assert (99, True) == (
        connected.business_connection.user.id,
        connected.business_connection.rights.can_reply,
    )
    assert ("c1", "hi") == (asked.business_message.business_connection_id, asked.business_message.text)
    assert (99, bot.id) == (
        echo.business_message.from_user.id,
        echo.business_message.sender_business_bot.id,
    )
    assert 99 == (await bot.get_business_connection("c1")).user.id


@pytest.mark.parametrize(
    ("connection", "words"),
    [({"can_reply": False}, "(?i)not enough rights"), ({"enabled": False}, "(?i)connection_invalid")],
)
async def test_a_bot_writes_for_an_account_only_as_far_as_it_may(
    sandbox: Sandbox, bot: Bot, connection: dict, words: str
) -> None:
    await say(sandbox, text="hi")
    await control(sandbox, "business", id="c1", user=99, **connection)

    with pytest.raises(BadRequest, match=words):
        await bot.send_message(7, "hello", business_connection_id="c1")


async def test_a_draft_is_for_private_chats(sandbox: Sandbox, bot: Bot) -> None:
    await say(sandbox, text="hi")
    await say(sandbox, text="hi", chat={"id": -5})
    await bot.send_message_draft(7, 1, "Hel")
    with pytest.raises(BadRequest, match="private"):
        await bot.send_message_draft(-5, 1, "Hel")

    assert [("draft", "Hel", 1)] == [(i["kind"], i["text"], i["draft"]) for i in sandbox.telegram.sent(TOKEN)]


@pytest.mark.filterwarnings("ignore:.*timedelta")
async def test_flood_control_refuses_a_burst_to_one_chat_and_tells_how_long(
    sandbox: Sandbox, bot: Bot
) -> None:
    await say(sandbox, text="hi")
    await say(sandbox, text="hi", user={"id": 8})
    await control(sandbox, "limits", flood=True)
    for _ in range(3):
        await bot.send_message(7, "x")

    with pytest.raises(RetryAfter, match="3"):
        await bot.send_chat_action(7, "typing")
    await bot.send_message(8, "another chat")


@pytest.mark.filterwarnings("ignore:.*timedelta")
async def test_new_sessions_are_counted(sandbox: Sandbox, bot: Bot) -> None:
    sandbox.telegram.sessions = Sessions((2, 60.0))
    await bot.get_me()
    await Bot("43:x", base_url=f"{sandbox.url}/bot").get_me()

    with pytest.raises(RetryAfter):
        await Bot("44:x", base_url=f"{sandbox.url}/bot").get_me()
    await bot.get_me()


async def test_an_impatient_poller_gets_one_update_at_a_time(sandbox: Sandbox, bot: Bot) -> None:
    await control(sandbox, "limits", strict_polls=True)
    for text in ("one", "two"):
        await say(sandbox, text=text)
    first = await bot.get_updates(timeout=5)
    again = await bot.get_updates(timeout=5)

    assert [2, 1] == [len(first), len(again)]
