"""Updates → arrivals, without any connection."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.telegram import menu
from adapters.telegram.addressing import QUOTED, Me
from adapters.telegram.business import Connection
from adapters.telegram.convert import Reading, convert, convert_batch
from adapters.telegram.joining import ALBUM_WAIT, PASTE_WAIT, Joiner
from gateway.messages import Edited, Moved, Said, Unreadable
from gateway.sandbox.telegram_text import found_entities

ME = Me(id=4711, username="Shop_Bot")
NOW = 1_800_000_000.0
READING = Reading(me=ME, bot="support", now=NOW, business={})
ADA = {"id": 7, "is_bot": False, "first_name": "Ada", "username": "ada", "language_code": "de"}
US = {"id": 4711, "is_bot": True, "first_name": "Shop", "username": "Shop_Bot"}
GROUP = {"id": -100, "type": "supergroup", "title": "Shop talk"}
PRIVATE = {"id": 7, "type": "private", "first_name": "Ada"}


def message(text: str | None = None, chat: dict = GROUP, **more: object) -> dict:
    body: dict = {"message_id": 5, "from": ADA, "chat": chat, "date": int(NOW)}
    if text is not None:
        body |= {"text": text, "entities": found_entities(text)}
    return body | more


def update(body: dict, kind: str = "message", number: int = 1) -> dict:
    return {"update_id": number, kind: body}


def said(body: dict) -> Said | None:
    arrivals = convert(update(body), READING)
    assert len(arrivals) <= 1
    return arrivals[0] if arrivals else None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("text", "addressed", "left"),
    [
        ("hello", None, "hello"),
        ("@shop_bot hello", "mention", "hello"),
        ("@SHOP_BOT, hello", "mention", "hello"),
        ("hey @shop_bot what's up", "mention", "hey what's up"),
        ("what is this, @shop_bot?", "mention", "what is this?"),
        ("😀😀 @shop_bot 😀 ok", "mention", "😀😀 😀 ok"),
        ("@shop_bot look:\n    if x:\n        y", "mention", "look:\n    if x:\n        y"),
        ("a  b @shop_bot", "mention", "a  b"),
        ("@shop_bot_two hello", None, "@shop_bot_two hello"),
        ("mail@shop_bot hello", None, "mail@shop_bot hello"),
        ("/ask how much?", "command", "how much?"),
        ("/ask@shop_bot how much?", "command", "how much?"),
        ("/price@Shop_Bot tea", "command", "/price tea"),
        ("/price tea", None, "/price tea"),
        ("/help", "command", ""),
        ("/privacy", "command", ""),
        ("/help@shop_bot", "command", ""),
        ("/start", None, "/start"),
        ("/start@shop_bot group-7", "command", "group-7"),
    ],
)
def test_a_group_message_is_addressed_by_entity_and_loses_only_the_mention(text, addressed, left) -> None:
    found = said(message(text))

    assert (addressed, left) == (found.addressed, found.text)


def test_a_command_for_another_bot_is_not_for_us() -> None:
    assert said(message("/ask@other_bot how much?")) is None
    assert said(message("/help@other_bot")) is None
    assert said(message("/help@other_bot @shop_bot")) is None
    assert said(message("/start@other_bot", PRIVATE)) is None


def test_a_text_mention_of_our_account_addresses_us() -> None:
    entity = {"type": "text_mention", "offset": 0, "length": 4, "user": US}
    found = said(message("Shop hello", entities=[entity]))

    assert ("mention", "hello") == (found.addressed, found.text)


def test_a_reply_addresses_us_only_if_it_answers_our_own_message() -> None:
    ours = {"message_id": 3, "from": US, "chat": GROUP, "date": 0, "text": "hi"}
    theirs = ours | {"from": ADA}
    opening = ours | {"text": None, "forum_topic_created": {"name": "T", "icon_color": 1}}

    assert "reply" == said(message("and?", reply_to_message=ours)).addressed
    assert said(message("and?", reply_to_message=theirs)).addressed is None
    assert said(message("and?", reply_to_message=opening)).addressed is None


def test_a_bare_mention_below_a_message_asks_about_that_message() -> None:
    theirs = {"message_id": 3, "from": ADA, "chat": GROUP, "date": 0, "text": "What does it cost?"}

    assert "What does it cost?" == said(message("@shop_bot", reply_to_message=theirs)).text
    assert "help" == said(message("@shop_bot")).answer_with


def test_a_quote_is_put_before_what_is_said_about_it() -> None:
    quote = {"text": "first\nsecond", "position": 0}

    assert "> first\n> second\n\nwhy?" == said(message("why?", PRIVATE, quote=quote)).text


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("/start", "greeting"),
        ("/start abc-123", "greeting"),
        ("/help", "help"),
        ("/privacy", "privacy"),
        ("/weather Berlin", None),
        ("start", None),
    ],
)
def test_commands_with_a_fixed_answer_ask_nothing(text, fixed) -> None:
    assert fixed == said(message(text, PRIVATE)).answer_with


def test_the_payload_of_a_deep_link_is_recorded_if_it_is_one() -> None:
    assert "abc-123" == said(message("/start abc-123", PRIVATE)).context["start_payload"]
    assert "start_payload" not in said(message("/start <script>", PRIVATE)).context
    assert "start_payload" not in said(message("hello", PRIVATE)).context


def test_the_context_has_sensays_keys_and_types_and_no_nulls() -> None:
    topic = message("x", GROUP | {"is_forum": True}, message_thread_id=9, is_topic_message=True)

    assert {
        "chat_type": "supergroup",
        "chat_id": -100,
        "message_id": 5,
        "chat_name": "Shop talk",
        "user_id": 7,
        "username": "ada",
        "message_thread_id": 9,
    } == said(topic).context


@pytest.mark.parametrize(
    ("fields", "lane", "thread"),
    [
        ({"message_thread_id": 9, "is_topic_message": True}, "-100:9", 9),
        ({"message_thread_id": 9}, "-100", None),
        ({"message_thread_id": 1, "is_topic_message": True}, "-100", None),
        ({}, "-100", None),
    ],
)
def test_only_a_topic_message_has_a_topic_and_general_has_none(fields, lane, thread) -> None:
    found = said(message("x", **fields))

    assert (lane, lane, thread) == (found.key.chat, found.address.to, found.address.data.get("thread_id"))
    assert thread == found.context.get("message_thread_id")


def test_replies_thread_in_groups_and_not_in_private_chats() -> None:
    assert 5 == said(message("x")).address.data["reply_to"]
    assert "reply_to" not in said(message("x", PRIVATE)).address.data


@pytest.mark.parametrize(
    "body",
    [
        message("x", **{"from": US}),
        message("x", **{"from": ADA | {"is_bot": True}}),
        message("x", is_automatic_forward=True, sender_chat={"id": -5, "type": "channel", "title": "News"}),
        message("x", {"id": -5, "type": "channel", "title": "News"}),
        message("x", PRIVATE, sender_business_bot=US),
        message(new_chat_members=[ADA]),
        message(pinned_message={"message_id": 1, "chat": GROUP, "date": 0}),
        message(voice={"file_id": "v", "file_unique_id": "v", "duration": 1}),
        {key: value for key, value in message("x").items() if key != "from"},
    ],
    ids=["echo", "bot", "forward", "channel", "business", "join", "pin", "voice", "nobody"],
)
def test_what_no_person_said_to_us_is_passed_over(body) -> None:
    assert said(body) is None


def test_an_anonymous_admin_speaks_in_the_name_of_the_group() -> None:
    found = said(
        message("x", sender_chat=GROUP, **{"from": {"id": 1087968824, "is_bot": True, "first_name": "G"}})
    )

    assert ("-100", False) == (found.sender.id, found.sender.is_bot)


@pytest.mark.parametrize(
    "media",
    [
        {"voice": {"file_id": "v", "file_unique_id": "v", "duration": 1}},
        {"photo": [{"file_id": "p", "file_unique_id": "p", "width": 1, "height": 1}]},
        {"location": {"latitude": 1.0, "longitude": 2.0}},
        {"rich_message": {"blocks": []}},
        {"checklist": {"title": "Trip", "tasks": [{"id": 1, "text": "tent"}]}},
        {"paid_media": {"star_count": 1, "paid_media": []}},
    ],
    ids=["voice", "photo", "location", "rich", "checklist", "paid"],
)
def test_media_without_words_gets_the_fixed_text(media) -> None:
    assert "unsupported" == said(message(chat=PRIVATE, **media)).answer_with


def test_a_caption_is_the_text_of_a_picture() -> None:
    photo = [{"file_id": "p", "file_unique_id": "p", "width": 1, "height": 1}]
    caption = "@shop_bot what is it?"
    found = said(message(photo=photo, caption=caption, caption_entities=found_entities(caption)))

    assert "what is it?\n\n(with a picture that you cannot open)" == found.text
    assert ("mention", None) == (found.addressed, found.answer_with)


@pytest.mark.parametrize(
    ("media", "note"),
    [
        (
            {"voice": {"file_id": "v", "file_unique_id": "v", "duration": 1}},
            "a voice message that you cannot open",
        ),
        (
            {"document": {"file_id": "d", "file_unique_id": "d", "file_name": "offer.pdf"}},
            "a document that you cannot open: offer.pdf",
        ),
        (
            {
                "animation": {"file_id": "a", "file_unique_id": "a", "width": 1, "height": 1, "duration": 1},
                "document": {"file_id": "a", "file_unique_id": "a"},
            },
            "an animation that you cannot open",
        ),
    ],
    ids=["voice", "document", "animation"],
)
def test_words_about_what_cannot_be_shown_are_asked_and_say_so(media: dict, note: str) -> None:
    body = message(chat=PRIVATE, caption="sum it up", **media)
    (edited,) = convert(update(body | {"edit_date": 1}, "edited_message"), READING)

    assert f"sum it up\n\n(with {note})" == said(body).text == edited.text
    assert (
        "help" == said(body | {"caption": "/help", "caption_entities": found_entities("/help")}).answer_with
    )


def test_a_picture_that_is_shown_needs_no_note() -> None:
    (found,) = convert(update(message(chat=PRIVATE, photo=PHOTO, caption="what is it?")), SEEING)

    assert "what is it?" == found.text


def test_the_menu_of_groups_offers_what_is_answered_there_without_the_bots_name() -> None:
    offered = {said(message(f"/{name}")).addressed for name in menu.SCOPES["all_group_chats"]}

    assert {"command"} == offered


def test_an_edit_amends_and_has_no_key_of_its_message() -> None:
    (edited,) = convert(update(message("@shop_bot better", edit_date=1), "edited_message", 4), READING)

    assert isinstance(edited, Edited)
    assert ("5", "better", ("update:4",)) == (edited.message_id, edited.text, edited.dedupe)


def test_both_halves_of_a_move_tell_the_same_move() -> None:
    old, new = {"id": -5, "type": "group", "title": "G"}, {"id": -1005, "type": "supergroup", "title": "G"}
    (before,) = convert(update(message(chat=old, migrate_to_chat_id=-1005)), READING)
    (after,) = convert(update(message(chat=new, migrate_from_chat_id=-5), number=2), READING)

    for moved in (before, after):
        assert isinstance(moved, Moved)
        assert ("-5", "-1005", "-5") == (moved.old.chat, moved.new.chat, moved.old_to)
        assert {"chat_id": -1005} == moved.address.data


def test_a_poison_update_stays_alone() -> None:
    updates = [
        update(message("one", PRIVATE), number=1),
        {"update_id": 2, "message": {"message_id": "?", "chat": 5}},
        update(message("x", PRIVATE) | {"text": 5}, number=3),
        update(message("four", PRIVATE, message_id=6), number=4),
        {"update_id": 5, "something_new": {"a": 1}},
    ]
    arrivals = convert_batch(updates, READING, Joiner())

    assert [Said, Unreadable, Unreadable, Said] == [type(arrival) for arrival in arrivals]
    assert ("update:2",) == arrivals[1].dedupe
    assert '"message_id": "?"' in arrivals[1].raw


def test_a_long_paste_split_by_the_client_is_held_and_joined() -> None:
    first = update(message("x" * 4096, PRIVATE), number=1)
    tail = update(message("tail", PRIVATE, message_id=6), number=2)
    other = update(message("later", PRIVATE, message_id=7, date=int(NOW) + 30), number=3)
    joiner = Joiner()
    one, two = convert_batch([first, tail], READING, joiner)
    (three,) = convert_batch([other], READING, joiner)

    assert NOW + PASTE_WAIT == one.not_before
    assert "paste:7:5" == one.join_key == two.join_key
    assert two.not_before is None
    assert three.join_key is None


def test_the_tail_of_a_paste_in_a_group_is_addressed_like_its_head() -> None:
    head = update(message("@shop_bot " + "x" * 4080), number=1)
    tail = update(message("tail", message_id=6), number=2)
    stranger = update(message("tail", message_id=7, **{"from": ADA | {"id": 8}}), number=3)
    one, two, three = convert_batch([head, tail, stranger], READING, Joiner())

    assert ["mention", "mention", None] == [one.addressed, two.addressed, three.addressed]


PHOTO = [
    {"file_id": "small", "file_unique_id": "s", "width": 90, "height": 60},
    {"file_id": "large", "file_unique_id": "l", "width": 1280, "height": 853},
]
ALBUM = {"photo": PHOTO, "media_group_id": "m"}
ASKED = "which one?\n\n(with a picture that you cannot open)"
SEEING = replace(READING, picture=lambda file_id: f"https://ours.example/{file_id}")


def piece(number: int, chat: dict = PRIVATE, caption: str | None = None, **more: object) -> dict:
    words = {"caption": caption, "caption_entities": found_entities(caption)} if caption else {}
    return update(message(chat=chat, message_id=number, **ALBUM, **words, **more), number=number)


def test_an_album_with_a_caption_is_one_question() -> None:
    (only,) = convert_batch([piece(1, caption="which one?"), piece(2)], READING, Joiner())

    assert (ASKED, "album:m", NOW + ALBUM_WAIT) == (only.text, only.join_key, only.not_before)


def test_a_caption_that_comes_a_batch_later_is_joined_with_the_picture_before_it() -> None:
    joiner = Joiner()
    (first,) = convert_batch([piece(1), piece(2)], READING, joiner)
    (caption,) = convert_batch([piece(3, caption="which one?"), piece(4)], READING, joiner)

    assert ["", ASKED] == [first.text, caption.text]
    assert "album:m" == first.join_key == caption.join_key
    assert first.not_before == caption.not_before == NOW + ALBUM_WAIT
    assert first.answer_with is caption.answer_with is None


def test_what_is_delivered_again_because_it_was_not_journaled_is_marked_again() -> None:
    joiner, updates = Joiner(), [piece(1), piece(2, caption="which one?"), piece(3)]

    assert convert_batch(updates, READING, joiner) == convert_batch(updates, READING, joiner)


def test_the_pictures_of_an_album_in_a_group_are_addressed_like_their_caption() -> None:
    first, second = convert_batch(
        [piece(1, GROUP, "@shop_bot look"), piece(2, GROUP, "and this")], READING, Joiner()
    )

    assert ("mention", "mention") == (first.addressed, second.addressed)
    assert [] == convert_batch([piece(1, GROUP)], READING, Joiner())


# --- pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "images"),
    [
        ({"photo": PHOTO}, ("https://ours.example/large",)),
        (
            {"document": {"file_id": "d", "file_unique_id": "d", "mime_type": "image/png"}},
            ("https://ours.example/d",),
        ),
        ({"photo": [PHOTO[0], PHOTO[1] | {"file_size": 21 * 2**20}]}, ("https://ours.example/small",)),
        ({"document": {"file_id": "d", "file_unique_id": "d", "mime_type": "application/pdf"}}, ()),
        ({"voice": {"file_id": "v", "file_unique_id": "v", "duration": 1}}, ()),
    ],
    ids=["photo", "image file", "too large", "pdf", "voice"],
)
def test_a_picture_is_shown_in_its_largest_size_when_pictures_are(media: dict, images: tuple) -> None:
    (found,) = convert(update(message(chat=PRIVATE, **media)), SEEING)

    assert images == found.images
    assert (None if images else "unsupported") == found.answer_with


def test_an_album_that_is_shown_needs_no_words() -> None:
    (first,) = convert_batch([piece(1), piece(2)], SEEING, Joiner())

    assert (("https://ours.example/large",), "") == (first.images, first.text)


# --- business accounts ------------------------------------------------------------------------------------------

BUSINESS = replace(
    READING,
    business={"c1": Connection(owner=99, may_reply=True), "c2": Connection(owner=99, may_reply=False)},
)


def business(text: str, connection: str = "c1", kind: str = "business_message", **more: object) -> list:
    body = message(text, PRIVATE, business_connection_id=connection, **more)
    return convert(update(body, kind), BUSINESS)


def test_a_message_to_a_business_account_is_a_conversation_of_its_own() -> None:
    (found,) = business("hello")

    assert ("business:c1:7", "direct", "7") == (found.key.chat, found.addressed, found.sender.id)
    assert {"chat_id": 7, "business": "c1"} == found.address.data
    assert ("update:1", "message:business:c1:7:5") == found.dedupe
    assert said(message("hello", PRIVATE)).key != found.key


@pytest.mark.parametrize(
    ("connection", "more"),
    [
        ("c1", {"from": ADA | {"id": 99}}),
        ("c1", {"sender_business_bot": US}),
        ("c1", {"from": US}),
        ("c2", {}),
        ("unheard of", {}),
    ],
    ids=["the owner", "our own echo", "ourselves", "no right to reply", "unknown"],
)
def test_what_is_not_for_the_bot_in_a_business_chat_is_passed_over(connection: str, more: dict) -> None:
    assert [] == business("hello", connection, **more)
    assert [] == business("hello", connection, "edited_business_message", **more)


def test_edits_and_deletions_in_a_business_chat_amend() -> None:
    (edited,) = business("better", kind="edited_business_message", edit_date=1)
    body = {"business_connection_id": "c1", "chat": PRIVATE, "message_ids": [5, 6]}
    deleted = convert(update(body, "deleted_business_messages", 9), BUSINESS)

    assert ("business:c1:7", "5", "better") == (edited.key.chat, edited.message_id, edited.text)
    assert [("business:c1:7", "5"), ("business:c1:7", "6")] == [(d.key.chat, d.message_id) for d in deleted]
    assert [("update:9:5",), ("update:9:6",)] == [d.dedupe for d in deleted]


# --- what a reply is about --------------------------------------------------------------------------------------


def test_a_reply_to_somebody_elses_message_brings_it_along_and_one_to_ours_does_not() -> None:
    theirs = {"message_id": 3, "from": ADA, "chat": GROUP, "date": 0, "text": "It costs\nfive euros"}

    assert "> It costs\n> five euros\n\nis that true?" == (
        said(message("@shop_bot is that true?", reply_to_message=theirs)).text
    )
    assert "and?" == said(message("and?", reply_to_message=theirs | {"from": US})).text
    assert "and?" == said(message("and?", reply_to_message=theirs)).text, "not addressed: recorded as it is"


def test_a_long_message_is_not_quoted_to_its_end() -> None:
    theirs = {"message_id": 3, "from": ADA, "chat": GROUP, "date": 0, "text": "x" * 4000}
    quote, _, asked = said(message("@shop_bot why?", reply_to_message=theirs)).text.partition("\n\n")

    assert "why?" == asked
    assert (QUOTED + 2, "…") == (len(quote), quote[-1])


def test_the_payload_of_a_deep_link_stays_what_it_is_below_a_reply() -> None:
    theirs = {"message_id": 3, "from": ADA, "chat": PRIVATE, "date": 0, "text": "tap here"}

    assert "abc" == said(message("/start abc", PRIVATE, reply_to_message=theirs)).context["start_payload"]
