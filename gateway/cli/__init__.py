"""The command line: one verb a module. Exit codes: 0 good, 1 failed or invalid, 2 usage, 78 configuration (`run`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gateway import __version__
from gateway.cli.check import check
from gateway.cli.config import config
from gateway.cli.demo import demo
from gateway.cli.doctor import doctor
from gateway.cli.fleet import bots, conversations, reload, status
from gateway.cli.journal import journal
from gateway.cli.letters import dead_letters
from gateway.cli.run import run
from gateway.cli.sandbox import sandbox
from gateway.cli.sensay import sensay
from gateway.cli.trace import trace


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
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
        context.invoke(check, path=path, as_json=False)
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(2)


for verb in (
    run,
    check,
    doctor,
    demo,
    sandbox,
    status,
    bots,
    reload,
    dead_letters,
    trace,
    config,
    conversations,
    journal,
    sensay,
):
    cli.add_command(verb)


def main(*arguments: Any) -> None:
    """The console script."""
    cli(*arguments, prog_name="sensay-gateway")
