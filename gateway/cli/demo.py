from __future__ import annotations

import click


@click.command()
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="The demo page's port."
)
def demo(port: int) -> None:
    """The whole system in one command: sandbox, gateway and a page to talk from. No keys, no network."""
    from gateway.demo import serve_demo

    raise SystemExit(serve_demo(port))
