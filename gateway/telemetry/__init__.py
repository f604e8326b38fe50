"""Tells: structured logs and Prometheus metrics, both fed by the facts that the stages emit.

No message text and no secrets in either; labels of metrics are bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.ports import Fact, Observer
from gateway.telemetry.logs import LogFacts, configure_logs
from gateway.telemetry.masking import Mask
from gateway.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from gateway.telemetry.traces import Traces

__all__ = ["LogFacts", "Mask", "Metrics", "configure_logs", "fan_out", "traces"]


def traces(endpoint: str | None, notify: Observer) -> Traces | None:
    """An observer that sends traces there. OpenTelemetry is loaded here, and only if there is an endpoint."""
    if endpoint is None:
        return None
    from gateway.telemetry.traces import Traces

    return Traces(endpoint, notify)


def fan_out(*observers: Callable[[Fact], None]) -> Callable[[Fact], None]:
    """One observer for several."""

    def observe(fact: Fact) -> None:
        for observer in observers:
            observer(fact)

    return observe
