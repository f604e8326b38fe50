"""Options that may be written already and do nothing yet: `check` and `run` warn of them and go on.

A line goes when its feature is there; with the last one, this module does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gateway.settings.models import Settings
from gateway.settings.shape import select

NOT_YET: tuple[tuple[str, Callable[[Any], bool]], ...] = (("telemetry.otlp_endpoint", bool),)


def not_yet(settings: Settings) -> Iterator[str]:
    """Every option that is set to something that is not there yet."""
    for pattern, is_set in NOT_YET:
        for path, value in select(settings, pattern):
            if value is not None and is_set(value):
                yield f"{path}: not available yet"
