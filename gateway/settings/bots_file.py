"""Bots as YAML, made of what Sensay knows of its replicas: text that is added to a file of bots. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from gateway.settings.values import NAME, RESERVED

LONGEST = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A replica. `telegram`: where its bot's token stands, None if nobody knows; `telegram_why` says why not then.

    `hosted`: the platforms on which Sensay runs a bot for it.
    """

    replica: str
    slug: str
    name: str
    private: bool = False
    hosted: tuple[str, ...] = ()
    telegram: str | None = None
    telegram_why: str = ""


def bot_name(slug: str, taken: Collection[str]) -> str:
    """A name that a bot may have, and that no other has."""
    base = re.sub(r"[^A-Za-z0-9_-]+", "-", slug).strip("-_")[:LONGEST] or "bot"
    if base in RESERVED or _is_uuid(base) or not NAME.fullmatch(base):
        base = f"bot-{base}"[:LONGEST]
    name, number = base, 1
    while name in taken:
        number += 1
        end = f"-{number}"
        name = base[: LONGEST - len(end)] + end
    return name


def variable(bot: str, platform: str) -> str:
    """`support` on Telegram → `SUPPORT_TELEGRAM_TOKEN`."""
    word = re.sub(r"\W+|-", "_", f"{bot}_{platform}_token").upper()
    return f"_{word}" if word[0].isdigit() else word


def block(bot: str, organization: str, found: Found) -> str:
    """One bot, to stand under `bots:`; what is not known is there as a comment, to be filled in."""
    return "\n".join(["", *_lines(bot, organization, found)]) + "\n"


def _lines(bot: str, organization: str, found: Found) -> Iterator[str]:
    yield f'  "{bot}":' if bot.isdecimal() else f"  {bot}:"
    yield f"    # {_comment(found.name)}"
    if found.private:
        yield "    # private at Sensay: make it public, or the people who write to this bot have no access to it"
    yield f"    organization: {organization}"
    yield f"    replica: {found.replica}"
    if found.telegram is not None:
        yield "    telegram:"
        yield f"      token_file: {json.dumps(found.telegram, ensure_ascii=False)}"
    else:
        why = found.telegram_why or "the bot's token from @BotFather"
        yield from _placeholder("telegram", f"token: ${{{variable(bot, 'telegram')}}}", why)
    why = (
        "Sensay runs one, and does not tell its token"
        if "discord" in found.hosted
        else "from the Developer Portal"
    )
    yield from _placeholder("discord", f"token: ${{{variable(bot, 'discord')}}}", why)
    yield from _placeholder(
        "web", "allowed_origins: [https://www.example.com]", "websites that embed the widget"
    )


def _placeholder(platform: str, line: str, why: str) -> Iterable[str]:
    return (f"    # {platform}:", f"    #   {line}  # {_comment(why)}")


def _comment(text: str) -> str:
    """One line, whatever it is."""
    return (
        " ".join("".join(char if char.isprintable() else " " for char in text).split())[:100] or "(no name)"
    )


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
