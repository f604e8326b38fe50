"""`${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `$$` in values, after parsing. What a variable holds is not looked
at again. A value that comes out empty counts as left out. Any other `$` is itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from gateway.settings.problems import Report, nearest
from gateway.settings.tree import Node

_USE = re.compile(r"\$\$|\$\{(?P<body>[^}]*)(?P<end>\}?)")
_BODY = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<kind>:[-?])(?P<rest>.*))?", re.DOTALL)


def interpolate(node: Node, environ: Mapping[str, str], report: Report) -> Node:
    """Fill in the variables of one text."""
    if not isinstance(node.value, str) or "$" not in node.value:
        return node
    text = _USE.sub(lambda use: _fill(use, node, environ, report), node.value)
    return replace(node, value=text or None)


def _fill(use: re.Match[str], node: Node, environ: Mapping[str, str], report: Report) -> str:
    if use[0] == "$$":
        return "$"
    body = _BODY.fullmatch(use["body"])
    if body is None or not use["end"] or "${" in use["body"]:
        report.problem(
            node.at, node.path, "has a ${…} that is not ${VAR}, ${VAR:-default} or ${VAR:?message}"
        )
        return use[0]
    name, kind, rest = body["name"], body["kind"], body["rest"]
    found = environ.get(name)
    if found or (found is not None and kind is None):
        return found
    if kind == ":-":
        return str(rest)
    reason = f"{name}: {rest}" if rest else f"environment variable {name} is not set"
    report.problem(node.at, node.path, reason, None if rest else nearest(name, environ, cutoff=0.85))
    return use[0]
