from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace

from gateway.errors import Transient
from gateway.messages import (
    Address,
    Channel,
    ConversationKey,
    Deleted,
    Edited,
    Part,
    Profile,
    Reply,
    Sender,
    Unreadable,
)
from gateway.pipeline.accept import new_id, tag
from gateway.policy.texts import BUILT_IN
from gateway.ports import MessageReceived, Noted
from tests.fakes import BrokenRenderer, LineRenderer
from tests.pipeline.works import CHANNEL, Works, configured, quiet, works_of

EN, DE = BUILT_IN["en"], BUILT_IN["de"]
KEY = ConversationKey(bot="shop", platform="telegram", chat="c1")


async def outcomes(works: Works, *arrivals) -> list[str]:
    return [accepted.outcome for accepted in await works.accept(*arrivals)]


async def waiting(works: Works) -> list[str]:
    return [head.id for head in await works.journal.waiting("acme")]


async def test_a_message_waits_with_an_id_of_its_organisation(works: Works):
    (accepted,) = await works.accept(works.said("When are you open?"))

    assert accepted.outcome == "accepted"
    assert accepted.id.startswith(f"{tag('acme')}-")
    assert await waiting(works) == [accepted.id]


async def test_a_batch_has_one_outcome_each_in_order(works: Works):
    said = works.said()

    assert ["accepted", "quarantined", "duplicate"] == await outcomes(
        works, said, Unreadable(bot="shop", platform="telegram", raw="{", error="no JSON"), said
    )


async def test_an_empty_batch_is_nothing(works: Works):
    assert await works.accept() == []
    assert works.facts == []


async def test_a_redelivered_update_is_accepted_once_and_told_as_a_duplicate(works: Works):
    said = works.said()

    (first,) = await works.accept(said)
    (second,) = await works.accept(said)

    assert second.outcome == "duplicate"
    assert second.id == first.id
    assert await waiting(works) == [first.id]
    assert works.facts.outcomes(MessageReceived) == ["accepted", "duplicate"]


async def test_a_repeated_key_with_another_body_is_told_apart(works: Works):
    first = works.said(body_hash="one")

    assert ["accepted", "mismatch", "duplicate"] == await outcomes(
        works, first, replace(first, body_hash="two"), first
    )
    assert works.facts.outcomes(MessageReceived) == ["accepted", "duplicate", "duplicate"]


async def test_an_edit_amends_what_waits_and_a_deletion_takes_it_back(works: Works):
    said = works.said("Whan?")
    (accepted,) = await works.accept(said)

    assert ["amended"] == await outcomes(works, Edited(key=KEY, message_id=said.message_id, text="When?"))
    assert (await works.journal.message(accepted.id)).text == "When?"
    assert ["amended"] == await outcomes(works, Deleted(key=KEY, message_id=said.message_id))
    assert await waiting(works) == []


# --- access ---


async def test_a_denied_person_is_told_once_an_hour_in_private():
    async with works_of(configured(access={"deny": {"users": ["eve"]}})) as works:
        first = await outcomes(works, works.said(who="eve"))
        second = await outcomes(works, works.said(who="eve"))
        async with works.delivering():
            await works.passes(1.0)

        assert [*first, *second] == ["denied", "denied"]
        assert [EN["denied"]] == works.adapter.texts
        assert await waiting(works) == []


async def test_a_denied_person_is_met_with_silence_in_a_group():
    async with works_of(configured(access={"deny": {"users": ["eve"]}})) as works:
        (accepted,) = await works.accept(works.in_group("@shop hello", "mention", who="eve"))

        assert accepted.outcome == "denied"
        assert not accepted.notice


@pytest.mark.parametrize(
    ("mode", "unaddressed", "mentioned"),
    [
        ("mention", "ignored", "accepted"),
        ("listen", "recorded", "accepted"),
        ("open", "accepted", "accepted"),
        ("off", "ignored", "ignored"),
    ],
)
async def test_a_groups_mode_says_what_is_answered(mode: str, unaddressed: str, mentioned: str):
    telegram = {"token": "1:telegram-token", "groups": {"mode": mode}}
    async with works_of(configured(telegram=telegram)) as works:
        assert [unaddressed, mentioned] == await outcomes(
            works, works.in_group("lunch?"), works.in_group("@shop hello", "mention")
        )


