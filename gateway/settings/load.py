"""Read the configuration, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from gateway.settings.assemble import assemble
from gateway.settings.checks import advice, check
from gateway.settings.explain import explain
from gateway.settings.machine import check_machine
from gateway.settings.models import Bot, Section, Settings
from gateway.settings.problems import Report, Spot
from gateway.settings.tree import Node


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used. `files` are the YAML files that it was read from; when one of them or of
    `beside` changes (secret files, folders of included ones), so may the configuration.
    """

    settings: Settings
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    tree: Node | None = field(default=None, repr=False)

    def where(self, path: str) -> Spot | None:
        """Where a key is written; of one that is not, the nearest above it. None: nowhere."""
        node, spot = self.tree, None
        for key in path.split("."):
            node = node.children.get(key) if node else None
            spot = node.at if node else spot
        return spot


def load(path: Path, environ: Mapping[str, str], *, machine: bool = False) -> Loaded:
    """Read a configuration and all that it includes.

    Paths in `include` are relative to the file that has it; those in `x_file` and `journal` to the working directory.
    With `machine`, what has to be on this machine is looked for, too. Blocks while it reads files. Raises Invalid with
    every problem at once.
    """
    report = Report()
    assembled = assemble(path, environ, report)
    if assembled is None:
        report.raise_if_any()
        raise AssertionError("a file that cannot be read is a problem")
    if assembled.defaults is not None:
        _validate(assembled.defaults, Bot, report, part=True)
    settings = _validate(assembled.root, Settings, report)
    check(assembled.root, report)
    if machine:
        check_machine(assembled.root, report)
    report.raise_if_any()
    assert isinstance(settings, Settings)
    warnings = (*report.warnings, *advice(settings))
    return Loaded(settings, warnings, tuple(report.files), tuple(report.beside), assembled.root)


def _validate(tree: Node, model: type[Section], report: Report, *, part: bool = False) -> Section | None:
    try:
        return model.model_validate(tree.plain())
    except ValidationError as failure:
        explain(failure, tree, model, report, part=part)
        return None
