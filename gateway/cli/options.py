"""What several verbs share: the configuration option, and reading it with every problem in words."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from gateway.settings import Invalid, Loaded, load

CONFIGURATION = 78
"""sysexits' EX_CONFIG."""

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default="config/gateway.yaml",
    envvar="GATEWAY_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


def read(path: Path, code: int, *, as_json: bool = False, machine: bool = False) -> Loaded:
    """Load the configuration, or print every problem and exit with `code`."""
    try:
        return load(path, os.environ, machine=machine)
    except Invalid as invalid:
        if as_json:
            click.echo(json.dumps({"ok": False, "problems": [str(problem) for problem in invalid.problems]}))
        else:
            for problem in invalid.problems:
                click.echo(str(problem), err=True)
        sys.exit(code)
