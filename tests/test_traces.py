"""Traces as a collector gets them: a real OTLP receiver on loopback, and the whole gateway in front of it."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from gateway import __version__
from gateway.ports import (
    DeliveryEnded,
    Fact,
    MessageReceived,
    Noted,
    QuotaGranted,
    TurnEnded,
    UpstreamAnswered,
)
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from gateway.telemetry import Metrics, traces
from gateway.telemetry.traces import MOST_OPEN, MOST_SPANS, Traces
from tests.e2e.process import ROOT, People, Program, configuration, eventually, write_configuration

QUESTION = "Which words of mine would a trace repeat?"
USER = 918273645


class Collector:
    """Decodes what comes. While `status` is another than 200 it takes nothing."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.raw = b""
        self.status = 200
        self.requests = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests += 1
        await self.answering.wait()
        if self.status != 200:
            return web.Response(status=self.status)
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.raw += body
        for told in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append({one.key: one.value.string_value for one in told.resource.attributes})
            self.spans += [span for scope in told.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    def trace(self) -> list[Span]:
        """The spans of the only trace, as they began."""
        assert 1 == len({span.trace_id for span in self.spans})
        return sorted(self.spans, key=lambda span: (span.start_time_unix_nano, -span.end_time_unix_nano))

    async def got(self, roots: int) -> list[Span]:
        async def count() -> int:
            return sum(not span.parent_span_id for span in self.spans)

        await eventually(count, lambda seen: seen >= roots)
        return self.spans


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    made.answering.set()
    await runner.cleanup()


def attributes(span: Span) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


# --- the whole program ---


@pytest.mark.e2e
async def test_each_turn_is_one_trace_with_what_took_its_time_and_nothing_of_what_was_said(
    sandbox: Sandbox, collector: Collector, tmp_path: Path
):
    document = configuration(sandbox, tmp_path, telemetry={"otlp_endpoint": collector.url})
    program = await Program(["run", "-c", str(write_configuration(tmp_path, document))]).start()
    try:
        async with ClientSession() as session:
            people = People(sandbox, session)
            await program.running("telegram")
            sandbox.faults.add(Fault("sensay", "answer", "delay", seconds=0.2))
            await people.say("telegram", QUESTION, user=USER)
            await people.hears("telegram", 1)
            await collector.got(1)
    finally:
        await program.kill()
    root, *steps = collector.trace()

    assert ("turn", b"") == (root.name, root.parent_span_id)
    assert {root.span_id} == {span.parent_span_id for span in steps}
    names = [span.name for span in steps]
    assert {"accept", "queue", "render", "deliver"} <= set(names)
    assert ["sensay complete", "sensay ensure_user", "sensay complete"] == [
        name for name in names if name.startswith("sensay")
    ]  # 401, the user is made, the question is repeated
    asked = [span for span in steps if span.name == "sensay complete"][-1]
    assert asked.end_time_unix_nano - asked.start_time_unix_nano >= 0.2e9
    for span in steps:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    assert {
        "gateway.bot": "support",
        "gateway.platform": "telegram",
        "gateway.outcome": "answered",
    }.items() <= (attributes(root).items())
    assert {"service.name": "sensay-gateway", "service.version": __version__}.items() <= collector.resources[
        0
    ].items()
    for private in (QUESTION, str(USER), "Robin", "sandbox-token"):
        assert private.encode() not in collector.raw


@pytest.mark.e2e
async def test_an_endpoint_that_is_away_costs_answers_nothing_and_is_counted(
    sandbox: Sandbox, tmp_path: Path
):
    document = configuration(sandbox, tmp_path, telemetry={"otlp_endpoint": "http://127.0.0.1:9"})
    program = await Program(["run", "-c", str(write_configuration(tmp_path, document))]).start()
    try:
        async with ClientSession() as session:
            people = People(sandbox, session)
            await program.running("telegram")
            admin = (await program.event("gateway.started"))["admin"]
            await people.say("telegram", QUESTION)
            await people.hears("telegram", 1)

            async def dropped() -> float:
                async with session.get(f"{admin}/metrics") as answer:
                    lines = (await answer.text()).splitlines()
                return next(
                    float(line.split()[1]) for line in lines if line.startswith("gateway_spans_dropped_total")
                )

            await program.event("traces.dropped")
            await eventually(dropped, lambda count: count > 0)
    finally:
        await program.kill()


@pytest.mark.parametrize("options", ["", "telemetry: {otlp_endpoint: null}\n"])
def test_without_an_endpoint_it_is_never_loaded(tmp_path: Path, options: str):
    (tmp_path / "gateway.yaml").write_text(
        f"{options}organizations: {{acme: {{secret: s}}}}\njournal: 'memory:'\n"
    )
    code = (
        "import sys; from pathlib import Path; from gateway.app import Gateway; from gateway.settings import load;"
        f"Gateway(load(Path({str(tmp_path / 'gateway.yaml')!r}), {{}}).settings);"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests', 'google'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert "[]" == done.stdout.strip()
    assert traces(None, lambda _: None) is None


# --- facts and spans ---


class Memory(SpanExporter):
    """Keeps them, or refuses them."""

    def __init__(self, *, takes: bool = True) -> None:
        self.spans: list[ReadableSpan] = []
        self.takes = takes

    def export(self, spans: Any) -> SpanExportResult:
        if not self.takes:
            raise ConnectionError("nobody is there")
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def turn(id_: str = "t1", **more: Any) -> TurnEnded:
    facts: dict[str, Any] = {
        "organization": "acme",
        "bot": "support",
        "platform": "telegram",
        "conversation": "support/telegram/918273645",
        "turn": id_,
        "outcome": "answered",
        "accepted_at": 100.0,
        "ended_at": 110.0,
        "parts": 2,
        "messages": ("m1",),
        "claimed_at": 104.0,
        "rendered": (109.0, 109.5),
    }
    return TurnEnded(**facts | more)


def asked(id_: str | None = "t1", outcome: str = "ok") -> UpstreamAnswered:
    return UpstreamAnswered(
        organization="acme", operation="complete", outcome=outcome, seconds=3.0, at=108.0, turn=id_
    )


def sent(index: int, *, owner: str = "t1", last: bool = False, outcome: str = "sent") -> DeliveryEnded:
    return DeliveryEnded(
        bot="support",
        platform="telegram",
        outcome=outcome,  # type: ignore[arg-type]
        delivery=f"{owner}.{index}",
        owner=owner,
        at=111.0 + index,
        began=110.5 + index,
        last=last,
    )


MESSAGE = MessageReceived(
    organization="acme",
    bot="support",
    platform="telegram",
    outcome="accepted",
    message="m1",
    began=99.0,
    at=100.0,
)


async def told(*facts: Fact) -> list[ReadableSpan]:
    memory = Memory()
    observer = Traces("http://127.0.0.1:9", lambda _: None, memory)
    for fact in facts:
        observer(fact)
    await observer.close()
    return sorted(memory.spans, key=lambda span: (span.parent is not None, span.start_time))


def times(span: ReadableSpan) -> tuple[float, float]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time / 1e9, span.end_time / 1e9


async def test_times_are_those_of_the_facts():
    granted = QuotaGranted(organization="acme", kind="user", waited=0.5, at=105.0, turn="t1")
    spans = await told(MESSAGE, granted, asked(), turn(), sent(0), sent(1, last=True))

    assert {
        ("turn", 99.0, 112.0),
        ("accept", 99.0, 100.0),
        ("queue", 100.0, 104.0),
        ("quota wait", 104.5, 105.0),
        ("sensay complete", 105.0, 108.0),
        ("render", 109.0, 109.5),
        ("deliver", 110.5, 111.0),
        ("deliver", 111.5, 112.0),
    } == {(span.name, *times(span)) for span in spans}
    assert 8 == len(spans)
    assert {spans[0].context.span_id} == {span.parent.span_id for span in spans[1:] if span.parent}
    assert "918273645" not in "".join(span.to_json() for span in spans)


async def test_a_wait_for_quota_is_called_so():
    names = [span.name for span in await told(turn(quota_wait_seconds=4.0, parts=0))]

    assert "quota wait" in names
    assert "queue" not in names


async def test_what_failed_is_marked():
    spans = await told(
        asked(outcome="500"), turn(outcome="failed"), sent(0), sent(1, last=True, outcome="dead")
    )
    marked = {span.name for span in spans if not span.status.is_ok}

    assert {"turn", "sensay complete", "deliver"} == marked


async def test_turns_do_not_mix_and_what_is_nobodys_is_left_out():
    spans = await told(
        asked("t1"),
        asked("t2"),
        asked(None),
        turn("t2", parts=0, messages=()),
        turn("t1", parts=0, messages=()),
    )
    by_trace: dict[int, list[str]] = {}
    for span in spans:
        by_trace.setdefault(span.context.trace_id, []).append(span.name)

    assert [["queue", "render", "sensay complete", "turn"]] * 2 == [
        sorted(names) for names in by_trace.values()
    ]


async def test_a_turn_whose_parts_never_end_is_told_of_in_the_end():
    memory = Memory()
    observer = Traces("http://127.0.0.1:9", lambda _: None, memory)
    observer(turn("lost"))
    observer(turn("later", ended_at=5000.0, accepted_at=4999.0, claimed_at=4999.0, rendered=None, parts=1))
    await observer.close()

    ids = [(span.attributes or {}).get("gateway.turn") for span in memory.spans if span.parent is None]
    assert ["lost", "later"] == ids


async def test_what_is_remembered_is_bounded():
    observer = Traces("http://127.0.0.1:9", lambda _: None, Memory())
    for number in range(MOST_OPEN + 500):
        observer(MessageReceived(
            organization="acme", bot="b", platform="web", outcome="accepted", message=f"m{number}", began=1.0, at=2.0
        ))  # fmt: skip
        observer(asked(f"t{number}"))

    assert MOST_OPEN == len(observer._messages) == len(observer._turns)
    await observer.close()


async def test_what_nobody_takes_is_counted_and_said():
    facts: list[Fact] = []
    observer = Traces("http://127.0.0.1:9", facts.append, Memory(takes=False))
    observer(turn("first", parts=0))
    observer._sender._closing.set()  # what it has, it sends at once

    async def lost() -> int:
        return observer._sender.dropped

    await eventually(lost, lambda count: count == 3)
    observer(turn("second", parts=0))
    await observer.close()

    [noted] = [fact for fact in facts if isinstance(fact, Noted)]
    assert ("traces.dropped", "warning", {"spans": 3}) == (noted.event, noted.level, noted.fields)
    metrics = Metrics()
    metrics(noted)
    assert 3.0 == metrics.registry.get_sample_value("gateway_spans_dropped_total")


async def test_an_endpoint_that_hangs_holds_up_nobody_and_fills_no_memory(collector: Collector):
    collector.answering.clear()
    observer = Traces(collector.url, lambda _: None)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(3000):
        observer(turn(str(number), parts=0))
    took = loop.time() - began
    waiting = observer._sender._waiting.qsize()
    collector.answering.set()

    assert waiting <= MOST_SPANS
    assert observer._sender.dropped > 0
    assert took < 20.0
    await observer.close()


async def test_an_endpoint_with_its_path_is_taken_as_it_is(collector: Collector):
    observer = Traces(f"{collector.url}/v1/traces", lambda _: None)
    observer(turn(parts=0))
    await observer.close()

    assert ["turn"] == [span.name for span in collector.spans if not span.parent_span_id]
