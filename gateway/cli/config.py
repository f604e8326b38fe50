from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import click
from ruamel.yaml import YAML

from gateway.cli.importing import import_sensay
from gateway.cli.options import config_option, json_option, read
from gateway.settings import effective, schema_text


@click.group()
def config() -> None:
    """Look at the configuration's form and content."""


@config.command()
def schema() -> None:
    """Print the JSON Schema of the YAML."""
    click.echo(schema_text(), nl=False)


@config.command()
@config_option
@json_option
def show(path: Path, as_json: bool) -> None:
    """Print the effective configuration, secrets redacted."""
    document = effective(read(path, 1).settings)
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    text = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(document, text)
    click.echo(text.getvalue(), nl=False)


config.add_command(import_sensay)
