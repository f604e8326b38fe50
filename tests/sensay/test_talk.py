"""What the sandbox keeps of what was said: conversations, mentions between placeholders, bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.sensay.state import Replica, User
from gateway.sandbox.sensay.talk import MOST_MESSAGES, PAUSE, Message, Place, Talk, groups

ADA, EVE = User("ada", "u-ada"), User("eve", "u-eve")
REPLICA = Replica("r", "r", "R", "", "", ADA, 0.0)
ROOM = Place("room", "Room")


def said(roles: str) -> list[Message]:
    """`u` a user, `a` the replica."""
    talk = Talk()
    for at, role in enumerate(roles):
        talk.say(REPLICA, ADA, "assistant" if role == "a" else "user", role, "web", at, ROOM)
    return talk.history(REPLICA, ADA)


def grouped(roles: str) -> str:
    shown = (
        "[" + "".join(m.content for m in g.messages) + "]" if g.mention else str(len(g.messages))
        for g in groups(said(roles))
    )
    return " ".join(shown)


def test_a_mention_is_an_answer_and_what_it_answers():
    assert "[ua]" == grouped("ua")
    assert "[ua] [ua]" == grouped("uaua")
    assert "2 [ua] 3" == grouped("uuuauuu")
    assert "[a] [uaa] 1" == grouped("auaau")
    assert "4" == grouped("uuuu")
    assert "" == grouped("")


@given(st.text("ua", max_size=40))
def test_no_message_is_lost_or_doubled_by_grouping(roles: str):
    messages = said(roles)

    assert messages == [message for group in groups(messages) for message in group.messages]


@given(st.text("ua", max_size=30), st.text("ua", max_size=10))
def test_what_is_said_later_leaves_finished_mentions_alone(before: str, later: str):
    finished = [g for g in groups(said(before)) if g.mention][:-1]
    after = [g for g in groups(said(before + later)) if g.mention]

    assert [len(g.messages) for g in finished] == [len(g.messages) for g in after[: len(finished)]]


def test_a_pause_begins_another_conversation_of_the_same_chat():
    talk = Talk()
    for at in (0.0, PAUSE - 1, 2 * PAUSE):
        talk.say(REPLICA, ADA, "user", "hi", "web", at)

    (chat,) = talk.chats(REPLICA)
    assert [2, 1] == [len(one.messages) for one in chat.conversations]
    assert 2 == talk.begun.total()


def test_a_group_is_one_chat_for_all_and_a_history_for_each():
    talk = Talk()
    talk.say(REPLICA, ADA, "user", "a", "discord", 0.0, ROOM)
    talk.say(REPLICA, EVE, "user", "b", "discord", 1.0, ROOM)

    (chat,) = talk.chats(REPLICA)
    assert (True, "Room", {"u-ada", "u-eve"}) == (chat.group, chat.name, chat.people)
    assert ["b"] == [message.content for message in talk.history(REPLICA, EVE)]


def test_only_so_many_messages_are_kept_and_the_chat_that_slept_longest_goes():
    talk = Talk(most=10)
    people = [User(str(number), f"u-{number}") for number in range(8)]
    for at, user in enumerate(people * 2):
        talk.say(REPLICA, user, "user", "x", "web", at)

    assert 10 >= sum(len(chat.messages) for chat in talk.chats(REPLICA)) > 5
    assert [] == talk.history(REPLICA, people[0])
    assert talk.history(REPLICA, people[-1])


def test_a_conversation_without_end_keeps_its_newest_part():
    talk = Talk()
    for at in range(MOST_MESSAGES + 1):
        talk.say(REPLICA, ADA, "user", str(at), "web", float(at))

    (conversation,) = talk.conversations(REPLICA)
    assert str(MOST_MESSAGES) == conversation.messages[-1].content
    assert MOST_MESSAGES // 2 + 1 == len(conversation.messages) == len(talk.history(REPLICA, ADA))
