"""The effective configuration, for people: readable units, no secrets."""

from __future__ import annotations

import re
from typing import Any

from gateway.settings.models import Settings

_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*@")


def effective(settings: Settings) -> dict[str, Any]:
    """Every key with the value in force, written as in the YAML; secrets are stars."""
    return {key: _masked(value) for key, value in settings.model_dump(mode="json").items()}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return _PASSWORD.sub(r"\1:**********@", value) if isinstance(value, str) else value
