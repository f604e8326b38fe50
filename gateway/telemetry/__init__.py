"""Tells: structured logs and Prometheus metrics, both fed by the facts that the stages emit.

No message text and no secrets in either; labels of metrics are bounded.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.ports import Fact
from gateway.telemetry.logs import LogFacts, configure_logs
from gateway.telemetry.masking import Mask
from gateway.telemetry.metrics import Metrics

__all__ = ["LogFacts", "Mask", "Metrics", "configure_logs", "fan_out"]


def fan_out(*observers: Callable[[Fact], None]) -> Callable[[Fact], None]:
    """One observer for several."""

    def observe(fact: Fact) -> None:
        for observer in observers:
            observer(fact)

    return observe
