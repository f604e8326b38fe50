"""What can be wrong with what operators ask: typed, explained, nothing half-done, nothing hidden."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.errors import (
    Ambiguous,
    GatewayError,
    InvalidArguments,
    Misconfigured,
    Permanent,
    QuotaExhausted,
    RateLimited,
    Transient,
)
from gateway.sandbox.sensay import SUPPORT, SensaySandbox
from gateway.sensay.api import OPERATIONS, Sensay, as_user
from gateway.sensay.api.files import LARGEST, put
from gateway.sensay.api.knowledge import FIRST_LOOK
from gateway.sensay.failures import remedy
from tests.sensay.api_world import ADA, NEW_REPLICA, ApiWorld, api_world, scene
from tests.sensay.world import until


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    async with api_world() as made:
        yield made


async def failing(work: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await work
    return caught.value


async def replica_of_ada(world: ApiWorld, **fields: Any) -> str:
    return await world.sensay.replicas.create(**NEW_REPLICA | {"slug": "nel"} | fields)


# --- files ---


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("big.pdf", 51 * 2**20, "51.0 MB are more than 50 MB"),
        ("big.pdf", LARGEST + 1, "more than 50 MB"),
        ("program.exe", 10, "not supported"),
        ("noname", 10, "not supported"),
        ("empty.txt", 0, "empty"),
    ],
)
async def test_a_file_that_nobody_takes_is_not_even_announced(
    world: ApiWorld, tmp_path: Path, name: str, size: int, words: str
):
    replica = await replica_of_ada(world)
    before = len(world.sent)
    file = sparse(tmp_path / name, size)

    error = await failing(world.sensay.knowledge.add_file(replica, file))

    assert type(error) is InvalidArguments
    assert words in str(error)
    assert str(tmp_path) not in str(error)
    assert before == len(world.sent)


async def test_a_file_that_is_not_there_is_said_to_be(world: ApiWorld, tmp_path: Path):
    error = await failing(world.sensay.knowledge.add_file(SUPPORT, tmp_path / "gone.pdf"))

    assert str(error) == "gone.pdf: there is no such file"


@pytest.mark.parametrize("dialect", ["openapi", "guide", "generic"])
async def test_a_file_is_announced_put_and_learnt(dialect: str, tmp_path: Path):
    async with api_world(dialect) as world:
        file = tmp_path / "shop.md"
        file.write_text("# Shop\n\nThe secret word is Klabautermann.\n")
        replica, sent = await replica_of_ada(world), []

        added = await world.sensay.knowledge.add_file(replica, file, progress=lambda *at: sent.append(at))
        entry = await trained(world, replica, added.ids[0])

        assert sent[-1] == (file.stat().st_size, file.stat().st_size)
        assert entry.file.name == "shop.md"
        assert "Klabautermann" in entry.raw_text


async def test_the_largest_file_that_is_allowed_goes_through(world: ApiWorld, tmp_path: Path):
    replica = await replica_of_ada(world)
    file = tmp_path / "large.txt"
    file.write_bytes(b"word " * (LARGEST // 5))

    added = await world.sensay.knowledge.add_file(replica, file)

    entry = await world.sensay.knowledge.get(replica, added.ids[0])
    assert len(added.ids) == 1
    assert entry.file.size == file.stat().st_size


async def test_an_upload_carries_no_key(tmp_path: Path):
    heard: list[web.Request] = []

    async def take(request: web.Request) -> web.Response:
        heard.append(request)
        return web.Response(text=await request.text())

    file = tmp_path / "a.txt"
    file.write_text("x")
    app = web.Application()
    app.router.add_put("/there", take)
    async with TestServer(app) as server:
        await put(str(server.make_url("/there")), file, 1, lambda *_: None)

    names = {name.lower() for name in heard[0].headers}
    assert names.isdisjoint({"x-organization-secret", "authorization", "x-user-id"})
    assert heard[0].headers["Content-Length"] == "1"


@pytest.mark.parametrize("error", [Transient("cut"), Permanent("refused")])
async def test_an_upload_that_fails_leaves_no_empty_entry(
    world: ApiWorld, tmp_path: Path, error: GatewayError
):
    async def upload(*_: Any) -> None:
        raise error

    sensay = Sensay(world.door, world.clock, upload)
    replica = await replica_of_ada(world)
    file = tmp_path / "a.txt"
    file.write_text("x")

    caught = await failing(sensay.knowledge.add_file(replica, file))

    assert caught is error
    assert (await sensay.knowledge.page(replica)).total == 0


async def test_a_put_that_is_refused_says_why_without_its_address(world: ApiWorld, tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text("x")

    error = await failing(put(f"{world.box.url}/storage/v1/upload/s3cret", file, 1, lambda *_: None))
    unreachable = await failing(put("http://127.0.0.1:1/s3cret", file, 1, lambda *_: None))

    assert type(error) is Permanent
    assert "try again" in remedy(error)
    assert type(unreachable) is Transient
    assert "s3cret" not in f"{error}{unreachable}"


# --- knowledge ---


async def trained(world: ApiWorld, replica: str, entry: int) -> Any:
    waiting = asyncio.ensure_future(world.sensay.knowledge.wait(replica, entry))
    while not waiting.done():
        await until(lambda: waiting.done() or world.clock.sleepers)
        await world.clock.advance(FIRST_LOOK * 8)
    return await waiting


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_empty_knowledge_is_not_sent(world: ApiWorld, text: str):
    before = len(world.sent)

    for work in (
        world.sensay.knowledge.add_text(SUPPORT, text),
        world.sensay.training.add_text(SUPPORT, text),
        world.sensay.knowledge.update(SUPPORT, 1, raw_text=text),
        world.sensay.knowledge.update(SUPPORT, 1),
    ):
        assert type(await failing(work)) is InvalidArguments
    assert before == len(world.sent)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("knowledge.add_text", {"text": ""}, "text has to be more than spaces"),
        ("knowledge.update", {"entry": 1, "raw_text": " "}, "raw_text has to be more than spaces"),
        ("knowledge.add_url", {"url": "shop"}, "url has to be an address like https://example.com/page"),
        ("chat.complete", {"content": ""}, "content has to be 1 to 100,000 characters"),
        ("knowledge.add_text", {"text": 1}, "Expected `str`, got `int` - at `$.text`"),
        ("knowledge.list", {"page_size": 500}, "Expected `int` <= 100 - at `$.page_size`"),
    ],
)
async def test_what_a_field_has_to_be_is_told_in_words(
    world: ApiWorld, name: str, arguments: dict[str, Any], said: str
):
    error = await failing(world.ask(name, **{"replica": SUPPORT} | arguments))

    assert f"{name}: {said}" == str(error)


async def test_one_failure_among_several_is_not_hidden(world: ApiWorld):
    replica = await replica_of_ada(world)

    added = await world.sensay.knowledge.add_url(replica, "https://www.youtube.com/playlist?list=private-one")

    assert len(added.ids) == 2
    assert len(added.failures) == 1
    assert "private" in added.failures[0]


async def test_nothing_but_failures_is_an_error(world: ApiWorld):
    results = [{"enqueued": False, "type": "youtube", "error": "The video is private"}]
    world.canned("create_knowledge", status=207, body=json.dumps({"success": False, "results": results}))

    error = await failing(world.sensay.knowledge.add_url(SUPPORT, "https://www.youtube.com/watch?v=1"))

    assert type(error) is Permanent
    assert "The video is private" in str(error)


async def test_the_older_form_of_an_answer_is_understood(world: ApiWorld):
    body = {"success": True, "type": "youtube", "knowledgeBaseIDs": [1, 2], "errors": ["a third is private"]}
    world.canned("create_knowledge", status=200, body=json.dumps(body))

    added = await world.sensay.knowledge.add_url(SUPPORT, "https://www.youtube.com/playlist?list=x")

    assert added.ids == (1, 2)
    assert added.failures == ("a third is private",)


async def test_an_entry_is_waited_for_until_it_is_learnt(world: ApiWorld):
    replica = await replica_of_ada(world)
    added = await world.sensay.knowledge.add_text(replica, "We open at nine.")

    assert (await trained(world, replica, added.ids[0])).trained


async def test_an_entry_that_cannot_be_learnt_says_so_with_its_remedy(world: ApiWorld):
    replica = await replica_of_ada(world)
    added = await world.sensay.knowledge.add_url(replica, "https://nowhere.invalid/page")

    with pytest.raises(Permanent) as caught:
        await trained(world, replica, added.ids[0])

    assert "UNPROCESSABLE" in str(caught.value)
    assert len(caught.value.context["fingerprint"]) == 16
    assert "create it again" in remedy(caught.value)


async def test_nobody_waits_for_ever(world: ApiWorld):
    world.canned("get_knowledge", body=json.dumps({"success": True, "id": 1, "status": "NEW"}), times=9)

    error = await failing(world.sensay.knowledge.wait(SUPPORT, 1, patience=1.0))

    assert type(error) is Transient
    assert "still NEW" in str(error)


async def test_the_guides_training_takes_two_steps_and_undoes_the_first(tmp_path: Path):
    async with api_world("guide") as world:
        replica = await replica_of_ada(world)
        entry = await world.sensay.training.add_text(replica, "We open at nine.")
        assert (await world.sensay.training.get(replica, entry)).status == "PROCESSING"

        world.fault("train", "status", status=500)
        assert isinstance(await failing(world.sensay.training.add_text(replica, "More.")), Transient)
        assert (await world.sensay.knowledge.page(replica)).total == 1


async def test_what_could_not_be_undone_does_not_hide_why_it_should_have_been():
    async with api_world("guide") as world:
        replica = await replica_of_ada(world)
        world.fault("train", "status", status=500)
        world.fault("delete_training", "status", status=500)

        error = await failing(world.sensay.training.add_text(replica, "We open at nine."))

    assert "training.teach with 500" in str(error)
    assert "could not be deleted" in error.__notes__[0]


async def test_a_delete_that_takes_its_time_is_no_failure(world: ApiWorld):
    replica = await replica_of_ada(world)
    added = await world.sensay.knowledge.add_text(replica, "We open at nine.")

    assert await world.sensay.knowledge.delete(replica, added.ids[0]) is False


async def test_an_integration_that_takes_its_time_says_so(world: ApiWorld):
    replica = await replica_of_ada(world)
    made = await world.sensay.integrations.create_telegram(replica, "1:a", "nel")
    again = await world.sensay.integrations.create_telegram(replica, "1:b", "nel")
    gone = await world.sensay.integrations.delete_telegram(replica)

    assert made.message is None
    assert made.id is not None
    assert "before it has stopped" in again.message
    assert "still starting" in gone.message


async def test_a_bots_token_is_in_no_answer_and_in_no_error(world: ApiWorld):
    replica = await replica_of_ada(world)
    await world.sensay.integrations.create_telegram(replica, "777:very-secret", "nel")
    shown = [str(one) async for one in world.sensay.replicas.list(integration="telegram")]
    refusal = {"success": False, "error": "777:very-secret is no token"}
    world.canned("integrate_telegram", status=400, body=json.dumps(refusal))

    error = await failing(world.sensay.integrations.create_telegram(replica, "777:very-secret", "nel"))

    assert len(shown) == 1
    assert "very-secret" not in f"{shown}{error}{error.context}"
    assert "*** is no token" in str(error)


# --- replicas, conversations ---


async def test_an_unknown_replica_is_explained(world: ApiWorld):
    unknown = "00000000-0000-4000-8000-000000000000"

    for work in (
        world.sensay.replicas.get(unknown),
        world.sensay.chat.complete(unknown, "Hello", ADA),
        world.sensay.conversations.page(unknown),
        world.sensay.analytics.sources(unknown),
    ):
        error = await failing(work)
        assert type(error) is Permanent
        assert error.context["status"] == 404
        assert "replica" in remedy(error)


async def test_a_private_replica_is_explained(world: ApiWorld):
    replica = await replica_of_ada(world, private=True)
    await world.sensay.users.create("eve")

    error = await failing(world.sensay.chat.complete(replica, "Hello", as_user("eve")))

    assert error.context["status"] == 403
    assert "private" in remedy(error)


async def test_a_cursor_that_is_no_uuid_is_not_sent(world: ApiWorld):
    there = await scene(world)
    before = len(world.sent)

    for name in ("conversations.messages", "conversations.mentions"):
        error = await failing(
            world.ask(name, replica=SUPPORT, conversation=there.conversation, before_uuid="latest")
        )
        assert type(error) is InvalidArguments
        assert "UUID" in str(error)
    assert before == len(world.sent)


async def test_a_cursor_of_another_conversation_is_explained(world: ApiWorld):
    there = await scene(world)
    foreign = "00000000-0000-4000-8000-000000000000"

    error = await failing(
        world.sensay.conversations.messages_page(SUPPORT, there.conversation, before_uuid=foreign)
    )

    assert error.context["status"] == 400
    assert "begin again" in remedy(error)


async def test_a_replica_is_changed_without_losing_the_rest(world: ApiWorld):
    replica = await replica_of_ada(world, tags=["AI"], private=True, suggested_questions=["When?"])

    await world.sensay.replicas.update(replica, greeting="Good day")

    changed = await world.sensay.replicas.get(replica)
    assert changed.greeting == "Good day"
    assert changed.tags == ("AI",)
    assert changed.private is True
    assert changed.suggested_questions == ("When?",)
    assert changed.slug == "nel"


async def test_a_user_is_there_after_ensure_and_made_once(world: ApiWorld):
    first, second = await world.sensay.users.ensure("bob"), await world.sensay.users.ensure("bob")

    assert first.id == second.id == "bob"
    assert sum(line == "POST /v1/users" for line in world.sent) == 2  # ada's, and this


async def test_a_user_that_somebody_else_makes_meanwhile_is_as_good(world: ApiWorld):
    world.fault("get_user", "status", status=404)

    assert (await world.sensay.users.ensure("ada")).id == "ada"


async def test_a_replica_is_there_after_ensure_and_made_once(world: ApiWorld):
    fields = {name: value for name, value in NEW_REPLICA.items() if name != "owner_id"} | {"slug": "nel"}

    first = await world.sensay.replicas.ensure("ada", **fields)
    second = await world.sensay.replicas.ensure("ada", **fields)

    assert first == second


# --- statuses ---


@pytest.mark.parametrize("errors", ["openapi", "guide"])
@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (400, Permanent, "dialect"),
        (401, Misconfigured, "secret"),
        (403, Permanent, "private"),
        (404, Permanent, "organisation"),
        (409, Permanent, "already"),
        (415, Permanent, "Content-Type"),
        (429, RateLimited, "wait"),
        (500, Ambiguous, "report"),
        (502, Ambiguous, "report"),
        (503, Ambiguous, "report"),
        (504, Ambiguous, "make the request smaller"),
    ],
)
async def test_every_status_has_its_type_its_remedy_and_what_sensay_wants_to_know(
    errors: Any, status: int, kind: type, word: str
):
    async with api_world(sandbox=SensaySandbox(errors=errors)) as world:
        world.fault("complete", "status", status=status)

        error = await failing(world.sensay.chat.complete(SUPPORT, "Hello", ADA))

        assert type(error) is kind or (status == 401 and isinstance(error, kind))
        assert word in remedy(error)
        assert "on purpose" in str(error)
        assert error.context["request_id"].startswith("req_")
        assert len(error.context["fingerprint"]) == 16
        assert error.context["api_version"] == "2025-03-25"
        assert error.context["asked"] == f"POST /v1/replicas/{SUPPORT}/chat/completions"


async def test_a_used_up_allowance_is_not_a_matter_of_waiting(world: ApiWorld):
    error = await failing(world.sensay.chat.complete(SUPPORT, "Hello", ADA, monthly_quota=0))

    assert type(error) is QuotaExhausted
    assert "month" in remedy(error)


@pytest.mark.parametrize(
    ("name", "operation", "kind"),
    [("chat.complete", "complete", Ambiguous), ("replicas.list", "replicas", Transient)],
)
@pytest.mark.parametrize(
    "answer",
    [
        {"status": 504, "body": "<html><h1>504</h1></html>", "content_type": "text/html"},
        {"status": 200, "body": '{"success": true, "items": [{"uu'},
        {"status": 200, "body": ""},
    ],
)
async def test_html_and_half_an_answer_are_survived(
    world: ApiWorld, name: str, operation: str, kind: type, answer: dict[str, Any]
):
    world.canned(operation, **answer)
    arguments = {"replica": SUPPORT, "content": "Hello"} if name == "chat.complete" else {}

    error = await failing(world.ask(name, ADA, **arguments))

    assert type(error) is kind
    assert "<" not in str(error)
    assert len(remedy(error)) > 20


async def test_a_delete_is_done_with_or_without_a_word(world: ApiWorld):
    await world.sensay.users.delete(ADA)

    assert world.box.sensay.requests[-1].status == 204


@pytest.mark.parametrize("name", OPERATIONS)
async def test_unknown_arguments_are_refused_by_name(name: str):
    with pytest.raises(InvalidArguments, match=name.replace(".", r"\.")):
        OPERATIONS[name].read({"surprise": 1})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"channel": "telegram"}, "telegram_data is required"),
        ({"image_url": "https://x.example/a.png"}, "image_url does not go with the channel web"),
        ({"content": ""}, "content"),
        ({"content": "x" * 100_001}, "content"),
        ({"monthly_quota": 5, "channel": "telegram"}, "monthly_quota does not go"),
        ({"channel": "sms"}, "channel"),
    ],
)
async def test_a_question_that_makes_no_sense_is_not_sent(
    world: ApiWorld, arguments: dict[str, Any], words: str
):
    before = len(world.sent)

    error = await failing(
        world.ask("chat.complete", ADA, **{"replica": SUPPORT, "content": "Hi"} | arguments)
    )

    assert type(error) is InvalidArguments
    assert words in str(error)
    assert before == len(world.sent)
