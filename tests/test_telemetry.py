"""What the gateway tells: lines without secrets whichever library writes them, and the metrics that were promised."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__
from gateway.app import secrets_of
from gateway.ports import (
    BotChanged,
    BotHeard,
    DeliveryEnded,
    MessageReceived,
    Noted,
    QuotaGranted,
    TurnEnded,
    UpstreamAnswered,
)
from gateway.settings.models import Settings
from gateway.telemetry import LogFacts, Mask, Metrics, configure_logs, fan_out

TELEGRAM = "123456789:AAFakeTelegramTokenForTheTests-0123456789"
DISCORD = "MTAwMjAwMzAwNDAwNTAwNjAw.GaBcDe.a-fake-discord-token-for-the-tests-0"
WEBHOOK = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ODD = 'quo"ted\\näh-secret'
SENSAY, IDENTITY, ADMIN = "acme-sensay-secret", "identity-of-thirty-two-characters!!", "admin-token"
SECRETS = (TELEGRAM, DISCORD, WEBHOOK, SENSAY, IDENTITY, ADMIN, ODD)

SETTINGS = Settings.model_validate(
    {
        "server": {"admin": {"token": ADMIN}},
        "organizations": {"acme": {"secret": SENSAY}, "odd": {"secret": "placeholder"}},
        "bots": {
            "shop": {
                "organization": "acme",
                "replica": "12345678-1234-1234-1234-123456789abc",
                "telegram": {"token": TELEGRAM},
                "discord": {"token": DISCORD},
                "web": {"identity_secret": IDENTITY},
                "webhook": {"secret": [WEBHOOK]},
            }
        },
    }
)


class Log:
    """What was written, line by line."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def text(self) -> str:
        written = self._capture.readouterr()
        assert written.err == ""
        return written.out

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().removesuffix("\n").split("\n")]


@pytest.fixture
def restored() -> Iterator[None]:
    """Logging as it was before."""
    root = logging.getLogger()
    names = ("httpx", "httpcore", "discord", "telegram")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers, level, config = list(root.handlers), root.level, structlog.get_config()
    yield
    root.handlers[:], root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.configure(**config)
    logging.captureWarnings(capture=False)


