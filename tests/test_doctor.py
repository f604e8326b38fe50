"""`doctor` and `check --online` against the pretended services: each thing that can be wrong, and nothing changed."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from gateway.app import SystemClock, load_platform
from gateway.cli.door import door_to_sensay
from gateway.doctor import Around, Report, examine, machine, options
from gateway.doctor.reach import look
from gateway.journal import open_journal
from gateway.journal.condition import Condition, condition
from gateway.ports import Finding
from gateway.sandbox.faults import Fault
from gateway.sandbox.sensay import SUPPORT
from gateway.sandbox.sensay.state import Hosting, Organization
from gateway.sandbox.sensay.wire import Canned
from gateway.sandbox.server import Sandbox
from gateway.settings import Settings, load
from gateway.web import openapi
from gateway.web.server import Listener
from tests.clock import FakeClock
from tests.e2e.process import (
    DISCORD,
    TELEGRAM,
    WEBHOOK,
    Program,
    configuration,
    eventually,
    write_configuration,
)

SECRET = "sandbox-organisation-secret"
NOWHERE = "http://127.0.0.1:9"


class Clinic:
    """A configuration that is changed by keys, and looked at."""

    def __init__(self, box: Sandbox, folder: Path) -> None:
        self.box, self._folder = box, folder
        self.document = configuration(box, folder)

    def set(self, path: str, value: Any) -> None:
        *above, last = path.split(".")
        section = self.document
        for key in above:
            section = section.setdefault(key, {})
        section[last] = value

    async def look(self, **more: Any) -> Report:
        loaded = load(write_configuration(self._folder, self.document), {})
        settings, clock = loaded.settings.model_copy(update={"journal": "memory:"}), SystemClock()

        def door(organization: str) -> Any:
            return door_to_sensay(settings, organization, url=NOWHERE, token=None, clock=clock)

        around = {"machine": False} | more
        return await examine(
            loaded,
            Around(clock=clock, platform=lambda name: load_platform(name, settings), door=door, **around),
        )

    @property
    def account(self) -> Organization:
        """What the pretended Sensay keeps of the organisation."""
        return self.box.sensay._open(SECRET).organization


@pytest.fixture
def clinic(sandbox: Sandbox, tmp_path: Path) -> Clinic:
    return Clinic(sandbox, tmp_path)


def said(report: Report, *severities: str) -> list[tuple[str, str]]:
    return [
        (seen.finding.severity, seen.finding.path)
        for seen in report.seen
        if seen.finding.severity in severities
    ]


# --- a good set-up, and what is left of it ---


async def test_a_good_set_up_has_nothing_but_good_findings(clinic: Clinic):
    report = await clinic.look(machine=True)

    assert [] == said(report, "error")
    assert report.ok
    paths = {seen.finding.path for seen in report.seen}
    assert {
        "bots.support.telegram.token",
        "bots.support.discord.token",
        "bots.support.replica",
        "organizations.acme.secret",
        "sensay.dialect",
        "",
    } <= paths
    assert any("the clock is right" in seen.finding.what for seen in report.seen)


async def test_nothing_is_asked_for_but_to_be_read(clinic: Clinic):
    clinic.set("bots.support.webhook.callback_url", "https://127.0.0.1/answers")
    before = clinic.box.telegram.bot(TELEGRAM).webhook
    report = await clinic.look()

    assert {("GET", "replicas"), ("GET", "history")} == {
        (request.method, request.operation) for request in clinic.box.sensay.requests
    }
    assert {"getme": 1, "getwebhookinfo": 1} == dict(clinic.box.telegram.bot(TELEGRAM).calls)
    assert {"get_me": 1, "get_application": 1, "gateway_bot": 1} == dict(clinic.box.discord.rest.calls)
    assert before == clinic.box.telegram.bot(TELEGRAM).webhook
    assert [] == clinic.box.telegram.sent(TELEGRAM)
    assert {"acme": 2} == report.requests == {"acme": len(clinic.box.sensay.requests)}


async def test_a_bot_that_is_off_is_not_asked_about(clinic: Clinic):
    clinic.document["bots"]["support"]["enabled"] = False
    report = await clinic.look(machine=True)

    assert {} == dict(clinic.box.telegram.bot(TELEGRAM).calls)
    assert ("warning", "bots.support.enabled") in said(report, "warning")


# --- what can be wrong ---


def revoked(clinic: Clinic) -> None:
    clinic.box.telegram.revoke(TELEGRAM)


def robbed(clinic: Clinic) -> None:
    clinic.box.telegram.bot(TELEGRAM).webhook = {"url": "https://other.example/hook?key=private"}


def deaf(clinic: Clinic) -> None:
    clinic.box.telegram.bot(TELEGRAM).hears_groups = False
    clinic.set("bots.support.telegram.groups", {"mode": "listen"})


def crowded(clinic: Clinic) -> None:
    clinic.box.telegram.bot(TELEGRAM).updates = [{"update_id": number} for number in range(150)]


def flooded(clinic: Clinic) -> None:
    clinic.box.faults.add(Fault("telegram", "getMe", "status", status=429, retry_after=30))


def reset(clinic: Clinic) -> None:
    clinic.box.discord.bot(DISCORD).revoked = True


def unprivileged(clinic: Clinic) -> None:
    clinic.box.discord.bot(DISCORD).privileged = False
    clinic.document["bots"]["support"]["discord"]["message_content"] = True


def spent(clinic: Clinic) -> None:
    clinic.box.discord.rest.starts_left = 0


def scarce(clinic: Clinic) -> None:
    clinic.box.discord.rest.starts_left = 20


def sharded(clinic: Clinic) -> None:
    clinic.box.discord.bot(DISCORD).shards = 4
    clinic.set("bots.support.discord.shards", 1)


def keyless(clinic: Clinic) -> None:
    clinic.set("organizations.acme.secret", "revoked-secret")


def foreign(clinic: Clinic) -> None:
    clinic.set("bots.support.replica", "87654321-1234-1234-1234-123456789abc")


def private(clinic: Clinic) -> None:
    clinic.account.replicas[SUPPORT].private = True


def hosted(clinic: Clinic) -> None:
    other = next(replica for replica in clinic.account.replicas.values() if replica.uuid != SUPPORT)
    other.telegram = Hosting(1, TELEGRAM, "hosted", 0.0)


def hosted_on_discord(clinic: Clinic) -> None:
    clinic.account.replicas[SUPPORT].discord = Hosting(1, DISCORD, "hosted", 0.0)


def misspelt(clinic: Clinic) -> None:
    clinic.box.sensay.canned.append(Canned("history", status=404, body='{"error": "Not found"}'))


def generous(clinic: Clinic) -> None:
    clinic.set("organizations.acme.quota", {"requests_per_minute": 500})


def promised(clinic: Clinic) -> None:
    clinic.set("bots.support.reserve_per_hour", 2000)


def inside(clinic: Clinic) -> None:
    clinic.set("bots.support.webhook.callback_url", "https://127.0.0.1/answers")


def nameless(clinic: Clinic) -> None:
    clinic.set("bots.support.webhook.callback_url", "https://nobody.invalid/answers")


def silent(clinic: Clinic) -> None:
    clinic.set("platforms.telegram.api_url", NOWHERE)


def unreachable(clinic: Clinic) -> None:
    clinic.set("sensay.base_url", NOWHERE)


TROUBLES: list[tuple[Callable[[Clinic], None], str, str, str]] = [
    (revoked, "error", "bots.support.telegram.token", "rejects the bot token"),
    (robbed, "error", "bots.support.telegram.mode", "at other.example"),
    (deaf, "warning", "bots.support.telegram.groups.mode", "privacy mode is on"),
    (crowded, "warning", "bots.support.telegram.mode", "150 updates wait"),
    (flooded, "warning", "bots.support.telegram.token", "asks to wait 30 s"),
    (reset, "error", "bots.support.discord.token", "refused the bot token"),
    (unprivileged, "error", "bots.support.discord.message_content", "not enabled"),
    (spent, "error", "bots.support.discord.token", "0 of 1000 new sessions"),
    (scarce, "warning", "bots.support.discord.token", "20 of 1000 new sessions"),
    (sharded, "warning", "bots.support.discord.shards", "recommends 4 shards"),
    (keyless, "error", "organizations.acme.secret", "refuses the secret"),
    (foreign, "error", "bots.support.replica", "no such replica"),
    (private, "error", "bots.support.replica", "is private"),
    (hosted, "error", "bots.support.telegram.token", "Sensay runs this bot, too"),
    (hosted_on_discord, "warning", "bots.support.discord.token", "Sensay runs a Discord bot"),
    (misspelt, "error", "sensay.dialect", "does not serve the paths of openapi"),
    (generous, "warning", "organizations.acme.quota", "more than"),
    (promised, "warning", "organizations.acme.quota", "reserve 2000"),
    (inside, "error", "bots.support.webhook.callback_url", "public addresses only"),
    (nameless, "error", "bots.support.webhook.callback_url", "leads nowhere"),
    (silent, "error", "bots.support.telegram", "no answer from Telegram"),
    (unreachable, "error", "organizations.acme", "cannot be reached"),
]


@pytest.mark.parametrize(
    ("trouble", "severity", "path", "words"), TROUBLES, ids=[trouble[0].__name__ for trouble in TROUBLES]
)
async def test_what_is_wrong_is_found_in_its_place_with_a_remedy_and_nothing_else_is(
    clinic: Clinic, trouble: Callable[[Clinic], None], severity: str, path: str, words: str
):
    trouble(clinic)
    report = await clinic.look()

    assert [(severity, path)] == said(report, "error", "warning")
    [found] = [seen for seen in report.seen if seen.finding.severity == severity]
    assert words in found.finding.what
    assert len(found.finding.remedy or "") > 15
    assert found.spot is not None
    assert found.spot.line >= 1
    assert (severity != "error") == report.ok
    shown = json.dumps(report.document())
    for secret in (TELEGRAM, DISCORD, WEBHOOK, SECRET, "revoked-secret", "key=private"):
        assert secret not in shown


async def test_the_dialect_that_is_served_is_named(clinic: Clinic):
    misspelt(clinic)
    [found] = [seen.finding for seen in (await clinic.look()).seen if seen.finding.severity == "error"]

    assert "set sensay.dialect: guide" == found.remedy


async def test_a_webhook_of_our_own_is_no_trouble_for_who_is_called(clinic: Clinic):
    clinic.set("server.public.base_url", "https://127.0.0.1:8443")
    clinic.set("bots.support.telegram.mode", "webhook")
    clinic.box.telegram.bot(TELEGRAM).webhook = {"url": "https://127.0.0.1:8443/v1/telegram/support"}
    report = await clinic.look()

    [found] = [seen for seen in report.seen if seen.finding.path == "bots.support.telegram.mode"]
    assert "ok" == found.finding.severity


async def test_a_webhook_at_a_port_that_telegram_does_not_call_is_an_error(clinic: Clinic):
    clinic.set("server.public.base_url", "https://127.0.0.1:9443")
    clinic.set("bots.support.telegram.mode", "webhook")

    assert ("error", "bots.support.telegram.mode") in said(await clinic.look(), "error")


async def test_servers_that_hang_cost_their_own_looks_only_and_the_whole_ends_in_time(clinic: Clinic):
    for number in range(60):
        clinic.set(
            f"bots.b{number}", {"replica": SUPPORT, "telegram": {"token": f"{500 + number}:{'x' * 30}"}}
        )
        clinic.box.telegram.bot(f"{500 + number}:{'x' * 30}").answering.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    report = await clinic.look(one=1.0, all=1.5)

    assert loop.time() - began < 10.0
    errors = said(report, "error")
    assert ("error", "platforms") in errors
    assert len([path for _, path in errors if path.endswith(".telegram")]) >= 31
    assert ("ok", "organizations.acme.secret") in said(report, "ok")


# --- the public address ---


@pytest.fixture
async def public() -> AsyncIterator[str]:
    listener = Listener("127.0.0.1", 0, [openapi.route()])
    await listener.start()
    yield f"http://127.0.0.1:{listener.port}"
    await listener.stop()


async def reached(base: str, *, running: bool) -> Finding:
    settings = Settings.model_validate({"server": {"public": {"base_url": base}}})
    [found] = [finding async for finding in look(settings, 5.0, running=running)]
    return found


async def test_the_public_address_is_tried(public: str):
    found = await reached(public, running=True)

    assert ("ok", "server.public.base_url") == (found.severity, found.path)


async def test_an_address_that_leads_elsewhere_is_an_error_while_the_gateway_runs(sandbox: Sandbox):
    assert "error" == (await reached(sandbox.url, running=True)).severity
    assert "warning" == (await reached(sandbox.url, running=False)).severity
    assert "error" == (await reached(NOWHERE, running=True)).severity


async def test_a_certificate_that_nobody_trusts_is_an_error(tmp_path: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    found = await reached(f"https://127.0.0.1:{runner.addresses[0][1]}", running=False)
    await runner.cleanup()

    assert "error" == found.severity
    assert "certificate is refused" in found.what


async def test_an_address_without_tls_is_an_error(sandbox: Sandbox):
    found = await reached(sandbox.url.replace("http://", "https://"), running=False)

    assert ("error", "what answers there speaks no TLS") == (found.severity, found.what)


# --- the machine ---


GOOD = Condition(
    file=Path("data/gateway.db"),
    folder_there=True,
    folder_writable=True,
    file_there=True,
    file_writable=True,
    damaged=False,
    version=3,
    newest=3,
)


def seen(**changes: Any) -> machine.Machine:
    facts: dict[str, Any] = {
        "journal": GOOD,
        "disk_free": 50 * machine.GB,
        "memory": machine.GB,
        "files": 1024,
        "files_needed": 600,
        "memory_needed": 200 * machine.MB,
        "ports": (("server.public", 8080, "free"),),
    }
    return machine.Machine(**facts | changes)


def worst(machine_: machine.Machine, *, running: bool = False) -> list[str]:
    return [one.severity for one in machine.judge(machine_, running=running) if one.severity != "ok"]


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ([], {}),
        (["warning"], {"disk_free": machine.GB}),
        (["error"], {"disk_free": machine.MB}),
        (["error"], {"files": 256}),
        (["warning"], {"memory": 100 * machine.MB}),
        (["error"], {"ports": (("server.admin", 9090, "Address already in use"),)}),
        (["error"], {"journal": replace(GOOD, folder_there=False)}),
        (["error"], {"journal": replace(GOOD, folder_writable=False)}),
        (["error"], {"journal": replace(GOOD, file_writable=False)}),
        (["error"], {"journal": replace(GOOD, damaged=True, version=None)}),
        (["error"], {"journal": replace(GOOD, version=4)}),
        ([], {"journal": replace(GOOD, version=2)}),
        ([], {"journal": None, "disk_free": None, "memory": None}),
    ],
)
def test_the_machine_is_judged(expected: list[str], changes: dict[str, Any]):
    assert expected == worst(seen(**changes))


def test_what_a_running_gateway_has_taken_is_no_trouble():
    taken = seen(ports=(("server.admin", 9090, "Address already in use"),), memory=0)

    assert [] == worst(taken, running=True)


@pytest.mark.parametrize(
    ("ahead", "severity", "word"),
    [
        (0.4, "ok", "right"),
        (-1.9, "ok", "right"),
        (10, "warning", "behind"),
        (-10, "warning", "ahead"),
        (90, "error", "90"),
    ],
)
def test_the_clock_is_judged_by_what_others_say(ahead: float, severity: str, word: str):
    [found] = machine.judge_clock(ahead)

    assert severity == found.severity
    assert word in found.what


def test_a_clock_that_could_not_be_compared_is_said_to_be():
    [found] = machine.judge_clock(None)

    assert "warning" == found.severity


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_journals_version_is_read_without_opening_it(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/gateway.db"
    before = condition(url)
    journal = open_journal(url, FakeClock())
    await journal.open()
    await journal.close()
    files = names(tmp_path)
    after = condition(url)
    untouched = names(tmp_path)
    (tmp_path / "other.db").write_text("no journal")
    other = condition(f"sqlite:///{tmp_path}/other.db")

    assert before is not None
    assert after is not None
    assert (False, None, False) == (before.file_there, before.version, before.usable)
    assert (after.newest, True) == (after.version, after.usable)
    assert other is not None
    assert (True, False) == (other.damaged, other.usable)
    assert files == untouched
    assert condition("valkey://host:6379/0") is None


def test_a_port_that_somebody_has_is_seen():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings.model_validate(
            {"server": {"public": {"host": "127.0.0.1", "port": port}}, "journal": "memory:"}
        )
        found = {name: said for name, _, said in machine.look(settings).ports}

    assert found["server.public"] != "free"


def test_options_that_are_off_are_named():
    web = {"replica": SUPPORT, "web": {}, "limits": {"user": "off"}}
    settings = Settings.model_validate(
        {
            "server": {"public": {"base_url": "https://chat.example.com"}},
            "journal": "memory:",
            "log": {"message_text": True},
            "bots": {"shop": web},
        }
    )

    assert {
        "journal",
        "log.message_text",
        "server.trusted_proxies",
        "bots.shop.web.allowed_origins",
        "bots.shop.limits.user",
    } == {one.path for one in options.judge(settings) if one.severity == "warning"}
    assert {"server.admin.token", "watch", "telemetry.otlp_endpoint"} == {
        one.path for one in options.judge(settings) if one.severity == "ok"
    }


# --- the verbs ---


async def verb(*words: str, columns: int = 80) -> tuple[int, list[str]]:
    program = await Program(list(words), environment={"COLUMNS": str(columns)}).start()
    return await program.ended(), program.raw


@pytest.mark.e2e
async def test_doctor_ends_with_0_and_fits_the_terminal(clinic: Clinic, tmp_path: Path):
    path = write_configuration(tmp_path, clinic.document)
    code, lines = await verb("doctor", "-c", str(path))

    assert 0 == code, lines
    assert "bot support" in lines
    assert "organization acme" in lines
    assert lines[-1].startswith("0 errors, ")
    assert lines[-1].endswith("2 requests to Sensay (acme 2)")
    assert [] == [line for line in lines if len(line) > 80 and str(path) not in line]
    assert not (tmp_path / "gateway.db").exists()


@pytest.mark.e2e
async def test_in_a_large_fleet_only_those_with_trouble_are_printed(clinic: Clinic, tmp_path: Path):
    for number in range(20):
        clinic.set(
            f"bots.b{number}", {"replica": SUPPORT, "telegram": {"token": f"{500 + number}:{'x' * 30}"}}
        )
    clinic.box.telegram.revoke(f"507:{'x' * 30}")
    code, lines = await verb("check", "--online", "-c", str(write_configuration(tmp_path, clinic.document)))

    assert 1 == code
    assert ["bot b7"] == [line for line in lines if line.startswith("bot ")]
    assert "22 more have nothing but good findings (--json has them)" in lines


@pytest.mark.e2e
async def test_check_online_ends_with_1_and_says_where(clinic: Clinic, tmp_path: Path):
    revoked(clinic)
    private(clinic)
    path = write_configuration(tmp_path, clinic.document)
    code, lines = await verb("check", "--online", "-c", str(path))
    as_json, document = await verb("check", "--online", "--json", "-c", str(path))
    offline, _ = await verb("check", "-c", str(path))

    assert (1, 1, 0) == (code, as_json, offline)
    assert "2 errors, " in lines[-1]
    assert any(line.strip().startswith(f"{path}:1:") for line in lines)
    found = json.loads("\n".join(document))
    assert (False, 2) == (found["ok"], found["errors"])
    assert {"bots.support.telegram.token", "bots.support.replica"} == {
        one["path"] for one in found["findings"] if one["severity"] == "error"
    }
    assert TELEGRAM not in "\n".join([*lines, *document])


@pytest.mark.e2e
async def test_while_a_gateway_runs_its_quota_pays_and_its_channels_are_told_of(
    clinic: Clinic, tmp_path: Path
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    clinic.set("server.admin", {"port": port, "token": "the-operators-own-token"})
    clinic.set(
        "bots.broken", {"replica": SUPPORT, "telegram": {"token": "77:revoked-token-for-the-tests-0000"}}
    )
    clinic.box.telegram.revoke("77:revoked-token-for-the-tests-0000")
    path = write_configuration(tmp_path, clinic.document)
    program = await Program(["run", "-c", str(path)]).start()
    try:
        await program.running("telegram", "discord")
        await program.event("bot.failed", bot="broken")
        headers = {"Authorization": "Bearer the-operators-own-token"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def used() -> int:
                async with session.get(f"http://127.0.0.1:{port}/status.json") as answer:
                    return int((await answer.json())["organizations"]["acme"]["quota"]["minute"]["used"])

            before = await eventually(used, lambda count: count > 0)
            code, lines = await verb("doctor", "-c", str(path))
            after = await used()
    finally:
        await program.kill()

    assert 1 == code
    assert 2 == after - before, lines
    assert any("is taken, as it should be" in line for line in lines)
    assert any("the running gateway says failed" in line for line in lines)
    assert 2 == sum(line.strip().startswith("error") for line in lines), lines
