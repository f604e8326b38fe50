from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import click

from gateway.cli.sensay.channels import channel_options, data_of
from gateway.cli.sensay.desk import Desk, replica_argument, verb
from gateway.cli.sensay.screen import clean
from gateway.errors import GatewayError
from gateway.sensay.api import chat as api

LONGEST = 100_000
"""Characters of a question."""


@dataclass
class _Talk:
    """How each question of a conversation is asked."""

    desk: Desk
    replica: str
    channel: str
    data: tuple[str, ...]
    fields: dict[str, Any]
    stream: bool
    openai: bool
    said: list[dict[str, str]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def ask(self, text: str, on_delta: Callable[[str], None] | None) -> str:
        """The answer. Raises GatewayError."""
        if self.openai:
            return self._ask_like_openai(text)
        fields = self._data() | {"channel": self.channel} | self.fields
        return self.desk.ask_of(
            self.replica,
            lambda sensay, uuid: sensay.chat.complete(
                uuid, text, self.desk.auth, on_delta=on_delta, **fields
            ),
        )

    def _data(self) -> dict[str, Any]:
        """Telegram numbers its messages: what is left out of that is counted."""
        numbered = (
            {"chat_type": "private", "message_id": next(self.numbers)} if self.channel == "telegram" else {}
        )
        return data_of(self.channel, self.data, **numbered)

    def _ask_like_openai(self, text: str) -> str:
        self.said.append({"role": "user", "content": text})
        fields = {} if self.channel == "telegram" else {"source": self.channel}
        fields |= data_of(self.channel, self.data) | self.fields
        answered = self.desk.ask_of(
            self.replica, lambda sensay, uuid: sensay.chat.openai(uuid, self.said, self.desk.auth, **fields)
        )
        self.said.append({"role": "assistant", "content": answered.content})
        return answered.content


@click.command()
@verb(api.COMPLETE, api.OPENAI)
@replica_argument
@click.option(
    "-m", "--message", metavar="TEXT", help="Ask this and end; without it questions are read line by line."
)
@channel_options
@click.option("--skip-history", is_flag=True, help="Neither read nor write the history.")
@click.option("--image", metavar="URL", help="A picture to look at (telegram only).")
@click.option("--monthly-quota", type=float, metavar="N", help="Refuse beyond so many conversations a month.")
@click.option(
    "--openai", is_flag=True, help="In the words of OpenAI's API, with all that was said; needs --as."
)
@click.option("--no-stream", is_flag=True, help="Show answers as a whole.")
def chat(
    desk: Desk,
    replica: str,
    message: str | None,
    channel: str,
    data: tuple[str, ...],
    skip_history: bool,
    image: str | None,
    monthly_quota: float | None,
    openai: bool,
    no_stream: bool,
) -> None:
    """Talk to REPLICA. Ctrl+D or Ctrl+C ends it; out of a pipe each line is a question and gets one answer."""
    if openai and (skip_history or image or monthly_quota is not None):
        raise click.UsageError("--openai goes without --skip-history, --image and --monthly-quota.")
    if openai and desk.auth.id is None:
        raise click.UsageError("--openai is asked as a user: give --as.")
    if openai and channel == "telegram":
        raise click.UsageError("--openai does not go with --channel telegram.")
    given = {"skip_chat_history": skip_history or None, "image_url": image, "monthly_quota": monthly_quota}
    fields = {key: value for key, value in given.items() if value is not None}
    talk = _Talk(desk, replica, channel, data, fields, not (no_stream or desk.screen.as_json), openai)
    if message is not None:
        _answer(talk, message)
    elif sys.stdin.isatty():
        _converse(talk)
    else:
        _answer_lines(talk)


def _answer(talk: _Talk, text: str) -> None:
    """Print one answer, piece by piece if it comes so."""
    screen, pieces = talk.desk.screen, list[str]()

    def show(piece: str) -> None:
        pieces.append(piece)
        screen.line(clean(piece), nl=False)

    answer = talk.ask(text, show if talk.stream and sys.stdout.isatty() else None)
    if screen.as_json:
        screen.json_line({"question": text, "answer": answer})
    elif pieces:
        screen.end()
    else:
        screen.line(clean(answer))


def _answer_lines(talk: _Talk) -> None:
    """One line in, one answer out; empty lines are no questions. What fails ends it, after what was answered."""
    with suppress(KeyboardInterrupt):
        for line in sys.stdin:
            if line.strip():
                _answer(talk, line.rstrip("\r\n"))


def _converse(talk: _Talk) -> None:
    """Until the person has enough. A question that fails is told, and the next one may be asked."""
    with suppress(ImportError):
        import readline  # noqa: F401 - gives `input` line editing and a history
    screen = talk.desk.screen
    screen.note(f"Talking to {talk.replica}. Ctrl+D ends it.")
    with suppress(KeyboardInterrupt, EOFError):
        while True:
            text = input("> ")
            if not text.strip():
                continue
            try:
                _answer(talk, text)
            except GatewayError as error:
                screen.fail(error)
    screen.line("")
