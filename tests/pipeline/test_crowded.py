"""When too much waits already, the platforms keep what people say."""

from __future__ import annotations

import pytest

from gateway.errors import Transient
from gateway.pipeline.accept import MOST_WAITING, Acceptor
from tests.pipeline.works import CHANNEL, Works


async def test_an_organisation_with_too_much_waiting_takes_nothing_in_until_there_is_room(works: Works):
    waiting = {"acme": MOST_WAITING}
    acceptor = Acceptor(
        works.journal,
        works.current,
        works.notices,
        works.presence,
        works.clock,
        works.facts,
        works._warm,
        waiting.__getitem__,
    )
    with pytest.raises(Transient) as refused:
        await acceptor.accept(CHANNEL, [works.said()])
    waiting["acme"] -= 1
    [accepted] = await acceptor.accept(CHANNEL, [works.said()])

    assert refused.value.retry_after is not None
    assert accepted.outcome == "accepted"
    assert await works.journal.queue("acme") == 1
