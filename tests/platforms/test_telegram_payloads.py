"""What Telegram sends → what the gateway is told: an update each, shaped like real ones, with nobody's data in it.

A fault in reading begins with the update that showed it, kept here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.telegram.addressing import Me
from adapters.telegram.business import Connection
from adapters.telegram.convert import Reading, convert_batch
from adapters.telegram.joining import Joiner
from adapters.telegram.transport import decode
from gateway.messages import Arrival, Deleted, Edited, Moved, Said, Unreadable, encode

PAYLOADS = Path(__file__).parent / "payloads" / "telegram"
READING = Reading(
    me=Me(id=7000000042, username="Shop_Helper_Bot"),
    bot="support",
    now=1_790_000_001.0,
    business={
        "Kx0000000000000000A": Connection(owner=555000222, may_reply=True),
        "Kx0000000000000000B": Connection(owner=555000222, may_reply=False),
    },
)

ADA, GROUP, FORUM = "555000111", "-1002000000001", "-1002000000002"
OPEN = "When do you open?"
SALE = "> The sale ends on Friday."
UNSEEN = "(with a picture that you cannot open)"
HEARD: dict[str, tuple[Any, ...]] = {
    # in which conversation, how it was said to the bot, what, and which fixed text answers it
    "private_text": (ADA, "direct", OPEN, None),
    "private_text_with_entities": (ADA, "direct", "See https://shop.example/hours and #sale", None),
    "start_from_a_deep_link": (ADA, "direct", "ref_spring-26", "greeting"),
    "help_in_private": (ADA, "direct", "", "help"),
    "unknown_command": (ADA, "direct", "/price tea", None),
    "group_among_people": (GROUP, None, "lunch?", None),
    "group_mention": (GROUP, "mention", OPEN, None),
    "group_mention_after_emoji": (GROUP, "mention", f"👋🏽, {OPEN}", None),
    "group_mention_by_name": (GROUP, "mention", OPEN, None),
    "group_command_of_the_menu": (GROUP, "command", OPEN, None),
    "group_bare_help": (GROUP, "command", "", "help"),
    "group_command_of_ours_by_name": (GROUP, "command", "", "help"),
    "group_reply_to_the_bot": (GROUP, "reply", "and on Sunday?", None),
    "group_reply_to_somebody": (GROUP, None, "I see", None),
    "group_reply_to_somebody_with_a_mention": (GROUP, "mention", f"{SALE}\n\nis that so?", None),
    "group_bare_mention_below_a_question": (GROUP, "mention", OPEN, None),
    "group_quote": (GROUP, "mention", "> ends on Friday\n\nthis year?", None),
    "reply_to_a_message_of_another_chat": (GROUP, "mention", "> We sell robots now\n\nis this true?", None),
    "forum_topic": (f"{FORUM}:31", "mention", OPEN, None),
    "forum_general": (FORUM, "mention", OPEN, None),
    "reply_chain_that_is_no_topic": (GROUP, "mention", f"{SALE}\n\nand then?", None),
    "private_topic": (f"{ADA}:5", "direct", OPEN, None),
    "anonymous_admin": (GROUP, "mention", OPEN, None),
    "somebody_speaks_as_a_channel": (GROUP, "mention", OPEN, None),
    "forwarded_by_a_person": (ADA, "direct", "The sale ends on Friday.", None),
    "photo_with_caption": (ADA, "direct", f"What is this?\n\n{UNSEEN}", None),
    "photo_alone": (ADA, "direct", "", "unsupported"),
    "group_photo_with_mention": (GROUP, "mention", f"which one?\n\n{UNSEEN}", None),
    "album_first": (ADA, "direct", f"Which one is warmer?\n\n{UNSEEN}", None),
    "album_second": (ADA, "direct", "", None),
    "voice": (ADA, "direct", "", "unsupported"),
    "video_note": (ADA, "direct", "", "unsupported"),
    "sticker": (ADA, "direct", "", "unsupported"),
    "document": (ADA, "direct", "", "unsupported"),
    "document_with_caption": (
        ADA,
        "direct",
        "Please sum it up\n\n(with a document that you cannot open: offer.pdf)",
        None,
    ),
    "picture_as_a_file": (
        ADA,
        "direct",
        "What is this?\n\n(with a document that you cannot open: photo.png)",
        None,
    ),
    "animation": (ADA, "direct", "", "unsupported"),
    "location": (ADA, "direct", "", "unsupported"),
    "contact": (ADA, "direct", "", "unsupported"),
    "poll": (ADA, "direct", "", "unsupported"),
    "rich_message": (ADA, "direct", "", "unsupported"),
    "fields_from_the_future": (ADA, "direct", OPEN, None),
    "business_message": (f"business:Kx0000000000000000A:{ADA}", "direct", OPEN, None),
    "half_of_a_surrogate_pair": (ADA, "direct", "half \ufffd here", None),
    "right_to_left": (ADA, "direct", "متى تفتحون؟ \u200f👩\u200d👩\u200d👧", None),
}
PASSED_OVER = {
    "another_bot",
    "bot_is_added",
    "bot_is_blocked",
    "business_connection",
    "business_message_of_the_owner",
    "business_message_where_it_may_not_write",
    "business_own_echo",
    "channel_post",
    "channel_post_in_the_discussion_group",
    "forum_topic_is_made",
    "group_command_of_another_bot",
    "no_sender",
    "own_echo",
    "somebody_joins",
    "update_from_the_future",
}
OTHERWISE = {
    "edited_message": [Edited],
    "edited_business_message": [Edited],
    "deleted_business_messages": [Deleted, Deleted],
    "group_becomes_a_supergroup": [Moved],
    "supergroup_that_was_a_group": [Moved],
    "text_that_is_a_number": [Unreadable],
    "message_without_a_chat": [Unreadable],
}


def payload(name: str) -> Any:
    return decode((PAYLOADS / f"{name}.json").read_bytes())


def heard(name: str) -> list[Arrival]:
    return convert_batch([payload(name)], READING, Joiner())


def test_every_payload_is_expected_to_mean_something() -> None:
    kept = {path.stem for path in PAYLOADS.iterdir()}

    assert kept == HEARD.keys() | PASSED_OVER | OTHERWISE.keys()


@pytest.mark.parametrize("name", HEARD)
def test_what_is_said_is_heard_as_it_was_meant(name: str) -> None:
    (said,) = heard(name)

    assert isinstance(said, Said)
    assert (said.key.chat, said.addressed, said.text, said.answer_with) == HEARD[name]


@pytest.mark.parametrize("name", sorted(PASSED_OVER))
def test_what_is_not_for_the_bot_is_passed_over(name: str) -> None:
    assert [] == heard(name)


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_not_said_is_what_it_is(name: str) -> None:
    assert OTHERWISE[name] == [type(arrival) for arrival in heard(name)]


@pytest.mark.parametrize("name", sorted(HEARD.keys() | PASSED_OVER | OTHERWISE.keys()))
def test_an_update_is_known_again_when_it_comes_twice_and_can_be_journaled(name: str) -> None:
    for first, again in zip(heard(name), heard(name), strict=True):
        assert first.dedupe
        assert encode(first) == encode(again)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_is_wrong_with_one_update_the_next_one_is_heard(data: st.DataObject) -> None:
    """One value anywhere in a real update is replaced by something that Telegram never promised."""
    update = payload(data.draw(st.sampled_from(sorted(HEARD))))
    spot = update
    while True:
        key = data.draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot))))
        if not isinstance(spot[key], dict | list) or not spot[key] or data.draw(st.booleans()):
            break
        spot = spot[key]
    spot[key] = data.draw(st.sampled_from([None, -1, 2**70, "", "x", [], [None], {}, {"id": "?"}, True, 1.5]))
    arrivals = convert_batch([update, payload("private_text")], READING, Joiner())

    assert OPEN == arrivals[-1].text  # type: ignore[union-attr]
    assert all(encode(arrival) for arrival in arrivals)
