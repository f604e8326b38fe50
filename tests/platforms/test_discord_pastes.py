"""What is pasted over Discord's limit comes as `message.txt`; what else is attached is told of, and not opened."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.discord import pastes
from adapters.discord.pastes import LARGEST, brings_paste
from gateway.sandbox.faults import Fault
from gateway.sandbox.server import Sandbox
from tests.platforms.discord_scene import Scene, scene_of

LONG = "  Dear support,\n\n" + "my tent leaks 🏕 " * 400


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Sandbox() as sandbox, scene_of(sandbox) as made:
        yield made


def paste(text: str = LONG, name: str = "message.txt") -> dict[str, str]:
    return {"name": name, "text": text}


async def test_a_long_paste_is_the_question(scene: Scene):
    async with scene.running():
        await scene.says("", attachments=[paste()])
        [said] = await scene.heard()

    assert (None, LONG.strip()) == (said.answer_with, said.text)


async def test_words_beside_a_paste_come_first_and_other_files_are_told_of(scene: Scene):
    async with scene.running():
        await scene.says("what is wrong?", attachments=[paste("It leaks."), "bill.pdf"])
        [text] = await scene.texts()

    assert text == "what is wrong?\n\nIt leaks.\n\n(with a document that you cannot open: bill.pdf)"


async def test_a_paste_in_a_channel_is_read_when_the_bot_is_mentioned(scene: Scene):
    async with scene.running():
        await scene.says("", channel=55, attachments=[paste("Nobody asked.")])
        await scene.says("", channel=55, mention=True, attachments=[paste("It leaks.")])
        [said] = await scene.heard()

    assert ("mention", "It leaks.") == (said.addressed, said.text)


async def test_ask_in_the_menu_of_a_paste_asks_what_was_pasted(scene: Scene):
    async with scene.running():
        target = await scene.says("", channel=55, attachments=[paste("It leaks.")])
        await scene.uses("Ask", {"channel": 55}, target=target["id"])
        [said] = await scene.heard()

    assert said.text == "It leaks."


@pytest.mark.parametrize("kind", ["status", "drop_before"])
async def test_a_paste_that_discord_does_not_hand_out_is_unsupported_and_the_next_message_is_heard(
    scene: Scene, kind: str
):
    scene.sandbox.faults.add(Fault("discord", "attachment", kind, status=404, times=3))
    async with scene.running():
        await scene.says("", attachments=[paste()])
        await scene.says("hello?")
        first, second = await scene.heard(2)

    assert ("unsupported", "hello?") == (first.answer_with, second.text)


async def test_a_paste_that_never_ends_is_given_up(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pastes.Pastes.into, "__defaults__", (0.05,))
    scene.sandbox.faults.add(Fault("discord", "attachment", "delay", seconds=30.0))
    async with scene.running():
        await scene.says("", attachments=[paste()])
        [said] = await scene.heard()

    assert said.answer_with == "unsupported"


async def test_a_paste_with_more_than_discord_said_is_not_read(scene: Scene):
    async with scene.running():
        said = await scene.says("", attachments=[paste()])
        scene.discord._files[said["attachments"][0]["id"]] = b"x" * (LARGEST + 1)
        [heard] = await scene.heard()

    assert heard.answer_with == "unsupported"


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"\x00\x01\x02"])
async def test_a_paste_that_is_no_text_is_unsupported(scene: Scene, data: bytes):
    async with scene.running():
        said = await scene.says("", attachments=[paste()])
        scene.discord._files[said["attachments"][0]["id"]] = data
        [heard] = await scene.heard()

    assert heard.answer_with == "unsupported"


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/message.txt",
        "http://cdn.discordapp.com/attachments/1/2/message.txt",
        "https://cdn.discordapp.com.example.org/message.txt",
        "file:///etc/passwd",
        "message.txt",
        "",
    ],
)
async def test_a_paste_is_fetched_from_nowhere_else(scene: Scene, address: str):
    attached = {"id": "1", "filename": "message.txt", "size": 10, "url": address}
    async with scene.running():
        await scene.says("", extra={"attachments": [attached]})
        [said] = await scene.heard()

    assert said.answer_with == "unsupported"


@pytest.mark.parametrize(
    "attached",
    [
        {"filename": "notes.txt", "size": 10},
        {"filename": "message.txt", "size": LARGEST + 1},
        {"filename": "message.txt", "size": 10, "content_type": "application/octet-stream"},
        None,
    ],
)
def test_nothing_else_is_taken_for_a_paste(attached: object):
    assert not brings_paste({"attachments": [attached]})


@pytest.mark.parametrize(
    ("name", "flags", "line"),
    [
        ("cat.png", 0, "(with a picture that you cannot open)"),
        ("film.mp4", 0, "(with a video that you cannot open)"),
        ("song.mp3", 0, "(with an audio file that you cannot open)"),
        ("voice-message.ogg", 8192, "(with a voice message that you cannot open)"),
        ("offer.pdf", 0, "(with a document that you cannot open: offer.pdf)"),
    ],
)
async def test_the_replica_is_told_of_a_file_beside_the_words(scene: Scene, name: str, flags: int, line: str):
    async with scene.running():
        await scene.says("look", attachments=[name], extra={"flags": flags} if flags else {})
        [text] = await scene.texts()

    assert text == f"look\n\n{line}"
