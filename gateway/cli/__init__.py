"""The command line: one verb a module. Exit codes: 0 good, 1 failed or invalid, 2 usage, 78 configuration (`run`)."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from gateway import __version__

MODULES = {
    "run": "run",
    "check": "check",
    "doctor": "doctor",
    "demo": "demo",
    "sandbox": "sandbox",
    "status": "fleet",
    "bots": "fleet",
    "reload": "fleet",
    "dead-letters": "letters",
    "trace": "trace",
    "config": "config",
    "conversations": "fleet",
    "journal": "journal",
    "sensay": "sensay",
}
"""Where each verb is defined."""


class Verbs(click.Group):
    """Imports a verb when it is asked for: a gateway that runs needs no pretended services and no tables."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the library's name
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return verb(cmd_name) if cmd_name in MODULES else None


def verb(name: str) -> click.Command:
    """The command itself."""
    command: click.Command = getattr(import_module(f"gateway.cli.{MODULES[name]}"), name.replace("-", "_"))
    return command


@click.group(cls=Verbs, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check-config", is_flag=True, help="Alias of the verb check.")
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default="config/gateway.yaml",
    envvar="GATEWAY_CONFIG",
    help="With --check-config: the configuration file.",
)
@click.version_option(__version__, prog_name="sensay-gateway")
@click.pass_context
def cli(context: click.Context, check_config: bool, path: Path) -> None:
    """Operates many Sensay replicas' bots on Telegram, Discord, the web and signed webhooks in one process."""
    if check_config:
        context.invoke(verb("check"), path=path, as_json=False)
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(2)


def main(*arguments: Any) -> None:
    """The console script."""
    cli(*arguments, prog_name="sensay-gateway")
