"""`config import-sensay`: from an organisation's replicas to bots that `check` finds good."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.sensay.state import Hosting, Organization, Replica
from gateway.sandbox.sensay.wire import Canned
from gateway.sandbox.server import Sandbox
from gateway.settings import Loaded, load
from gateway.settings.bots_file import Found, block, bot_name, variable
from gateway.settings.secrets_file import add_secrets, read_secret, secrets_in
from tests.e2e.process import Program, write_configuration

SECRET = "sandbox-organisation-secret"
TOKEN = "999888:a-bot-that-sensay-runs-0000000000000"
OTHER = "999777:another-bot-that-sensay-runs-00000000"


class Office:
    """An organisation at Sensay, and an operator with an empty configuration."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        self.box, self.folder = box, folder
        self.document: dict[str, Any] = {
            "include": ["bots.d/*.yaml"],
            "journal": f"sqlite:///{folder}/gateway.db",
            "server": {"admin": {"port": 0}},
            "sensay": {"base_url": box.url},
            "organizations": {"acme": {"secret": SECRET}},
        }

    @property
    def sensay(self) -> Organization:
        return self.box.sensay._open(SECRET).organization

    def replica(self, number: int, slug: str, name: str = "", **more: Any) -> Replica:
        owner = next(iter(self.sensay.users.values()))
        uuid = f"00000000-0000-4000-8000-{number:012d}"
        replica = Replica(uuid, slug, name or slug, "", "Hi", owner, 0.0, **more)
        self.sensay.replicas[uuid] = replica
        return replica

    def only(self, *replicas: Replica) -> None:
        self.sensay.replicas.clear()
        self.sensay.replicas.update({one.uuid: one for one in replicas})

    async def verb(self, *words: str) -> Result:
        path = write_configuration(self.folder, self.document)
        return await asyncio.to_thread(CliRunner().invoke, cli, [*words, "-c", str(path)])

    async def imports(self, *words: str) -> Result:
        return await self.verb("config", "import-sensay", *words)

    def load(self) -> Loaded:
        return load(write_configuration(self.folder, self.document), {})

    @property
    def bots(self) -> Path:
        return self.folder / "bots.d" / "acme.yaml"

    @property
    def secrets(self) -> Path:
        return self.folder / "bots.d" / "acme.secrets"


@pytest.fixture
def office(sandbox: Sandbox, tmp_path: Path) -> Office:
    return Office(sandbox, tmp_path)


def sent_to(office: Office) -> list[str]:
    return [f"{one.method} {one.operation}" for one in office.box.sensay.requests]


# --- the verb ---


async def test_all_pages_become_bots_that_check_finds_good(office: Office):
    for number in range(230):
        office.replica(number, f"replica-{number}")
    hosted = office.replica(500, "hosted", "Hosted “bot”\nwith: a # name", private=True)
    hosted.telegram = Hosting(1, TOKEN, "fleet", 0.0)
    hosted.discord = Hosting(2, "x" * 60, "fleet", 0.0)
    result = await office.imports()
    checked = await office.verb("check")
    settings = office.load().settings

    assert 0 == result.exit_code, result.output
    assert "234 bots added" in result.output
    assert "for you only (0600)" in result.output
    assert 0 == checked.exit_code, checked.output
    assert 234 == len(settings.bots) == len(office.sensay.replicas)
    assert set(office.sensay.replicas) == {bot.replica for bot in settings.bots.values()}
    telegram = settings.bots["hosted"].telegram
    assert telegram is not None
    assert TOKEN == telegram.token.get_secret_value()
    assert 0o600 == office.secrets.stat().st_mode & 0o777
    assert TOKEN not in result.output + office.bots.read_text() + checked.output
    assert {"GET replicas"} == set(sent_to(office))
    assert 4 == len(sent_to(office))  # three pages, and one of those that Sensay runs
    assert "# Hosted “bot” with: a # name" in office.bots.read_text()
    assert "private at Sensay" in office.bots.read_text()
    assert "does not tell its token" in office.bots.read_text()
    assert not (office.folder / "gateway.db").exists()


async def test_a_second_time_only_what_is_new_is_added_and_changes_by_hand_are_kept(office: Office):
    office.only(office.replica(1, "one"), office.replica(2, "two"))
    await office.imports()
    office.bots.write_text(office.bots.read_text().replace("# two", "# two, changed by hand"))
    office.replica(3, "three").telegram = Hosting(1, TOKEN, "fleet", 0.0)
    result = await office.imports("--json")
    again = await office.imports()
    told = json.loads(result.output)

    assert ["three"] == [one["bot"] for one in told["added"]]
    assert ["one", "two"] == sorted(one["bot"] for one in told["skipped"])
    assert 1 == told["tokens"]
    assert "changed by hand" in office.bots.read_text()
    assert "0 bots added" in again.output
    assert {"one", "two", "three"} == set(office.load().settings.bots)


