"""Prometheus metrics, fed by the facts that the stages emit: `interface.md` section 5 in code."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

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

Metric = TypeVar("Metric", Counter, Gauge, Histogram)
_WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The Prometheus side: `interface.md` section 5. Labels are bounded: never a user, a chat or a text."""

    def __init__(self) -> None:
        # a second series beside each counter and histogram, which nobody asked for
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._by_labels: list[tuple[set[str], Counter | Gauge | Histogram]] = []
        self._channels: set[tuple[str, str]] = set()
        self._organizations: set[str] = set()
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
        self.refused = self._counter(
            "gateway_admin_refused", "Requests to the admin listener without the right token.", ()
        )
        self.spans_dropped = self._counter(
            "gateway_spans_dropped", "Spans of traces that nobody took in time.", ()
        )
        self._gauge("gateway_build_info", "The version.", ("version",)).labels(__version__).set(1)
        self._open: OrderedDict[str, TurnEnded] = OrderedDict()

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return self._listed(Counter(name, text, labels, registry=self.registry), labels)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...]) -> Gauge:
        return self._listed(Gauge(name, text, labels, registry=self.registry), labels)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...]) -> Histogram:
        made = Histogram(name, text, labels, buckets=_WAITS, registry=self.registry)
        return self._listed(made, labels)

    def _listed(self, metric: Metric, labels: tuple[str, ...]) -> Metric:
        self._by_labels.append((set(labels), metric))
        return metric

    def text(self) -> bytes:
        """The exposition. Gauges of live state are set by the caller just before."""
        return generate_latest(self.registry)

    def keep(self, channels: set[tuple[str, str]], organizations: set[str]) -> None:
        """Forget every series of channels, bots and organisations that are not among these."""
        for bot, platform in self._channels - channels:
            self._forget(bot=bot, platform=platform)
        for bot in {bot for bot, _ in self._channels} - {bot for bot, _ in channels}:
            self._forget(bot=bot)
        for organization in self._organizations - organizations:
            self._forget(organization=organization)
        self._channels, self._organizations = set(channels), set(organizations)

    def _forget(self, **labels: str) -> None:
        for names, metric in self._by_labels:
            if labels.keys() <= names:
                metric.remove_by_labels(labels)

    def __call__(self, fact: Fact) -> None:  # noqa: C901 - one line a fact
        self._note_labels(fact)
        match fact:
            case MessageReceived():
                self.received.labels(fact.bot, fact.platform, fact.outcome).inc()
            case TurnEnded():
                self._turn_ended(fact)
            case DeliveryEnded():
                self.deliveries.labels(fact.bot, fact.platform, fact.outcome).inc(1 + (fact.dropped or 0))
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
                self._noted(fact)

    def _noted(self, fact: Noted) -> None:
        match fact.event:
            case "configuration.reloaded":
                self.reloaded.set(1)
            case "configuration.refused":
                self.reloaded.set(0)
            case "admin.refused":
                self.refused.inc()
            case "traces.dropped":
                self.spans_dropped.inc(fact.fields["spans"])
            case _:
                pass

    def _note_labels(self, fact: Fact) -> None:
        """Of whom there are series: also what comes late, from a bot that is gone."""
        if isinstance(fact, QuotaGranted | UpstreamAnswered):
            self._organizations.add(fact.organization)
        elif not isinstance(fact, Noted):
            self._channels.add((fact.bot, fact.platform))

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
