"""What goes wrong: one line that says what, why and what helps; exit code 1; nothing half-done, nothing hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gateway.sandbox.sensay import SUPPORT
from tests.sensay.cli_world import OURS, SECRET, CliWorld, cli_world

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module", params=[False, True], ids=["journal in hand", "running gateway"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliWorld]:
    with cli_world(tmp_path_factory.mktemp("cli"), gateway=request.param) as world:
        yield world


@pytest.fixture
def world(served: CliWorld) -> Iterator[CliWorld]:
    served.clock.slept.clear()
    yield served
    served.reset()


def refused(result: Result, kind: str, *words: str) -> str:
    """One line on stderr, of this kind and with these words in it."""
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error[{kind}]: ")
    assert [] == [word for word in words if word not in line], line
    assert SECRET not in line
    return line


def file(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    with path.open("wb") as out:
        out.truncate(size)
    return path


# --- files and knowledge ---


def test_a_file_of_51_mb_is_not_announced(world: CliWorld, tmp_path: Path):
    replica = world.scene().replica
    result = world.run("knowledge", "add", "file", replica, file(tmp_path, "big.pdf", 51 * 2**20))

    refused(result, "InvalidArguments", "big.pdf: 51.0 MB are more than 50 MB", "divide it")
    assert world.sent == []


@pytest.mark.parametrize(
    ("name", "size", "why"),
    [
        ("tool.exe", 10, "files of this type are not supported"),
        ("empty.txt", 0, "the file is empty"),
        ("missing.txt", None, "there is no such file"),
    ],
)
def test_a_file_of_no_use_is_found_before_any_other_leaves(
    world: CliWorld, tmp_path: Path, name: str, size: int | None, why: str
):
    good = tmp_path / "good.txt"
    good.write_text("Open from nine to five.")
    bad = tmp_path / name if size is None else file(tmp_path, name, size)
    replica = world.scene().replica

    refused(world.run("knowledge", "add", "file", replica, good, bad), "InvalidArguments", name, why)
    assert world.sent == []


@pytest.mark.parametrize("text", ["", "  \n "])
def test_empty_knowledge_is_not_sent(world: CliWorld, text: str):
    refused(world.run("knowledge", "add", "text", "shop", text), "InvalidArguments", "text")
    refused(world.run("knowledge", "add", "text", "shop", "-", typed=text), "InvalidArguments", "text")
    assert world.sent == []


def test_an_upload_that_fails_leaves_no_empty_entry(world: CliWorld, tmp_path: Path):
    replica = world.scene().replica
    before = world.json("knowledge", "list", replica)["total"]
    world.fault("upload", "status", status=500)
    hours = tmp_path / "hours.txt"
    hours.write_text("Open from nine to five.")
    result = world.run("knowledge", "add", "file", replica, hours)

    refused(result, "Transient", "hours.txt was refused with 500", "try again later")
    assert before == world.json("knowledge", "list", replica)["total"]


def test_a_file_that_fails_does_not_keep_the_others(world: CliWorld, tmp_path: Path):
    replica = world.scene().replica
    world.fault("upload", "status", status=500)
    result = world.run("knowledge", "add", "file", replica, *texts(tmp_path, "one.txt", "two.txt"))
    files = [
        one["file"]["name"] for one in world.json("knowledge", "list", replica, "--type", "file")["items"]
    ]

    refused(result, "Permanent", "1 of 2 failed: one.txt was refused with 500")
    assert ["two.txt"] == files


def test_one_failure_among_several_is_told_with_what_was_taken_in(world: CliWorld):
    replica = world.scene().replica
    words = ["knowledge", "add", "url", replica, "--wait", "https://www.youtube.com/playlist?list=PLprivate"]
    people, machines = world.run(*words), world.run(*words[:-1], f"{words[-1]}2", "--json")

    refused(people, "Permanent", "1 of 3 failed", "is private", "add only the others again")
    assert people.stdout.count("VECTOR_CREATED") == 2
    assert machines.exit_code == 1
    told = json.loads(machines.stdout)
    assert (3, 1) == (len(told["results"]), told["failed"])


def test_a_page_that_cannot_be_learnt_is_told_while_waiting_for_it(world: CliWorld):
    replica = world.scene().replica
    result = world.run("knowledge", "add", "url", replica, "https://nowhere.invalid/x", "--wait")

    refused(result, "Permanent", "UNPROCESSABLE", "cannot be reached", "delete the entry and create it again")
    assert "not learnt" in result.stdout


def test_a_delete_that_will_be_done_says_so(world: CliWorld):
    scene = world.scene()
    world.run("knowledge", "show", scene.replica, scene.entry)
    people = world.run("knowledge", "delete", scene.replica, scene.entry, "--yes")
    other = world.json("knowledge", "add", "text", scene.replica, "Hi", "--wait")["results"][0]["id"]
    machines = world.json("knowledge", "delete", scene.replica, other, "--yes")

    assert people.exit_code == 0
    assert "accepted (202)" in people.stdout
    assert {"id": other, "deleted": False, "accepted": True} == machines


# --- conversations ---


def test_a_conversation_that_is_not_there_is_what_is_missing(world: CliWorld):
    refused(
        world.run("conversations", "show", SUPPORT, NOBODY),
        "Permanent",
        "404",
        "there is no such conversation",
    )


# --- replicas ---


def test_a_replica_that_nobody_knows_by_that_name(world: CliWorld):
    result = world.run("replicas", "show", "shpo")

    refused(result, "InvalidArguments", "no bot and no replica with the name 'shpo'", "replicas list")


def test_a_replica_that_is_not_there(world: CliWorld):
    line = refused(
        world.run("chat", NOBODY, "-m", "Hi"), "Permanent", "404", "check that the replica exists", "req_"
    )

    assert "fingerprint" in line


def test_a_private_replica_is_not_for_everybody(world: CliWorld):
    replica = world.scene().replica
    world.json("replicas", "update", replica, "--private")
    world.json("users", "create", "eve")

    refused(world.run("replicas", "show", replica, "--as", "eve"), "Permanent", "private")
    assert replica == world.json("replicas", "show", replica, "--as", "ada")["uuid"]


def test_a_user_that_is_not_there_is_not_told_from_a_wrong_key(world: CliWorld):
    refused(world.run("users", "me", "--as", "nobody"), "Misconfigured", "401", "that the user exists")


# --- lists ---


def test_a_cursor_that_is_no_uuid_is_not_sent(world: CliWorld):
    scene = world.scene()
    for verb in ("show", "messages"):
        result = world.run("conversations", verb, "shop", scene.conversation, "--before", "yesterday")
        refused(result, "InvalidArguments", "--before 'yesterday' is not a UUID")
    assert world.sent == []


def test_a_cursor_of_another_conversation(world: CliWorld):
    scene = world.scene()
    for verb in ("show", "messages"):
        result = world.run("conversations", verb, "shop", scene.conversation, "--after", NOBODY)
        refused(result, "Permanent", "400", "begin again without one")


@pytest.mark.parametrize("what", ["conversations", "chats", "knowledge", "replicas"])
def test_a_page_beyond_the_end_tells_where_the_end_is(world: CliWorld, what: str):
    of = [] if what == "replicas" else ["shop"]
    result = world.run(what, "list", *of, "--page", 99, "--limit", 50)
    machines = world.run(what, "list", *of, "--page", 99, "--limit", 50, "--json")

    refused(result, "InvalidArguments", "page 99 is beyond the end", "of 50", "ask for --page")
    assert "page 99" in json.loads(machines.stdout)["error"]["message"]
    assert machines.exit_code == 1


# --- answers that are none ---


def test_a_proxys_504_may_have_been_an_answer(world: CliWorld):
    world.fault("complete", "html", status=504)

    refused(world.run("chat", "shop", "-m", "Hi"), "Ambiguous", "504", "look before you do it again")
    assert len([one for one in world.sent if one.startswith("POST")]) == 1, "it is not asked a second time"


@pytest.mark.parametrize(
    ("operation", "words", "kind"),
    [
        ("replicas", ["replicas", "list"], "Transient"),
        ("ensure_user", ["users", "create", "x"], "Ambiguous"),
        ("historical", ["analytics", "growth", "shop"], "Transient"),
    ],
)
def test_truncated_json_is_told(world: CliWorld, operation: str, words: list[str], kind: str):
    world.fault(operation, "malformed")

    refused(world.run(*words), kind, "cannot be read", "report the request id")


@pytest.mark.parametrize("status", [403, 404])
def test_analytics_that_are_not_there(world: CliWorld, status: int):
    world.fault("sources", "status", status=status)

    refused(world.run("analytics", "sources", "shop"), "Permanent", "not available")


def test_a_part_of_sensay_that_is_not_well_is_1(world: CliWorld):
    world.canned(
        "health", body='{"success": true, "services": {"qdrant": {"status": 503, "message": "down"}}}'
    )
    result = world.run("health")

    assert result.exit_code == 1
    assert "down" in result.stdout


def test_errors_for_machines_are_a_document(world: CliWorld):
    result = world.run("users", "show", "nobody", "--json")

    assert result.exit_code == 1
    assert result.stderr == ""
    error = json.loads(result.stdout)["error"]
    known = {"type": "Permanent", "operation": "users.get", "status": 404, "code": "NOT_FOUND"}
    assert known.items() <= error.items()
    assert {"remedy", "request_id", "fingerprint", "message"} <= error.keys()


# --- usage, and being asked back ---


@pytest.mark.parametrize(
    "words",
    [
        ["users", "me"],
        ["replicas", "show"],
        ["conversations", "list", "shop", "--limit", "0"],
        ["conversations", "list", "shop", "--page", "1", "--all"],
        ["chat", "shop", "--openai"],
        ["chat", "shop", "-m", "x", "--data", "chat_id=1"],
        ["chat", "shop", "-m", "x", "--channel", "telegram", "--data", "chat_id=no"],
        ["users", "create", "--linked", "fax:1"],
        ["replicas", "list", "--organization", "nobody"],
        ["history", "shop", "--as-type", "telegram"],
        ["knowledge", "show", "shop", "seven"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_nothing_is_sent(world: CliWorld, words: list[str]):
    result = world.run(*words)

    assert result.exit_code == 2, result.output
    assert world.sent == []


@pytest.mark.parametrize("typed", ["n\n", "", "\n"])
def test_what_is_not_confirmed_is_not_deleted(world: CliWorld, typed: str):
    scene = world.scene()
    for words in (["replicas", "delete", scene.replica], ["knowledge", "delete", scene.replica, scene.entry]):
        result = world.run(*words, typed=typed)
        assert result.exit_code == 1
        assert "nothing was done" in result.stderr
        assert "--yes" in result.stderr
    assert world.sent == []


def test_a_token_of_our_own_is_not_given_away(world: CliWorld):
    result = world.run("integrations", "add-telegram", "shop", "--name", "x", typed=f"{OURS}\n")

    line = refused(result, "InvalidArguments", "bot mute of this gateway", "use another bot")
    assert OURS not in line
    assert world.sent == []


def test_an_invitation_is_not_used_up_for_a_file_that_cannot_be_written(world: CliWorld, tmp_path: Path):
    (tmp_path / "key").write_text("another one")
    words = [
        "keys",
        "redeem",
        "AB12",
        "--organization-name",
        "A",
        "--name",
        "B",
        "--email",
        "c@example.com",
        "--save",
    ]
    there = world.run(*words, tmp_path / "key")
    nowhere = world.run(*words, tmp_path / "no" / "key")
    used = world.run(
        *[
            "keys",
            "redeem",
            "invalid",
            "--organization-name",
            "A",
            "--name",
            "B",
            "--email",
            "c@d.example",
            "--save",
        ],
        tmp_path / "k",
    )

    refused(there, "Permanent", "is there already")
    refused(nowhere, "InvalidArguments", "No such file")
    refused(used, "Permanent", "404", "ask Sensay for another one")
    assert (tmp_path / "key").read_text() == "another one"
    assert not (tmp_path / "k").exists()


# --- requests, seen and counted ---


def test_requests_are_shown_without_secrets(world: CliWorld):
    replica = world.scene().replica
    token = "1122334455:AAexampleexampleexampleexample67890"
    result = world.run("integrations", "add-telegram", replica, "--name", "nel", "-v", typed=f"{token}\n")

    assert result.exit_code == 0
    assert f"> POST {world.box.url}/v1/replicas/{replica}/integrations/telegram" in result.stderr
    assert "X-ORGANIZATION-SECRET: ***" in result.stderr
    assert '"telegram_token": "***"' in result.stderr
    assert "< 200 in " in result.stderr
    assert "version 2025-03-25" in result.stderr
    assert [] == [one for one in (token, SECRET) if one in result.output]


def texts(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_text("Open from nine to five.")
    return [folder / name for name in names]


def test_an_upload_waits_for_its_hour_and_says_how_long(tmp_path: Path):
    files = texts(tmp_path, "one.txt", "two.txt")
    with cli_world(tmp_path, quota={"uploads_per_hour": 1}) as world:
        replica = world.scene().replica
        result = world.run("knowledge", "add", "file", replica, *files)
        slept = sum(world.clock.slept)

    assert result.exit_code == 0, result.output
    assert "the organisation's file uploads of this hour are used up: going on in 60 min" in result.stderr
    assert 3500 < slept < 3700
    assert result.stdout.count("taken in") == 2


@pytest.mark.parametrize("gateway", [False, True], ids=["journal in hand", "running gateway"])
def test_an_upload_that_may_not_wait_says_when_there_is_room(tmp_path: Path, gateway: bool):
    files = texts(tmp_path, "one.txt", "two.txt")
    with cli_world(tmp_path, gateway=gateway, quota={"uploads_per_hour": 1}) as world:
        replica = world.scene().replica
        first = world.run("knowledge", "add", "file", replica, files[0])
        second = world.run("knowledge", "add", "file", replica, files[1], "--max-wait", 0)
        uploads = [one for one in world.sent if one.startswith("PUT")]

    assert first.exit_code == 0, first.output
    refused(second, "NoRoom", "the hour's file uploads is used up", "s at least")
    assert len(uploads) == 1


def test_a_journal_that_a_gateway_has_is_not_touched(tmp_path: Path):
    with cli_world(tmp_path, gateway=True) as world:
        result = world.run("users", "show", "ada", "--admin", "http://127.0.0.1:1")

    refused(result, "Transient", "no gateway answers at http://127.0.0.1:1", "--admin")


def test_a_wrong_token_is_told_and_the_journal_left_alone(tmp_path: Path):
    with cli_world(tmp_path, gateway=True, token="the-token-of-the-admin-port") as world:
        good = world.run("users", "create", "ada")
        wrong = world.run("users", "show", "ada", "--token", "another-token")

    assert good.exit_code == 0, good.output
    refused(wrong, "Misconfigured", "the gateway refuses the token", "--token")


def test_several_organisations_have_to_be_told_apart(tmp_path: Path):
    with cli_world(tmp_path) as world:
        document: dict[str, Any] = json.loads(world.path.read_text())
        document["organizations"]["other"] = {"secret": "the-secret-of-the-other"}
        for bot in document["bots"].values():
            bot["organization"] = "acme"
        world.path.write_text(json.dumps(document))
        unclear = world.run("users", "create", "x")
        named = world.json("users", "create", "x", "--organization", "other")
        by_bot = world.json("replicas", "show", "shop")
        asked_for = {request.organization for request in world.box.sensay.requests}

    assert unclear.exit_code == 2
    assert "acme, other" in unclear.output
    assert "x" == named["id"]
    assert SUPPORT == by_bot["uuid"]
    assert len(asked_for) == 2