@pytest.fixture
def log(restored: None, capsys: pytest.CaptureFixture[str]) -> Log:
    mask = Mask()
    mask.learn([*secrets_of(SETTINGS), ODD])
    configure_logs("json", "debug", mask)
    for name in ("httpx", "httpcore", "discord", "telegram"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    return Log(capsys)


def fact_of_turn(**changes: Any) -> TurnEnded:
    facts: dict[str, Any] = {
        "organization": "acme",
        "bot": "shop",
        "platform": "telegram",
        "conversation": "shop/telegram/42",
        "turn": "t1",
        "outcome": "answered",
        "accepted_at": 100.0,
        "ended_at": 104.0,
        "parts": 1,
    }
    return TurnEnded(**{**facts, **changes})


def fact_of_delivery(outcome: Any = "sent", **changes: Any) -> DeliveryEnded:
    facts: dict[str, Any] = {"delivery": "t1.answer.0", "owner": "t1", "at": 105.0, "last": True}
    return DeliveryEnded(bot="shop", platform="telegram", outcome=outcome, **{**facts, **changes})


FACTS = (
    MessageReceived(organization="acme", bot="shop", platform="telegram", outcome="accepted"),
    fact_of_turn(upstream_seconds=2.0, quota_wait_seconds=1.0),
    fact_of_delivery(),
    QuotaGranted(organization="acme", kind="reply", waited=1.0),
    UpstreamAnswered(organization="acme", operation="complete", outcome="ok", seconds=2.0),
    BotChanged(bot="shop", platform="telegram", state="failed", since=1.0, error="bad", remedy="act"),
    BotHeard(bot="shop", platform="telegram", at=99.0),
    Noted(event="gateway.started", fields={"bots": 1}),
)


# --- lines ---


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("logger", ["gateway", "httpx", "telegram.ext", "discord.http", "aiohttp.access"])
def test_a_secret_is_masked_whichever_library_writes_it(log: Log, logger: str, secret: str):
    logging.getLogger(logger).warning("POST /bot%s/getMe", secret)
    logging.getLogger(logger).warning("with a field", extra={"token": secret})
    structlog.get_logger(logger).warning("something.happened", token=secret, nested={"deep": [secret]})

    text = log.text()
    assert text.count("***") >= 3
    assert text.count("\n") == 3
    assert secret not in text
    assert json.dumps(secret, ensure_ascii=False)[1:-1] not in text


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_in_an_exception_is_masked(log: Log, secret: str):
    def fails(token: str) -> None:
        raise ValueError(f"refused: {token}") from KeyError(token)

    for logger in (logging.getLogger("discord.client"), structlog.get_logger("gateway")):
        try:
            fails(secret)
        except ValueError:
            logger.exception("it broke")

    lines = log.lines()
    assert len(lines) == 2
    for line in lines:
        assert "Traceback" in line["exception"]
        assert "ValueError" in line["exception"]
        assert secret not in json.dumps(line, ensure_ascii=False)
        assert secret not in line["exception"]


@pytest.mark.parametrize(
    "line",
    [
        f"HTTP Request: POST https://api.telegram.org/bot{TELEGRAM}/getMe",
        f"https://api.telegram.org/file/bot{TELEGRAM}/photos/1.jpg",
        f"token {TELEGRAM}",
        f"Bot {DISCORD}",
        f"key={WEBHOOK}",
        "{'Authorization': 'Bearer abcdefghijkl'}",
        '{"authorization": "Basic YWRtaW46dG9rZW4="}',
        "x-organization-secret: abcdefghijkl",
        "X-Telegram-Bot-Api-Secret-Token: abcdefghijkl",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.abcdefghijkl",
    ],
)
def test_what_has_the_shape_of_a_secret_is_masked_even_if_nobody_knows_it(line: str):
    masked = Mask()(line)

    for secret in (TELEGRAM, DISCORD, WEBHOOK, "abcdefghijkl", "YWRtaW46dG9rZW4="):
        assert secret not in masked
    assert "***" in masked


@pytest.mark.parametrize(
    "line",
    [
        "turn k3fq-7mzp2xwd4c answered in 12:34:56.789",
        "2026-01-01T10:00:00.123456Z",
        "shop/telegram/-1001234567890",
        "12345678-1234-1234-1234-123456789abc",
        "authorization failed",
        "127.0.0.1:8080",
    ],
)
def test_ordinary_words_are_not_masked(line: str):
    mask = Mask()
    mask.learn(["a", "on", ""])

    assert mask(line) == line


def test_new_secrets_replace_the_old_ones():
    mask = Mask()
    mask.learn(["first-secret"])
    mask.learn(["second-secret"])

    assert mask("first-secret second-secret") == "first-secret ***"


@given(
    st.lists(st.text("ab:.|", min_size=6, max_size=9), min_size=1, max_size=12),
    st.text("ab:.|c", max_size=60),
)
def test_many_secrets_are_masked_as_each_by_itself(secrets: list[str], line: str):
    mask = Mask()
    mask.learn(secrets)
    one_by_one = re.compile("|".join(map(re.escape, sorted(secrets, key=len, reverse=True))))

    assert one_by_one.sub("***", line) == mask(line)


def test_a_secret_that_contains_another_is_masked_whole():
    mask = Mask()
    mask.learn(["secret", "secret-and-more"])

    assert mask("secret-and-more") == "***"


def test_every_secret_of_a_configuration_is_known():
    assert {TELEGRAM, DISCORD, WEBHOOK, SENSAY, IDENTITY, ADMIN} <= set(secrets_of(SETTINGS))


async def test_a_real_request_of_each_library_leaves_no_token_in_the_log(log: Log):
    """Nobody listens there: the libraries have something to complain about."""
    url = f"http://127.0.0.1:9/bot{TELEGRAM}/getMe"
    async with httpx.AsyncClient() as client:
        try:
            await client.get(url, headers={"X-ORGANIZATION-SECRET": SENSAY})
        except httpx.ConnectError:
            logging.getLogger("httpx").exception("no answer from %s", url)
    async with aiohttp.ClientSession() as session:
        try:
            await session.get(url)
        except aiohttp.ClientConnectorError:
            logging.getLogger("telegram.request").exception("no answer from %s", url)

    text = log.text()
    assert "no answer from" in text
    for secret in SECRETS:
        assert secret not in text


def test_every_line_is_one_json_object(log: Log):
    structlog.get_logger("gateway").info("gateway.started", bots=1)
    logging.getLogger("telegram").warning("two\nlines and a %s", {"set"})
    structlog.get_logger("gateway").info("odd.happened", thing=object(), data=b"\xff", text="line\n\u2028sep")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    lines = log.lines()
    assert len(lines) == 4
    for line in lines:
        assert {"timestamp", "level", "event"} <= line.keys()
    assert lines[0]["event"] == "gateway.started"
    assert lines[0]["bots"] == 1
    assert lines[0]["timestamp"].endswith("Z")


def test_a_librarys_line_is_an_event_with_its_words_in_a_field(log: Log):
    logging.getLogger("discord.gateway").warning("Shard ID %s has lost its connection", 3)

    (line,) = log.lines()
    assert line["event"] == "library.logged"
    assert line["logger"] == "discord.gateway"
    assert line["message"] == "Shard ID 3 has lost its connection"
    assert line["level"] == "warning"


@pytest.mark.parametrize("module", ["gateway.web.server", "adapters.discord.commands"])
def test_a_line_of_our_own_keeps_its_event_whichever_module_says_it(log: Log, module: str):
    structlog.get_logger(module).info("commands.registered", bot="shop", count=6)

    (line,) = log.lines()
    assert ("commands.registered", "shop", 6) == (line["event"], line["bot"], line["count"])
    assert "message" not in line


async def test_a_task_that_nobody_waited_for_is_a_line_too(log: Log):
    async def fails() -> None:
        raise ValueError(TELEGRAM)

    task = asyncio.ensure_future(fails())
    await asyncio.wait({task})
    asyncio.get_running_loop().call_exception_handler(
        {"message": "Task exception was never retrieved", "exception": task.exception(), "task": task}
    )

    line = log.lines()[-1]
    assert "ValueError" in line["exception"]
    assert TELEGRAM not in json.dumps(line)


def test_the_chatter_of_libraries_stays_out(restored: None, capsys: pytest.CaptureFixture[str]):
    configure_logs("json", "debug", Mask())
    for name in ("httpx", "httpcore.connection", "discord.gateway", "telegram.Bot"):
        logging.getLogger(name).info("HTTP Request: GET /")

    assert capsys.readouterr().out == ""


def test_a_level_keeps_out_what_is_below(restored: None, capsys: pytest.CaptureFixture[str]):
    configure_logs("json", "warning", Mask())
    for level in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger("gateway"), level)(f"{level}.said")
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]

    assert events == ["warning.said", "error.said"]


