"""Formatting never costs an answer, and a long or hostile text never holds up the loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from adapters.discord.render import DiscordRenderer
from adapters.telegram.render import TelegramRenderer
from adapters.web.render import WebRenderer
from adapters.webhook.render import WebhookRenderer
from gateway.messages import Address, PlatformName, Reply
from gateway.pipeline import rendering
from gateway.pipeline.rendering import LONG, PLAIN, Rendering, plain
from gateway.ports import Noted, Renderer
from tests.fakes import BrokenRenderer, Facts, LineRenderer
from tests.pipeline.renderers import DyingRenderer, HangingRenderer, ProcessRenderer
from tests.platforms.fake_host import until

WHERE = Address(to="c1")
LONG_TEXT = "x" * (LONG + 1)
PLATFORMS: dict[PlatformName, Renderer] = {
    "telegram": TelegramRenderer(),
    "discord": DiscordRenderer(),
    "web": WebRenderer(),
    "webhook": WebhookRenderer(),
}


class Stage:
    def __init__(self) -> None:
        self.facts = Facts()
        self.renderer: Renderer = LineRenderer()
        self.rendering = Rendering(lambda _: self.renderer, self.facts)

    async def texts(self, text: str, most: int = 10) -> list[str]:
        parts = await self.rendering.parts("telegram", Reply(text=text), WHERE, most)
        return [part.text for part in parts]

    @property
    def failures(self) -> int:
        return sum(noted.event == "rendering.failed" for noted in self.facts.of(Noted))


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(rendering, "DEADLINE", 60.0)  # a new process may take its time on a busy machine
    made = Stage()
    yield made
    made.rendering.close()


async def test_a_short_text_is_rendered_here(stage: Stage):
    stage.renderer = ProcessRenderer()

    assert await stage.texts("hello") == [str(os.getpid())]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<think>They ask for hours.</think>\n\nWe open at nine.", ["We open at nine."]),
        ("<Thinking>one\ntwo</Thinking>Nine.<reasoning>sure?</reasoning>", ["Nine."]),
        ("a <think> without an end", ["a <think> without an end"]),
        ("<think>and nothing else</think>", []),
    ],
)
@pytest.mark.parametrize("platform", PLATFORMS)
async def test_no_platform_is_given_a_models_thoughts(written: str, shown: list[str], platform: PlatformName):
    rendering = Rendering(PLATFORMS.__getitem__, Facts())
    parts = await rendering.parts(platform, Reply(text=written), WHERE, 10)

    assert shown == [part.text for part in parts]


async def test_thoughts_are_left_out_of_the_plain_text_too(stage: Stage):
    stage.renderer = BrokenRenderer()

    assert ["Nine."] == await stage.texts("<think>hm</think>Nine.")


async def test_a_long_text_is_rendered_in_a_worker_that_is_kept(stage: Stage):
    stage.renderer = ProcessRenderer()
    first = await stage.texts(LONG_TEXT)
    second = await stage.texts(LONG_TEXT)

    assert first == second
    assert first != [str(os.getpid())]
    assert stage.failures == 0


@pytest.mark.parametrize("text", ["hello", LONG_TEXT])
async def test_a_renderer_that_raises_gives_the_plain_text(stage: Stage, text: str):
    stage.renderer = BrokenRenderer()

    assert "".join(await stage.texts(text)) == text
    assert stage.failures == 1
    assert "x" * 50 not in repr(stage.facts), "no message text in what is told"


async def test_a_renderer_that_hangs_gives_the_plain_text_and_the_next_one_works(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    stage.renderer = HangingRenderer()
    (worker,) = await stage.texts("y" * len(LONG_TEXT))
    monkeypatch.setattr(rendering, "DEADLINE", 0.05)
    hung = await stage.texts(LONG_TEXT)
    monkeypatch.setattr(rendering, "DEADLINE", 60.0)
    (other,) = await stage.texts("y" * len(LONG_TEXT))

    assert "".join(hung) == LONG_TEXT
    assert stage.failures == 1
    assert other != worker, "the stuck process is gone"


async def test_the_loop_goes_on_while_a_long_text_is_rendered(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rendering, "DEADLINE", 0.3)
    stage.renderer = HangingRenderer()
    work = asyncio.ensure_future(stage.texts(LONG_TEXT))
    rounds = 0
    while not work.done():
        rounds += 1
        await asyncio.sleep(0.001)

    assert rounds > 10


async def test_a_worker_that_dies_gives_the_plain_text_and_the_next_one_works(stage: Stage):
    stage.renderer = DyingRenderer()
    dead = await stage.texts(LONG_TEXT)
    stage.renderer = ProcessRenderer()

    assert "".join(dead) == LONG_TEXT
    assert len(await stage.texts(LONG_TEXT)) == 1


async def test_a_cancelled_turn_takes_its_worker_along(stage: Stage):
    stage.renderer = HangingRenderer()
    work = asyncio.ensure_future(stage.texts(LONG_TEXT))
    await until(lambda: stage.rendering._pool and stage.rendering._pool._processes)
    processes = list(stage.rendering._pool._processes.values())
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    for process in processes:
        process.join(5.0)

    assert [process.is_alive() for process in processes] == [False] * len(processes)


def test_a_plain_text_is_cut_into_pieces_and_nothing_is_missing():
    text = "".join(str(number % 10) for number in range(3 * PLAIN + 1))
    parts = plain(Reply(text=text, purpose="notice", notice="help"), 10)

    assert "".join(part.text for part in parts) == text
    assert max(len(part.text) for part in parts) == PLAIN
    assert {(part.purpose, part.notice) for part in parts} == {("notice", "help")}


def test_a_plain_text_beyond_the_most_parts_says_so():
    parts = plain(Reply(text="x" * (PLAIN * 3)), 2)

    assert len(parts) == 2
    assert parts[-1].text.endswith("…")
    assert len(parts[-1].text) == PLAIN


def test_a_broken_character_does_not_break_the_plain_text():
    (part,) = plain(Reply(text="a\ud800b"), 10)

    assert part.text.encode()
    assert part.text == "a?b"


def test_a_blank_plain_text_is_nothing():
    assert plain(Reply(text=" \n "), 10) == ()
