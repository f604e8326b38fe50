"""What every organisation finds when it first comes: three replicas, and forty days of people who talked to them.

The same in every organisation but for the dates, which are counted back from its first request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from random import Random

from gateway.sandbox.sensay.bodies import Source
from gateway.sandbox.sensay.replies import Role
from gateway.sandbox.sensay.samples import CHATTER, OWNER, SAMPLES, VISITORS, Sample
from gateway.sandbox.sensay.state import Organization, Replica, User
from gateway.sandbox.sensay.talk import ALONE, Place

DAYS, TALKS, EVENINGS = 40, 45, 4
"""Days back; conversations with one person; evenings of each group."""
PICTURES = "/_control/sensay/pictures"
_DAY = 86_400.0
_SOURCES: tuple[Source, ...] = (
    "telegram",
    "embed",
    "telegram",
    "discord",
    "telegram",
    "web",
    "embed",
    "discord",
    "telegram",
)


@dataclass(frozen=True, slots=True)
class Line:
    at: float
    user: User
    source: Source
    place: Place
    content: str
    answered: bool


def furnish(organization: Organization, now: float) -> None:
    """Add the samples."""
    owner = organization.add_user(OWNER, None, None, {})
    visitors = [organization.add_user(f"sample-{name.lower()}", None, name, {}) for name in VISITORS]
    for sample in SAMPLES:
        replica = Replica(
            sample.uuid,
            sample.slug,
            sample.name,
            sample.description,
            sample.greeting,
            owner,
            now - DAYS * _DAY,
            suggestions=sample.suggestions,
            picture=f"{PICTURES}/{sample.slug}.png",
        )
        organization.replicas[replica.uuid] = replica
        organization.add_entry(replica, "text", replica.created_at).learn(
            sample.knowledge, replica.created_at
        )
        lines = [*_alone(sample, visitors, now), *_in_groups(sample, visitors, now)]
        for number, line in enumerate(sorted(lines, key=lambda line: line.at)):
            say = partial(_say, organization, replica, line, f"{sample.slug} {number}")
            say("user", line.content, line.at)
            if line.answered:
                say("assistant", replica.answer(line.content), line.at + 4)


def _say(
    organization: Organization, replica: Replica, line: Line, seed: str, role: Role, text: str, at: float
) -> None:
    organization.talk.say(replica, line.user, role, text, line.source, at, line.place, seed=f"{seed} {role}")


def _alone(sample: Sample, visitors: list[User], now: float) -> Iterator[Line]:
    """More of them as the weeks go by."""
    random = Random(sample.slug)
    for number in range(TALKS):
        at = now - DAYS * _DAY * (1 - (number + 1) / (TALKS + 1)) ** 1.4 - random.uniform(0, 3600)
        user, source = visitors[random.randrange(len(visitors))], _SOURCES[number % len(_SOURCES)]
        for content in random.sample(sample.questions, random.randint(1, 3)):
            yield Line(at, user, source, ALONE, content, answered=True)
            at += random.uniform(20, 90)


def _in_groups(sample: Sample, visitors: list[User], now: float) -> Iterator[Line]:
    """People among themselves, who ask the replica now and then."""
    random = Random(f"groups of {sample.slug}")
    groups: tuple[tuple[Source, str], ...] = (("telegram", "-100200300400"), ("discord", "900800700600"))
    for source, group in groups:
        chatter = cycle(random.sample(CHATTER, len(CHATTER)))
        for evening in range(EVENINGS):
            at = now - (EVENINGS - evening) * 5 * _DAY + random.uniform(0, 3600)
            for content in random.sample(sample.questions, 3):
                among = [(line, False) for line in islice(chatter, random.randint(2, 17))]
                for text, answered in [*among, (content, True)]:
                    user = visitors[random.randrange(len(visitors))]
                    place = Place(f"{group}-{sample.slug}", sample.group, user.name)
                    yield Line(at, user, source, place, text, answered)
                    at += random.uniform(15, 240)
