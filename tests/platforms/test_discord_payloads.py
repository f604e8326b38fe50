"""What Discord sends → what the gateway is told: a payload each, shaped like real ones, with nobody's data in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.discord.convert import Around, Me, convert
from adapters.discord.interactions import used
from gateway.messages import Arrival, Said

PAYLOADS = Path(__file__).parent / "payloads" / "discord"
ME = Me(bot="support", id="420000000000000042", name="shop-helper", images=True)
WHERE = Around(kind=0, channel="questions", guild="Shop", own_role="810000000000000042")
CDN = "https://cdn.discordapp.com/attachments/910000000000000055/1300000000000000100/"

OPEN = "When do you open?"
SALE = "> The sale ends on Friday."
HEARD: dict[str, tuple[Any, ...]] = {
    # how it was said to the bot, what, and which fixed text answers it
    "direct_message": ("direct", OPEN, None),
    "mention": ("mention", OPEN, None),
    "mention_with_a_nickname_mark": ("mention", OPEN, None),
    "mention_of_its_own_role": ("mention", OPEN, None),
    "mention_of_somebody_else_too": ("mention", "is @Bobby in today?", None),
    "mention_of_everyone": (None, "@everyone cake!", None),
    "bare_mention": ("mention", "", "greeting"),
    "among_people": (None, "lunch?", None),
    "reply_to_the_bot": ("reply", OPEN, None),
    "reply_that_pings_the_bot": ("reply_ping", OPEN, None),
    "reply_to_somebody_with_a_mention": ("mention", f"is that so?\n\n{SALE}", None),
    "reply_to_a_deleted_message": ("mention", "still?", None),
    "picture_with_words": ("direct", "What is this?", None),
    "picture_alone": ("direct", "", None),
    "two_pictures_and_a_file": ("direct", "", None),
    "forwarded": ("direct", SALE, None),
    "link_with_its_card": (
        "direct",
        "see https://shop.example/hours\n\n> Opening hours\n> Mon to Fri, nine to five",
        None,
    ),
    "long_paste_as_a_file": (
        "direct",
        "please read\n\n(with a document that you cannot open: message.txt)",
        None,
    ),
    "huge_picture": ("direct", "", "unsupported"),
    "file_alone": ("direct", "", "unsupported"),
    "file_of_no_known_kind": ("direct", "", "unsupported"),
    "voice_message": ("direct", "", "unsupported"),
    "sticker": ("direct", "", "unsupported"),
    "poll": ("direct", "", "unsupported"),
    "only_what_nobody_sees": ("direct", "", "unsupported"),
    "ask_in_a_server": ("command", OPEN, None),
    "ask_in_direct_messages": ("command", OPEN, None),
    "ask_in_a_thread": ("command", OPEN, None),
    "ask_where_a_person_brought_it": ("command", OPEN, None),
    "ask_between_two_people": ("command", OPEN, None),
    "menu_of_a_message": ("command", "The sale ends on Friday.", None),
    "menu_of_a_picture": ("command", "", None),
    "help": ("command", "", "help"),
    "privacy": ("command", "", "privacy"),
}
OTHERWISE: dict[str, tuple[str, ...]] = {
    "edit": ("Edited",),
    "deletion": ("Deleted",),
    "many_deletions": ("Deleted", "Deleted"),
    "without_an_author": ("Unreadable",),
}
PASSED_OVER = {
    "another_bot",
    "button_of_earlier_software",
    "command_of_earlier_software",
    "its_own_message",
    "message_pinned",
    "preview_was_fetched",
    "somebody_joined",
    "thread_was_created",
    "webhook",
    "without_the_content_intent",
}
PICTURES = {
    "picture_with_words": ("cat.jpg",),
    "picture_alone": ("cat.webp",),
    "two_pictures_and_a_file": ("1.png", "2.png"),
    "forwarded": ("poster.png",),
    "menu_of_a_picture": ("cat.jpg",),
}
PLACES = {
    # direct, server, channel that the rules are about
    "direct_message": (True, None, "910000000000000055"),
    "mention": (False, "800000000000000009", "910000000000000055"),
    "ask_in_a_thread": (False, "800000000000000009", "910000000000000055"),
    "ask_between_two_people": (True, None, "910000000000000055"),
}


def read(name: str) -> tuple[Arrival, ...]:
    payload = json.loads((PAYLOADS / f"{name}.json").read_text())
    if payload["t"] == "INTERACTION_CREATE":
        asked = used(payload["d"], ME)
        return () if asked is None else (asked,)
    return convert(payload["t"], payload["d"], ME, WHERE)


def test_every_payload_is_in_one_table() -> None:
    assert {*HEARD, *OTHERWISE, *PASSED_OVER} == {path.stem for path in PAYLOADS.glob("*.json")}
    assert len(HEARD) + len(OTHERWISE) + len(PASSED_OVER) == len({*HEARD, *OTHERWISE, *PASSED_OVER})


@pytest.mark.parametrize("name", HEARD)
def test_what_is_heard(name: str) -> None:
    [said] = read(name)

    assert isinstance(said, Said)
    assert HEARD[name] == (said.addressed, said.text, said.answer_with)
    assert tuple(CDN + picture for picture in PICTURES.get(name, ())) == tuple(
        image.partition("?")[0] for image in said.images
    )
    assert ("700000000000000001", "ada") == (said.sender.id, said.sender.username)


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_changed_or_cannot_be_read(name: str) -> None:
    assert OTHERWISE[name] == tuple(type(arrival).__name__ for arrival in read(name))


@pytest.mark.parametrize("name", sorted(PASSED_OVER))
def test_what_is_passed_over(name: str) -> None:
    assert () == read(name)


@pytest.mark.parametrize("name", PLACES)
def test_where_it_was_said(name: str) -> None:
    [said] = read(name)

    assert isinstance(said, Said)
    assert PLACES[name] == (said.place.direct, said.place.guild, said.place.channel)


@pytest.mark.parametrize("name", HEARD)
def test_a_token_is_nowhere_but_in_the_secret(name: str) -> None:
    [said] = read(name)

    assert "sanitised" not in repr(said)
