"""What a configuration asks of the machine that it is for: `check` looks, a reload does not."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.settings.models import Settings
from gateway.settings.problems import Report
from gateway.settings.tree import Node

_SQLITE = "sqlite:///"


def check_machine(root: Node, report: Report) -> None:
    """Note what is missing here."""
    node = root.get("journal")
    written = node.text if node else None
    url: str = written or Settings.model_fields["journal"].default
    if not url.startswith(_SQLITE):
        return
    spot, folder = (node or root).at, Path(url.removeprefix(_SQLITE)).parent
    if not folder.is_dir():
        report.problem(spot, "journal", f"the folder {folder} does not exist; create it")
    elif not os.access(folder, os.W_OK | os.X_OK):
        report.problem(
            spot, "journal", f"the folder {folder} cannot be written; let the gateway's user write to it"
        )
