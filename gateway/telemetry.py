"""Tells: structured logs and Prometheus metrics, both fed by the facts that the stages emit.

One JSON object a line on stdout, whichever library logs; no message text, no secrets. The masking is the last step
before a line is written, so that it holds for vendor libraries and tracebacks too.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from structlog.types import EventDict, Processor, WrappedLogger

from gateway import __version__
from gateway.messages import BotState
from gateway.ports import (
    BotChanged,
    BotHeard,
    DeliveryEnded,
    Fact,
    MessageReceived,
    Noted,
    QuotaGranted,
    TurnEnded,
    UpstreamAnswered,
)

STATES: tuple[BotState, ...] = ("starting", "running", "degraded", "failed", "paused", "stopped")

# --- logs ---

_SHAPES = re.compile(
    r"(?<!\d)\d{3,}:[A-Za-z0-9_-]{20,}"  # Telegram token, also in a URL: /bot1234:…
    r"|\b[\w-]{20,30}\.[\w-]{6,7}\.[\w-]{27,45}\b"  # Discord token
    r"|whsec_[A-Za-z0-9+/=]+"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]+"  # JSON web token
    r"|(?i:\b(?:authorization|x-organization-secret|x-telegram-bot-api-secret-token)[\"']?\s*[:=]\s*)[^\s,}]+(?:\s+[^\s,}]+)?"
)
_NOISY = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "discord": logging.WARNING,
    "telegram": logging.WARNING,
}


class Mask:
    """Replaces known secrets, and whatever has the shape of one, in a finished line."""

    def __init__(self) -> None:
        self._known: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[str]) -> None:
        """Take the secrets of the current configuration; short ones would hide ordinary words and are left to the
        shapes.
        """
        spelled = {spelling for secret in secrets if len(secret) >= 6 for spelling in _spellings(secret)}
        words = sorted(spelled, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, words))) if words else None

    def __call__(self, line: str) -> str:
        if self._known is not None:
            line = self._known.sub("***", line)
        return _SHAPES.sub("***", line)


def _spellings(secret: str) -> Iterator[str]:
    """As a secret stands in a text, a repr or a URL, and each of these inside a JSON string."""
    for spelling in (secret, repr(secret)[1:-1], quote(secret, safe="")):
        yield spelling
        yield json.dumps(spelling, ensure_ascii=False)[1:-1]


class _MaskedStream:
    """Writes masked lines; a closed pipe at the other end is not the gateway's problem."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def write(self, text: str) -> None:
        try:
            sys.stdout.write(self._mask(text))
        except (BrokenPipeError, ValueError):
            return

    def flush(self) -> None:
        try:
            sys.stdout.flush()
        except (BrokenPipeError, ValueError):
            return


