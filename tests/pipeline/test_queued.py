from __future__ import annotations

from gateway.messages import Channel, ConversationKey
from gateway.policy.texts import BUILT_IN
from tests.pipeline.works import configured, quiet, works_of

WAIT = BUILT_IN["en"]["queued"].split("{seconds}")


def one_a_minute(**bot):
    return configured(quota={"requests_per_minute": 1}, queued_after="15s", **bot)


def told(texts: list[str]) -> list[int]:
    """The seconds of every queued notice."""
    return [
        int(text.removeprefix(WAIT[0]).removesuffix(WAIT[1]))
        for text in texts
        if text.startswith(WAIT[0]) and text.endswith(WAIT[1])
    ]


async def test_who_has_to_wait_for_quota_is_told_once_and_how_long():
    async with works_of(one_a_minute()) as works, works.running():
        await works.hears(chat="first")
        await works.hears("When are you open?", chat="second")
        await works.passes(40.0)
        notices = told(await works.parts("second"))
        await works.passes(40.0)

        assert 1 == len(notices)
        assert 50 <= notices[0] <= 62
        assert [] == told(await works.parts("first"))
        assert works.completions.answer == (await works.parts("second"))[-1]


async def test_a_second_message_of_the_same_person_is_not_told_again():
    async with works_of(one_a_minute()) as works, works.running():
        await works.hears(chat="first")
        await works.hears("one", chat="second")
        await works.hears("two", chat="second")
        await works.passes(30.0)

        assert 1 == len(told(await works.parts("second")))


async def test_a_short_wait_is_not_worth_a_notice():
    async with (
        works_of(configured(quota={"requests_per_minute": 1}, queued_after="5m")) as works,
        works.running(),
    ):
        await works.hears(chat="first")
        await works.hears(chat="second")
        await works.passes(70.0)

        assert [] == told(await works.parts("second"))


async def test_on_the_web_it_is_an_event_with_the_place_in_the_queue():
    async with works_of(one_a_minute(web={})) as works, works.running():
        key = ConversationKey(bot="shop", platform="web", chat="w1")
        await works.hears(chat="first")
        async with works.journal.watch(f"conversation/{key}") as stream:
            said = works.said("When are you open?", "w1", key=key)
            await works.accept(said, channel=Channel(bot="shop", platform="web"))
            await quiet()
            events = [fact for fact in stream.drain() if fact.get("type") == "queued"]

        assert [1] == [event["position"] for event in events]
        assert 50 <= events[0]["seconds"] <= 62
        assert 1 == len((await works.journal.log(key)).entries)