def test_text_for_people_is_masked_too(restored: None, capsys: pytest.CaptureFixture[str]):
    mask = Mask()
    mask.learn([SENSAY])
    configure_logs("text", "info", mask)
    structlog.get_logger("gateway").info("gateway.started", secret=SENSAY)

    written = capsys.readouterr().out
    assert "gateway.started" in written
    assert SENSAY not in written


def test_facts_become_events_with_a_past_verb(log: Log):
    say = LogFacts()
    for fact in (*FACTS, *(fact_of_delivery(outcome) for outcome in ("retried", "unknown", "dead"))):
        say(fact)

    lines = {line["event"]: line for line in log.lines()}
    assert list(lines) == [
        "message.received",
        "turn.completed",
        "delivery.sent",
        "upstream.answered",
        "bot.failed",
        "gateway.started",
        "delivery.postponed",
        "delivery.unknown",
        "delivery.buried",
    ]
    assert lines["turn.completed"]["reference"] == "t1"
    assert lines["turn.completed"]["conversation"] == "shop/telegram/42"
    assert lines["bot.failed"]["remedy"] == "act"
    assert lines["bot.failed"]["level"] == "error"
    assert lines["delivery.buried"]["level"] == "error"


# --- metrics ---

PROMISED = {
    "gateway_messages_received": ("counter", {"bot", "platform", "outcome"}),
    "gateway_turns": ("counter", {"bot", "platform", "outcome"}),
    "gateway_turn_seconds": ("histogram", {"bot", "platform"}),
    "gateway_overhead_seconds": ("histogram", {"platform"}),
    "gateway_quota_wait_seconds": ("histogram", {"organization"}),
    "gateway_upstream_requests": ("counter", {"organization", "operation", "outcome"}),
    "gateway_upstream_seconds": ("histogram", {"organization", "operation"}),
    "gateway_quota_used": ("gauge", {"organization", "window"}),
    "gateway_quota_limit": ("gauge", {"organization", "window"}),
    "gateway_queue_depth": ("gauge", {"bot"}),
    "gateway_queue_oldest_age_seconds": ("gauge", {"bot"}),
    "gateway_deliveries": ("counter", {"bot", "platform", "outcome"}),
    "gateway_bot_state": ("gauge", {"bot", "platform", "state"}),
    "gateway_bot_last_event_timestamp_seconds": ("gauge", {"bot", "platform"}),
    "gateway_dead_letters": ("gauge", {"bot"}),
    "gateway_config_last_reload_successful": ("gauge", set()),
    "gateway_admin_refused": ("counter", set()),
    "gateway_spans_dropped": ("counter", set()),
    "gateway_build_info": ("gauge", {"version"}),
}


def families(metrics: Metrics) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}