async def test_a_file_that_is_not_included_yet_is_said_to_be_and_still_known(office: Office):
    office.document.pop("include")
    first = await office.imports("--out", str(office.folder / "more" / "acme.yaml"))
    second = await office.imports("--out", str(office.folder / "more" / "acme.yaml"))

    assert "add  include: [more/*.yaml]" in first.output
    assert "0 bots added" in second.output


async def test_replicas_with_a_bot_already_keep_it(office: Office):
    office.document["bots"] = {"mine": {"replica": SUPPORT, "web": {}}}
    result = await office.imports()

    assert f"skipped, there already: {SUPPORT} (mine)" in result.output
    assert SUPPORT not in office.bots.read_text()


async def test_names_are_valid_and_each_is_there_once(office: Office):
    slugs = ["shop", "Shop!", "shop?", "chat", "émile", "---", "12", "00000000-0000-4000-8000-000000000001"]
    office.only(*(office.replica(number, slug) for number, slug in enumerate([*slugs, "x" * 200], 1)))
    office.document["bots"] = {"shop": {"replica": SUPPORT, "web": {}}}
    result = await office.imports()
    checked = await office.verb("check")

    assert 0 == result.exit_code
    assert 0 == checked.exit_code, checked.output
    assert len(slugs) + 2 == len(office.load().settings.bots)


async def test_a_token_that_another_bot_has_is_not_taken_twice(office: Office):
    first, second = office.replica(1, "first"), office.replica(2, "second")
    office.only(first, second)
    first.telegram, second.telegram = Hosting(1, TOKEN, "a", 0.0), Hosting(2, TOKEN, "b", 0.0)
    await office.imports()
    checked = await office.verb("check")

    assert 0 == checked.exit_code, checked.output
    assert "the same token as that of first" in office.bots.read_text()
    assert 1 == len(secrets_in(office.secrets.read_text()))


async def test_secrets_that_are_there_are_not_replaced_without_force(office: Office):
    replica = office.replica(1, "one")
    office.only(replica)
    replica.telegram = Hosting(1, TOKEN, "fleet", 0.0)
    office.secrets.parent.mkdir()
    office.secrets.write_text(f"# mine\nONE_TELEGRAM_TOKEN={OTHER}\nMINE=kept\n")
    refused = await office.imports()
    there = office.bots.exists()
    forced = await office.imports("--force")

    assert 1 == refused.exit_code
    assert "another value for ONE_TELEGRAM_TOKEN" in refused.output
    assert "--force" in refused.output
    assert not there
    assert 0 == forced.exit_code
    assert {"ONE_TELEGRAM_TOKEN": TOKEN, "MINE": "kept"} == secrets_in(office.secrets.read_text())
    assert 0o600 == office.secrets.stat().st_mode & 0o777
    assert OTHER not in refused.output


async def test_a_file_that_is_something_else_is_left_alone(office: Office):
    office.bots.parent.mkdir()
    office.bots.write_text("version: 1\nbots: {}\n")
    result = await office.imports("--out", str(office.bots))

    assert 1 == result.exit_code
    assert "bots.d/acme.yaml" in result.output
    assert "version: 1\nbots: {}\n" == office.bots.read_text()


async def test_bots_in_braces_are_not_broken_by_adding_lines(office: Office):
    other = office.folder / "own.yaml"
    other.write_text(f"bots: {{mine: {{replica: {SUPPORT}}}}}\n")
    result = await office.imports("--out", str(other))

    assert 1 == result.exit_code
    assert "nothing can be added" in result.output
    assert f"bots: {{mine: {{replica: {SUPPORT}}}}}\n" == other.read_text()


async def test_where_sensay_tells_no_tokens_there_are_placeholders(office: Office):
    replica = office.replica(1, "one")
    office.only(replica)
    replica.telegram = Hosting(1, "", "fleet", 0.0)
    office.box.sensay.canned.append(
        Canned("replicas", body=json.dumps({"success": True, "total": 1, "items": [
            {"uuid": replica.uuid, "slug": "one", "name": "One", "telegram_service_name": "fleet"}]}), times=2)
    )  # fmt: skip
    result = await office.imports()

    assert 0 == result.exit_code, result.output
    assert "did not tell its token" in office.bots.read_text()
    assert not office.secrets.exists()


@pytest.mark.parametrize(
    ("secret", "fault", "words"),
    [
        ("revoked-secret", None, "check the organisation's secret"),
        (SECRET, Fault("sensay", "replicas", "status", status=500, times=9), "500"),
    ],
)
async def test_what_sensay_refuses_is_said_in_words_and_nothing_is_written(
    office: Office, secret: str, fault: Fault | None, words: str
):
    office.document["organizations"]["acme"]["secret"] = secret
    if fault is not None:
        office.box.faults.add(fault)
    result = await office.imports()

    assert 1 == result.exit_code
    assert words in result.output
    assert not office.bots.exists()
    assert "Traceback" not in result.output