async def test_new_rules_hold_from_the_next_message_on(works: Works):
    before = await outcomes(works, works.said(who="eve"))
    works.settings = configured(access={"deny": {"users": ["eve"]}})

    assert ["accepted", "denied"] == before + await outcomes(works, works.said(who="eve"))


async def test_an_old_message_is_recorded_and_not_answered(works: Works):
    assert ["recorded", "accepted"] == await outcomes(
        works, works.said(sent_at=works.clock.now() - 3601.0), works.said(sent_at=works.clock.now() - 3599.0)
    )


async def test_other_bots_are_not_heard(works: Works):
    assert ["ignored"] == await outcomes(works, works.said(sender=Sender(id="robot", is_bot=True)))


# --- fixed texts ---


@pytest.mark.parametrize("name", ["greeting", "help", "privacy", "unsupported"])
async def test_a_fixed_text_is_answered_without_asking(works: Works, name: str):
    (accepted,) = await works.accept(works.said("/command", answer_with=name))
    async with works.running():
        await works.passes(1.0)

    assert accepted.outcome == "answered"
    assert [EN[name]] == works.adapter.texts
    assert works.completions.admitted == []


async def test_a_fixed_text_speaks_the_senders_language(works: Works):
    german = Sender(id="uwe", locale="de-AT")
    async with works.delivering():
        await works.accept(works.said("/help", sender=german, answer_with="help"))
        await works.passes(0.0)

    assert [DE["help"]] == works.adapter.texts


async def test_the_greeting_is_the_replicas_own_once_it_is_known(works: Works):
    async def warm(bot) -> None:
        works.profile = Profile(greeting="Ahoy!")

    works.acceptor._warm = warm
    await works.accept(works.said("/start", answer_with="greeting"))

    assert await works.parts() == ["Ahoy!"]


async def test_the_operators_greeting_goes_before_the_replicas():
    async with works_of(configured(texts={"greeting": {"de": "Moin!"}})) as works:
        works.profile = Profile(greeting="Ahoy!")
        await works.accept(works.said("/start", answer_with="greeting", sender=Sender(id="uwe", locale="de")))

        assert await works.parts() == ["Moin!"]


async def test_only_a_greeting_waits_for_the_replicas_profile(works: Works):
    await works.accept(works.said(), works.said("/help", answer_with="help"))
    before = list(works.warmed)
    await works.accept(works.said("/start", answer_with="greeting"))

    assert before == []
    assert works.warmed == [works.settings.bots["shop"]]


async def test_a_fixed_text_that_cannot_be_rendered_is_sent_plain(works: Works):
    works.renderer = BrokenRenderer()

    assert ["answered"] == await outcomes(works, works.said("/help", answer_with="help"))
    assert await works.parts() == [EN["help"]]


async def test_a_fixed_text_of_one_part_is_rendered_once_and_its_changes_are_seen(works: Works):
    rendered: list[str] = []

    class Counting(LineRenderer):
        def render(self, reply: Reply, address: Address, *, max_parts: int = 10) -> list[Part]:
            rendered.append(reply.text)
            return super().render(reply, address, max_parts=max_parts)

    works.renderer = Counting()
    for _ in range(3):
        await works.accept(works.said("/help", answer_with="help"))
    works.settings = configured(texts={"help": "Ask me.\nAnything."})
    for _ in range(2):
        await works.accept(works.said("/help", answer_with="help"))

    assert dict.fromkeys((EN["help"], EN["busy"]), 1) | {"Ask me.\nAnything.": 2} == Counter(rendered)
    assert await works.parts() == [EN["help"]] * 3 + ["Ask me.", "Anything."] * 2


# --- bounds and limits ---


async def test_a_full_conversation_is_told_that_we_are_busy():
    async with works_of(configured(queue={"per_conversation": 2})) as works:
        outcome = await outcomes(works, works.said(), works.said(), works.said(), works.said(chat="c2"))

        assert ["accepted", "accepted", "busy", "accepted"] == outcome
        assert await works.parts() == [EN["busy"]]
        assert works.facts.outcomes(MessageReceived) == ["accepted"] * 4


