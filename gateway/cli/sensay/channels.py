"""What a channel tells of a message: `--channel`, and `--data KEY=VALUE` for what goes with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_args

import click
import msgspec

from gateway.sensay.api.chat import DiscordData, TelegramData
from gateway.sensay.api.operation import Channel

F = TypeVar("F", bound=Callable[..., Any])
CHANNELS: tuple[str, ...] = get_args(Channel)
_KINDS = {"telegram": ("telegram_data", TelegramData), "discord": ("discord_data", DiscordData)}


def channel_options(function: F) -> F:
    function = click.option(
        "--data",
        multiple=True,
        metavar="KEY=VALUE",
        help="What Telegram or Discord tell of the message, like chat_id=42; may be repeated.",
    )(function)
    return click.option(
        "--channel", type=click.Choice(CHANNELS), default="web", show_default=True, help="Where it is filed."
    )(function)


def data_of(channel: str, pairs: Sequence[str], **defaults: Any) -> dict[str, Any]:
    """As the operations take it: `telegram_data`, `discord_data` or nothing. Raises click.UsageError."""
    if channel not in _KINDS:
        if pairs:
            raise click.UsageError(f"--data does not go with --channel {channel}.")
        return {}
    name, kind = _KINDS[channel]
    given = dict(_pair(pair) for pair in pairs)
    if not given and not defaults:
        return {}
    try:
        return {name: msgspec.convert(defaults | given, kind, strict=False)}
    except msgspec.ValidationError as error:
        known = ", ".join(kind.__struct_fields__)
        raise click.UsageError(f"--data for {channel}: {error}. The keys are {known}.") from None


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--data {text!r} is not like KEY=VALUE.")
    return key, value
