"""Structured logs: one line an event on stdout, whichever library logs.

The masking is the last step before a line is written, so that it holds for vendor libraries and tracebacks too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

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
from gateway.telemetry.masking import Mask
from gateway.telemetry.repeats import Repeats

_NOISY = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "discord": logging.WARNING,
    "telegram": logging.WARNING,
    "aiohttp.access": logging.WARNING,
}


class _MaskedStream:
    """Writes masked lines. When nobody reads them any more the gateway goes on serving, without a log."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def write(self, text: str) -> None:
        try:
            sys.stdout.write(self._mask(text))
        except (OSError, ValueError):
            _let_go()

    def flush(self) -> None:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            _let_go()


def _let_go() -> None:
    """What could not be written must not be tried again at every line, nor fail the exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Repeated failures become counts."""

    def __init__(self, mask: Mask) -> None:
        super().__init__(_MaskedStream(mask))
        self._repeats = Repeats()
        self._alarm: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        self._tell(now)
        if self._repeats.take(record, now):
            super().emit(record)
        elif self._alarm is None:
            self._alarm_at(self._repeats.next_end)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._tell(math.inf)
        super().close()

    def _tell(self, now: float) -> None:
        for summary in self._repeats.over(now):
            super().emit(summary)

    def _alarm_at(self, end: float | None) -> None:
        """Tell of what was counted also when nothing else is logged."""
        with contextlib.suppress(RuntimeError):  # no loop here: then with the next line, or at the end
            loop = asyncio.get_running_loop()
            if end is not None:
                self._alarm = loop.call_later(max(0.0, end - time.monotonic()), self._alarmed)

    def _alarmed(self) -> None:
        self._alarm = None
        with self.lock:  # type: ignore[union-attr]
            self._tell(time.monotonic())
            self._alarm_at(self._repeats.next_end)


def _context_of_errors(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Vendor log lines become events: their text is a field, their logger another.

    What comes through structlog is ours, the adapters' lines included.
    """
    record = event.pop("_record", None)
    ours = event.pop("_from_structlog", False)
    if repeated := getattr(record, "repeated", 0):
        event["repeated"] = repeated
    if record is not None and not ours:
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
        structlog.processors.JSONRenderer(serializer=_json)
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    )
    handler = _Handler(mask)
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
    _leave_out_what_no_line_says()


_FOR_TRACES = {"began", "claimed_at", "messages", "rendered"}


def _leave_out_what_no_line_says() -> None:
    """Where in the code, in which thread and process: as logging's own guide turns it off."""
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _json(event: EventDict, default: Callable[[Any], Any], **_: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=default).decode()
    except (TypeError, ValueError):  # keys that are no text, halves of surrogate pairs
        return json.dumps(event, default=default, ensure_ascii=False)


_LEVELS: dict[str, str] = {"failed": "error", "degraded": "warning", "dead": "error", "unknown": "warning"}


class LogFacts:
    """Writes facts as log lines. What happens for every message is `info`; what is only of interest in numbers is
    left out.
    """

    def __init__(self) -> None:
        self._log = structlog.get_logger("gateway").bind()
        self._gate = logging.getLogger("gateway")

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
        if not self._gate.isEnabledFor(getattr(logging, level.upper())):
            return
        fields = {name: getattr(fact, name) for name in fact.__struct_fields__ if name not in _FOR_TRACES}
        known = {name: value for name, value in (fields | more).items() if value is not None}
        getattr(self._log, level)(event, **known)