async def test_which_organisation_has_to_be_said_if_there_are_several(office: Office):
    office.document["organizations"]["umbrella"] = {"secret": "another-secret"}
    unsaid = await office.imports()
    said = await office.imports("--organization", "umbrella")
    wrong = await office.imports("--organization", "nobody")

    assert (2, 0, 2) == (unsaid.exit_code, said.exit_code, wrong.exit_code)
    assert (office.folder / "bots.d" / "umbrella.yaml").exists()
    assert {"umbrella"} == {bot.organization for bot in office.load().settings.bots.values()}


@pytest.mark.e2e
@pytest.mark.parametrize("token", [None, "an-operators-own-token"])
async def test_a_running_gateway_asks_for_us_and_tells_tokens_only_behind_its_own(
    office: Office, token: str | None
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        office.document["server"] = {
            "public": {"port": 0},
            "admin": {"port": probe.getsockname()[1], "token": token},
        }
    replica = office.replica(1, "one")
    office.only(replica)
    replica.telegram = Hosting(1, TOKEN, "fleet", 0.0)
    program = await Program(["run", "-c", str(write_configuration(office.folder, office.document))]).start()
    try:
        await program.event("gateway.started")
        result = await office.imports()
    finally:
        await program.kill()

    assert 0 == result.exit_code, result.output
    assert (token is not None) == office.secrets.exists()
    assert ("server.admin.token" in result.output) == (token is None)


# --- its parts ---


@pytest.mark.parametrize(
    ("slug", "taken", "name"),
    [
        ("shop", (), "shop"),
        ("shop", ("shop", "shop-2"), "shop-3"),
        ("Café Zeitlos", (), "Caf-Zeitlos"),
        ("v1", (), "bot-v1"),
        ("", (), "bot"),
        ("x" * 70, ("x" * 64,), "x" * 62 + "-2"),
        ("12345678-1234-1234-1234-123456789abc", (), "bot-12345678-1234-1234-1234-123456789abc"),
    ],
)
def test_a_bots_name_is_made_of_the_slug(slug: str, taken: tuple[str, ...], name: str):
    assert name == bot_name(slug, taken)


def test_a_variable_is_a_name_that_shells_take():
    assert "SHOP_2_TELEGRAM_TOKEN" == variable("shop-2", "telegram")
    assert "_7_TELEGRAM_TOKEN" == variable("7", "telegram")


def test_what_a_replica_is_called_stays_in_its_comment():
    text = block("shop", "acme", Found(SUPPORT, "shop", "Shop\n    evil: true\x00\u2028x"))

    assert "# Shop evil: true x" in text
    assert "\n    evil" not in text


def test_a_secret_may_be_one_of_several_in_a_file(tmp_path: Path):
    file = tmp_path / "all.secrets"
    file.write_text("# ours\nONE=1:abc\nexport TWO='2:def'\n\n")
    (tmp_path / "odd#name").write_text("whole\n")

    assert "1:abc" == read_secret(f"{file}#ONE")
    assert "2:def" == read_secret(f"{file}#TWO")
    assert "whole" == read_secret(f"{tmp_path}/odd#name")
    with pytest.raises(ValueError, match="has no THREE"):
        read_secret(f"{file}#THREE")
    with pytest.raises(FileNotFoundError):
        read_secret(f"{tmp_path}/none#ONE")


def test_a_file_of_something_else_is_not_taken_for_secrets(tmp_path: Path):
    file = tmp_path / "notes"
    file.write_text("my very private words\n")

    with pytest.raises(FileExistsError) as caught:
        add_secrets(file, {"ONE": "1"})

    assert "private" not in str(caught.value)
    assert "my very private words\n" == file.read_text()


async def test_a_named_secret_is_found_by_the_configuration_and_what_is_wrong_has_its_place(office: Office):
    (office.folder / "all.secrets").write_text(f"SHOP={TOKEN}\n")
    bot = {"replica": SUPPORT, "telegram": {"token_file": f"{office.folder}/all.secrets#SHOP"}}
    office.document["bots"] = {"shop": bot}
    loaded = office.load()
    bot["telegram"] = {"token_file": f"{office.folder}/all.secrets#NONE"}
    result = await office.verb("check")

    telegram = loaded.settings.bots["shop"].telegram
    assert telegram is not None
    assert TOKEN == telegram.token.get_secret_value()
    assert office.folder / "all.secrets" in loaded.beside
    assert 1 == result.exit_code
    assert "token_file: the file cannot be read (the file has no NONE)" in result.output