async def test_a_full_bot_is_busy_for_everybody():
    async with works_of(configured(queue={"per_bot": 2})) as works:
        chats = [works.said(chat=f"c{number}") for number in range(3)]

        assert ["accepted", "accepted", "busy"] == await outcomes(works, *chats)
        assert await works.parts("c2") == [EN["busy"]]


async def test_over_a_users_limit_one_text_a_window_is_sent():
    async with works_of(configured(limits={"user": "2/10s"}, coalesce="off")) as works:
        flood = await outcomes(works, *(works.said(who="ann") for _ in range(4)))
        other = await outcomes(works, works.said(who="bob"))
        await works.passes(10.0)
        later = await outcomes(works, works.said(who="ann"))

        assert ["accepted", "accepted", "limited", "limited"] == flood
        assert other == ["accepted"]
        assert later == ["accepted"]
        assert await works.parts() == [EN["busy"]]
        assert works.facts.outcomes(MessageReceived).count("denied") == 2


async def test_commands_count_against_the_users_limit():
    async with works_of(configured(limits={"user": "1/10s"})) as works:
        assert ["answered", "limited"] == await outcomes(
            works, works.said("/help", answer_with="help"), works.said("/help", answer_with="help")
        )


# --- what cannot be taken ---


async def test_a_closed_gateway_takes_nothing(works: Works):
    works.acceptor.closed = True

    with pytest.raises(Transient) as caught:
        await works.accept(works.said())

    assert caught.value.retry_after
    assert await waiting(works) == []
    assert works.facts == []


async def test_a_bot_that_is_gone_takes_nothing(works: Works):
    with pytest.raises(Transient):
        await works.acceptor.accept(Channel(bot="former", platform="telegram"), [works.said()])


async def test_a_journal_that_cannot_write_takes_nothing(works: Works):
    await works.journal.close()

    with pytest.raises(Transient):
        await works.accept(works.said())

    assert works.facts == []


async def test_an_unreadable_update_is_quarantined_and_the_next_one_is_handled(works: Works):
    broken = Unreadable(bot="shop", platform="telegram", raw="{", error="no JSON", dedupe=("update:9",))

    assert ["quarantined", "accepted"] == await outcomes(works, broken, works.said())
    assert ["duplicate"] == await outcomes(works, broken)
    assert "quarantined" in works.facts.outcomes(MessageReceived)
    assert "update.quarantined" in [noted.event for noted in works.facts.of(Noted)]


def test_ids_of_an_organisation_share_their_beginning_and_nothing_else():
    ids = {new_id("acme") for _ in range(1000)}

    assert len(ids) == 1000
    assert {id_[:5] for id_ in ids} == {f"{tag('acme')}-"}
    assert tag("acme") != tag("globex")


async def test_half_a_character_keeps_no_message_out(works: Works):
    """JSON may hold halves of surrogate pairs, which nothing can write down."""
    (accepted,) = await works.accept(works.said("half \ud83d of", context={"name": "\udc00"}))

    assert accepted.outcome == "accepted"
    assert (await works.journal.message(accepted.id)).text == "half � of"


@pytest.mark.parametrize(("wanted", "written"), [(False, []), (True, ["When are you open?"])])
async def test_what_is_said_is_written_down_only_where_the_operator_asked_for_it(wanted, written):
    async with works_of(configured()) as works:
        log = works.settings.log.model_copy(update={"message_text": wanted})
        works.settings = works.settings.model_copy(update={"log": log})
        await works.accept(works.said("When are you open?"))

        said = [fact.fields["text"] for fact in works.facts.of(Noted) if fact.event == "message.said"]
        assert said == written


async def test_nobody_is_shown_typing_for_a_message_that_was_taken_back():
    async with works_of(configured()) as works:
        works.presence.attach(CHANNEL, works.adapter)
        said = works.said("oops")
        await works.accept(said)
        await quiet()
        await works.accept(Deleted(key=said.key, message_id=said.message_id, dedupe=("update:deleted",)))
        shown = len(works.adapter.shown)
        await works.passes(30.0)

        assert len(works.adapter.shown) == shown