def value(metrics: Metrics, sample: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(sample, labels)


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics()
    for fact in FACTS:
        made(fact)
    made.queue_depth.labels("shop").set(1)
    made.queue_age.labels("shop").set(1)
    made.dead_letters.labels("shop").set(1)
    made.quota_used.labels("acme", "minute").set(1)
    made.quota_limit.labels("acme", "minute").set(1)
    return made


def test_the_metrics_are_those_that_were_promised_and_no_others(metrics: Metrics):
    assert set(PROMISED) == families(metrics).keys()


@pytest.mark.parametrize("name", PROMISED)
def test_a_metric_has_its_type_and_labels(metrics: Metrics, name: str):
    family = families(metrics)[name]
    labels = {label for sample in family.samples for label in sample.labels} - {"le"}

    assert (family.type, labels) == PROMISED[name]


def test_counters_end_in_total(metrics: Metrics):
    assert value(metrics, "gateway_turns_total", bot="shop", platform="telegram", outcome="answered") == 1.0


def test_a_turn_is_timed_when_its_last_part_was_delivered(metrics: Metrics):
    where = {"bot": "shop", "platform": "telegram"}

    assert value(metrics, "gateway_turn_seconds_sum", **where) == 5.0
    assert value(metrics, "gateway_turn_seconds_count", **where) == 1.0
    assert value(metrics, "gateway_overhead_seconds_sum", platform="telegram") == 2.0


def test_a_part_that_is_not_the_last_or_not_sent_times_nothing():
    metrics = Metrics()
    metrics(fact_of_turn())
    metrics(fact_of_delivery(last=False))
    metrics(fact_of_delivery("dead"))
    metrics(fact_of_delivery("sent", owner="a notice of no turn"))

    assert value(metrics, "gateway_turn_seconds_count", bot="shop", platform="telegram") is None


def test_a_channel_is_in_one_state_at_a_time(metrics: Metrics):
    metrics(BotChanged(bot="shop", platform="telegram", state="running", since=2.0))
    states = {
        sample.labels["state"]: sample.value for sample in families(metrics)["gateway_bot_state"].samples
    }

    assert states.pop("running") == 1.0
    assert set(states.values()) == {0.0}
    assert set(states) == {"starting", "degraded", "failed", "paused", "stopped"}


def series_of(metrics: Metrics, **labels: str) -> set[str]:
    return {
        sample.name
        for family in families(metrics).values()
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    }


def test_a_channel_that_is_gone_leaves_no_series_and_its_bot_keeps_its_own(metrics: Metrics):
    metrics.keep({("shop", "web")}, {"acme"})

    assert set() == series_of(metrics, bot="shop", platform="telegram")
    assert "gateway_queue_depth" in series_of(metrics, bot="shop")
    assert "gateway_quota_used" in series_of(metrics, organization="acme")


def test_a_bot_and_an_organisation_that_are_gone_leave_no_series_also_when_they_are_heard_of_late(
    metrics: Metrics,
):
    metrics.keep({("shop", "telegram")}, {"acme"})
    metrics.keep(set(), set())
    for fact in FACTS:
        metrics(fact)
    late = series_of(metrics, bot="shop")
    metrics.keep(set(), set())

    assert "gateway_turns_total" in late
    assert set() == series_of(metrics, bot="shop")
    assert set() == series_of(metrics, organization="acme")


def test_ten_thousand_people_add_no_series():
    metrics, sizes = Metrics(), []
    for number in range(10_000):
        where = {"conversation": f"shop/telegram/{number}"}
        metrics(
            MessageReceived(
                organization="acme",
                bot="shop",
                platform="telegram",
                outcome="accepted",
                message=str(number),
                **where,
            )
        )
        metrics(fact_of_turn(turn=f"t{number}", **where))
        metrics(fact_of_delivery(delivery=f"t{number}.answer.0", owner=f"t{number}", **where))
        sizes.append(len(metrics.text().splitlines()) if number in (0, 9_999) else 0)

    assert sizes[0] == sizes[-1] > 50


def test_a_reload_and_its_refusal_flip_the_metric(metrics: Metrics):
    seen = []
    for event in ("configuration.refused", "configuration.reloaded"):
        metrics(Noted(event=event))
        seen.append(value(metrics, "gateway_config_last_reload_successful"))

    assert [0.0, 1.0] == seen


def test_the_version_is_told(metrics: Metrics):
    assert value(metrics, "gateway_build_info", version=__version__) == 1.0


def test_turns_that_are_never_delivered_do_not_pile_up():
    metrics = Metrics()
    for number in range(10_050):
        metrics(fact_of_turn(turn=f"t{number}"))
    metrics(fact_of_turn(turn="silent", parts=0))

    assert len(metrics._open) == 10_000
    assert "silent" not in metrics._open


def test_several_observers_hear_the_same():
    one: list[Any] = []
    two: list[Any] = []
    fan_out(one.append, two.append)(FACTS[0])

    assert one == two == [FACTS[0]]


def test_every_part_that_is_given_up_with_a_chat_is_counted(metrics: Metrics):
    metrics(fact_of_delivery("dead", dropped=4))

    assert value(metrics, "gateway_deliveries_total", bot="shop", platform="telegram", outcome="dead") == 5
