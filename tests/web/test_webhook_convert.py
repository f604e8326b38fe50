"""Requests → what was said, lives → answers; without I/O."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.http import Problem
from adapters.webhook import render
from adapters.webhook.convert import conversation_of, said, wait_preferred
from gateway.messages import Address, ConversationKey, Life, PartLife, Reply
from tests.web.webhook_host import NOW

GOOD: dict[str, Any] = {"user": {"id": "7"}, "text": "Hello"}


def read(body: dict[str, Any], webhook_id: str = "msg_1"):
    return said("support", webhook_id, json.dumps(body).encode(), NOW)


def test_a_request_becomes_what_its_user_said():
    question = read({**GOOD, "user": {"id": "7", "name": "Ann", "locale": "de"}, "conversation": "c 1"})

    assert ConversationKey(bot="support", platform="webhook", chat="c 1") == question.key
    assert question.address.to == "c 1"
    assert (question.sender.id, question.sender.name, question.sender.locale) == ("7", "Ann", "de")
    assert question.dedupe == ("hook:msg_1",)
    assert (question.text, question.sent_at) == ("Hello", NOW)


def test_a_user_without_a_conversation_has_one_of_their_own():
    first, again, other = read(GOOD), read(GOOD, "msg_2"), read({**GOOD, "user": {"id": "8"}})

    assert first.key == again.key
    assert first.key != other.key
    assert conversation_of("7") == first.key.chat


def test_a_users_id_cannot_be_read_from_the_conversation():
    assert "ann@example.com" not in conversation_of("ann@example.com")


def test_the_hash_is_of_the_bytes_as_they_came():
    spaced = json.dumps(GOOD, indent=1).encode()

    assert read(GOOD).body_hash != said("support", "msg_1", spaced, NOW).body_hash


def test_metadata_and_unknown_facts_about_the_user_are_passed_over():
    question = read({**GOOD, "user": {"id": "7", "plan": "gold"}, "metadata": {"order": 1}})

    assert question.text == "Hello"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"user": "7"}, "user"),
        ({"user": {"id": 7}}, "user.id"),
        ({"user": {"id": ""}}, "user.id"),
        ({"user": {"id": "7\n"}}, "user.id"),
        ({"user": {"id": "7" * 256}}, "user.id"),
        ({"user": {}}, "id"),
        ({"text": 1}, "text"),
        ({"text": None}, "text"),
        ({"text": " \n\t"}, "text"),
        ({"text": "\u200b\u2060"}, "text"),
        ({"conversation": ""}, "conversation"),
        ({"conversation": "a\x00b"}, "conversation"),
        ({"conversation": "c" * 129}, "conversation"),
        ({"metadata": "x"}, "metadata"),
        ({"conversaton": "c"}, "conversaton"),
    ],
)
def test_a_bad_field_is_named(changes: dict[str, Any], named: str):
    with pytest.raises(Problem) as refused:
        read({**GOOD, **changes})

    assert refused.value.status == 422
    assert named in refused.value.detail
    assert "regex" not in refused.value.detail


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"text": "\xff"}', 400),
        (b'{"text": "\\ud800", "user": {"id": "7"}}', 400),
        (b"[" * 8000, 400),
        (b"[]", 422),
        (b"null", 422),
    ],
)
def test_what_is_not_an_object_in_utf_8_is_refused(raw: bytes, status: int):
    with pytest.raises(Problem) as refused:
        said("support", "msg_1", raw, NOW)

    assert status == refused.value.status


@pytest.mark.parametrize("webhook_id", ["", "a b", "é", "x" * 256])
def test_a_webhook_id_that_cannot_be_a_key_is_refused(webhook_id: str):
    with pytest.raises(Problem, match="webhook-id"):
        read(GOOD, webhook_id)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ([], 0),
        (["wait=10"], 10),
        (["WAIT = 10"], 10),
        (['respond-async, wait="7"'], 7),
        (["respond-async", "wait=8; x=1"], 8),
        (["wait=3, wait=9"], 3),
        (["wait=55"], 55),
        (["wait=56"], 55),
        (["wait=999999999"], 55),
        (["wait=0"], 0),
        (["wait=-5"], 0),
        (["wait=soon"], 0),
        (["wait="], 0),
        (["await=5"], 0),
        (["wait=" + "9" * 5000], 0),
    ],
)
def test_a_preference_is_read_as_rfc_7240_has_it(prefer: list[str], seconds: int):
    assert seconds == wait_preferred(prefer)


def life(status: str, *parts: tuple[str, str], turn: str | None = None) -> Life:
    key = ConversationKey(bot="support", platform="webhook", chat="c1")
    made = tuple(
        PartLife(id=f"p{n}", state="sent", purpose=purpose, created_at=NOW, text=text)
        for n, (purpose, text) in enumerate(parts)
    )
    return Life(id="m1", organization="acme", key=key, status=status, accepted_at=NOW, parts=made, turn=turn)


def answer(of: Life) -> dict[str, Any]:
    return render.answer(of, "/there", lambda name: f"[{name}] {{reference}}")


def test_an_answer_is_told_whole_with_its_tree():
    expected = {
        "id": "m1",
        "status": "answered",
        "conversation": "c1",
        "text": "Yes, **now**.",
        "content": [
            {"tag": "p", "children": ["Yes, ", {"tag": "strong", "children": ["now"]}, "."]},
        ],
        "created_at": "2025-06-15T15:06:40.000Z",
        "status_url": "/there",
    }

    assert expected == answer(life("answered", ("answer", "Yes, **now**.")))


def test_parts_are_joined_and_what_was_said_while_waiting_is_left_out():
    told = answer(life("answered", ("notice", "One moment."), ("answer", "One."), ("answer", "Two.")))

    assert told["text"] == "One.\n\nTwo."


@pytest.mark.parametrize("status", ["queued", "asking"])
def test_an_open_message_has_no_text_yet(status: str):
    told = answer(life(status, ("notice", "One moment.")))

    assert (status, None, None) == (told["status"], told["text"], told["content"])


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("expired", "expired"),
        ("busy", "busy"),
        ("limited", "busy"),
        ("failed", "failed"),
        ("denied", "failed"),
        ("deleted", "failed"),
        ("recorded", "failed"),
        ("quarantined", "failed"),
    ],
)
def test_every_ending_is_told_as_one_of_the_published_ones(status: str, told: str):
    assert (told, "Sorry.") == (
        answer(life(status, ("notice", "Sorry.")))["status"],
        answer(life(status, ("notice", "Sorry.")))["text"],
    )


@pytest.mark.parametrize(
    ("status", "name"), [("limited", "busy"), ("busy", "busy"), ("expired", "expired"), ("denied", "denied")]
)
def test_an_ending_that_left_no_text_gets_its_fixed_one(status: str, name: str):
    assert f"[{name}] m1" == answer(life(status))["text"]


def test_a_failure_has_the_reference_that_its_text_shows():
    told = answer(life("failed", turn="t1"))

    assert (told["reference"], told["text"]) == ("t1", "[failed] t1")


def test_only_a_failure_has_a_reference():
    assert "reference" not in answer(life("busy"))


def test_an_answer_whose_text_is_past_its_retention_is_still_answered():
    told = answer(life("answered", ("answer", "")))

    assert (told["status"], told["text"], told["content"]) == ("answered", "", [])


def test_a_reply_is_one_part_however_long():
    reply = Reply(text="word " * 20_000, purpose="answer")

    (part,) = render.WebhookRenderer().render(reply, Address(to="c1"), max_parts=1)

    assert reply.text == part.text
