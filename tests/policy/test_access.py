from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.messages import Address, ConversationKey, Place, Said, Sender
from gateway.policy import access
from gateway.policy.access import People, Rules, Verdict

NOW = 1_700_000_000.0


def judge(message: Said, rules: Rules, now: float) -> Verdict:
    return access.judge(message, rules, now).verdict


def said(*, direct: bool = True, **more) -> Said:
    place = Place(direct=direct, guild=None if direct else "g1", channel="c1")
    message = Said(
        key=ConversationKey(bot="b", platform="discord", chat="c1"),
        address=Address(to="c1"),
        sender=Sender(id="u1", roles=("r1",)),
        message_id="m1",
        text="hello",
        sent_at=NOW,
        addressed="direct" if direct else None,
        place=place,
    )
    return replace(message, **more)


def test_a_direct_message_is_asked():
    assert judge(said(), Rules(), NOW) == "ask"


def test_a_bot_is_never_heard():
    assert judge(said(sender=Sender(id="u2", is_bot=True)), Rules(groups="open"), NOW) == "ignore"


def test_a_command_is_answered_with_its_text():
    assert judge(said(answer_with="greeting"), Rules(), NOW) == "answer"


def test_an_old_message_is_recorded_not_answered():
    assert judge(said(sent_at=NOW - 3601), Rules(max_age=3600), NOW) == "record"


@pytest.mark.parametrize(
    ("mode", "addressed", "verdict"),
    [
        ("mention", "mention", "ask"),
        ("mention", "reply", "ask"),
        ("mention", "command", "ask"),
        ("mention", None, "ignore"),
        ("listen", None, "record"),
        ("listen", "mention", "ask"),
        ("open", None, "ask"),
        ("off", "mention", "ignore"),
    ],
)
def test_a_group_message_goes_by_the_mode(mode, addressed, verdict):
    assert judge(said(direct=False, addressed=addressed), Rules(groups=mode), NOW) == verdict


@pytest.mark.parametrize(("reply_ping", "verdict"), [(True, "ask"), (False, "ignore")])
def test_a_bare_reply_ping_counts_only_where_it_is_configured(reply_ping, verdict):
    message = said(direct=False, addressed="reply_ping")

    assert judge(message, Rules(reply_ping=reply_ping), NOW) == verdict


@pytest.mark.parametrize(
    ("dm", "allowed", "verdict"),
    [
        ("open", set(), "ask"),
        ("allowed", {"u1"}, "ask"),
        ("allowed", {"u2"}, "deny"),
        ("allowed", set(), "deny"),
        ("off", {"u1"}, "deny"),
    ],
)
def test_direct_messages_go_by_dm(dm, allowed, verdict):
    assert judge(said(), Rules(dm=dm, allow=People(users=frozenset(allowed))), NOW) == verdict


@pytest.mark.parametrize(
    "people",
    [
        People(users=frozenset({"u1"})),
        People(roles=frozenset({"r1"})),
        People(channels=frozenset({"c1"})),
        People(guilds=frozenset({"g1"})),
    ],
)
def test_deny_wins_over_allow(people):
    message = said(direct=False, addressed="mention")

    assert judge(message, Rules(allow=people), NOW) == "ask"
    assert judge(message, Rules(allow=people, deny=people), NOW) == "deny"


def test_users_and_roles_are_one_allow_list_and_places_another():
    message = said(direct=False, addressed="mention")
    by_role = People(users=frozenset({"someone"}), roles=frozenset({"r1"}))
    elsewhere = People(roles=frozenset({"r1"}), channels=frozenset({"c2"}))

    assert judge(message, Rules(allow=by_role), NOW) == "ask"
    assert judge(message, Rules(allow=elsewhere), NOW) == "deny"


def test_a_denied_message_that_was_not_meant_for_the_bot_is_ignored():
    rules = Rules(deny=People(users=frozenset({"u1"})))

    assert judge(said(direct=False), rules, NOW) == "ignore"


@pytest.mark.parametrize(
    ("message", "rules", "why"),
    [
        (said(), Rules(), "said in a direct chat"),
        (said(direct=False, addressed="mention"), Rules(), "a mention"),
        (said(direct=False), Rules(groups="open"), "groups.mode is open"),
        (said(direct=False), Rules(), "not addressed to the bot, and groups.mode is mention"),
        (said(direct=False), Rules(groups="listen"), "not addressed to the bot, and groups.mode is listen"),
        (said(direct=False, addressed="mention"), Rules(groups="off"), "groups.mode is off"),
        (said(sender=Sender(id="u2", is_bot=True)), Rules(), "written by a bot"),
        (said(), Rules(deny=People(users=frozenset({"u1"}))), "on a list of access.deny"),
        (said(), Rules(dm="off"), "access.dm is off"),
        (
            said(),
            Rules(dm="allowed"),
            "access.dm is allowed, and access.allow.users does not have the sender",
        ),
        (
            said(direct=False),
            Rules(allow=People(users=frozenset({"u9"}))),
            "not addressed, and not on the lists of access.allow",
        ),
        (said(sent_at=NOW - 3601), Rules(max_age=3600), "older than max_age"),
        (said(answer_with="greeting"), Rules(), "answered with texts.greeting"),
    ],
)
def test_the_reason_is_told_in_the_words_of_the_configuration(message: Said, rules: Rules, why: str):
    assert access.judge(message, rules, NOW).why == why
