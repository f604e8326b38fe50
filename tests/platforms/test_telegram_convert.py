"""Updates → arrivals, without any connection."""

from __future__ import annotations

import pytest

from adapters.telegram.addressing import Me
from adapters.telegram.convert import convert, convert_batch
from adapters.telegram.joining import PASTE_WAIT, Pastes
from gateway.messages import Edited, Moved, Said, Unreadable
from gateway.sandbox.telegram_text import found_entities

ME = Me(id=4711, username="Shop_Bot")
NOW = 1_800_000_000.0
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
    arrivals = convert(update(body), ME, "support", NOW)
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
        ("/help", None, "/help"),
    ],
)
def test_a_group_message_is_addressed_by_entity_and_loses_only_the_mention(text, addressed, left) -> None:
    found = said(message(text))

    assert (addressed, left) == (found.addressed, found.text)


def test_a_command_for_another_bot_is_not_for_us() -> None:
    assert said(message("/ask@other_bot how much?")) is None
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
    ],
    ids=["voice", "photo", "location", "rich"],
)
def test_media_without_words_gets_the_fixed_text(media) -> None:
    assert "unsupported" == said(message(chat=PRIVATE, **media)).answer_with


def test_a_caption_is_the_text_of_a_picture() -> None:
    photo = [{"file_id": "p", "file_unique_id": "p", "width": 1, "height": 1}]
    caption = "@shop_bot what is it?"
    found = said(message(photo=photo, caption=caption, caption_entities=found_entities(caption)))

    assert ("what is it?", "mention", None) == (found.text, found.addressed, found.answer_with)


def test_an_edit_amends_and_has_no_key_of_its_message() -> None:
    (edited,) = convert(
        update(message("@shop_bot better", edit_date=1), "edited_message", 4), ME, "support", NOW
    )

    assert isinstance(edited, Edited)
    assert ("5", "better", ("update:4",)) == (edited.message_id, edited.text, edited.dedupe)


def test_both_halves_of_a_move_tell_the_same_move() -> None:
    old, new = {"id": -5, "type": "group", "title": "G"}, {"id": -1005, "type": "supergroup", "title": "G"}
    (before,) = convert(update(message(chat=old, migrate_to_chat_id=-1005)), ME, "support", NOW)
    (after,) = convert(update(message(chat=new, migrate_from_chat_id=-5), number=2), ME, "support", NOW)

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
    arrivals = convert_batch(updates, ME, "support", NOW, Pastes())

    assert [Said, Unreadable, Unreadable, Said] == [type(arrival) for arrival in arrivals]
    assert ("update:2",) == arrivals[1].dedupe
    assert '"message_id": "?"' in arrivals[1].raw


def test_a_long_paste_split_by_the_client_is_held_and_joined() -> None:
    first = update(message("x" * 4096, PRIVATE), number=1)
    tail = update(message("tail", PRIVATE, message_id=6), number=2)
    other = update(message("later", PRIVATE, message_id=7, date=int(NOW) + 30), number=3)
    pastes = Pastes()
    one, two = convert_batch([first, tail], ME, "support", NOW, pastes)
    (three,) = convert_batch([other], ME, "support", NOW, pastes)

    assert NOW + PASTE_WAIT == one.not_before
    assert "paste:7:5" == one.join_key == two.join_key
    assert two.not_before is None
    assert three.join_key is None


def test_the_tail_of_a_paste_in_a_group_is_addressed_like_its_head() -> None:
    head = update(message("@shop_bot " + "x" * 4080), number=1)
    tail = update(message("tail", message_id=6), number=2)
    stranger = update(message("tail", message_id=7, **{"from": ADA | {"id": 8}}), number=3)
    one, two, three = convert_batch([head, tail, stranger], ME, "support", NOW, Pastes())

    assert ["mention", "mention", None] == [one.addressed, two.addressed, three.addressed]


def test_an_album_with_a_caption_is_one_question() -> None:
    photo = {
        "photo": [{"file_id": "p", "file_unique_id": "p", "width": 1, "height": 1}],
        "media_group_id": "m",
    }
    updates = [
        update(message(chat=PRIVATE, message_id=1, caption="which one?", **photo), number=1),
        update(message(chat=PRIVATE, message_id=2, **photo), number=2),
    ]
    (only,) = convert_batch(updates, ME, "support", NOW, Pastes())

    assert ("which one?", "album:m") == (only.text, only.join_key)


def test_an_album_without_a_caption_is_refused_once() -> None:
    photo = {
        "photo": [{"file_id": "p", "file_unique_id": "p", "width": 1, "height": 1}],
        "media_group_id": "m",
    }
    updates = [update(message(chat=PRIVATE, message_id=n, **photo), number=n) for n in (1, 2, 3)]
    arrivals = convert_batch(updates, ME, "support", NOW, Pastes())

    assert all("album:m" in arrival.dedupe for arrival in arrivals)
