"""A YAML file as a tree in which everything knows where it was written.

Scalars stay the text that was written (or None): what `0123`, `off` or `2025-03-25` means is the models' business, not
YAML's. Anchors, aliases and `<<` work as usual.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from gateway.settings.problems import Report, Spot

Value: TypeAlias = "str | dict[str, Node] | list[Node] | None"


@dataclass(frozen=True, slots=True)
class Node:
    """A value, the path it was written under, and the places of the value and of its key."""

    value: Value
    path: str
    at: Spot
    key_at: Spot

    @property
    def children(self) -> dict[str, Node]:
        """The values of a mapping; of anything else, none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The values of a list; of anything else, none."""
        return self.value if isinstance(self.value, list) else []

    @property
    def text(self) -> str | None:
        """A scalar's text."""
        return self.value if isinstance(self.value, str) else None

    def get(self, path: str) -> Node | None:
        """The node at a dotted path below this one."""
        node: Node | None = self
        for key in path.split("."):
            node = node.children.get(key) if node else None
        return node

    def with_children(self, **children: Node) -> Node:
        """The same mapping with some values replaced or added."""
        return replace(self, value={**self.children, **children})

    def scalars(self, change: Callable[[Node], Node]) -> Node:
        """The same tree with every text replaced by what `change` makes of it."""
        if isinstance(self.value, dict):
            return replace(self, value={key: child.scalars(change) for key, child in self.value.items()})
        if isinstance(self.value, list):
            return replace(self, value=[child.scalars(change) for child in self.value])
        return self if self.value is None else change(self)

    def plain(self) -> Any:
        """The bare values; a key without one is left out, so that it gets its default."""
        if isinstance(self.value, dict):
            children = self.value.items()
            return {key: child.plain() for key, child in children if child.value is not None}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value


def below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


# --- reading --------------------------------------------------------------------------------------------------


def parse(file: Path, report: Report) -> Node | None:
    """Read one file that must hold a mapping; None when a problem kept it from being read at all."""
    report.files.append(file)
    start = Spot(str(file), 1, 1)
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # the warning quotes the file, and the file has secrets
    try:
        root = yaml.compose(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        report.problem(start, "", f"cannot be read ({error.strerror})")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        report.problem(Spot(str(file), line, 1), "", "is not UTF-8 text")
    except MarkedYAMLError as error:
        report.problem(_spot(file, error.problem_mark), "", f"is not YAML: {_in_words(error)}")
    except (YAMLError, RecursionError):
        report.problem(start, "", "is not YAML: a character that may not stand in it, or nested too deep")
    else:
        return _root(root, file, report)
    return None


def _root(root: Any, file: Path, report: Report) -> Node | None:
    start = Spot(str(file), 1, 1)
    if root is None:
        report.problem(start, "", "is empty")
        return None
    if not isinstance(root, MappingNode):
        report.problem(start, "", "is not a mapping (key: value)")
        return None
    return _Builder(file, report).node(root, "", start, ())


@dataclass(frozen=True, slots=True)
class _Builder:
    file: Path
    report: Report

    def node(self, raw: Any, path: str, key_at: Spot, above: tuple[int, ...]) -> Node:
        """Turn YAML's node into ours; `above` are its ancestors, which an alias must not repeat."""
        at = _spot(self.file, raw.start_mark)
        value: Value = None
        if id(raw) in above:
            self.report.problem(at, path, "contains itself")
        elif not str(raw.tag).startswith("tag:yaml.org,2002:"):
            self.report.problem(at, path, "has a YAML tag (!…), which means nothing here")
        elif isinstance(raw, MappingNode):
            value = self.mapping(raw, path, (*above, id(raw)))
        elif isinstance(raw, SequenceNode):
            inner = (*above, id(raw))
            value = [self.node(item, f"{path}[{i}]", at, inner) for i, item in enumerate(raw.value)]
            value = [replace(item, key_at=item.at) for item in value]
        elif raw.tag != "tag:yaml.org,2002:null":
            value = raw.value
        return Node(value, path, at if value is not None else key_at, key_at)

    def mapping(self, raw: MappingNode, path: str, above: tuple[int, ...]) -> dict[str, Node]:
        children: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in raw.value:
            key_at = _spot(self.file, key.start_mark)
            if not isinstance(key, ScalarNode) or not key.value:
                self.report.problem(key_at, path, "has a key that is not a word")
            elif key.tag == "tag:yaml.org,2002:merge":
                for source in value.value if isinstance(value, SequenceNode) else [value]:
                    merged = {**self.node(source, path, key_at, above).children, **merged}
            elif (known := children.get(key.value)) is not None:
                message = f"stands here twice (first in line {known.key_at.line})"
                self.report.problem(key_at, known.path, message)
            else:
                children[key.value] = self.node(value, below(path, key.value), key_at, above)
        return {**merged, **children}


def _spot(file: Path, mark: Any) -> Spot:
    return Spot(str(file), mark.line + 1, mark.column + 1) if mark else Spot(str(file), 1, 1)


def _in_words(error: MarkedYAMLError) -> str:
    """The parser's reason, without what it quotes from the file: that may be a secret."""
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    if error.context_mark is not None and error.context_mark.line != error.problem_mark.line:
        reason += f" (it begins in line {error.context_mark.line + 1})"
    if reason.endswith("but got '{'"):
        reason += ' (between { and } write "${…}" in quotes)'
    return re.sub(r"(alias|anchor|handle) .*", r"\1", reason)