def _context_of_errors(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Vendor log lines become events: their text is a field, their logger another."""
    record = event.pop("_record", None)
    event.pop("_from_structlog", None)
    if record is not None and not record.name.startswith("gateway"):
        event["message"] = event["event"]
        event["event"] = "library.logged"
        event["logger"] = record.name
    return event


def configure_logs(format: str, level: str, mask: Mask) -> None:  # noqa: A002 - the configuration's own word
    """Route structlog and every stdlib logger through one masked handler on stdout."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    handler = logging.StreamHandler(_MaskedStream(mask))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[_context_of_errors, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, lowest in _NOISY.items():
        logging.getLogger(name).setLevel(max(lowest, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)


_LEVELS: dict[str, str] = {"failed": "error", "degraded": "warning", "dead": "error", "unknown": "warning"}


class LogFacts:
    """Writes facts as log lines. What happens for every message is `info`; what is only of interest in numbers is
    left out.
    """

    def __init__(self) -> None:
        self._log = structlog.get_logger("gateway")

    def __call__(self, fact: Fact) -> None:
        match fact:
            case Noted():
                getattr(self._log, fact.level)(fact.event, **fact.fields)
            case BotHeard() | QuotaGranted():
                return
            case BotChanged():
                self._say(f"bot.{fact.state}", _LEVELS.get(fact.state, "info"), fact)
            case TurnEnded():
                level = "warning" if fact.outcome == "failed" else "info"
                self._say("turn.completed", level, fact, reference=fact.turn)
            case DeliveryEnded():
                name = {
                    "sent": "delivery.sent",
                    "retried": "delivery.postponed",
                    "unknown": "delivery.unknown",
                }
                level = _LEVELS.get(fact.outcome, "info")
                self._say(name.get(fact.outcome, "delivery.buried"), level, fact)
            case MessageReceived():
                level = "warning" if fact.outcome == "quarantined" else "debug"
                self._say("message.received", level, fact)
            case UpstreamAnswered():
                # 401 is how Sensay says that a user is new; a bad key ends in turn.completed with its cause
                usual = fact.outcome in {"ok", "401"}
                self._say("upstream.answered", "debug" if usual else "warning", fact)

    def _say(self, event: str, level: str, fact: Fact, **more: Any) -> None:
        fields = {name: getattr(fact, name) for name in fact.__struct_fields__}
        known = {name: value for name, value in (fields | more).items() if value is not None}
        getattr(self._log, level)(event, **known)


# --- metrics ---

_WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The Prometheus side: `interface.md` section 5. Labels are bounded: never a user, a chat or a text."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        where = ("bot", "platform", "outcome")
        self.received = self._counter("gateway_messages_received", "Messages by what became of them.", where)
        self.turns = self._counter("gateway_turns", "Turns by how they ended.", where)
        self.deliveries = self._counter("gateway_deliveries", "Parts by how sending them ended.", where)
        self.requests = self._counter(
            "gateway_upstream_requests", "Requests to Sensay.", ("organization", "operation", "outcome")
        )
        self.turn_seconds = self._histogram(
            "gateway_turn_seconds", "Accepted to delivered.", ("bot", "platform")
        )
        self.overhead = self._histogram(
            "gateway_overhead_seconds", "Accepted to delivered, less upstream and quota.", ("platform",)
        )
        self.quota_wait = self._histogram(
            "gateway_quota_wait_seconds", "Waits for quota before a request.", ("organization",)
        )
        self.upstream = self._histogram(
            "gateway_upstream_seconds", "Sensay's answering time.", ("organization", "operation")
        )
        self.quota_used = self._gauge(
            "gateway_quota_used", "Requests in the window.", ("organization", "window")
        )
        self.quota_limit = self._gauge(
            "gateway_quota_limit", "Requests the window allows.", ("organization", "window")
        )
        self.queue_depth = self._gauge("gateway_queue_depth", "Messages waiting.", ("bot",))
        self.queue_age = self._gauge("gateway_queue_oldest_age_seconds", "Age of the oldest one.", ("bot",))
        self.dead_letters = self._gauge("gateway_dead_letters", "Parts and turns given up.", ("bot",))
        self.state = self._gauge(
            "gateway_bot_state", "1 for the current state.", ("bot", "platform", "state")
        )
        self.heard = self._gauge(
            "gateway_bot_last_event_timestamp_seconds",
            "Last sign of life of the platform.",
            ("bot", "platform"),
        )
        self.reloaded = self._gauge(
            "gateway_config_last_reload_successful", "1 if the last reload applied.", ()
        )
        self.reloaded.set(1)
        self._gauge("gateway_build_info", "The version.", ("version",)).labels(__version__).set(1)
        self._open: OrderedDict[str, TurnEnded] = OrderedDict()

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(name, text, labels, buckets=_WAITS, registry=self.registry)

    def text(self) -> bytes:
        """The exposition. Gauges of live state are set by the caller just before."""
        return generate_latest(self.registry)

    def forget(self, bot: str, platform: str) -> None:
        """Drop the gauges of a channel that is gone."""
        for state in STATES:
            _remove(self.state, bot, platform, state)
        _remove(self.heard, bot, platform)

    def __call__(self, fact: Fact) -> None:  # noqa: C901 - one line a fact
        match fact:
            case MessageReceived():
                self.received.labels(fact.bot, fact.platform, fact.outcome).inc()
            case TurnEnded():
                self._turn_ended(fact)
            case DeliveryEnded():
                self.deliveries.labels(fact.bot, fact.platform, fact.outcome).inc()
                if fact.last and fact.outcome == "sent":
                    self._delivered(fact)
            case QuotaGranted():
                self.quota_wait.labels(fact.organization).observe(fact.waited)
            case UpstreamAnswered():
                self.requests.labels(fact.organization, fact.operation, fact.outcome).inc()
                self.upstream.labels(fact.organization, fact.operation).observe(fact.seconds)
            case BotChanged():
                for state in STATES:
                    self.state.labels(fact.bot, fact.platform, state).set(state == fact.state)
            case BotHeard():
                self.heard.labels(fact.bot, fact.platform).set(fact.at)
            case Noted():
                return

    def _turn_ended(self, fact: TurnEnded) -> None:
        self.turns.labels(fact.bot, fact.platform, fact.outcome).inc()
        if fact.parts:
            self._open[fact.turn] = fact
            if len(self._open) > 10_000:
                self._open.popitem(last=False)

    def _delivered(self, fact: DeliveryEnded) -> None:
        turn = self._open.pop(fact.owner, None)
        if turn is None:
            return
        seconds = max(0.0, fact.at - turn.accepted_at)
        waited = turn.upstream_seconds + turn.quota_wait_seconds
        self.turn_seconds.labels(turn.bot, turn.platform).observe(seconds)
        self.overhead.labels(turn.platform).observe(max(0.0, seconds - waited))


def _remove(gauge: Gauge, *labels: str) -> None:
    try:
        gauge.remove(*labels)
    except KeyError:
        return


def fan_out(*observers: Callable[[Fact], None]) -> Callable[[Fact], None]:
    """One observer for several."""

    def observe(fact: Fact) -> None:
        for observer in observers:
            observer(fact)

    return observe
