"""Gateway payloads → arrivals, without I/O."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.discord.convert import Around, Me, around, convert, may_concern, said_at
from gateway.messages import Deleted, Said, Unreadable

ME = Me(bot="support", id="42", name="helper")
MY_USER = {"id": "42", "username": "helper", "bot": True}
ADA = {"id": "7", "username": "ada", "global_name": "Ada"}
BOB = {"id": "8", "username": "bob", "global_name": "Bob", "member": {"nick": "Bobby"}}
ID = "1300000000000000000"


def payload(content: str = "hi", *, guild: bool = True, **more: Any) -> dict[str, Any]:
    data = {"id": ID, "channel_id": "55", "author": ADA, "content": content, "type": 0, "mentions": []}
    data |= {"timestamp": "2026-01-01T00:00:00+00:00"}
    if guild:
        data |= {"guild_id": "9", "member": {"roles": ["100", "101"], "nick": None}}
    return data | more


def said(data: dict[str, Any], where: Around | None = None) -> Said:
    [arrival] = convert("MESSAGE_CREATE", data, ME, where)
    assert isinstance(arrival, Said), arrival
    return arrival


def reply(**more: Any) -> dict[str, Any]:
    return payload(type=19, referenced_message={"id": "1", "author": MY_USER}, **more)


@pytest.mark.parametrize(
    ("data", "addressed"),
    [
        (payload(guild=False), "direct"),
        (payload("<@42> hi", mentions=[MY_USER]), "mention"),
        (payload("<@!42> hi", mentions=[MY_USER]), "mention"),
        (payload("hi <@&77>", mention_roles=["77"]), "mention"),
        (payload("hi <@&78>", mention_roles=["78"]), None),
        (reply(), "reply"),
        (reply(mentions=[MY_USER]), "reply_ping"),
        (reply(content="<@42> hi", mentions=[MY_USER]), "mention"),
        (payload(type=19, referenced_message={"id": "1", "author": BOB}), None),
        (payload(type=19, referenced_message=None), None),
        (payload("`<@42>`"), None),
        (payload("<@421> hi", mentions=[{"id": "421", "username": "other"}]), None),
        (payload("@everyone", mention_everyone=True), None),
    ],
)
def test_how_the_bot_was_spoken_to(data: dict[str, Any], addressed: str | None):
    assert addressed == said(data, Around(own_role="77")).addressed


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<@42> hello", "hello"),
        ("<@!42>, hello", "hello"),
        ("hello <@42>", "hello"),
        ("hello <@42>, are you there?", "hello, are you there?"),
        ("look:\n    indented\n\n- a\n  - b <@42>", "look:\n    indented\n\n- a\n  - b"),
        ("<@42> ```py\nif x:\n    y  =  1\n```", "```py\nif x:\n    y  =  1\n```"),
        ("a\n<@42> b", "a\nb"),
        ("<@42> ask <@8> and <@999>", "ask @Bobby and <@999>"),
        ("<@42><@42> hi", "hi"),
    ],
)
def test_only_the_mention_goes_and_nothing_else_changes(content: str, text: str):
    assert text == said(payload(content, mentions=[MY_USER, BOB])).text


@pytest.mark.parametrize(
    "data",
    [
        payload(author=MY_USER),
        payload(author={"id": "9", "username": "robo", "bot": True}),
        payload(author={"id": "9", "username": "discord", "system": True}),
        payload(webhook_id="3"),
        payload(type=7),
        payload(type=21),
        payload(""),
        payload("", attachments=[{"id": "1"}]),
    ],
)
def test_what_is_not_a_persons_words_is_passed_over(data: dict[str, Any]):
    assert convert("MESSAGE_CREATE", data, ME) == ()


@pytest.mark.parametrize("field", ["attachments", "sticker_items", "message_snapshots"])
def test_what_cannot_be_read_is_answered_when_addressed(field: str):
    arrival = said(payload("<@42>", mentions=[MY_USER], **{field: [{"id": "1"}]}))

    assert (arrival.answer_with, arrival.text) == ("unsupported", "")


def test_words_beside_a_file_are_a_question():
    assert said(payload("what is this?", guild=False, attachments=[{"id": "1"}])).answer_with is None


FORWARD = {"message": {"content": "The sale ends on Friday.", "embeds": [], "attachments": []}}
CARD = {"title": "Opening hours", "description": "Mon to Fri", "fields": [{"name": "Sat", "value": "closed"}]}


def test_a_forwarded_message_is_read_as_a_quotation():
    assert said(payload("", guild=False, message_snapshots=[FORWARD])).text == "> The sale ends on Friday."
    both = said(payload("is that true?", guild=False, message_snapshots=[FORWARD]))

    assert both.text == "is that true?\n\n> The sale ends on Friday."


def test_the_card_of_a_link_is_read_as_a_quotation():
    shown = said(payload("see https://x.example", guild=False, embeds=[CARD])).text

    assert shown == "see https://x.example\n\n> Opening hours\n> Mon to Fri\n> Sat: closed"


def test_an_edit_is_read_like_the_message():
    [edit] = convert("MESSAGE_UPDATE", payload("so?", embeds=[CARD], edited_timestamp="now"), ME)

    assert edit.text.startswith("so?\n\n> Opening hours")


@pytest.mark.parametrize("nothing", ["\u200b" * 2000, " \u2060\ufeff ", "\u2800\u3164", "\u200d\ufe0f"])
def test_what_nobody_sees_is_no_question(nothing: str):
    assert said(payload(nothing, guild=False)).answer_with == "unsupported"
    assert said(payload("<@42>" + nothing, mentions=[MY_USER])).answer_with == "greeting"
    assert convert("MESSAGE_CREATE", payload(nothing), ME) == ()


def test_a_flood_of_nothing_between_words_is_taken_out_and_flags_and_families_stay():
    england, family = (
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "👨\u200d👩\u200d👧",
    )

    assert said(payload("a" + "\u200b" * 1500 + "b", guild=False)).text == "ab"
    assert said(payload(england + family, guild=False)).text == england + family


def test_a_voice_message_cannot_be_read():
    voice = payload("", guild=False, flags=8192, attachments=[{"id": "1", "duration_secs": 3}])

    assert said(voice).answer_with == "unsupported"


def test_a_bare_mention_is_greeted():
    assert said(payload("<@42>", mentions=[MY_USER])).answer_with == "greeting"


def test_the_facts_of_a_message():
    arrival = said(payload("<@42> hi", mentions=[MY_USER]), Around(kind=0, channel="help", guild="Shop"))

    assert str(arrival.key) == "support/discord/55"
    assert arrival.address.data == {"channel_id": "55", "message_id": ID, "guild_id": "9"}
    assert (
        arrival.sender.id,
        arrival.sender.name,
        arrival.sender.username,
        arrival.sender.roles,
        arrival.sender.locale,
    ) == ("7", "Ada", "ada", ("100", "101"), None)
    assert (arrival.place.direct, arrival.place.guild, arrival.place.channel) == (False, "9", "55")
    assert (f"message:{ID}",) == arrival.dedupe
    assert arrival.context == {
        "channel_id": "55",
        "channel_name": "help",
        "author_id": "7",
        "author_name": "Ada",
        "message_id": ID,
        "created_at": "2026-01-01T00:00:00+00:00",
        "server_id": "9",
        "server_name": "Shop",
    }


def test_unknown_names_are_left_out_of_the_context_and_required_ones_are_filled():
    context = said(payload(guild=False)).context

    assert {"channel_id", "channel_name", "author_id", "author_name", "message_id"} <= context.keys()
    assert not {"server_id", "server_name"} & context.keys()
    assert all(isinstance(value, str) and value for value in context.values())


def test_a_thread_is_placed_under_its_parent():
    where = around({"name": "t", "type": 11, "parent_id": "55"}, None, ME)

    assert (where.parent, where.channel) == ("55", "t")
    assert around({"name": "c", "type": 0, "parent_id": "3"}, None, ME).parent is None


def test_only_the_bots_own_managed_role_is_its_own():
    roles = [{"id": "1"}, {"id": "2", "tags": {"bot_id": "43"}}, {"id": "3", "tags": {"bot_id": "42"}}]

    assert around(None, {"name": "g", "roles": roles}, ME).own_role == "3"


def test_ids_tell_the_time():
    assert said_at("175928847299117063") == 1_462_015_105.796


def test_a_fetched_preview_is_no_edit():
    assert convert("MESSAGE_UPDATE", payload(edited_timestamp=None), ME) == ()


def test_two_edits_are_two():
    first, second = (
        convert("MESSAGE_UPDATE", payload(edited_timestamp=stamp), ME)[0]
        for stamp in ("2026-01-01", "2026-01-02")
    )

    assert first.dedupe != second.dedupe


def test_a_bulk_deletion_takes_back_each():
    data = {"ids": ["1", "2"], "channel_id": "55", "guild_id": "9"}
    arrivals = convert("MESSAGE_DELETE_BULK", data, ME)

    assert [arrival.message_id for arrival in arrivals if isinstance(arrival, Deleted)] == ["1", "2"]


def test_only_what_may_concern_the_bot_is_worth_a_question():
    assert not may_concern(payload(), ME, listening=False)
    assert may_concern(payload(), ME, listening=True)
    assert may_concern(payload(mentions=[MY_USER]), ME, listening=False)
    assert may_concern(reply(), ME, listening=False)
    assert not may_concern(payload(guild=False), ME, listening=True)
    assert not may_concern(payload(author=MY_USER), ME, listening=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(payload())),
    JSON,
    st.sampled_from(["MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_DELETE"]),
)
def test_no_payload_makes_conversion_fail(field: str, value: object, event: str):
    data = payload("<@42> hi", mentions=[MY_USER], edited_timestamp="now") | {field: value}

    for arrival in convert(event, data, ME):
        assert isinstance(arrival, Unreadable) or arrival.key.bot == "support"


def test_an_unreadable_payload_is_kept_as_it_came():
    [kept] = convert("MESSAGE_CREATE", {"id": "5", "author": ADA}, ME)

    assert isinstance(kept, Unreadable)
    assert '"id":"5"' in kept.raw
    assert (kept.bot, kept.platform) == ("support", "discord")
