"""One OpenTelemetry trace a turn, built from the facts that all observers hear: no text, no person's id.

Spans are made when a turn is over, with the times that the facts told; nothing is measured a second time and nothing
on a message's way waits for it. This is the only module that knows OpenTelemetry, and it is loaded only where an
endpoint is configured.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context

from gateway import __version__
from gateway.ports import (
    DeliveryEnded,
    Fact,
    MessageReceived,
    Noted,
    Observer,
    QuotaGranted,
    TurnEnded,
    UpstreamAnswered,
)

MOST_OPEN = 10_000
"""Turns and messages whose end is not known yet."""
MOST_SPANS, BATCH, EVERY = 4096, 512, 2.0
"""Spans that wait to be sent, and how many are sent at once, or after how many seconds."""
TIMEOUT = 5.0
STALE = 900.0
"""Seconds after which a turn is told of although not all of its parts ended."""
A_WAIT = 0.001
"""Seconds: less is no wait for quota, but the way to it."""
_PATH = "/v1/traces"

Step: TypeAlias = QuotaGranted | UpstreamAnswered | DeliveryEnded


@dataclass
class _Open:
    steps: list[Step] = field(default_factory=list)
    ended: TurnEnded | None = None
    since: float = 0.0


class Traces:
    """An observer. What cannot be sent is dropped and counted: `notify` then hears `traces.dropped`."""

    def __init__(self, endpoint: str, notify: Observer, exporter: SpanExporter | None = None) -> None:
        url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
        self._sender = _Sender(exporter or OTLPSpanExporter(endpoint=url, timeout=TIMEOUT))
        resource = Resource.create({"service.name": "sensay-gateway", "service.version": __version__})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._sender)
        self._tracer = provider.get_tracer("gateway", __version__)
        self._notify, self._told = notify, 0
        self._turns: OrderedDict[str, _Open] = OrderedDict()
        self._messages: OrderedDict[str, MessageReceived] = OrderedDict()

    def __call__(self, fact: Fact) -> None:
        if self._sender.dropped > self._told:
            self._tell()
        match fact:
            case MessageReceived(outcome="accepted", message=str(id_)):
                _keep(self._messages, id_, fact)
            case QuotaGranted(turn=str(id_)) | UpstreamAnswered(turn=str(id_)):
                self._open(id_).steps.append(fact)
            case TurnEnded():
                self._turn_ended(fact)
            case DeliveryEnded(owner=id_) if id_ in self._turns:
                self._delivered(self._turns[id_], fact)

    async def close(self) -> None:
        """Send what is left, within `TIMEOUT`."""
        for turn in list(self._turns):
            self._finish(turn)
        await asyncio.to_thread(self._sender.close)

    def _open(self, turn: str) -> _Open:
        return self._turns.get(turn) or _keep(self._turns, turn, _Open())

    def _turn_ended(self, fact: TurnEnded) -> None:
        turn = self._open(fact.turn)
        turn.ended, turn.since = fact, fact.ended_at
        if not fact.parts:
            self._finish(fact.turn)
        self._finish_stale(fact.ended_at)

    def _delivered(self, turn: _Open, fact: DeliveryEnded) -> None:
        turn.steps.append(fact)
        if fact.last and fact.outcome != "retried":
            self._finish(fact.owner)

    def _finish_stale(self, now: float) -> None:
        """The oldest first; what has no end at all (a turn that was lost) goes with the bound of `_keep`."""
        oldest = next(iter(self._turns.items()), None)
        if oldest and oldest[1].ended and oldest[1].since < now - STALE:
            self._finish(oldest[0])

    def _finish(self, id_: str) -> None:
        turn = self._turns.pop(id_)
        if turn.ended is None:
            return
        arrived = [self._messages.pop(message, None) for message in turn.ended.messages]
        write(self._tracer, turn.ended, [one for one in arrived if one is not None], turn.steps)

    def _tell(self) -> None:
        lost, self._told = self._sender.dropped - self._told, self._sender.dropped
        self._notify(Noted(event="traces.dropped", level="warning", fields={"spans": lost}))


def _keep(kept: OrderedDict[str, Any], id_: str, value: Any) -> Any:
    kept[id_] = value
    if len(kept) > MOST_OPEN:
        kept.popitem(last=False)
    return value


# --- spans ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Span:
    name: str
    began: float
    ended: float
    failed: bool = False
    kind: SpanKind = SpanKind.INTERNAL
    attributes: dict[str, str | int | float] = field(default_factory=dict)


def write(tracer: Tracer, turn: TurnEnded, arrived: Sequence[MessageReceived], steps: Sequence[Step]) -> None:
    """The turn as a span, and in it what took its time."""
    spans = sorted(
        [*_before(turn, arrived, steps), *map(_step, steps), *_after(turn)], key=lambda one: one.began
    )
    began = min([turn.accepted_at, *(one.began for one in spans)])
    ended = max([turn.ended_at, *(one.ended for one in spans)])
    root = tracer.start_span(
        "turn", kind=SpanKind.CONSUMER, start_time=_ns(began), attributes=_about(turn, len(arrived))
    )
    within = set_span_in_context(root)
    for one in spans:
        span = tracer.start_span(
            one.name, within, kind=one.kind, start_time=_ns(one.began), attributes=one.attributes
        )
        if one.failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_ns(one.ended))
    if turn.outcome in ("failed", "expired"):
        root.set_status(Status(StatusCode.ERROR, turn.outcome))
    root.end(_ns(ended))


def _about(turn: TurnEnded, messages: int) -> dict[str, str | int | float]:
    return {
        "gateway.turn": turn.turn,
        "gateway.organization": turn.organization,
        "gateway.bot": turn.bot,
        "gateway.platform": turn.platform,
        "gateway.outcome": turn.outcome,
        "gateway.messages": messages or len(turn.messages),
        "gateway.parts": turn.parts,
        "gateway.attempts": turn.attempts,
        "gateway.upstream_seconds": turn.upstream_seconds,
        "gateway.quota_wait_seconds": turn.quota_wait_seconds,
    }


def _before(turn: TurnEnded, arrived: Sequence[MessageReceived], steps: Sequence[Step]) -> Iterator[_Span]:
    """Taking it in, and waiting for its turn: for quota, or for what was before it."""
    for one in arrived:
        if one.began is not None and one.at is not None:
            yield _Span("accept", one.began, one.at)
    if turn.claimed_at is not None:
        later = sum(step.waited for step in steps if isinstance(step, QuotaGranted))
        name = "quota wait" if turn.quota_wait_seconds - later > A_WAIT else "queue"
        yield _Span(name, turn.accepted_at, max(turn.accepted_at, turn.claimed_at))


def _after(turn: TurnEnded) -> Iterator[_Span]:
    if turn.rendered is not None:
        yield _Span("render", *turn.rendered, attributes={"gateway.parts": turn.parts})


def _step(fact: Step) -> _Span:
    match fact:
        case QuotaGranted():
            ended = fact.at or 0.0
            return _Span("quota wait", ended - fact.waited, ended, attributes={"gateway.class": fact.kind})
        case UpstreamAnswered():
            ended = fact.at or 0.0
            about: dict[str, str | int | float] = {"gateway.outcome": fact.outcome}
            if fact.request_id is not None:
                about["gateway.request_id"] = fact.request_id
            name, failed = f"sensay {fact.operation}", fact.outcome != "ok"
            return _Span(name, ended - fact.seconds, ended, failed, SpanKind.CLIENT, about)
        case DeliveryEnded():
            failed = fact.outcome != "sent"
            about = {"gateway.outcome": fact.outcome, "gateway.delivery": fact.delivery}
            began = fact.at if fact.began is None else fact.began
            return _Span("deliver", began, fact.at, failed, SpanKind.PRODUCER, about)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


# --- sending --------------------------------------------------------------------------------------------------------


class _Sender(SpanProcessor):
    """A bounded queue and a thread of its own that empties it: an endpoint that hangs costs spans, and nothing else."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._full = self._failed = 0
        self._waiting: queue.Queue[ReadableSpan | None] = queue.Queue(MOST_SPANS)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Spans so far that had no room, or that the endpoint did not take."""
        return self._full + self._failed

    def on_end(self, span: ReadableSpan) -> None:
        try:
            self._waiting.put_nowait(span)
        except queue.Full:
            self._full += 1

    def close(self) -> None:
        self._closing.set()
        with contextlib.suppress(queue.Full):  # then it looks up soon enough
            self._waiting.put_nowait(None)
        self._thread.join(TIMEOUT)
        self._exporter.shutdown()

    def _run(self) -> None:
        while not (self._closing.is_set() and self._waiting.empty()):
            batch = self._batch(time.monotonic)
            if batch:
                self._send(batch)

    def _batch(self, now: Callable[[], float]) -> list[ReadableSpan]:
        """What comes within `EVERY` seconds of the first one, up to `BATCH`."""
        first = self._waiting.get()
        batch, until = [first] if first is not None else [], now() + EVERY
        while len(batch) < BATCH and not (self._closing.is_set() and self._waiting.empty()):
            try:
                span = self._waiting.get(timeout=max(0.0, until - now()))
            except queue.Empty:
                break
            if span is not None:
                batch.append(span)
        return batch

    def _send(self, batch: list[ReadableSpan]) -> None:
        try:
            taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - whatever it is, it costs these spans and nothing else
            taken = False
        if not taken:
            self._failed += len(batch)
