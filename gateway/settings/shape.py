"""Questions to the models about themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import SecretStr

from gateway.settings.models import Section, Settings


def section(annotation: Any) -> type[Section] | None:
    """The section that a field holds: `Web | None` → Web, `dict[str, Bot]` → Bot."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := section(part))), None)


def is_secret(annotation: Any) -> bool:
    """Whether a field holds a secret, or several."""
    return annotation is SecretStr or any(is_secret(part) for part in get_args(annotation))


def is_named(annotation: Any) -> bool:
    """Whether a field holds sections by name (organizations, bots)."""
    return getattr(annotation, "__origin__", None) is dict and section(annotation) is not None


def secrets(model: type[Section]) -> tuple[str, ...]:
    """Keys of a section that also exist as `x_file`."""
    return tuple(name for name, field in model.model_fields.items() if is_secret(field.annotation))


def keys(model: type[Section]) -> tuple[str, ...]:
    """All keys that may be written in a section."""
    beside = ("include", "defaults") if model is Settings else ()
    return (*model.model_fields, *(f"{name}_file" for name in secrets(model)), *beside)


def section_at(model: type[Section], loc: Sequence[str | int]) -> type[Section] | None:
    """The section to which a place (as pydantic gives it) belongs."""
    found: type[Section] | None = model
    names = iter(loc)
    for name in names:
        field = found.model_fields.get(str(name)) if found else None
        found = section(field.annotation) if field else None
        if field and is_named(field.annotation):
            next(names, None)
    return found
