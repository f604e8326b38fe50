"""What pydantic finds wrong, in an operator's words and at the place where it was written. Values are never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from gateway.settings.models import Section
from gateway.settings.problems import Report, nearest
from gateway.settings.shape import keys, section_at
from gateway.settings.tree import Node, below

_WORDS = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "string_pattern_mismatch": "does not look as it has to ({pattern})",
    "string_too_short": "is empty",
    "too_short": "is too short (at least {min_length})",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "value_error": "{error}",
}


def explain(
    failure: ValidationError, root: Node, model: type[Section], report: Report, *, part: bool
) -> None:
    """Note every error of a validation; `part`: the tree is one of several sources, so nothing is missing in it."""
    for error in failure.errors(include_url=False, include_input=False):
        kind, loc, context = error["type"], error["loc"], error.get("ctx", {})
        if kind == "missing" and part:
            continue
        node, rest = _find(root, [key for key in loc if key != "[key]"])
        if kind == "missing":
            _missing(node, str(loc[-1]), rest=bool(rest), report=report)
        elif kind == "extra_forbidden" or loc[-1:] == ("[key]",):
            message = "unknown key" if kind == "extra_forbidden" else str(context["error"])
            report.problem(node.key_at, node.path, message, _near_key(loc, model))
        elif kind == "literal_error":
            words = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
            message = f"must be {', '.join(words[:-1])}{' or ' if words[1:] else ''}{words[-1]}"
            report.problem(node.at, node.path, message, nearest(node.text or "", words))
        else:
            report.problem(node.at, node.path, _in_words(kind, context, error["msg"]))


def _find(root: Node, loc: Sequence[str | int]) -> tuple[Node, Sequence[str | int]]:
    """Go as far along a place as the tree does; also what is left of it."""
    node = root
    for depth, key in enumerate(loc):
        inner = node.children.get(str(key))
        if isinstance(key, int) and key < len(node.items):
            inner = node.items[key]
        if inner is None:
            return node, loc[depth:]
        node = inner
    return node, ()


def _missing(node: Node, key: str, *, rest: bool, report: Report) -> None:
    if rest:
        report.problem(node.key_at, below(node.path, key), "is missing")
    else:
        report.problem(node.key_at, node.path, "has no value")


def _near_key(loc: Sequence[str | int], model: type[Section]) -> str | None:
    around = section_at(model, loc[:-1])
    return nearest(str(loc[-1]), keys(around)) if around and loc[-1] != "[key]" else None


def _in_words(kind: str, context: Mapping[str, Any], fallback: str) -> str:
    return _WORDS[kind].format(**context) if kind in _WORDS else fallback
